//! The queue of writers of one store, from all processes that have the store open. The first writer
//! has the turn.
//!
//! The queue is plain data: its methods return wakers, which the caller wakes or drops when no
//! state of the run is borrowed.

use std::collections::VecDeque;
use std::task::Waker;

#[derive(Debug, Default)]
pub(super) struct Writers {
    next: u64,
    queue: VecDeque<Writer>,
}

#[derive(Debug)]
struct Writer {
    ticket: u64,
    /// The number of the handle that the writer uses.
    handle: u64,
    waker: Option<Waker>,
}

/// The wakers that the caller must wake or drop after writers have left the queue.
#[derive(Debug, Default)]
pub(super) struct Departure {
    /// Wakers of the writers that left, to be dropped.
    pub(super) own: Vec<Waker>,
    /// Waker of the writer that has the turn now, to be woken.
    pub(super) next: Option<Waker>,
}

impl Writers {
    /// Adds a writer at the end of the queue, and returns its ticket.
    pub(super) fn join(&mut self, handle: u64) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.queue.push_back(Writer { ticket, handle, waker: None });
        ticket
    }

    /// Returns whether this writer has the turn.
    pub(super) fn has_turn(&self, ticket: u64) -> bool {
        self.queue.front().is_some_and(|writer| writer.ticket == ticket)
    }

    /// Sets the waker to wake when it is the writer's turn. Returns the previous one.
    pub(super) fn set_waker(&mut self, ticket: u64, waker: Waker) -> Option<Waker> {
        let writer = self.queue.iter_mut().find(|writer| writer.ticket == ticket)?;
        writer.waker.replace(waker)
    }

    /// Removes a writer from the queue. If it had the turn, the next writer gets it.
    pub(super) fn leave(&mut self, ticket: u64) -> Departure {
        self.leave_where(|writer| writer.ticket == ticket)
    }

    /// Removes all writers that use a handle from the queue.
    pub(super) fn leave_all(&mut self, handle: u64) -> Departure {
        self.leave_where(|writer| writer.handle == handle)
    }

    fn leave_where(&mut self, which: impl Fn(&Writer) -> bool) -> Departure {
        let had_turn = self.queue.front().map(|writer| writer.ticket);
        let mut own = Vec::new();
        self.queue.retain_mut(|writer| {
            let leaves = which(writer);
            if leaves {
                own.extend(writer.waker.take());
            }
            !leaves
        });
        let next = match self.queue.front_mut() {
            Some(first) if Some(first.ticket) != had_turn => first.waker.take(),
            Some(_) | None => None,
        };
        Departure { own, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_in_order_and_skip_writers_that_left() {
        let mut writers = Writers::default();
        let [a, b, c, d] = [0; 4].map(|_| writers.join(0));
        assert!(writers.has_turn(a) && !writers.has_turn(b));
        writers.leave(b);
        writers.leave(a);
        assert!(writers.has_turn(c));
        writers.leave(d);
        writers.leave(d);
        writers.leave(c);
        assert!(!writers.has_turn(c));
        let e = writers.join(0);
        assert!(writers.has_turn(e));
    }

    #[test]
    fn only_the_next_writer_is_woken() {
        let mut writers = Writers::default();
        let [a, b, c] = [0; 3].map(|_| writers.join(0));
        for ticket in [b, c] {
            assert!(writers.set_waker(ticket, Waker::noop().clone()).is_none());
        }
        assert!(writers.set_waker(c, Waker::noop().clone()).is_some());
        let departure = writers.leave(c);
        assert!(departure.own.len() == 1 && departure.next.is_none());
        assert!(writers.leave(a).next.is_some());
        assert!(writers.has_turn(b));
    }

    #[test]
    fn leaving_with_all_writers_of_a_handle_passes_on_the_turn() {
        let mut writers = Writers::default();
        let [a, b, c, d] = [1, 2, 1, 2].map(|handle| writers.join(handle));
        for ticket in [b, c, d] {
            assert!(writers.set_waker(ticket, Waker::noop().clone()).is_none());
        }
        assert!(writers.has_turn(a));
        let departure = writers.leave_all(1);
        assert!(departure.own.len() == 1 && departure.next.is_some());
        assert!(writers.has_turn(b));
        writers.leave(b);
        assert!(writers.has_turn(d));
    }
}

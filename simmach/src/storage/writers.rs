//! The writers of one store, of all processes that have it open: one has the turn, the others wait for it, first come,
//! first served.
//!
//! Plain data. Wakers come out of it to be woken or dropped by the caller, when nothing of the run is borrowed.

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
    /// The process's place in the store.
    place: u64,
    waker: Option<Waker>,
}

/// What is left of writers that left: their own wakers, and that of the one who has the turn now, to be woken.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) own: Vec<Waker>,
    pub(super) next: Option<Waker>,
}

impl Writers {
    /// A place at the end of the queue.
    pub(super) fn join(&mut self, place: u64) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.queue.push_back(Writer { ticket, place, waker: None });
        ticket
    }

    /// True if it is this writer's turn.
    pub(super) fn has_turn(&self, ticket: u64) -> bool {
        self.queue.front().is_some_and(|writer| writer.ticket == ticket)
    }

    /// Keeps what to wake when the turn comes; answers what was kept before.
    pub(super) fn keep(&mut self, ticket: u64, waker: Waker) -> Option<Waker> {
        let writer = self.queue.iter_mut().find(|writer| writer.ticket == ticket)?;
        writer.waker.replace(waker)
    }

    /// Gives up one writer's wait, or its turn, which the next one then has.
    pub(super) fn leave(&mut self, ticket: u64) -> Left {
        self.leave_where(|writer| writer.ticket == ticket)
    }

    /// As [`leave`](Self::leave), for all of a process's.
    pub(super) fn leave_place(&mut self, place: u64) -> Left {
        self.leave_where(|writer| writer.place == place)
    }

    fn leave_where(&mut self, which: impl Fn(&Writer) -> bool) -> Left {
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
        Left { own, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_in_order_and_those_who_left_are_passed_over() {
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
    fn only_who_gets_the_turn_is_woken() {
        let mut writers = Writers::default();
        let [a, b, c] = [0; 3].map(|_| writers.join(0));
        for ticket in [b, c] {
            assert!(writers.keep(ticket, Waker::noop().clone()).is_none());
        }
        assert!(writers.keep(c, Waker::noop().clone()).is_some());
        let left = writers.leave(c);
        assert!(left.own.len() == 1 && left.next.is_none());
        assert!(writers.leave(a).next.is_some());
        assert!(writers.has_turn(b));
    }

    #[test]
    fn a_process_that_ends_gives_its_turn_and_its_waits_to_the_others() {
        let mut writers = Writers::default();
        let [a, b, c, d] = [1, 2, 1, 2].map(|place| writers.join(place));
        for ticket in [b, c, d] {
            assert!(writers.keep(ticket, Waker::noop().clone()).is_none());
        }
        assert!(writers.has_turn(a));
        let left = writers.leave_place(1);
        assert!(left.own.len() == 1 && left.next.is_some());
        assert!(writers.has_turn(b));
        writers.leave(b);
        assert!(writers.has_turn(d));
    }
}

//! The writers of one store: one has the turn, the others wait for it, first come, first served.
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
    waker: Option<Waker>,
}

/// What is left of a writer that left: its own waker, to be dropped, and the next one's, to be woken.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) own: Option<Waker>,
    pub(super) next: Option<Waker>,
}

impl Writers {
    /// A place at the end of the queue.
    pub(super) fn join(&mut self) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.queue.push_back(Writer { ticket, waker: None });
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

    /// Gives up a place, or the turn, which the next one then has.
    pub(super) fn leave(&mut self, ticket: u64) -> Left {
        let Some(at) = self.queue.iter().position(|writer| writer.ticket == ticket) else {
            return Left::default();
        };
        let own = self.queue.remove(at).and_then(|writer| writer.waker);
        let next = match at {
            0 => self.queue.front_mut().and_then(|writer| writer.waker.take()),
            _ => None,
        };
        Left { own, next }
    }

    /// Everyone who waits: the store is closed.
    pub(super) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.queue.into_iter().filter_map(|writer| writer.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_in_order_and_those_who_left_are_passed_over() {
        let mut writers = Writers::default();
        let [a, b, c, d] = [0; 4].map(|_| writers.join());
        assert!(writers.has_turn(a) && !writers.has_turn(b));
        writers.leave(b);
        writers.leave(a);
        assert!(writers.has_turn(c));
        writers.leave(d);
        writers.leave(d);
        writers.leave(c);
        assert!(!writers.has_turn(c));
        let e = writers.join();
        assert!(writers.has_turn(e));
    }

    #[test]
    fn only_who_gets_the_turn_is_woken() {
        let mut writers = Writers::default();
        let [a, b, c] = [0; 3].map(|_| writers.join());
        for ticket in [b, c] {
            assert!(writers.keep(ticket, Waker::noop().clone()).is_none());
        }
        assert!(writers.keep(c, Waker::noop().clone()).is_some());
        let left = writers.leave(c);
        assert!(left.own.is_some() && left.next.is_none());
        assert!(writers.leave(a).next.is_some());
        assert!(writers.has_turn(b));
        assert_eq!(writers.into_wakers().count(), 0);
    }
}

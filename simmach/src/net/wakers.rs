//! Who waits for a socket, and whom to wake once the fabric is no longer borrowed.
//!
//! A waker is foreign code: cloning, waking and dropping one may run anything. So none of the three happens while the
//! fabric is borrowed: waiters are moved in, and moved out again to be woken or dropped outside.

use std::task::Waker;

use crate::engine::{TaskKey, Waiter};

/// The tasks that wait for one thing. As in tokio, the `poll_` functions share one place, in which the last waits; each
/// future of an async function has its own, and leaves it when it is dropped.
#[derive(Default)]
pub(crate) struct Waiters {
    polling: Option<Waiter>,
    futures: Vec<(u64, Waiter)>,
}

/// In whose name a waker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Poll,
    Future(u64),
}

impl Waiters {
    /// True if that waker, the running task's own if that is given, waits already.
    pub(crate) fn has(&self, seat: Seat, task: Option<TaskKey>, waker: &Waker) -> bool {
        match seat {
            Seat::Poll => self.polling.as_ref().is_some_and(|old| old.is(task, waker)),
            Seat::Future(id) => {
                self.futures.iter().any(|(other, old)| *other == id && old.is(task, waker))
            }
        }
    }

    /// Lets someone wait; the one whose place that is comes back.
    pub(crate) fn wait(&mut self, seat: Seat, waiter: Waiter) -> Option<Waiter> {
        match seat {
            Seat::Poll => self.polling.replace(waiter),
            Seat::Future(id) => match self.futures.iter_mut().find(|(other, _)| *other == id) {
                Some((_, old)) => Some(std::mem::replace(old, waiter)),
                None => {
                    self.futures.push((id, waiter));
                    None
                }
            },
        }
    }

    /// A future no longer waits.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waiter> {
        match seat {
            Seat::Poll => self.polling.take(),
            Seat::Future(id) => {
                let at = self.futures.iter().position(|(other, _)| *other == id)?;
                Some(self.futures.remove(at).1)
            }
        }
    }

    /// All of them are to be woken.
    pub(crate) fn wake(&mut self, wakes: &mut Wakes) {
        if let Some(waiter) = self.polling.take() {
            wakes.push(waiter);
        }
        for (_, waiter) in self.futures.drain(..) {
            wakes.push(waiter);
        }
    }
}

/// Who is to be woken, and who is to be dropped, outside. One to wake is the rule, and costs no allocation.
#[derive(Default)]
pub(crate) struct Wakes {
    first: Option<Waiter>,
    more: Vec<Waiter>,
    discarded: Vec<Waiter>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waiter: Waiter) {
        match &self.first {
            None => self.first = Some(waiter),
            Some(_) => self.more.push(waiter),
        }
    }

    /// Nobody needs these any more.
    pub(crate) fn discard(&mut self, waiters: &mut Waiters) {
        self.discarded.extend(waiters.polling.take());
        self.discarded.extend(waiters.futures.drain(..).map(|(_, waiter)| waiter));
    }

    /// What there is to do outside; most of the time nothing.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let nothing = self.first.is_none() && self.discarded.is_empty();
        (!nothing).then(|| std::mem::take(self))
    }

    pub(crate) fn wake(self) {
        if let Some(waiter) = self.first {
            waiter.wake();
            self.more.into_iter().for_each(Waiter::wake);
        }
    }
}

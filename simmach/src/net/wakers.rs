//! Who waits for a socket, and whom to wake once the fabric is no longer borrowed.
//!
//! A waker is foreign code: cloning, waking and dropping one may run anything. So none of the three happens while the
//! fabric is borrowed: wakers are moved in, and moved out again to be woken or dropped outside.

use std::task::Waker;

/// The tasks that wait for one thing. As in tokio, the `poll_` functions share one place, in which the last waits; each
/// future of an async function has its own, and leaves it when it is dropped.
#[derive(Default)]
pub(crate) struct Waiters {
    polling: Option<Waker>,
    futures: Vec<(u64, Waker)>,
}

/// In whose name a waker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Poll,
    Future(u64),
}

impl Waiters {
    /// True if that waker waits already.
    pub(crate) fn has(&self, seat: Seat, waker: &Waker) -> bool {
        match seat {
            Seat::Poll => self.polling.as_ref().is_some_and(|old| old.will_wake(waker)),
            Seat::Future(id) => {
                self.futures.iter().any(|(other, old)| *other == id && old.will_wake(waker))
            }
        }
    }

    /// Lets a waker wait; the one whose place it takes comes back.
    pub(crate) fn wait(&mut self, seat: Seat, waker: Waker) -> Option<Waker> {
        match seat {
            Seat::Poll => self.polling.replace(waker),
            Seat::Future(id) => match self.futures.iter_mut().find(|(other, _)| *other == id) {
                Some((_, old)) => Some(std::mem::replace(old, waker)),
                None => {
                    self.futures.push((id, waker));
                    None
                }
            },
        }
    }

    /// A future no longer waits.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waker> {
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
        if let Some(waker) = self.polling.take() {
            wakes.push(waker);
        }
        for (_, waker) in self.futures.drain(..) {
            wakes.push(waker);
        }
    }
}

/// Wakers to be woken, and others to be dropped, outside. One to wake is the rule, and costs no allocation.
#[derive(Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
    discarded: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }

    /// Nobody needs these any more.
    pub(crate) fn discard(&mut self, waiters: &mut Waiters) {
        self.discarded.extend(waiters.polling.take());
        self.discarded.extend(waiters.futures.drain(..).map(|(_, waker)| waker));
    }

    /// What there is to do outside; most of the time nothing.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let nothing = self.first.is_none() && self.discarded.is_empty();
        (!nothing).then(|| std::mem::take(self))
    }

    pub(crate) fn wake(self) {
        if let Some(waker) = self.first {
            waker.wake();
            self.more.into_iter().for_each(Waker::wake);
        }
    }
}

//! Who waits for a socket, and whom to wake once the kernel is no longer borrowed.
//!
//! A waker is foreign code: cloning, waking and dropping one may run anything. So none of the three happens while the
//! fabric is borrowed: waiters are moved in, and moved out again to be woken or dropped outside. A task that waits by its
//! key is no such code: it is woken at once.

use std::task::Waker;

use crate::engine::{Engine, Waiter};
use crate::net::simulated::rare::Rare;

/// The tasks that wait for one thing. As in tokio, the `poll_` functions share one place, in which the last waits; each
/// future of an async function has its own, and leaves it when it is dropped.
#[derive(Default)]
pub(crate) struct Waiters {
    polling: Option<Waiter>,
    futures: Rare<Vec<(u64, Waiter)>>,
}

/// In whose name a waker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Poll,
    Future(u64),
}

impl Waiters {
    /// True if that waker, which is not the running task's own, waits already.
    pub(crate) fn has(&self, seat: Seat, waker: &Waker) -> bool {
        match seat {
            Seat::Poll => self.polling.as_ref().is_some_and(|old| old.is(None, waker)),
            Seat::Future(id) => {
                let mut futures = self.futures.get().into_iter().flatten();
                futures.any(|(other, old)| *other == id && old.is(None, waker))
            }
        }
    }

    /// Lets someone wait; the one whose place that is comes back.
    #[inline]
    pub(crate) fn wait(&mut self, seat: Seat, waiter: Waiter) -> Option<Waiter> {
        match seat {
            Seat::Poll => self.polling.replace(waiter),
            Seat::Future(id) => {
                let futures = self.futures.wanted();
                if let Some((_, old)) = futures.iter_mut().find(|(other, _)| *other == id) {
                    return Some(std::mem::replace(old, waiter));
                }
                futures.push((id, waiter));
                None
            }
        }
    }

    /// Whether a task waits here that is not over. Of a waker of somebody else's that cannot be told: it counts as one.
    pub(crate) fn are_some(&self, engine: &Engine) -> bool {
        let lives = |waiter: &Waiter| match waiter {
            Waiter::Task(task) => engine.has_task(*task),
            Waiter::Other(_) => true,
        };
        let mut futures = self.futures.get().into_iter().flatten();
        self.polling.as_ref().is_some_and(lives) || futures.any(|(_, waiter)| lives(waiter))
    }

    /// A future no longer waits.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waiter> {
        match seat {
            Seat::Poll => self.polling.take(),
            Seat::Future(id) => {
                let futures = self.futures.get_mut()?;
                let at = futures.iter().position(|(other, _)| *other == id)?;
                Some(futures.remove(at).1)
            }
        }
    }

    /// Wakes all of them, or notes that they are to be woken.
    #[inline]
    pub(crate) fn wake(&mut self, engine: &Engine, wakes: &mut Wakes) {
        if let Some(waiter) = self.polling.take() {
            wakes.wake(engine, waiter);
        }
        if let Some(futures) = self.futures.get_mut() {
            for (_, waiter) in futures.drain(..) {
                wakes.wake(engine, waiter);
            }
        }
    }
}

/// The wakers that are to be woken, and those to be dropped, outside.
#[derive(Default)]
pub(crate) struct Wakes {
    woken: Vec<Waker>,
    discarded: Vec<Waker>,
}

impl Wakes {
    fn wake(&mut self, engine: &Engine, waiter: Waiter) {
        match waiter {
            Waiter::Task(task) => engine.wake(task),
            Waiter::Other(waker) => self.woken.push(waker),
        }
    }

    /// Nobody needs these any more.
    pub(crate) fn discard(&mut self, waiters: &mut Waiters) {
        let futures = waiters.futures.get_mut().into_iter().flat_map(|futures| futures.drain(..));
        let futures = futures.map(|(_, waiter)| waiter);
        self.discarded.extend(waiters.polling.take().into_iter().chain(futures).filter_map(
            |waiter| match waiter {
                Waiter::Task(_) => None,
                Waiter::Other(waker) => Some(waker),
            },
        ));
    }

    /// True if there is something to do outside; most of the time there is not.
    #[inline]
    pub(crate) fn is_owed(&self) -> bool {
        !(self.woken.is_empty() && self.discarded.is_empty())
    }

    /// Does it. What is discarded is dropped with it.
    pub(crate) fn settle(self) {
        self.woken.into_iter().for_each(Waker::wake);
    }
}

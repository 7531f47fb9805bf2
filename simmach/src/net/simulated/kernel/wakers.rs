//! Waiter lists of sockets, and wakers to call when the kernel is no longer borrowed.
//!
//! The kernel keeps the state of all simulated sockets in a `RefCell`. Cloning, waking or dropping
//! a foreign waker may run any code, including code that uses a socket. This must not happen while
//! the `RefCell` is borrowed, so wakers are moved into the lists, and moved out to be called or
//! dropped afterwards. A task of the run itself waits without a waker: the list contains the task's
//! id, and the engine wakes the task at once.

use std::task::Waker;

use crate::engine::{Engine, Waiter};
use crate::net::simulated::lazy_box::LazyBox;

/// The tasks that wait for one event. As in tokio, all `poll_` functions share one slot, which
/// contains the last waiter. Each future of an async function has its own slot, and frees the slot
/// when it is dropped.
#[derive(Default)]
pub(crate) struct Waiters {
    polling: Option<Waiter>,
    futures: LazyBox<Vec<(u64, Waiter)>>,
}

/// Identifies a waiter in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitSlot {
    Poll,
    Future(u64),
}

impl Waiters {
    /// Whether this waker, which does not belong to a task of the run, is already in the slot.
    pub(crate) fn contains(&self, slot: WaitSlot, waker: &Waker) -> bool {
        match slot {
            WaitSlot::Poll => self.polling.as_ref().is_some_and(|old| old.is(None, waker)),
            WaitSlot::Future(id) => {
                let mut futures = self.futures.get().into_iter().flatten();
                futures.any(|(other, old)| *other == id && old.is(None, waker))
            }
        }
    }

    /// Puts a waiter into a slot. Returns the previous waiter, which the caller must drop after the
    /// borrow has ended.
    #[inline]
    pub(crate) fn add(&mut self, slot: WaitSlot, waiter: Waiter) -> Option<Waiter> {
        match slot {
            WaitSlot::Poll => self.polling.replace(waiter),
            WaitSlot::Future(id) => {
                let futures = self.futures.get_or_init();
                if let Some((_, old)) = futures.iter_mut().find(|(other, _)| *other == id) {
                    return Some(std::mem::replace(old, waiter));
                }
                futures.push((id, waiter));
                None
            }
        }
    }

    /// Whether a task that has not ended waits. A foreign waker counts as such a task.
    pub(crate) fn has_live_task(&self, engine: &Engine) -> bool {
        let lives = |waiter: &Waiter| match waiter {
            Waiter::Task(task) => engine.has_task(*task),
            Waiter::Other(_) => true,
        };
        let mut futures = self.futures.get().into_iter().flatten();
        self.polling.as_ref().is_some_and(lives) || futures.any(|(_, waiter)| lives(waiter))
    }

    /// Frees a slot.
    pub(crate) fn remove(&mut self, slot: WaitSlot) -> Option<Waiter> {
        match slot {
            WaitSlot::Poll => self.polling.take(),
            WaitSlot::Future(id) => {
                let futures = self.futures.get_mut()?;
                let at = futures.iter().position(|(other, _)| *other == id)?;
                Some(futures.remove(at).1)
            }
        }
    }

    /// Wakes all tasks; foreign wakers are called later.
    #[inline]
    pub(crate) fn wake(&mut self, engine: &Engine, wakes: &mut PendingWakes) {
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

/// Foreign wakers to be called, and to be dropped, while the kernel is not borrowed.
#[derive(Default)]
pub(crate) struct PendingWakes {
    to_wake: Vec<Waker>,
    to_drop: Vec<Waker>,
}

impl PendingWakes {
    fn wake(&mut self, engine: &Engine, waiter: Waiter) {
        match waiter {
            Waiter::Task(task) => engine.wake(task),
            Waiter::Other(waker) => self.to_wake.push(waker),
        }
    }

    /// Empties a list without waking its tasks.
    pub(crate) fn discard(&mut self, waiters: &mut Waiters) {
        let futures = waiters.futures.get_mut().into_iter().flat_map(|futures| futures.drain(..));
        let futures = futures.map(|(_, waiter)| waiter);
        self.to_drop.extend(waiters.polling.take().into_iter().chain(futures).filter_map(
            |waiter| match waiter {
                Waiter::Task(_) => None,
                Waiter::Other(waker) => Some(waker),
            },
        ));
    }

    /// Whether any waker must be called or dropped.
    #[inline]
    pub(crate) fn has_pending(&self) -> bool {
        !(self.to_wake.is_empty() && self.to_drop.is_empty())
    }

    /// Calls and drops the wakers.
    pub(crate) fn flush(self) {
        self.to_wake.into_iter().for_each(Waker::wake);
    }
}

//! Answers futex waits and wakes of a guest's threads.

use std::ffi::c_long;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::interpose::system::{Answer, Errno};
use crate::system::threads::thread::{self, Thread};
use crate::system::threads::{Deadline, wait, with};

/// The threads that wait for a futex, in the order in which they began to wait.
#[derive(Debug, Default)]
pub(super) struct Futexes {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    address: usize,
    thread: Arc<Thread>,
    waker: Waker,
}

impl Futexes {
    fn remove(&mut self, thread: &Arc<Thread>) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !Arc::ptr_eq(&waiting.thread, thread));
        self.waiting.len() < before
    }

    /// Removes a thread that has ended.
    pub(super) fn forget(&mut self, thread: &Thread) {
        self.waiting.retain(|waiting| !std::ptr::eq(Arc::as_ptr(&waiting.thread), thread));
    }

    /// Removes at most `most` threads that wait for `address`, and returns their wakers.
    fn take(&mut self, address: usize, most: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        self.waiting.retain(|waiting| {
            let wakes = waiting.address == address && woken.len() < most;
            if wakes {
                woken.push(waiting.waker.clone());
            }
            !wakes
        });
        woken
    }
}

/// Waits until the futex at `address` is woken, if `is_unchanged` returns true at the beginning. On the run's own thread,
/// this lets other threads run until `is_unchanged` returns false, and returns `None` if no thread can run.
pub(crate) fn futex_wait(
    address: usize,
    is_unchanged: &dyn Fn() -> bool,
    timeout: Option<Duration>,
) -> Option<Answer<c_long>> {
    let Some(own) = thread::own() else {
        while is_unchanged() {
            if !thread::run_next() {
                return None;
            }
        }
        return Some(Err(Errno(libc::EAGAIN)));
    };
    if !is_unchanged() {
        return Some(Err(Errno(libc::EAGAIN)));
    }
    let deadline = Deadline::after(timeout);
    let waited = wait(deadline, "a lock, a channel or another thread", |waker| {
        let waiting = Waiting { address, thread: Arc::clone(&own), waker: waker.clone() };
        with(|threads| threads.futexes.waiting.push(waiting));
        Ok(())
    });
    let is_waiting = with(|threads| threads.futexes.remove(&own)).unwrap_or(false);
    Some(match waited {
        Ok(()) if is_waiting && deadline.has_passed() => Err(Errno(libc::ETIMEDOUT)),
        // The thread was woken, or returns spuriously. Callers check again.
        Ok(()) => Ok(0),
        Err(_) if timeout.is_some() => Err(Errno(libc::ETIMEDOUT)),
        Err(_) => Err(Errno(libc::EINTR)),
    })
}

/// Wakes at most `most` threads that wait for the futex, and returns their number. If a guest's thread wakes another, it
/// yields: both are ready, and the order of tasks decides which goes on first. Otherwise, a thread that locks again at once
/// would always obtain the lock before the woken thread.
pub(crate) fn futex_wake(address: usize, most: usize) -> usize {
    let count = wake(address, most);
    if count > 0
        && let Some(own) = thread::own()
    {
        own.yield_now();
    }
    count
}

fn wake(address: usize, most: usize) -> usize {
    let woken = with(|threads| threads.futexes.take(address, most)).unwrap_or_default();
    let count = woken.len();
    woken.into_iter().for_each(Waker::wake);
    count
}

/// Wakes `woken` threads that wait for `address`, and makes at most `most` of the remaining ones wait for `other`. Returns
/// the total number of these threads.
pub(crate) fn futex_requeue(address: usize, woken: usize, other: usize, most: usize) -> usize {
    let woken = wake(address, woken);
    let moved = with(|threads| {
        let waiting = threads.futexes.waiting.iter_mut();
        let moved = waiting.filter(|waiting| waiting.address == address).take(most);
        moved.map(|waiting| waiting.address = other).count()
    });
    woken + moved.unwrap_or(0)
}

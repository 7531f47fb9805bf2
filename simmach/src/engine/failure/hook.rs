//! simmach's panic hook stays in front of any other while runs go on.
//!
//! There is one hook a process, and code under test sets it: crates that print reports of their own do so when a service
//! starts. Then the panics of other runs, and of other tests, would not be recorded. So simmach's hook is put in front
//! again: at once where it is dropped, which is what `set_hook` does to it; where it was taken out and kept, as a hook
//! that calls the one before it does, when the task's first poll is over, and before and after each run.
//!
//! A hook that was set in a run goes with that, and is not called: it would print, or exit, for a panic that may be what
//! the run expects. One that was set outside of runs is called for panics outside of runs. Not covered: code that takes
//! the hook out, sets one that exits, and panics, all in one poll.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{ptr, thread};

use crate::engine::context;
use crate::engine::failure::panics;

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// What is called for panics outside of runs. Held while the hook is changed.
static OUTER_HOOK: Mutex<Option<Arc<Hook>>> = Mutex::new(None);
/// Where simmach's hook is, or 0 if it was dropped; and its number among those there were.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// How many runs are going on.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// A run is going on: simmach's hook is in front when it begins and when it is over.
#[derive(Debug)]
pub(crate) struct HookGuard(());

impl HookGuard {
    pub(crate) fn begin() -> Self {
        put_in_front(RUNS.load(Ordering::Relaxed) > 0);
        RUNS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        put_in_front(true);
        RUNS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// In a run: puts simmach's hook in front, if it is not.
pub(crate) fn keep_in_front() {
    put_in_front(true);
}

/// Another that is found in front goes, if it is of a run; else it is what is called outside of runs.
fn put_in_front(is_of_a_run: bool) {
    let outside = OUTER_HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    put_in_front_of(outside, is_of_a_run);
}

fn put_in_front_of(mut outside: MutexGuard<'_, Option<Arc<Hook>>>, is_of_a_run: bool) {
    // Not allowed then.
    if thread::panicking() {
        return;
    }
    let found = panic::take_hook();
    if address(&*found) == ADDRESS.load(Ordering::Relaxed) {
        panic::set_hook(found);
        return;
    }
    let (called, dropped) = match outside.take() {
        Some(before) if is_of_a_run => (before, Some(found)),
        _ => (Arc::from(found), None),
    };
    *outside = Some(Arc::clone(&called));
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
    let own = RunHook { number, outside: called };
    let hook: Box<Hook> = Box::new(move |info| own.call(info));
    ADDRESS.store(address(&*hook), Ordering::Relaxed);
    panic::set_hook(hook);
    drop(outside);
    // What is in it may be anything, such as the hook that stood here before.
    drop(dropped);
}

/// Of the hook itself: a box of it would be taken for another hook.
fn address(hook: &Hook) -> usize {
    ptr::from_ref(hook).cast::<()>().addr()
}

/// What simmach's hook holds.
struct RunHook {
    number: u64,
    outside: Arc<Hook>,
}

impl RunHook {
    fn call(&self, info: &PanicHookInfo<'_>) {
        if !panics::record(info) {
            (self.outside)(info);
        }
    }
}

impl Drop for RunHook {
    fn drop(&mut self) {
        if self.number != NUMBER.load(Ordering::Relaxed) {
            return;
        }
        ADDRESS.store(0, Ordering::Relaxed);
        let is_of_a_run = context::is_here();
        let is_needed = is_of_a_run || RUNS.load(Ordering::Relaxed) > 0;
        // Whoever holds the lock is about to do the same.
        if let (true, Ok(outside)) = (is_needed, OUTER_HOOK.try_lock()) {
            put_in_front_of(outside, is_of_a_run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else each run would add one to those that are called for a panic outside of runs. Other tests of this process put
    /// theirs in front where their runs take it out; none of them does.
    #[test]
    fn a_hook_that_is_in_front_stays() {
        drop(HookGuard::begin());
        let number = NUMBER.load(Ordering::Relaxed);
        for _ in 0..3 {
            let _hooked = HookGuard::begin();
            keep_in_front();
        }
        assert_eq!(NUMBER.load(Ordering::Relaxed), number);
    }
}

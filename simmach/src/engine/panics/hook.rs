//! simmach's panic hook, which stays installed while runs are in progress.
//!
//! A process has one panic hook, and code under test may replace it: crates that print their own
//! reports do so when a service starts. Panics of other runs and tests would then not be recorded.
//! Therefore simmach installs its hook again. If `set_hook` drops simmach's hook, this happens at
//! once. If other code takes and keeps the hook, for example to call it from another hook, this
//! happens after the task's first poll, and before and after each run. std can look at the hook only
//! by removing it for a moment, in which the panics of other runs would not be recorded. So while
//! other runs of the process are in progress, this happens later.
//!
//! So a hook that was set in a run is removed, and is never called: it might print or exit the
//! process because of a panic that the test expects. A hook that was set outside runs is called for
//! panics outside runs. One case is not covered: code that takes the hook, sets a hook that exits,
//! and panics, all in one poll.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{ptr, thread};

use crate::engine::context;
use crate::engine::panics;

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// The hook for panics outside runs. It is locked while the process's hook is changed.
static OUTER_HOOK: Mutex<Option<Arc<Hook>>> = Mutex::new(None);
/// Address of simmach's hook, or 0 if the hook was dropped. [`NUMBER`] counts its installations.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Number of runs in progress.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Guard of a run: installs simmach's hook when the run begins and when it ends.
#[derive(Debug)]
pub(crate) struct HookGuard(());

impl HookGuard {
    pub(crate) fn begin() -> Self {
        let others = RUNS.fetch_add(1, Ordering::Relaxed);
        install(others > 0);
        Self(())
    }
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        install(true);
        RUNS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Installs simmach's hook again inside a run, if it was replaced.
pub(crate) fn reinstall() {
    install(true);
}

/// Installs simmach's hook, if that does not disturb other runs. A hook that it replaces is dropped if it was set in a run;
/// otherwise it is called for panics outside runs.
fn install(in_run: bool) {
    // A run that begins waits here until another one has looked at the hook.
    let outside = OUTER_HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let is_alone = RUNS.load(Ordering::Relaxed) <= 1;
    let was_dropped = ADDRESS.load(Ordering::Relaxed) == 0;
    if is_alone || was_dropped {
        install_locked(outside, in_run);
    }
}

fn install_locked(mut outside: MutexGuard<'_, Option<Arc<Hook>>>, in_run: bool) {
    // The hook cannot be changed while panicking.
    if thread::panicking() {
        return;
    }
    let found = panic::take_hook();
    if address(&*found) == ADDRESS.load(Ordering::Relaxed) {
        panic::set_hook(found);
        return;
    }
    let (called, dropped) = match outside.take() {
        Some(before) if in_run => (before, Some(found)),
        _ => (Arc::from(found), None),
    };
    *outside = Some(Arc::clone(&called));
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
    let own = RunHook { number, outside: called };
    let hook: Box<Hook> = Box::new(move |info| own.call(info));
    ADDRESS.store(address(&*hook), Ordering::Relaxed);
    panic::set_hook(hook);
    drop(outside);
    // Dropped last: its destructor may run user code, or drop simmach's previous hook.
    drop(dropped);
}

/// Address of the hook itself; that of a box would never compare equal.
fn address(hook: &Hook) -> usize {
    ptr::from_ref(hook).cast::<()>().addr()
}

/// The state of simmach's hook.
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
        let in_run = context::is_here();
        let is_needed = in_run || RUNS.load(Ordering::Relaxed) > 0;
        // If the lock is taken, its holder is about to install the hook as well.
        if let (true, Ok(outside)) = (is_needed, OUTER_HOOK.try_lock()) {
            install_locked(outside, in_run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise each run would add a hook to the chain called for panics outside runs.
    #[test]
    fn installed_hook_is_not_replaced() {
        drop(HookGuard::begin());
        let number = NUMBER.load(Ordering::Relaxed);
        for _ in 0..3 {
            let _hooked = HookGuard::begin();
            reinstall();
        }
        assert_eq!(NUMBER.load(Ordering::Relaxed), number);
    }
}

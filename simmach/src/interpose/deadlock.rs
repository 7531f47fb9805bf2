//! When a wait without a time-out, on a run's thread, is a deadlock.
//!
//! Nothing in the run can end it: its thread is the one that waits. Another thread of the process may, for instance one of
//! the harness that holds a lock for a moment. So the wait is real for a quarter of a second, and longer as long as some
//! other thread might act by itself, which on a loaded machine it may be late to do.

use std::time::Duration;

use crate::interpose::{answers, other_threads};

/// A wait that takes longer is looked into.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// What another thread did just before it was looked at is seen by then.
const FINAL_WAIT: Duration = Duration::from_millis(20);
/// After so many checks it is a deadlock, whatever the other threads are doing.
const MAX_CHECKS: u32 = 20;

/// Calls `wait` with the longest it may wait, until it has an answer. `None` if it never will: that has been reported, and
/// the watchdog is about to end the run.
pub(super) fn wait<R>(mut wait: impl FnMut(Duration) -> Option<R>) -> Option<R> {
    let mut checks = 0;
    loop {
        if let Some(answer) = wait(CHECK_INTERVAL) {
            return Some(answer);
        }
        if !answers::is_only_thread() {
            checks = 0;
            continue;
        }
        checks += 1;
        if !is_deadlock(checks) {
            continue;
        }
        if let Some(answer) = wait(FINAL_WAIT) {
            return Some(answer);
        }
        answers::report_blocked();
        return None;
    }
}

/// Whether a wait that nobody in the run could end, and that was looked into so many times, is a deadlock.
pub(super) fn is_deadlock(checks: u32) -> bool {
    checks >= MAX_CHECKS || !other_threads::can_another_act()
}

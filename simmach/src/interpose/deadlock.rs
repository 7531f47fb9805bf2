//! Detection of deadlocks in waits without a time-out on a run's thread.
//!
//! Nothing in the run can end such a wait, since the run's only thread is the one that waits. Another thread of the process
//! may, such as one of the harness that holds a lock for a moment. So the wait is real for 250 ms, and continues while some
//! other thread may act by itself.

use std::time::Duration;

use crate::interpose::{answers, other_threads};

/// Time of waiting before each check for a deadlock.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Time of waiting after the last check, for a wake that another thread made just before it was checked.
const FINAL_WAIT: Duration = Duration::from_millis(20);
/// Number of checks after which the wait is taken for a deadlock, whatever other threads do.
const MAX_CHECKS: u32 = 20;

/// Calls `wait` with the maximum time to wait until it returns a result. Returns `None` after reporting a deadlock; the
/// watchdog is about to end the run then.
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

/// Whether a wait that nothing in the run can end is a deadlock, at the `checks`th check.
pub(super) fn is_deadlock(checks: u32) -> bool {
    checks >= MAX_CHECKS || !other_threads::can_another_act()
}

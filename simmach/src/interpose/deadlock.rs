//! Detection of deadlocks in waits without a timeout on a run's thread.
//!
//! Nothing in the run can end such a wait, since the run's only thread is waiting. Another thread
//! of the process may end it, such as a thread of the harness that briefly holds a lock. Therefore
//! the wait takes real time for 250 ms, and continues while another thread may act without being
//! woken.

use std::time::Duration;

use crate::interpose::{answers, other_threads};

/// Time to wait before each check for a deadlock.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Time to wait after the last check, for a wake that another thread made just before the check.
const FINAL_WAIT: Duration = Duration::from_millis(20);
/// Number of checks after which the wait counts as a deadlock, regardless of other threads.
const MAX_CHECKS: u32 = 20;

/// Calls `wait` with the maximum time to wait, until it returns a result. Returns `None` after
/// reporting a deadlock; the watchdog is then about to end the run.
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

/// Whether a wait that nothing in the run can end is a deadlock. `checks` is the number of this
/// check.
pub(super) fn is_deadlock(checks: u32) -> bool {
    checks >= MAX_CHECKS || !other_threads::can_another_act()
}

//! Captures the stack of a run that hangs: a signal interrupts its thread, and the signal handler captures the stack.

use std::time::Duration;

use crate::engine::context::{RunStatus, StuckReport};

/// Ignored by default, so that a late signal does no harm.
#[cfg(target_os = "linux")]
const SIGNAL: std::ffi::c_int = signal_hook::consts::SIGURG;
/// Maximum time to wait for the handler.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Returns where the run is, unless its thread blocks signals or has ended.
pub(crate) fn sample_stack(status: &RunStatus) -> Option<StuckReport> {
    if status.stuck().is_none() {
        send_signal(status.thread()?)?;
    }
    let mut waited = Duration::ZERO;
    while status.stuck().is_none() && waited < HANDLER_TIMEOUT {
        std::thread::park_timeout(POLL_INTERVAL);
        waited += POLL_INTERVAL;
    }
    status.stuck().copied()
}

/// Sends the signal to one thread of this process; `None` if it can't be sent.
#[cfg(target_os = "linux")]
fn send_signal(thread: u32) -> Option<()> {
    use crate::engine::context::try_with;

    // SAFETY: the handler reads the state of the run on its thread, as interposed functions of the C library do, and
    // captures a stack. It neither allocates, locks nor panics.
    let registered = unsafe {
        signal_hook::low_level::register(SIGNAL, || {
            try_with(|engine| engine.report_stuck(false));
        })
    };
    registered.ok()?;
    let process = std::process::id();
    // SAFETY: `tgkill` takes numbers. If the thread has ended, it returns an error.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
    (sent == 0).then_some(())
}

#[cfg(not(target_os = "linux"))]
fn send_signal(_: u32) -> Option<()> {
    None
}

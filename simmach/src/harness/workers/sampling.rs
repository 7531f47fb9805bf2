//! Captures the stack of a hanging run: a signal interrupts the run's thread, and the signal
//! handler captures the stack.

use std::time::Duration;

use crate::engine::context::{RunStatus, StuckReport};

/// The signal. Processes ignore it by default, so a late signal does no harm.
#[cfg(target_os = "linux")]
const SIGNAL: std::ffi::c_int = signal_hook::consts::SIGURG;
/// Maximum time to wait for the handler.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Captures where the run is stuck. Returns `None` if the run's thread blocks signals or has ended.
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

/// Sends the signal to one thread of this process. Returns `None` if the signal cannot be sent.
#[cfg(target_os = "linux")]
fn send_signal(thread: u32) -> Option<()> {
    use crate::engine::context::try_with;

    // SAFETY: the handler reads the state of the run on its thread, as interposed functions of the
    // C library do, and captures a stack. The handler does not allocate, lock or panic.
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

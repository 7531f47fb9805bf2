//! Where a run is that hangs: its own thread is interrupted by a signal, and captures its stack.

use std::time::Duration;

use crate::engine::context::{RunStatus, StuckReport};

/// By default this signal is ignored: should it reach a thread too late, nothing happens.
#[cfg(target_os = "linux")]
const SIGNAL: std::ffi::c_int = signal_hook::consts::SIGURG;
/// A thread that can't answer by then can't at all.
const PATIENCE: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(10);

/// Where the run is, unless its thread can't tell: it blocks signals, or has ended.
pub(crate) fn where_it_is(shared: &RunStatus) -> Option<StuckReport> {
    if shared.stuck().is_none() {
        ask(shared.thread()?)?;
    }
    let mut waited = Duration::ZERO;
    while shared.stuck().is_none() && waited < PATIENCE {
        std::thread::park_timeout(GLANCE);
        waited += GLANCE;
    }
    shared.stuck().copied()
}

/// Sends the signal to one thread of this process; `None` if it can't be sent.
#[cfg(target_os = "linux")]
fn ask(thread: u32) -> Option<()> {
    use crate::engine::context::try_with;

    // SAFETY: the handler reads the state of the run on its thread, with no more than a hook of the C library may do, and
    // captures a stack: it neither allocates, locks nor panics.
    let registered = unsafe {
        signal_hook::low_level::register(SIGNAL, || {
            try_with(|engine| engine.report_stuck(false));
        })
    };
    registered.ok()?;
    let process = std::process::id();
    // SAFETY: it takes numbers; of a thread that is gone it is an error.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
    (sent == 0).then_some(())
}

#[cfg(not(target_os = "linux"))]
fn ask(_: u32) -> Option<()> {
    None
}

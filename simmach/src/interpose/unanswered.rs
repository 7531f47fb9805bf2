//! Calls that create descriptors which a run does not have: timers, signals, notifications of file changes, rings for
//! asynchronous input and output. In a run they fail with `ENOSYS`, and the report names them.

use std::ffi::{c_int, c_long, c_uint};

use libc::{clockid_t, sigset_t};

use crate::interpose::answers;
use crate::interpose::linux::{fail, pass_on};
use crate::interpose::system::creation_calls;

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        timerfd_create as *const (),
        signalfd as *const (),
        inotify_init as *const (),
        inotify_init1 as *const (),
        fanotify_init as *const (),
    ]
}

/// Whether a call is refused. The report then names it and says what to use instead.
fn is_refused(name: &str, instead: &str) -> bool {
    if creation_calls().is_none() {
        return false;
    }
    answers::record_failed_call(libc::ENOSYS, || {
        format!("{name}: this call is not supported in a run. {instead}")
    });
    true
}

fn is_timer_refused() -> bool {
    is_refused("timerfd_create", "Use the timers of tokio or of simmach::time")
}

fn is_signal_refused() -> bool {
    is_refused("signalfd", "Use simmach::signal")
}

fn is_inotify_refused() -> bool {
    is_refused("inotify_init", "Poll the files instead (in the crate notify: `PollWatcher`)")
}

fn is_fanotify_refused() -> bool {
    is_refused("fanotify_init", "Poll the files instead")
}

fn is_ring_refused() -> bool {
    is_refused("io_uring_setup", "Use tokio's files and sockets, or those of std")
}

fn is_old_ring_refused() -> bool {
    is_refused("io_setup", "Use tokio's files and sockets, or those of std")
}

/// Makes a call unless a run refuses it.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn call(is_refused: fn() -> bool, number: c_long, arguments: [c_long; 6]) -> c_int {
    if is_refused() {
        return fail(libc::ENOSYS);
    }
    // SAFETY: guaranteed by the caller.
    unsafe { pass_on(number, arguments) as c_int }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_create(clock: clockid_t, flags: c_int) -> c_int {
    let arguments = [clock.into(), flags.into(), 0, 0, 0, 0];
    // SAFETY: the system call has no preconditions.
    unsafe { call(is_timer_refused, libc::SYS_timerfd_create, arguments) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signalfd(descriptor: c_int, mask: *const sigset_t, flags: c_int) -> c_int {
    // The kernel's set of signals has eight bytes, with which C's begins.
    let arguments = [descriptor.into(), mask.expose_provenance() as c_long, 8, flags.into(), 0, 0];
    // SAFETY: guaranteed by the caller.
    unsafe { call(is_signal_refused, libc::SYS_signalfd4, arguments) }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inotify_init() -> c_int {
    // SAFETY: the function has no preconditions.
    unsafe { inotify_init1(0) }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inotify_init1(flags: c_int) -> c_int {
    // SAFETY: the system call has no preconditions.
    unsafe { call(is_inotify_refused, libc::SYS_inotify_init1, [flags.into(), 0, 0, 0, 0, 0]) }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fanotify_init(flags: c_uint, event_flags: c_uint) -> c_int {
    let arguments = [flags.into(), event_flags.into(), 0, 0, 0, 0];
    // SAFETY: the system call has no preconditions.
    unsafe { call(is_fanotify_refused, libc::SYS_fanotify_init, arguments) }
}

/// Refuses a system call by number. `None` if the run does not refuse it.
pub(super) fn call_by_number(number: c_long, _: [c_long; 6]) -> Option<c_long> {
    let is_refused = match number {
        libc::SYS_timerfd_create => is_timer_refused(),
        libc::SYS_signalfd4 => is_signal_refused(),
        libc::SYS_inotify_init1 => is_inotify_refused(),
        libc::SYS_fanotify_init => is_fanotify_refused(),
        libc::SYS_io_uring_setup => is_ring_refused(),
        libc::SYS_io_setup => is_old_ring_refused(),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_inotify_init => is_inotify_refused(),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_signalfd => is_signal_refused(),
        _ => false,
    };
    is_refused.then(|| fail(libc::ENOSYS).into())
}

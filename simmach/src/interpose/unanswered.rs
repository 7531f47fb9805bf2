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

/// A kind of call that a run refuses.
struct Unanswered {
    numbers: &'static [c_long],
    name: &'static str,
    /// What to do instead.
    remedy: &'static str,
}

static UNANSWERED: [Unanswered; 6] = [
    Unanswered {
        numbers: &[libc::SYS_timerfd_create],
        name: "timerfd_create",
        remedy: "Use the timers of tokio or of simmach::time",
    },
    Unanswered {
        #[cfg(target_arch = "x86_64")]
        numbers: &[libc::SYS_signalfd4, libc::SYS_signalfd],
        #[cfg(not(target_arch = "x86_64"))]
        numbers: &[libc::SYS_signalfd4],
        name: "signalfd",
        remedy: "Use simmach::signal",
    },
    Unanswered {
        #[cfg(target_arch = "x86_64")]
        numbers: &[libc::SYS_inotify_init1, libc::SYS_inotify_init],
        #[cfg(not(target_arch = "x86_64"))]
        numbers: &[libc::SYS_inotify_init1],
        name: "inotify_init",
        remedy: "Poll the files instead (in the crate notify: `PollWatcher`)",
    },
    Unanswered {
        numbers: &[libc::SYS_fanotify_init],
        name: "fanotify_init",
        remedy: "Poll the files instead",
    },
    Unanswered {
        numbers: &[libc::SYS_io_uring_setup],
        name: "io_uring_setup",
        remedy: "Use tokio's files and sockets, or those of std",
    },
    Unanswered {
        numbers: &[libc::SYS_io_setup],
        name: "io_setup",
        remedy: "Use tokio's files and sockets, or those of std",
    },
];

/// Refuses a system call by number. The report then names the call. Returns `None` if the run does
/// not refuse it.
pub(super) fn refuse(number: c_long) -> Option<c_int> {
    let call = UNANSWERED.iter().find(|call| call.numbers.contains(&number))?;
    creation_calls()?;
    answers::record_failed_call(libc::ENOSYS, || {
        format!("{}: this call is not supported in a run. {}", call.name, call.remedy)
    });
    Some(fail(libc::ENOSYS))
}

/// Makes a system call unless the run refuses it.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_int {
    // SAFETY: the caller meets the requirements of the system call.
    refuse(number).unwrap_or_else(|| unsafe { pass_on(number, arguments) as c_int })
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_create(clock: clockid_t, flags: c_int) -> c_int {
    let arguments = [clock.into(), flags.into(), 0, 0, 0, 0];
    // SAFETY: the system call has no preconditions.
    unsafe { call(libc::SYS_timerfd_create, arguments) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signalfd(descriptor: c_int, mask: *const sigset_t, flags: c_int) -> c_int {
    // The kernel's set of signals has eight bytes, with which C's begins.
    let arguments = [descriptor.into(), mask.expose_provenance() as c_long, 8, flags.into(), 0, 0];
    // SAFETY: guaranteed by the caller.
    unsafe { call(libc::SYS_signalfd4, arguments) }
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
    unsafe { call(libc::SYS_inotify_init1, [flags.into(), 0, 0, 0, 0, 0]) }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fanotify_init(flags: c_uint, event_flags: c_uint) -> c_int {
    let arguments = [flags.into(), event_flags.into(), 0, 0, 0, 0];
    // SAFETY: the system call has no preconditions.
    unsafe { call(libc::SYS_fanotify_init, arguments) }
}

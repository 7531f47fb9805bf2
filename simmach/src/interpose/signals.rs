//! Signal handlers. A run records them but never installs them, since the program must not receive
//! signals of the OS process.
//!
//! Handlers are recorded for the whole OS process, not for each run, since libraries such as tokio
//! register a handler only once.

use std::ffi::{c_int, c_long};
use std::mem;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize};

use libc::{sigaction, sighandler_t, sigset_t};

use crate::interpose::answers;
use crate::interpose::linux::{fail, pass_on};
use crate::interpose::real::Real;

pub(super) static SIGACTION: Real<
    unsafe extern "C" fn(c_int, *const sigaction, *mut sigaction) -> c_int,
> = Real::named(c"sigaction");
static SIGNAL: Real<unsafe extern "C" fn(c_int, sighandler_t) -> sighandler_t> =
    Real::named(c"signal");
static PTHREAD_SIGMASK: Real<unsafe extern "C" fn(c_int, *const sigset_t, *mut sigset_t) -> c_int> =
    Real::named(c"pthread_sigmask");
static SIGPROCMASK: Real<unsafe extern "C" fn(c_int, *const sigset_t, *mut sigset_t) -> c_int> =
    Real::named(c"sigprocmask");

/// Number of Linux's signals plus one, since signals are numbered from 1.
const SIGNALS: usize = 65;

/// The recorded action of each signal.
static RECORDED: [Recorded; SIGNALS] = [const { Recorded::new() }; SIGNALS];

/// The action recorded for one signal.
struct Recorded {
    is_set: AtomicBool,
    handler: AtomicUsize,
    flags: AtomicI32,
    /// The signals that are blocked while the handler runs, one bit for each of Linux's 64 signals.
    mask: AtomicU64,
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [
        sigaction_here as *const (),
        signal as *const (),
        pthread_sigmask as *const (),
        sigprocmask as *const (),
    ]
}

fn find(signal: c_int) -> Option<&'static Recorded> {
    let nth = usize::try_from(signal).ok().filter(|nth| *nth > 0)?;
    RECORDED.get(nth)
}

/// Whether signal handlers of the calling code are only recorded. This is false where threads or processes are allowed,
/// which are real.
fn is_recording() -> bool {
    answers::is_here() && !answers::are_threads_or_processes_allowed()
}

/// Whether a signal can have a handler.
fn can_be_handled(signal: c_int) -> bool {
    !matches!(signal, libc::SIGKILL | libc::SIGSTOP)
}

impl Recorded {
    const fn new() -> Self {
        Self {
            is_set: AtomicBool::new(false),
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
        }
    }

    fn set(&self, action: &sigaction) {
        self.handler.store(action.sa_sigaction, Relaxed);
        self.flags.store(action.sa_flags, Relaxed);
        self.mask.store(first_word(action), Relaxed);
        self.is_set.store(true, Relaxed);
    }

    fn get(&self) -> sigaction {
        // SAFETY: the type consists of integers and an optional function, for which zeros are valid.
        let mut action: sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = self.handler.load(Relaxed);
        action.sa_flags = self.flags.load(Relaxed);
        // SAFETY: a set of signals is at least as large as a word, and aligned for a word.
        unsafe { (&raw mut action.sa_mask).cast::<u64>().write(self.mask.load(Relaxed)) };
        action
    }
}

fn first_word(action: &sigaction) -> u64 {
    // SAFETY: a set of signals is at least as large as a word, and aligned for a word.
    unsafe { (&raw const action.sa_mask).cast::<u64>().read() }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(export_name = "sigaction")]
pub unsafe extern "C" fn sigaction_here(
    signal: c_int,
    new: *const sigaction,
    old: *mut sigaction,
) -> c_int {
    let recorded = find(signal).filter(|_| is_recording());
    let Some(recorded) = recorded.filter(|own| !new.is_null() || own.is_set.load(Relaxed)) else {
        return match SIGACTION.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real(signal, new, old) },
            None => fail(libc::ENOSYS),
        };
    };
    if !can_be_handled(signal) {
        return fail(libc::EINVAL);
    }
    let before = recorded.get();
    if !new.is_null() {
        // SAFETY: the action is not null, and valid for reads, as guaranteed by the caller.
        recorded.set(unsafe { &*new });
    }
    if !old.is_null() {
        // SAFETY: the pointer is not null, and valid for writes of an action, as guaranteed by the caller.
        unsafe { old.write(before) };
    }
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    let Some(recorded) = find(signal).filter(|_| is_recording()) else {
        return match SIGNAL.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real(signal, handler) },
            None => {
                fail(libc::ENOSYS);
                libc::SIG_ERR
            }
        };
    };
    if !can_be_handled(signal) {
        fail(libc::EINVAL);
        return libc::SIG_ERR;
    }
    let before = recorded.get();
    recorded.set(&sigaction { sa_sigaction: handler, sa_flags: libc::SA_RESTART, ..before });
    before.sa_sigaction
}

/// Returns the set without `SIGSYS`, by which the kernel hands system calls to a run. If that signal were blocked, it would end
/// the OS process.
///
/// # Safety
///
/// `set` must be null or valid for reads of a set of signals.
unsafe fn without_trap(set: *const sigset_t) -> Option<sigset_t> {
    if set.is_null() || !answers::is_here() {
        return None;
    }
    // SAFETY: guaranteed by the caller; the pointer is not null.
    let mut set = unsafe { *set };
    // SAFETY: the set is valid.
    unsafe { libc::sigdelset(&raw mut set, libc::SIGSYS) };
    Some(set)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    new: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: guaranteed by the caller.
    let changed = unsafe { without_trap(new) };
    let new = changed.as_ref().map_or(new, ptr::from_ref);
    match PTHREAD_SIGMASK.function() {
        // SAFETY: guaranteed by the caller, and the changed set is valid.
        Some(real) => unsafe { real(how, new, old) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(
    how: c_int,
    new: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: guaranteed by the caller.
    let changed = unsafe { without_trap(new) };
    let new = changed.as_ref().map_or(new, ptr::from_ref);
    match SIGPROCMASK.function() {
        // SAFETY: guaranteed by the caller, and the changed set is valid.
        Some(real) => unsafe { real(how, new, old) },
        None => fail(libc::ENOSYS),
    }
}

/// Handles a change of the blocked signals by number, whose sets have one word.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
pub(super) unsafe fn call_by_number(number: c_long, arguments: [c_long; 6]) -> Option<c_long> {
    let [_, new, _, size, ..] = arguments;
    if number != libc::SYS_rt_sigprocmask || new == 0 || size != 8 || !answers::is_here() {
        return None;
    }
    // SAFETY: the pointer is not null, and valid for reads of the size, as guaranteed by the caller.
    let set = unsafe { *(new as *const u64) } & !(1 << (libc::SIGSYS - 1));
    let mut changed = arguments;
    changed[1] = (&raw const set).expose_provenance() as c_long;
    // SAFETY: guaranteed by the caller, except for the set, which outlives the call.
    Some(unsafe { pass_on(number, changed) })
}

//! Signal handlers. In a run they are recorded but never installed, since the program must not receive signals of the OS
//! process.
//!
//! They are recorded for the whole OS process, not for each run, since libraries such as tokio register a handler once.

use std::ffi::c_int;
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize};

use libc::{sigaction, sighandler_t};

use crate::interpose::answers;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;

static SIGACTION: Real<unsafe extern "C" fn(c_int, *const sigaction, *mut sigaction) -> c_int> =
    Real::named(c"sigaction");
static SIGNAL: Real<unsafe extern "C" fn(c_int, sighandler_t) -> sighandler_t> =
    Real::named(c"signal");

/// Number of Linux's signals plus one, since signals are numbered from 1.
const SIGNALS: usize = 65;

/// The recorded action of each signal.
static RECORDED: [Recorded; SIGNALS] = [const { Recorded::new() }; SIGNALS];

/// The action recorded for one signal.
struct Recorded {
    is_set: AtomicBool,
    handler: AtomicUsize,
    flags: AtomicI32,
    /// The signals that are blocked while the handler runs. Linux has 64 signals.
    mask: AtomicU64,
}

/// The functions defined here.
pub(super) fn defined() -> [*const (); 2] {
    [sigaction_here as *const (), signal as *const ()]
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
/// The same as for the C function.
#[unsafe(export_name = "sigaction")]
pub unsafe extern "C" fn sigaction_here(
    signal: c_int,
    new: *const sigaction,
    old: *mut sigaction,
) -> c_int {
    let recorded = find(signal).filter(|_| is_recording());
    let Some(recorded) = recorded.filter(|own| !new.is_null() || own.is_set.load(Relaxed)) else {
        return match SIGACTION.function() {
            // SAFETY: guaranteed by the caller, whose arguments are passed on.
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
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    let Some(recorded) = find(signal).filter(|_| is_recording()) else {
        return match SIGNAL.function() {
            // SAFETY: guaranteed by the caller, whose arguments are passed on.
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

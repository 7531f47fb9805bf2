//! Functions of the C library that wait for condition variables and signal them.
//!
//! A guest's thread waits in simmach's own queue and does not access the variable's memory. Other
//! threads wait in glibc. `pthread_cond_signal` cannot know which kind waits, so simmach signals
//! both.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use libc::{clockid_t, pthread_cond_t, pthread_mutex_t, timespec};

use crate::interpose::deadlock::CHECK_INTERVAL;
use crate::interpose::linux::real_deadline;
use crate::interpose::locks::waiting::{self, Deadline};
use crate::interpose::locks::{pthread_mutex_lock, unlock_without_yielding};
use crate::interpose::real::Real;
use crate::interpose::system::Errno;
use crate::interpose::{answers, deadlock};

type Wait = unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t) -> c_int;
type Timedwait =
    unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t, *const timespec) -> c_int;
type Clockwait = unsafe extern "C" fn(
    *mut pthread_cond_t,
    *mut pthread_mutex_t,
    clockid_t,
    *const timespec,
) -> c_int;
type Signal = unsafe extern "C" fn(*mut pthread_cond_t) -> c_int;

/// A function that has an older version on x86-64, for a different layout of condition variables.
const fn current<F: Copy>(name: &'static std::ffi::CStr) -> Real<F> {
    if cfg!(target_arch = "x86_64") {
        Real::versioned(name, c"GLIBC_2.3.2")
    } else {
        Real::named(name)
    }
}

static WAIT: Real<Wait> = current(c"pthread_cond_wait");
static TIMEDWAIT: Real<Timedwait> = current(c"pthread_cond_timedwait");
/// Exists since glibc 2.30.
static CLOCKWAIT: Real<Clockwait> = Real::named(c"pthread_cond_clockwait");
static SIGNAL: Real<Signal> = current(c"pthread_cond_signal");
static BROADCAST: Real<Signal> = current(c"pthread_cond_broadcast");

pub(super) fn find_all() {
    WAIT.find();
    SIGNAL.find();
    BROADCAST.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        pthread_cond_wait as *const (),
        pthread_cond_timedwait as *const (),
        pthread_cond_clockwait as *const (),
        pthread_cond_signal as *const (),
        pthread_cond_broadcast as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_wait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    if answers::is_here() {
        // SAFETY: the caller guarantees that the arguments are valid.
        if let Some(answer) = unsafe { wait_in_guest(cond, mutex, None) } {
            return answer;
        }
        if let Some(timed) = CLOCKWAIT.function()
            // SAFETY: the caller guarantees that the arguments are valid.
            && let Some(answer) = unsafe { wait_in_run(timed, cond, mutex) }
        {
            return answer;
        }
    }
    match WAIT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(cond, mutex) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_timedwait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    if answers::is_here() && !until.is_null() {
        // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
        let deadline = Deadline::by_nearest_clock(unsafe { *until });
        // SAFETY: the caller guarantees that the arguments are valid.
        if let Some(answer) = unsafe { wait_in_guest(cond, mutex, Some(deadline)) } {
            return answer;
        }
    }
    match TIMEDWAIT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(cond, mutex, until) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_clockwait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if answers::is_here()
        && !until.is_null()
        // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
        && let Some(deadline) = Deadline::by(clock, unsafe { *until })
        // SAFETY: the caller guarantees that the arguments are valid.
        && let Some(answer) = unsafe { wait_in_guest(cond, mutex, Some(deadline)) }
    {
        return answer;
    }
    match CLOCKWAIT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(cond, mutex, clock, until) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_signal(cond: *mut pthread_cond_t) -> c_int {
    waiting::wake(cond.addr(), 1);
    match SIGNAL.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(cond) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_broadcast(cond: *mut pthread_cond_t) -> c_int {
    waiting::wake(cond.addr(), usize::MAX);
    match BROADCAST.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(cond) },
        None => libc::ENOSYS,
    }
}

/// Waits in a guest. On the run's own thread, it lets another thread run and then returns, which the caller sees as a
/// spurious wake-up. Returns `None` if the run cannot wait.
///
/// # Safety
///
/// `cond` and `mutex` must satisfy the requirements of `pthread_cond_wait`.
unsafe fn wait_in_guest(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    deadline: Option<Deadline>,
) -> Option<c_int> {
    let calls = waiting::guest_calls()?;
    // No other thread runs until this thread waits, so it cannot miss a signal.
    // SAFETY: the mutex is valid, as guaranteed by the caller.
    match unsafe { unlock_without_yielding(calls, mutex) } {
        0 => {}
        error => return Some(error),
    }
    let is_first = Cell::new(true);
    let waited = waiting::wait_once(calls, cond.addr(), &|| is_first.replace(false), deadline);
    // SAFETY: the mutex is valid, as guaranteed by the caller.
    let locked = unsafe { pthread_mutex_lock(mutex) };
    match waited? {
        Err(Errno(libc::ETIMEDOUT)) if deadline.is_some() => Some(libc::ETIMEDOUT),
        _ => Some(locked),
    }
}

/// Waits on a condition variable in a run. Returns `None` after reporting a deadlock.
///
/// It returns from time to time, which the caller sees as a spurious wake-up. Between two waits, a signal would be lost
/// unless the caller checks its condition. Therefore a deadlock is reported only after the caller has checked its condition
/// and waits again.
///
/// # Safety
///
/// `cond` and `mutex` must satisfy the requirements of `pthread_cond_wait`.
unsafe fn wait_in_run(
    timed: Clockwait,
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> Option<c_int> {
    thread_local! {
        /// The condition variable of the last wait, and how often in a row waits for it timed out.
        static TIMED_OUT: Cell<(*mut pthread_cond_t, u32)> = const { Cell::new((ptr::null_mut(), 0)) };
    }
    let until = real_deadline(libc::CLOCK_MONOTONIC, CHECK_INTERVAL);
    // SAFETY: guaranteed by the caller; the clock exists, and the time outlives the call.
    let answer = unsafe { timed(cond, mutex, libc::CLOCK_MONOTONIC, &raw const until) };
    if answer != libc::ETIMEDOUT || !answers::is_only_thread() {
        TIMED_OUT.set((ptr::null_mut(), 0));
        return Some(if answer == libc::ETIMEDOUT { 0 } else { answer });
    }
    let checks = match TIMED_OUT.get() {
        (last, checks) if last == cond => checks + 1,
        _ => 1,
    };
    TIMED_OUT.set((cond, checks));
    if checks == 1 || !deadlock::is_deadlock(checks) {
        return Some(0);
    }
    answers::report_blocked();
    None
}

//! Functions of the C library that sleep. On a guest's thread they take virtual time. On the run's
//! own thread they return at once, and the run fails: they do not return an error, since std panics
//! on errors. An exception: a guest may sleep on the run's own thread for up to 1 ms.
//! Meanwhile its other threads run.

use std::ffi::{c_int, c_long, c_uint};
use std::time::Duration;

use libc::{clockid_t, fd_set, timespec, timeval, useconds_t};

use crate::engine::failure::refusals::ForbiddenCall;
use crate::interpose::answers;
use crate::interpose::linux::{fail, kind_of, to_duration};
use crate::interpose::real::Real;
use crate::interpose::system;

static NANOSLEEP: Real<unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int> =
    Real::named(c"nanosleep");
static CLOCK_NANOSLEEP: Real<
    unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int,
> = Real::named(c"clock_nanosleep");
static SLEEP: Real<unsafe extern "C" fn(c_uint) -> c_uint> = Real::named(c"sleep");
static USLEEP: Real<unsafe extern "C" fn(useconds_t) -> c_int> = Real::named(c"usleep");
static SELECT: Real<
    unsafe extern "C" fn(c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timeval) -> c_int,
> = Real::named(c"select");

pub(super) fn find_all() {
    NANOSLEEP.find();
    CLOCK_NANOSLEEP.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        nanosleep as *const (),
        clock_nanosleep as *const (),
        sleep as *const (),
        usleep as *const (),
        select as *const (),
    ]
}

/// Sleeps in virtual time, or refuses to. Returns false outside a run, and where sleeping in real time is allowed.
fn is_answered(time: impl FnOnce() -> Duration) -> bool {
    let Some(calls) = system::calls().filter(|calls| calls.has_threads()) else {
        return answers::refuse(ForbiddenCall::Sleep);
    };
    let time = time();
    if !calls.sleep(time) {
        return answers::refuse(ForbiddenCall::Sleep);
    }
    if !calls.is_on_own_thread() {
        answers::advance_clock(time);
    }
    true
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int {
    // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
    if !time.is_null() && is_answered(|| to_duration(unsafe { *time })) {
        return 0;
    }
    match NANOSLEEP.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(time, rest) },
        None => fail(libc::ENOSYS),
    }
}

/// Returns an error's number, as C's function does.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    rest: *mut timespec,
) -> c_int {
    let is_absolute = flags & libc::TIMER_ABSTIME != 0;
    let kind = kind_of(clock);
    if is_absolute && kind.is_none() && answers::is_here() {
        return libc::EINVAL;
    }
    let duration = || {
        // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
        let given = to_duration(unsafe { *time });
        match kind.filter(|_| is_absolute) {
            Some(kind) => given.saturating_sub(answers::peek_clock(kind)),
            None => given,
        }
    };
    if !time.is_null() && is_answered(duration) {
        return 0;
    }
    match CLOCK_NANOSLEEP.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(clock, flags, time, rest) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    if is_answered(|| Duration::from_secs(seconds.into())) {
        return 0;
    }
    // SAFETY: the function has no preconditions.
    SLEEP.function().map_or(seconds, |real| unsafe { real(seconds) })
}

/// # Safety
///
/// It has no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usleep(micros: useconds_t) -> c_int {
    if is_answered(|| Duration::from_micros(micros.into())) {
        return 0;
    }
    match USLEEP.function() {
        // SAFETY: the function has no preconditions.
        Some(real) => unsafe { real(micros) },
        None => fail(libc::ENOSYS),
    }
}

/// Without descriptors it is an old way to sleep. The sets have no room for a simulated descriptor.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    exceptional: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let duration = || {
        // SAFETY: the timeout is not null, and valid for reads, as guaranteed by the caller.
        let given = unsafe { *timeout };
        let nanos = given.tv_usec.saturating_mul(1_000) as c_long;
        to_duration(timespec { tv_sec: given.tv_sec, tv_nsec: nanos })
    };
    if count == 0 && !timeout.is_null() && is_answered(duration) {
        return 0;
    }
    match SELECT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(count, readable, writable, exceptional, timeout) },
        None => fail(libc::ENOSYS),
    }
}

/// Handles system calls that sleep, by number.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
pub(super) unsafe fn call_by_number(
    number: c_long,
    [a, b, c, d, ..]: [c_long; 6],
) -> Option<c_long> {
    // SAFETY: guaranteed by the caller; the functions take the same arguments as the system calls.
    let result = unsafe {
        match number {
            libc::SYS_nanosleep => nanosleep(a as _, b as _),
            libc::SYS_clock_nanosleep => match clock_nanosleep(a as _, b as _, c as _, d as _) {
                0 => 0,
                error => fail(error),
            },
            _ => return None,
        }
    };
    Some(result.into())
}

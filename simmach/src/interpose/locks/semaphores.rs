//! Functions of the C library on semaphores. They return -1 and set `errno` on an error.

use std::ffi::c_int;

use libc::{clockid_t, sem_t, timespec};

use crate::interpose::linux::{errno, fail, real_deadline};
use crate::interpose::locks::waiting::{self, Deadline};
use crate::interpose::locks::{Call, Clocked, Timed};
use crate::interpose::real::Real;
use crate::interpose::{answers, deadlock};

static TRYWAIT: Real<Call<sem_t>> = Real::named(c"sem_trywait");
static WAIT: Real<Call<sem_t>> = Real::named(c"sem_wait");
static TIMEDWAIT: Real<Timed<sem_t>> = Real::named(c"sem_timedwait");
/// Exists since glibc 2.30.
static CLOCKWAIT: Real<Clocked<sem_t>> = Real::named(c"sem_clockwait");
static POST: Real<Call<sem_t>> = Real::named(c"sem_post");

/// Finds the function that signal handlers call.
pub(super) fn find_all() {
    POST.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [
        sem_wait as *const (),
        sem_timedwait as *const (),
        sem_clockwait as *const (),
        sem_post as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_wait(semaphore: *mut sem_t) -> c_int {
    if answers::is_here() {
        // SAFETY: the caller guarantees that the argument is valid.
        if let Some(answer) = unsafe { wait_in_run(semaphore, None) } {
            return answer;
        }
        let answer = TIMEDWAIT.function().and_then(|timed| {
            deadlock::wait(|time| {
                let until = real_deadline(libc::CLOCK_REALTIME, time);
                // SAFETY: the caller guarantees that the arguments are valid. The time outlives the
                // call.
                Some(unsafe { timed(semaphore, &raw const until) })
                    .filter(|answer| *answer != -1 || errno() != libc::ETIMEDOUT)
            })
        });
        if let Some(answer) = answer {
            return answer;
        }
    }
    match WAIT.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(semaphore) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_timedwait(semaphore: *mut sem_t, until: *const timespec) -> c_int {
    if answers::is_here()
        && !until.is_null()
        // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
        && let Some(deadline) = Deadline::by(libc::CLOCK_REALTIME, unsafe { *until })
        // SAFETY: the caller guarantees that the argument is valid.
        && let Some(answer) = unsafe { wait_in_run(semaphore, Some(deadline)) }
    {
        return answer;
    }
    match TIMEDWAIT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(semaphore, until) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_clockwait(
    semaphore: *mut sem_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if answers::is_here()
        && !until.is_null()
        // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
        && let Some(deadline) = Deadline::by(clock, unsafe { *until })
        // SAFETY: the caller guarantees that the argument is valid.
        && let Some(answer) = unsafe { wait_in_run(semaphore, Some(deadline)) }
    {
        return answer;
    }
    match CLOCKWAIT.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(semaphore, clock, until) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_post(semaphore: *mut sem_t) -> c_int {
    let Some(real) = POST.function() else { return fail(libc::ENOSYS) };
    // SAFETY: the caller guarantees that the argument is valid.
    let answer = unsafe { real(semaphore) };
    waiting::wake(semaphore.addr(), 1);
    answer
}

/// Takes the semaphore without blocking, or waits for it in a guest. Returns `None` if the run cannot wait.
///
/// # Safety
///
/// `semaphore` must point to an initialized semaphore.
unsafe fn wait_in_run(semaphore: *mut sem_t, deadline: Option<Deadline>) -> Option<c_int> {
    let attempt = TRYWAIT.function()?;
    let mut answer = 0;
    let mut is_busy = || {
        // SAFETY: the caller meets the requirements of this call.
        answer = unsafe { attempt(semaphore) };
        answer == -1 && errno() == libc::EAGAIN
    };
    if !is_busy() {
        return Some(answer);
    }
    let is_free = waiting::wait_while(semaphore.addr(), &mut is_busy, deadline)?;
    Some(if is_free { answer } else { fail(libc::ETIMEDOUT) })
}

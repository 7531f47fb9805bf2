//! Functions of the C library that wait for another thread: locks, condition variables, semaphores and joins.
//!
//! C code calls these functions, which enter the kernel without calling
//! [`syscall`](super::linux::syscall). On a run's thread, each function first tries without
//! blocking. If it would block and the calling code belongs to a guest, the thread waits in the run
//! (see [`waiting`]), and the guest's other threads continue. In other code, a wait without a
//! timeout goes through [`deadlock`], and a wait with a timeout takes real time. On threads outside
//! a run, the call is forwarded.
//!
//! These are not covered: `pthread_barrier_wait`, spin locks, and the functions of C11's
//! `threads.h`.

mod conditions;
mod once;
mod semaphores;
mod waiting;

use std::ffi::{c_int, c_void};
use std::ptr;

use libc::{clockid_t, pthread_mutex_t, pthread_rwlock_t, pthread_t, timespec};

use crate::interpose::linux::real_deadline;
use crate::interpose::locks::waiting::Deadline;
use crate::interpose::real::Real;
use crate::interpose::system::{Errno, SystemCalls};
use crate::interpose::{answers, deadlock, system};

type Call<T> = unsafe extern "C" fn(*mut T) -> c_int;
type Timed<T> = unsafe extern "C" fn(*mut T, *const timespec) -> c_int;

type Clocked<T> = unsafe extern "C" fn(*mut T, clockid_t, *const timespec) -> c_int;

/// A type of lock of the C library, with the functions on it that wait. They return an error
/// number.
struct Lock<T> {
    attempt: Real<Call<T>>,
    timed: Real<Timed<T>>,
    /// Exists since glibc 2.30.
    clocked: Real<Clocked<T>>,
    wait: Real<Call<T>>,
}

static MUTEX: Lock<pthread_mutex_t> = Lock {
    attempt: Real::named(c"pthread_mutex_trylock"),
    timed: Real::named(c"pthread_mutex_timedlock"),
    clocked: Real::named(c"pthread_mutex_clocklock"),
    wait: Real::named(c"pthread_mutex_lock"),
};
static READ_LOCK: Lock<pthread_rwlock_t> = Lock {
    attempt: Real::named(c"pthread_rwlock_tryrdlock"),
    timed: Real::named(c"pthread_rwlock_timedrdlock"),
    clocked: Real::named(c"pthread_rwlock_clockrdlock"),
    wait: Real::named(c"pthread_rwlock_rdlock"),
};
static WRITE_LOCK: Lock<pthread_rwlock_t> = Lock {
    attempt: Real::named(c"pthread_rwlock_trywrlock"),
    timed: Real::named(c"pthread_rwlock_timedwrlock"),
    clocked: Real::named(c"pthread_rwlock_clockwrlock"),
    wait: Real::named(c"pthread_rwlock_wrlock"),
};
static MUTEX_UNLOCK: Real<Call<pthread_mutex_t>> = Real::named(c"pthread_mutex_unlock");
static RWLOCK_UNLOCK: Real<Call<pthread_rwlock_t>> = Real::named(c"pthread_rwlock_unlock");
static JOIN: Real<unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int> =
    Real::named(c"pthread_join");
static DETACH: Real<unsafe extern "C" fn(pthread_t) -> c_int> = Real::named(c"pthread_detach");
static TRYJOIN: Real<unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int> =
    Real::named(c"pthread_tryjoin_np");
static TIMEDJOIN: Real<
    unsafe extern "C" fn(pthread_t, *mut *mut c_void, *const timespec) -> c_int,
> = Real::named(c"pthread_timedjoin_np");

/// Finds the functions that may be called where symbols must not be looked up, such as in an allocator or a signal handler.
/// Each lookup costs 1,000 instructions at the start of a process. The other functions are found when they are first called.
pub(super) fn find_all() {
    MUTEX.attempt.find();
    MUTEX.wait.find();
    MUTEX_UNLOCK.find();
    conditions::find_all();
    semaphores::find_all();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 16] {
    [
        conditions::defined as *const (),
        semaphores::defined as *const (),
        once::defined as *const (),
        pthread_mutex_lock as *const (),
        pthread_mutex_timedlock as *const (),
        pthread_mutex_clocklock as *const (),
        pthread_mutex_unlock as *const (),
        pthread_rwlock_rdlock as *const (),
        pthread_rwlock_timedrdlock as *const (),
        pthread_rwlock_clockrdlock as *const (),
        pthread_rwlock_wrlock as *const (),
        pthread_rwlock_timedwrlock as *const (),
        pthread_rwlock_clockwrlock as *const (),
        pthread_rwlock_unlock as *const (),
        pthread_join as *const (),
        pthread_detach as *const (),
    ]
}

/// A time that has passed.
static PASSED: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

impl<T> Lock<T> {
    /// Locks `object`; returns an error, or 0.
    ///
    /// # Safety
    ///
    /// The caller must meet the requirements of the C function.
    #[inline]
    unsafe fn lock(&self, object: *mut T) -> c_int {
        if answers::is_here() {
            // SAFETY: the caller meets the requirements of this call.
            return unsafe { self.lock_in_run(object) };
        }
        // SAFETY: the caller meets the requirements of this call.
        unsafe { self.pass_on(object) }
    }

    /// # Safety
    ///
    /// The caller must meet the requirements of the C function.
    #[inline]
    unsafe fn pass_on(&self, object: *mut T) -> c_int {
        match self.wait.function() {
            // SAFETY: the caller meets the requirements of this call.
            Some(real) => unsafe { real(object) },
            None => libc::ENOSYS,
        }
    }

    /// # Safety
    ///
    /// The caller must meet the requirements of the C function.
    #[inline(never)]
    unsafe fn lock_in_run(&self, object: *mut T) -> c_int {
        if let Some(attempt) = self.attempt.function() {
            // SAFETY: guaranteed by the caller; all functions of a lock have the same requirements.
            match unsafe { attempt(object) } {
                libc::EBUSY => {}
                answer => return answer,
            }
        }
        // SAFETY: the caller meets the requirements of this call.
        if let Some(answer) = unsafe { self.lock_in_guest(object, None) } {
            return answer;
        }
        let answer = self.timed.function().and_then(|timed| {
            deadlock::wait(|time| {
                let until = real_deadline(libc::CLOCK_REALTIME, time);
                // SAFETY: the caller guarantees that the arguments are valid. The time outlives the
                // call.
                Some(unsafe { timed(object, &raw const until) })
                    .filter(|answer| *answer != libc::ETIMEDOUT)
            })
        });
        // SAFETY: the caller meets the requirements of this call.
        answer.unwrap_or_else(|| unsafe { self.pass_on(object) })
    }

    /// Locks `object`, which is locked already, in a guest. Returns `None` if the run cannot wait.
    ///
    /// # Safety
    ///
    /// The caller must meet the requirements of the C function.
    unsafe fn lock_in_guest(&self, object: *mut T, deadline: Option<Deadline>) -> Option<c_int> {
        let (attempt, timed) = (self.attempt.function()?, self.timed.function()?);
        waiting::guest_calls()?;
        // An attempt does not show whether this thread or another one holds the lock.
        // SAFETY: the caller guarantees that the arguments are valid. The time outlives the call.
        match unsafe { timed(object, &raw const PASSED) } {
            libc::ETIMEDOUT => {}
            answer => return Some(answer),
        }
        let mut answer = libc::EBUSY;
        let mut is_busy = || {
            // SAFETY: the caller meets the requirements of this call.
            answer = unsafe { attempt(object) };
            answer == libc::EBUSY
        };
        let is_free = waiting::wait_while(object.addr(), &mut is_busy, deadline)?;
        Some(if is_free { answer } else { libc::ETIMEDOUT })
    }

    /// Locks `object`, or gives up at the time `until` of `clock`. `None` is the clock of the function that does not take a
    /// clock.
    ///
    /// # Safety
    ///
    /// The caller must meet the requirements of the C function.
    unsafe fn lock_until(
        &self,
        object: *mut T,
        clock: Option<clockid_t>,
        until: *const timespec,
    ) -> c_int {
        if answers::is_here()
            && !until.is_null()
            && let Some(attempt) = self.attempt.function()
        {
            // SAFETY: the caller meets the requirements of this call.
            match unsafe { attempt(object) } {
                libc::EBUSY => {}
                answer => return answer,
            }
            // SAFETY: the time is not null, and valid for reads, as guaranteed by the caller.
            let deadline = Deadline::by(clock.unwrap_or(libc::CLOCK_REALTIME), unsafe { *until });
            if deadline.is_some()
                // SAFETY: the caller meets the requirements of this call.
                && let Some(answer) = unsafe { self.lock_in_guest(object, deadline) }
            {
                return answer;
            }
        }
        match (clock, self.timed.function(), self.clocked.function()) {
            // SAFETY: the caller meets the requirements of this call.
            (None, Some(timed), _) => unsafe { timed(object, until) },
            // SAFETY: the caller meets the requirements of this call.
            (Some(clock), _, Some(clocked)) => unsafe { clocked(object, clock, until) },
            _ => libc::ENOSYS,
        }
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { MUTEX.lock(mutex) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { READ_LOCK.lock(lock) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { WRITE_LOCK.lock(lock) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { MUTEX.lock_until(mutex, None, until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_clocklock(
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { MUTEX.lock_until(mutex, Some(clock), until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_timedrdlock(
    lock: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { READ_LOCK.lock_until(lock, None, until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_clockrdlock(
    lock: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { READ_LOCK.lock_until(lock, Some(clock), until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_timedwrlock(
    lock: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { WRITE_LOCK.lock_until(lock, None, until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_clockwrlock(
    lock: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { WRITE_LOCK.lock_until(lock, Some(clock), until) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    let Some(real) = MUTEX_UNLOCK.function() else { return libc::ENOSYS };
    // SAFETY: the caller guarantees that the argument is valid.
    let answer = unsafe { real(mutex) };
    waiting::wake(mutex.addr(), 1);
    answer
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int {
    let Some(real) = RWLOCK_UNLOCK.function() else { return libc::ENOSYS };
    // SAFETY: the caller guarantees that the argument is valid.
    let answer = unsafe { real(lock) };
    waiting::wake(lock.addr(), usize::MAX);
    answer
}

/// Like [`pthread_mutex_unlock`], but the calling thread goes on.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
unsafe fn unlock_without_yielding(calls: &dyn SystemCalls, mutex: *mut pthread_mutex_t) -> c_int {
    let Some(real) = MUTEX_UNLOCK.function() else { return libc::ENOSYS };
    // SAFETY: the caller guarantees that the argument is valid.
    let answer = unsafe { real(mutex) };
    calls.futex_requeue(mutex.addr(), 1, mutex.addr(), 0);
    answer
}

/// Frees a thread that has ended or is about to end, without calling the run.
pub(crate) fn join_really(thread: pthread_t) {
    if let Some(real) = JOIN.function() {
        // SAFETY: the thread is joined only here, since interposed joins of it are not forwarded to the library.
        unsafe { real(thread, ptr::null_mut()) };
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
    if let Some(joined) = system::calls().and_then(|calls| calls.join(thread)) {
        return match joined {
            Ok(returned) => {
                if !result.is_null() {
                    // SAFETY: the pointer is valid for writes of a result, as guaranteed by the caller.
                    unsafe { result.write(ptr::with_exposed_provenance_mut(returned)) };
                }
                0
            }
            Err(Errno(errno)) => errno,
        };
    }
    if answers::is_here()
        && let (Some(attempt), Some(timed)) = (TRYJOIN.function(), TIMEDJOIN.function())
    {
        // SAFETY: the caller guarantees that the arguments are valid.
        match unsafe { attempt(thread, result) } {
            libc::EBUSY => {}
            answer => return answer,
        }
        let answer = deadlock::wait(|time| {
            let until = real_deadline(libc::CLOCK_REALTIME, time);
            // SAFETY: the caller guarantees that the arguments are valid. The time outlives the
            // call.
            Some(unsafe { timed(thread, result, &raw const until) })
                .filter(|answer| *answer != libc::ETIMEDOUT)
        });
        if let Some(answer) = answer {
            return answer;
        }
    }
    match JOIN.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(thread, result) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(thread: pthread_t) -> c_int {
    if system::calls().is_some_and(|calls| calls.detach(thread)) {
        return 0;
    }
    match DETACH.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(thread) },
        None => libc::ENOSYS,
    }
}

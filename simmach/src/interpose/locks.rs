//! Functions of the C library that wait for another thread: locks, condition variables, semaphores and joins.
//!
//! C code calls them, and they enter the kernel without [`syscall`](super::linux::syscall). On a run's thread each first
//! tries without blocking; if it would block, it waits through [`deadlock`]. On other threads the call is forwarded.
//!
//! Not covered: waits with a time-out, `pthread_barrier_wait`, spin locks, and the functions of C11's `threads.h`.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use libc::{
    clockid_t, pthread_cond_t, pthread_mutex_t, pthread_rwlock_t, pthread_t, sem_t, timespec,
};

use crate::interpose::deadlock::CHECK_INTERVAL;
use crate::interpose::linux::{errno, fail, real_deadline};
use crate::interpose::real::Real;
use crate::interpose::system::Errno;
use crate::interpose::{answers, deadlock, system};

type Call<T> = unsafe extern "C" fn(*mut T) -> c_int;
type Timed<T> = unsafe extern "C" fn(*mut T, *const timespec) -> c_int;

type CondClockwait = unsafe extern "C" fn(
    *mut pthread_cond_t,
    *mut pthread_mutex_t,
    clockid_t,
    *const timespec,
) -> c_int;

/// A lock of the C library: its functions return an error.
struct Lock<T> {
    attempt: Real<Call<T>>,
    timed: Real<Timed<T>>,
    wait: Real<Call<T>>,
}

static MUTEX: Lock<pthread_mutex_t> = Lock {
    attempt: Real::named(c"pthread_mutex_trylock"),
    timed: Real::named(c"pthread_mutex_timedlock"),
    wait: Real::named(c"pthread_mutex_lock"),
};
static READ_LOCK: Lock<pthread_rwlock_t> = Lock {
    attempt: Real::named(c"pthread_rwlock_tryrdlock"),
    timed: Real::named(c"pthread_rwlock_timedrdlock"),
    wait: Real::named(c"pthread_rwlock_rdlock"),
};
static WRITE_LOCK: Lock<pthread_rwlock_t> = Lock {
    attempt: Real::named(c"pthread_rwlock_trywrlock"),
    timed: Real::named(c"pthread_rwlock_timedwrlock"),
    wait: Real::named(c"pthread_rwlock_wrlock"),
};
/// These return -1, and set `errno`.
static SEMAPHORE: Lock<sem_t> = Lock {
    attempt: Real::named(c"sem_trywait"),
    timed: Real::named(c"sem_timedwait"),
    wait: Real::named(c"sem_wait"),
};
static COND_WAIT: Real<unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t) -> c_int> =
    if cfg!(target_arch = "x86_64") {
        Real::versioned(c"pthread_cond_wait", c"GLIBC_2.3.2")
    } else {
        Real::named(c"pthread_cond_wait")
    };
/// Since glibc 2.30.
static COND_CLOCKWAIT: Real<CondClockwait> = Real::named(c"pthread_cond_clockwait");
static JOIN: Real<unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int> =
    Real::named(c"pthread_join");
static DETACH: Real<unsafe extern "C" fn(pthread_t) -> c_int> = Real::named(c"pthread_detach");
static TRYJOIN: Real<unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int> =
    Real::named(c"pthread_tryjoin_np");
static TIMEDJOIN: Real<
    unsafe extern "C" fn(pthread_t, *mut *mut c_void, *const timespec) -> c_int,
> = Real::named(c"pthread_timedjoin_np");

pub(super) fn find_all() {
    MUTEX.find();
    READ_LOCK.find();
    WRITE_LOCK.find();
    SEMAPHORE.find();
    COND_WAIT.find();
    COND_CLOCKWAIT.find();
    JOIN.find();
    TRYJOIN.find();
    TIMEDJOIN.find();
}

/// The functions defined here.
pub(super) fn defined() -> [*const (); 7] {
    [
        pthread_mutex_lock as *const (),
        pthread_rwlock_rdlock as *const (),
        pthread_rwlock_wrlock as *const (),
        pthread_cond_wait as *const (),
        pthread_join as *const (),
        pthread_detach as *const (),
        sem_wait as *const (),
    ]
}

impl<T> Lock<T> {
    fn find(&self) {
        self.attempt.find();
        self.timed.find();
        self.wait.find();
    }

    /// Locks `object`; returns an error, or 0.
    ///
    /// # Safety
    ///
    /// As the function's in C.
    #[inline]
    unsafe fn lock(&self, object: *mut T) -> c_int {
        if answers::is_here() {
            // SAFETY: the caller's.
            return unsafe { self.lock_in_run(object) };
        }
        // SAFETY: the caller's.
        unsafe { self.pass_on(object) }
    }

    /// # Safety
    ///
    /// As the function's in C.
    #[inline]
    unsafe fn pass_on(&self, object: *mut T) -> c_int {
        match self.wait.function() {
            // SAFETY: the caller's.
            Some(real) => unsafe { real(object) },
            None => libc::ENOSYS,
        }
    }

    /// # Safety
    ///
    /// As the function's in C.
    #[inline(never)]
    unsafe fn lock_in_run(&self, object: *mut T) -> c_int {
        if let Some(attempt) = self.attempt.function() {
            // SAFETY: the caller's: the functions of a lock take the same.
            match unsafe { attempt(object) } {
                libc::EBUSY => {}
                answer => return answer,
            }
        }
        let answer = self.timed.function().and_then(|timed| {
            deadlock::wait(|time| {
                let until = real_deadline(libc::CLOCK_REALTIME, time);
                // SAFETY: the caller's, and a time that outlives the call.
                Some(unsafe { timed(object, &raw const until) })
                    .filter(|answer| *answer != libc::ETIMEDOUT)
            })
        });
        // SAFETY: the caller's.
        answer.unwrap_or_else(|| unsafe { self.pass_on(object) })
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's argument, as it came.
    unsafe { MUTEX.lock(mutex) }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int {
    // SAFETY: the caller's argument, as it came.
    unsafe { READ_LOCK.lock(lock) }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int {
    // SAFETY: the caller's argument, as it came.
    unsafe { WRITE_LOCK.lock(lock) }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_wait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    if answers::is_here()
        && let Some(timed) = COND_CLOCKWAIT.function()
        // SAFETY: the caller's arguments, as they came.
        && let Some(answer) = unsafe { cond_wait_in_run(timed, cond, mutex) }
    {
        return answer;
    }
    match COND_WAIT.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(cond, mutex) },
        None => libc::ENOSYS,
    }
}

/// Waits on a condition variable in a run. Returns `None` after reporting a deadlock.
///
/// It returns from time to time, which the caller sees as a spurious wake-up. A signal between two waits would be lost
/// unless the caller checks its condition. So a deadlock is only reported after the caller has done that and waits again.
///
/// # Safety
///
/// `cond` and `mutex` are as `pthread_cond_wait` takes them.
unsafe fn cond_wait_in_run(
    timed: CondClockwait,
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> Option<c_int> {
    thread_local! {
        /// The last condition variable waited for, and how often in a row that timed out.
        static TIMED_OUT: Cell<(*mut pthread_cond_t, u32)> = const { Cell::new((ptr::null_mut(), 0)) };
    }
    let until = real_deadline(libc::CLOCK_MONOTONIC, CHECK_INTERVAL);
    // SAFETY: the caller's arguments, a clock that there is, and a time that outlives the call.
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

/// Reaps a thread that has ended or is about to, without asking the run.
pub(crate) fn join_really(thread: pthread_t) {
    if let Some(real) = JOIN.function() {
        // SAFETY: the caller's thread is joined once, here: interposed joins of it do not reach the library.
        unsafe { real(thread, ptr::null_mut()) };
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
    if let Some(joined) = system::calls().and_then(|calls| calls.join(thread)) {
        return match joined {
            Ok(returned) => {
                if !result.is_null() {
                    // SAFETY: the caller gives room for a result.
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
        // SAFETY: the caller's arguments, as they came.
        match unsafe { attempt(thread, result) } {
            libc::EBUSY => {}
            answer => return answer,
        }
        let answer = deadlock::wait(|time| {
            let until = real_deadline(libc::CLOCK_REALTIME, time);
            // SAFETY: the caller's arguments, and a time that outlives the call.
            Some(unsafe { timed(thread, result, &raw const until) })
                .filter(|answer| *answer != libc::ETIMEDOUT)
        });
        if let Some(answer) = answer {
            return answer;
        }
    }
    match JOIN.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(thread, result) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(thread: pthread_t) -> c_int {
    if system::calls().is_some_and(|calls| calls.is_own_thread(thread)) {
        return 0;
    }
    match DETACH.function() {
        // SAFETY: the caller's argument, as it came.
        Some(real) => unsafe { real(thread) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_wait(semaphore: *mut sem_t) -> c_int {
    if answers::is_here()
        && let (Some(attempt), Some(timed)) =
            (SEMAPHORE.attempt.function(), SEMAPHORE.timed.function())
    {
        // SAFETY: the caller's argument, as it came.
        match unsafe { attempt(semaphore) } {
            -1 if errno() == libc::EAGAIN => {}
            answer => return answer,
        }
        let answer = deadlock::wait(|time| {
            let until = real_deadline(libc::CLOCK_REALTIME, time);
            // SAFETY: the caller's argument, and a time that outlives the call.
            Some(unsafe { timed(semaphore, &raw const until) })
                .filter(|answer| *answer != -1 || errno() != libc::ETIMEDOUT)
        });
        if let Some(answer) = answer {
            return answer;
        }
    }
    match SEMAPHORE.wait.function() {
        // SAFETY: the caller's argument, as it came.
        Some(real) => unsafe { real(semaphore) },
        None => fail(libc::ENOSYS),
    }
}

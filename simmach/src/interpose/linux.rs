//! Interposed functions on 64-bit Linux with glibc.
//!
//! Each definition here takes precedence over libc's definition, for Rust code and for the shared
//! libraries that the binary loads. Calls inside libc are not affected. Before constructors without
//! a priority run, a constructor looks up those of libc's own functions that may be called where
//! symbols must not be looked up, such as in an allocator or a signal handler. The others are
//! looked up when they are first called, and those of a child process before the first fork.
//! Outside a run, libc's functions are called directly, so that time comes from the vDSO.

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use libc::{clockid_t, size_t, ssize_t, time_t, timespec, timeval, timezone};

use crate::interpose::answers::{self, ClockKind, WaitMode};
use crate::interpose::real::Real;
use crate::interpose::system::{Answer, Errno};
use crate::interpose::{
    deadlock, descriptors, identity, locks, name_lookup, processes, signals, sleep, system,
    threads, unanswered,
};

/// Interval at which a wait in real time checks whether a thread that could end it is still alive.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

static CLOCK_GETTIME: Real<unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int> =
    Real::named(c"clock_gettime");
static GETTIMEOFDAY: Real<unsafe extern "C" fn(*mut timeval, *mut timezone) -> c_int> =
    Real::named(c"gettimeofday");
static TIME: Real<unsafe extern "C" fn(*mut time_t) -> time_t> = Real::named(c"time");
static GETRANDOM: Real<unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t> =
    Real::named(c"getrandom");
static GETENTROPY: Real<unsafe extern "C" fn(*mut c_void, size_t) -> c_int> =
    Real::named(c"getentropy");
pub(super) static SYSCALL: Real<unsafe extern "C" fn(c_long, ...) -> c_long> =
    Real::named(c"syscall");

/// Runs before `main` and before constructors without a priority. Priorities up to 100 are reserved for the implementation,
/// which does not use them in a program.
#[used]
#[unsafe(link_section = ".init_array.00099")]
static FIND_ALL: extern "C" fn() = {
    extern "C" fn find_all() {
        CLOCK_GETTIME.find();
        GETTIMEOFDAY.find();
        TIME.find();
        GETRANDOM.find();
        GETENTROPY.find();
        SYSCALL.find();
        descriptors::find_all();
        identity::find_all();
        locks::find_all();
        sleep::find_all();
        threads::find_all();
    }
    find_all
};

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 16] {
    [
        locks::defined as *const (),
        processes::defined as *const (),
        descriptors::defined as *const (),
        identity::defined as *const (),
        name_lookup::defined as *const (),
        clock_gettime as *const (),
        gettimeofday as *const (),
        time as *const (),
        getrandom as *const (),
        getentropy as *const (),
        syscall as *const (),
        threads::defined as *const (),
        signals::defined as *const (),
        sleep::defined as *const (),
        unanswered::defined as *const (),
        ptr::from_ref(&FIND_ALL).cast(),
    ]
}

pub(super) fn errno() -> c_int {
    // SAFETY: the C library returns a pointer to the thread's `errno`, which is valid as long as the thread runs.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(errno: c_int) {
    // SAFETY: the C library returns a pointer to the thread's `errno`, which is valid as long as the thread runs.
    unsafe { *libc::__errno_location() = errno };
}

pub(super) fn fail(errno: c_int) -> c_int {
    set_errno(errno);
    -1
}

pub(super) fn kind_of(clock: clockid_t) -> Option<ClockKind> {
    match clock {
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME
        | libc::CLOCK_BOOTTIME_ALARM => Some(ClockKind::Monotonic),
        libc::CLOCK_REALTIME
        | libc::CLOCK_REALTIME_COARSE
        | libc::CLOCK_REALTIME_ALARM
        | libc::CLOCK_TAI => Some(ClockKind::Wall),
        // CPU time, and clocks that are devices.
        _ => None,
    }
}

fn to_timespec(time: Duration) -> timespec {
    let tv_sec = time_t::try_from(time.as_secs()).unwrap_or(time_t::MAX);
    timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}

pub(super) fn to_duration(time: timespec) -> Duration {
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000);
    u64::try_from(time.tv_sec)
        .map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos.unwrap_or(0)))
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(now) = kind_of(clock).and_then(answers::now) else {
        return match CLOCK_GETTIME.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real(clock, time) },
            None => fail(libc::ENOSYS),
        };
    };
    if time.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: the pointer is not null, and valid for writes of a `timespec`, as guaranteed by the caller.
    unsafe { time.write(to_timespec(now)) };
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut timezone) -> c_int {
    let Some(now) = answers::now(ClockKind::Wall) else {
        return match GETTIMEOFDAY.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real(time, zone) },
            None => fail(libc::ENOSYS),
        };
    };
    if !time.is_null() {
        let (tv_sec, tv_usec) = (now.as_secs() as time_t, now.subsec_micros().into());
        // SAFETY: the pointer is not null, and valid for writes of a `timeval`, as guaranteed by the caller.
        unsafe { time.write(timeval { tv_sec, tv_usec }) };
    }
    if !zone.is_null() {
        // SAFETY: the pointer is not null, and valid for writes of a `timezone`, which is two integers, as guaranteed by the
        // caller. The time zone of a run is UTC.
        unsafe { zone.cast::<[c_int; 2]>().write([0, 0]) };
    }
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(seconds: *mut time_t) -> time_t {
    let Some(now) = answers::now(ClockKind::Wall) else {
        return match TIME.function() {
            // SAFETY: the caller guarantees that the argument is valid.
            Some(real) => unsafe { real(seconds) },
            None => fail(libc::ENOSYS).into(),
        };
    };
    let now = now.as_secs() as time_t;
    if !seconds.is_null() {
        // SAFETY: the pointer is not null, and valid for writes of a `time_t`, as guaranteed by the caller.
        unsafe { seconds.write(now) };
    }
    now
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller.
    if unsafe { answers::fill_raw(buffer.cast(), length) } {
        return length as ssize_t;
    }
    match GETRANDOM.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(buffer, length, flags) },
        None => fail(libc::ENOSYS) as ssize_t,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buffer: *mut c_void, length: size_t) -> c_int {
    // For more than 256 bytes, the library returns an error.
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller.
    if length <= 256 && unsafe { answers::fill_raw(buffer.cast(), length) } {
        return 0;
    }
    match GETENTROPY.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(buffer, length) },
        None => fail(libc::ENOSYS),
    }
}

/// A system call by number. In a run, `getrandom` and `clock_gettime` behave like the functions above, futex waits go
/// through [`wait`] and [`wait_without_timeout`], calls that start processes are refused, and calls on simulated descriptors
/// behave like the functions for them. All other calls are forwarded.
///
/// In C, `syscall` is variadic. On the supported targets, a function with seven integer parameters finds them where the
/// caller of a variadic function puts its arguments. Parameters for which the caller passed no argument have arbitrary
/// values, and are only passed on.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == libc::SYS_futex
        // SAFETY: as above.
        && let Some(answer) = unsafe { guest_futex([a, b, c, d, e, f]) }
    {
        return match answer {
            Ok(result) => result,
            Err(Errno(errno)) => fail(errno).into(),
        };
    }
    match number {
        // SAFETY: the function takes the same arguments as the system call.
        libc::SYS_getrandom => unsafe {
            getrandom(a as *mut c_void, b as size_t, c as c_uint) as c_long
        },
        // SAFETY: as above.
        libc::SYS_clock_gettime => unsafe {
            clock_gettime(a as clockid_t, b as *mut timespec).into()
        },
        libc::SYS_futex if d != 0 && is_wait(b as c_int) => match answers::wait_mode() {
            // SAFETY: as above; the timeout is not null.
            Some(mode) => unsafe { wait(mode, [a, b, c, d, e, f]) },
            // SAFETY: the caller guarantees that the arguments are valid.
            None => unsafe { pass_on(number, [a, b, c, d, e, f]) },
        },
        // SAFETY: as above.
        libc::SYS_futex if is_wait(b as c_int) && answers::is_here() => unsafe {
            wait_without_timeout([a, b, c, d, e, f])
        },
        _ if processes::is_refused(number, a) => fail(libc::EPERM).into(),
        // SAFETY: the caller guarantees that the arguments are valid.
        _ => unsafe {
            processes::prepare(number);
            let arguments = [a, b, c, d, e, f];
            descriptors::call_by_number(number, arguments)
                .or_else(|| sleep::call_by_number(number, arguments))
                .or_else(|| identity::call_by_number(number, arguments))
                .or_else(|| signals::call_by_number(number, arguments))
                .or_else(|| unanswered::refuse(number).map(c_long::from))
                .unwrap_or_else(|| pass_on(number, arguments))
        },
    }
}

/// # Safety
///
/// The caller must meet the requirements of the system call.
#[inline]
pub(super) unsafe fn pass_on(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    match SYSCALL.function() {
        // SAFETY: the caller meets the requirements of this call.
        Some(real) => unsafe { real(number, a, b, c, d, e, f) },
        None => fail(libc::ENOSYS).into(),
    }
}

/// Handles a futex call of a guest's thread, or a call that may wake a guest's threads. Returns `None` if the run does not
/// answer it.
///
/// # Safety
///
/// `arguments` are those of `SYS_futex`.
unsafe fn guest_futex([a, b, c, d, e, _]: [c_long; 6]) -> Option<Answer<c_long>> {
    let calls = system::calls()?;
    let address = a as usize;
    match b as c_int & libc::FUTEX_CMD_MASK {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET if calls.has_threads() => {
            let operation = b as c_int;
            let timeout = (d != 0).then(|| {
                // SAFETY: the timeout is not null, and valid for reads, as guaranteed by the caller.
                let given = to_duration(unsafe { *(d as *const timespec) });
                let kind = match operation & libc::FUTEX_CLOCK_REALTIME {
                    0 => ClockKind::Monotonic,
                    _ => ClockKind::Wall,
                };
                match is_absolute(operation) {
                    true => given.saturating_sub(answers::peek_clock(kind)),
                    false => given,
                }
            });
            // SAFETY: the futex is valid during the call, as guaranteed by the caller.
            let word = unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(address)) };
            calls.futex_wait(address, &|| word.load(SeqCst) == c as u32, timeout)
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let woken = calls.futex_wake(address, usize::try_from(c).unwrap_or(0));
            // Threads outside the run may wait for the futex too.
            (woken > 0 || calls.is_on_own_thread()).then_some(Ok(woken as c_long))
        }
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE if calls.is_on_own_thread() => {
            let (woken, most) = (usize::try_from(c), usize::try_from(d));
            let moved = calls.futex_requeue(address, woken.ok()?, e as usize, most.ok()?);
            Some(Ok(moved as c_long))
        }
        _ => None,
    }
}

fn is_wait(operation: c_int) -> bool {
    matches!(operation & libc::FUTEX_CMD_MASK, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
}

/// Handles a futex wait with a timeout in a run. Its deadline is in virtual time, so the kernel gets a different deadline,
/// in real time.
///
/// # Safety
///
/// `arguments` are those of a `FUTEX_WAIT` or `FUTEX_WAIT_BITSET` whose timeout is not null.
unsafe fn wait(mode: WaitMode, mut arguments: [c_long; 6]) -> c_long {
    let operation = arguments[1] as c_int;
    let kind = match operation & libc::FUTEX_CLOCK_REALTIME {
        0 => ClockKind::Monotonic,
        _ => ClockKind::Wall,
    };
    // SAFETY: the timeout is not null, and valid for reads, as guaranteed by the caller.
    let given = to_duration(unsafe { *(arguments[3] as *const timespec) });
    let time = match is_absolute(operation) {
        true => given.saturating_sub(answers::peek_clock(kind)),
        false => given,
    };
    let (mut mode, mut rest) = (mode, time);
    loop {
        let slice = match mode {
            WaitMode::Skip => Duration::ZERO,
            WaitMode::Real => rest.min(RECHECK_INTERVAL),
        };
        let real = real_timeout(operation, slice);
        arguments[3] = (&raw const real) as c_long;
        // SAFETY: the caller guarantees that all arguments but the timeout are valid. The timeout
        // outlives the call.
        let result = unsafe { pass_on(libc::SYS_futex, arguments) };
        if !has_timed_out(result) {
            return result;
        }
        rest -= slice;
        if mode == WaitMode::Skip || rest.is_zero() {
            answers::advance_clock(time);
            return result;
        }
        mode = answers::wait_mode().unwrap_or(mode);
    }
}

/// Handles a futex wait without a timeout on a run's thread.
///
/// # Safety
///
/// `arguments` are those of a `FUTEX_WAIT` or `FUTEX_WAIT_BITSET` whose timeout is null.
#[cold]
unsafe fn wait_without_timeout(arguments: [c_long; 6]) -> c_long {
    let ended = deadlock::wait(|time| {
        let real = real_timeout(arguments[1] as c_int, time);
        let mut timed = arguments;
        timed[3] = (&raw const real) as c_long;
        // SAFETY: the caller guarantees that all arguments but the timeout are valid. The timeout
        // outlives the call.
        let result = unsafe { pass_on(libc::SYS_futex, timed) };
        (!has_timed_out(result)).then_some(result)
    });
    // SAFETY: the caller guarantees that the arguments are valid.
    ended.unwrap_or_else(|| unsafe { pass_on(libc::SYS_futex, arguments) })
}

fn is_absolute(operation: c_int) -> bool {
    operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT_BITSET
}

/// Returns the timeout that ends a futex operation after `time` of real time.
fn real_timeout(operation: c_int, time: Duration) -> timespec {
    if !is_absolute(operation) {
        return to_timespec(time);
    }
    let clock = match operation & libc::FUTEX_CLOCK_REALTIME {
        0 => libc::CLOCK_MONOTONIC,
        _ => libc::CLOCK_REALTIME,
    };
    real_deadline(clock, time)
}

/// Returns the deadline after `time` of real time, by a real clock.
pub(super) fn real_deadline(clock: clockid_t, time: Duration) -> timespec {
    let mut now = to_timespec(Duration::ZERO);
    if let Some(clock_gettime) = CLOCK_GETTIME.function() {
        // SAFETY: the clock exists, and the pointer is valid for writes.
        unsafe { clock_gettime(clock, &raw mut now) };
    }
    to_timespec(to_duration(now).saturating_add(time))
}

fn has_timed_out(result: c_long) -> bool {
    result == -1 && errno() == libc::ETIMEDOUT
}

//! Interposed functions on 64-bit Linux with glibc.
//!
//! Each definition here takes precedence over libc's, for Rust code and for the shared libraries that the binary loads.
//! Calls inside libc are not affected. A constructor finds libc's own functions before constructors without a priority run;
//! if another library's constructor calls one earlier, it is found on that call. Outside a run they are called directly, so
//! that time comes from the vDSO.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use libc::{clockid_t, cpu_set_t, pid_t, size_t, ssize_t, time_t, timespec, timeval, timezone};

use crate::engine::failure::refusals::ForbiddenCall;
use crate::interpose::answers::{self, ClockKind, WaitMode};
use crate::interpose::real::Real;
use crate::interpose::system::{Answer, Errno};
use crate::interpose::{
    deadlock, descriptors, locks, name_lookup, processes, signals, system, threads,
};

/// Interval at which a wait in real time checks whether a thread that could end it is still alive.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

static CLOCK_GETTIME: Real<unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int> =
    Real::named(c"clock_gettime");
static GETTIMEOFDAY: Real<unsafe extern "C" fn(*mut timeval, *mut timezone) -> c_int> =
    Real::named(c"gettimeofday");
static TIME: Real<unsafe extern "C" fn(*mut time_t) -> time_t> = Real::named(c"time");
static NANOSLEEP: Real<unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int> =
    Real::named(c"nanosleep");
static CLOCK_NANOSLEEP: Real<
    unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int,
> = Real::named(c"clock_nanosleep");
static GETRANDOM: Real<unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t> =
    Real::named(c"getrandom");
static GETENTROPY: Real<unsafe extern "C" fn(*mut c_void, size_t) -> c_int> =
    Real::named(c"getentropy");
static SYSCALL: Real<unsafe extern "C" fn(c_long, ...) -> c_long> = Real::named(c"syscall");
static SYSCONF: Real<unsafe extern "C" fn(c_int) -> c_long> = Real::named(c"sysconf");
static SCHED_GETAFFINITY: Real<unsafe extern "C" fn(pid_t, size_t, *mut cpu_set_t) -> c_int> =
    Real::named(c"sched_getaffinity");
static GETHOSTNAME: Real<unsafe extern "C" fn(*mut c_char, size_t) -> c_int> =
    Real::named(c"gethostname");

/// Runs before `main` and before constructors without a priority. Priorities up to 100 are reserved for the implementation,
/// which has none in a program.
#[used]
#[unsafe(link_section = ".init_array.00099")]
static FIND_ALL: extern "C" fn() = {
    extern "C" fn find_all() {
        CLOCK_GETTIME.find();
        GETTIMEOFDAY.find();
        TIME.find();
        NANOSLEEP.find();
        CLOCK_NANOSLEEP.find();
        GETRANDOM.find();
        GETENTROPY.find();
        SYSCALL.find();
        SYSCONF.find();
        SCHED_GETAFFINITY.find();
        GETHOSTNAME.find();
        descriptors::find_all();
        locks::find_all();
        processes::find_all();
        threads::find_all();
    }
    find_all
};

/// The functions defined here.
pub(super) fn defined() -> [*const (); 18] {
    [
        locks::defined as *const (),
        processes::defined as *const (),
        descriptors::defined as *const (),
        name_lookup::defined as *const (),
        clock_gettime as *const (),
        gettimeofday as *const (),
        time as *const (),
        nanosleep as *const (),
        clock_nanosleep as *const (),
        getrandom as *const (),
        getentropy as *const (),
        syscall as *const (),
        threads::defined as *const (),
        signals::defined as *const (),
        sysconf as *const (),
        sched_getaffinity as *const (),
        gethostname as *const (),
        ptr::from_ref(&FIND_ALL).cast(),
    ]
}

pub(super) fn errno() -> c_int {
    // SAFETY: the C library gives every thread its `errno`, for as long as the thread runs.
    unsafe { *libc::__errno_location() }
}

pub(super) fn fail(errno: c_int) -> c_int {
    // SAFETY: the C library gives every thread its `errno`, for as long as the thread runs.
    unsafe { *libc::__errno_location() = errno };
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
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(now) = kind_of(clock).and_then(answers::now) else {
        return match CLOCK_GETTIME.function() {
            // SAFETY: the caller's arguments, as they came.
            Some(real) => unsafe { real(clock, time) },
            None => fail(libc::ENOSYS),
        };
    };
    if time.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: the caller gives room for a `timespec`, and it is not null.
    unsafe { time.write(to_timespec(now)) };
    0
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut timezone) -> c_int {
    let Some(now) = answers::now(ClockKind::Wall) else {
        return match GETTIMEOFDAY.function() {
            // SAFETY: the caller's arguments, as they came.
            Some(real) => unsafe { real(time, zone) },
            None => fail(libc::ENOSYS),
        };
    };
    if !time.is_null() {
        let (tv_sec, tv_usec) = (now.as_secs() as time_t, now.subsec_micros().into());
        // SAFETY: the caller gives room for a `timeval`, and it is not null.
        unsafe { time.write(timeval { tv_sec, tv_usec }) };
    }
    if !zone.is_null() {
        // SAFETY: the caller gives room for a `timezone`, which is two integers, and it is not null. The run's is UTC.
        unsafe { zone.cast::<[c_int; 2]>().write([0, 0]) };
    }
    0
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(seconds: *mut time_t) -> time_t {
    let Some(now) = answers::now(ClockKind::Wall) else {
        return match TIME.function() {
            // SAFETY: the caller's argument, as it came.
            Some(real) => unsafe { real(seconds) },
            None => fail(libc::ENOSYS).into(),
        };
    };
    let now = now.as_secs() as time_t;
    if !seconds.is_null() {
        // SAFETY: the caller gives room for a `time_t`, and it is not null.
        unsafe { seconds.write(now) };
    }
    now
}

/// In a run it returns at once, and the run fails. It does not return an error, since std panics on one.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int {
    if let Some(calls) = system::calls().filter(|calls| calls.is_on_own_thread() && !time.is_null())
    {
        // SAFETY: the caller's time, which is not null.
        calls.sleep(to_duration(unsafe { *time }));
        return 0;
    }
    if answers::refuse(ForbiddenCall::Sleep) {
        return 0;
    }
    match NANOSLEEP.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(time, rest) },
        None => fail(libc::ENOSYS),
    }
}

/// As [`nanosleep`].
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    rest: *mut timespec,
) -> c_int {
    if let Some(calls) = system::calls().filter(|calls| calls.is_on_own_thread() && !time.is_null())
    {
        // SAFETY: the caller's time, which is not null.
        let given = to_duration(unsafe { *time });
        let time = match (flags & libc::TIMER_ABSTIME, kind_of(clock)) {
            (0, _) => given,
            (_, Some(kind)) => given.saturating_sub(answers::peek_clock(kind)),
            (_, None) => return libc::EINVAL,
        };
        calls.sleep(time);
        return 0;
    }
    if answers::refuse(ForbiddenCall::Sleep) {
        return 0;
    }
    match CLOCK_NANOSLEEP.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(clock, flags, time, rest) },
        None => libc::ENOSYS,
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    // SAFETY: the caller gives room for `length` bytes.
    if unsafe { answers::fill_raw(buffer.cast(), length) } {
        return length as ssize_t;
    }
    match GETRANDOM.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(buffer, length, flags) },
        None => fail(libc::ENOSYS) as ssize_t,
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buffer: *mut c_void, length: size_t) -> c_int {
    // More than 256 bytes is an error, which the library returns.
    // SAFETY: the caller gives room for `length` bytes.
    if length <= 256 && unsafe { answers::fill_raw(buffer.cast(), length) } {
        return 0;
    }
    match GETENTROPY.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(buffer, length) },
        None => fail(libc::ENOSYS),
    }
}

/// A system call by number. In a run `getrandom` and `clock_gettime` act as the functions above, futex waits go through
/// [`wait`] and [`wait_without_timeout`], calls that start processes are refused, and those on simulated descriptors act as
/// the functions for them. All others are forwarded.
///
/// In C it takes a variable number of arguments. On the supported targets a callee with seven integer parameters finds them
/// where a caller of a variadic function puts them. Parameters that were not given have arbitrary values, and are only
/// passed on.
///
/// # Safety
///
/// As in C.
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
        // SAFETY: these are the system call's own arguments, which are the function's.
        libc::SYS_getrandom => unsafe {
            getrandom(a as *mut c_void, b as size_t, c as c_uint) as c_long
        },
        // SAFETY: as above.
        libc::SYS_clock_gettime => unsafe {
            clock_gettime(a as clockid_t, b as *mut timespec).into()
        },
        libc::SYS_futex if d != 0 && is_wait(b as c_int) => match answers::wait_mode() {
            // SAFETY: as above; the time-out is not null.
            Some(mode) => unsafe { wait(mode, [a, b, c, d, e, f]) },
            // SAFETY: the caller's arguments, as they came.
            None => unsafe { pass_on(number, [a, b, c, d, e, f]) },
        },
        // SAFETY: as above.
        libc::SYS_futex if is_wait(b as c_int) && answers::is_here() => unsafe {
            wait_without_timeout([a, b, c, d, e, f])
        },
        _ if processes::is_refused(number, a) => fail(libc::EPERM).into(),
        // SAFETY: the caller's arguments, as they came.
        _ => unsafe {
            let arguments = [a, b, c, d, e, f];
            descriptors::call_by_number(number, arguments)
                .unwrap_or_else(|| pass_on(number, arguments))
        },
    }
}

/// # Safety
///
/// As the system call's.
#[inline]
pub(super) unsafe fn pass_on(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    match SYSCALL.function() {
        // SAFETY: the caller's.
        Some(real) => unsafe { real(number, a, b, c, d, e, f) },
        None => fail(libc::ENOSYS).into(),
    }
}

/// A futex call of a guest's thread, or one that a guest's threads wait for. `None` if the run does not answer it.
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
                // SAFETY: the caller's time-out, which is not null.
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
            // SAFETY: the caller's futex, which is valid during the call.
            let word = unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(address)) };
            calls.futex_wait(address, &|| word.load(SeqCst) == c as u32, timeout)
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let woken = calls.futex_wake(address, usize::try_from(c).unwrap_or(0));
            // Threads outside the run may wait for it, too.
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

/// A futex wait with a time-out, in a run. Its deadline is in virtual time, so the kernel gets another one.
///
/// # Safety
///
/// `arguments` are those of a `FUTEX_WAIT` or `FUTEX_WAIT_BITSET` whose time-out is not null.
unsafe fn wait(mode: WaitMode, mut arguments: [c_long; 6]) -> c_long {
    let operation = arguments[1] as c_int;
    let kind = match operation & libc::FUTEX_CLOCK_REALTIME {
        0 => ClockKind::Monotonic,
        _ => ClockKind::Wall,
    };
    // SAFETY: the caller's time-out, which is not null.
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
        // SAFETY: the caller's arguments, but for the time-out, which outlives the call.
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

/// A futex wait without a time-out, on a run's thread.
///
/// # Safety
///
/// `arguments` are those of a `FUTEX_WAIT` or `FUTEX_WAIT_BITSET` whose time-out is null.
#[cold]
unsafe fn wait_without_timeout(arguments: [c_long; 6]) -> c_long {
    let ended = deadlock::wait(|time| {
        let real = real_timeout(arguments[1] as c_int, time);
        let mut timed = arguments;
        timed[3] = (&raw const real) as c_long;
        // SAFETY: the caller's arguments, but for the time-out, which outlives the call.
        let result = unsafe { pass_on(libc::SYS_futex, timed) };
        (!has_timed_out(result)).then_some(result)
    });
    // SAFETY: the caller's arguments, as they came.
    ended.unwrap_or_else(|| unsafe { pass_on(libc::SYS_futex, arguments) })
}

fn is_absolute(operation: c_int) -> bool {
    operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT_BITSET
}

/// The time-out that ends a futex operation after `time` of real time.
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

/// The deadline after `time` of real time, by a real clock.
pub(super) fn real_deadline(clock: clockid_t, time: Duration) -> timespec {
    let mut now = to_timespec(Duration::ZERO);
    if let Some(clock_gettime) = CLOCK_GETTIME.function() {
        // SAFETY: a clock that there is, and room for its time.
        unsafe { clock_gettime(clock, &raw mut now) };
    }
    to_timespec(to_duration(now).saturating_add(time))
}

fn has_timed_out(result: c_long) -> bool {
    result == -1 && errno() == libc::ETIMEDOUT
}

/// Returns one processor in a run, which has one thread. std would limit any other number by the control group.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    let asks_processors = matches!(name, libc::_SC_NPROCESSORS_ONLN | libc::_SC_NPROCESSORS_CONF);
    if asks_processors && answers::is_here() {
        return 1;
    }
    match SYSCONF.function() {
        // SAFETY: the caller's argument, as it came.
        Some(real) => unsafe { real(name) },
        None => fail(libc::ENOSYS).into(),
    }
}

/// As [`sysconf`]: in a run the calling thread may use the first processor only.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sched_getaffinity(pid: pid_t, size: size_t, set: *mut cpu_set_t) -> c_int {
    if pid == 0 && size > 0 && !set.is_null() && answers::is_here() {
        // SAFETY: the caller gives room for `size` bytes, at least one, and it is not null.
        unsafe {
            ptr::write_bytes(set.cast::<u8>(), 0, size);
            if cfg!(target_endian = "little") {
                set.cast::<u8>().write(1);
            } else {
                set.cast::<u8>().add(size_of::<c_long>().min(size) - 1).write(1);
            }
        }
        return 0;
    }
    match SCHED_GETAFFINITY.function() {
        // SAFETY: the caller's arguments, as they came.
        Some(real) => unsafe { real(pid, size, set) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gethostname(name: *mut c_char, length: size_t) -> c_int {
    // SAFETY: the caller gives room for `length` bytes.
    match (unsafe { answers::host_name(name.cast(), length) }, GETHOSTNAME.function()) {
        (Some(true), _) => 0,
        (Some(false), _) => fail(libc::ENAMETOOLONG),
        // SAFETY: the caller's arguments, as they came.
        (None, Some(real)) => unsafe { real(name, length) },
        (None, None) => fail(libc::ENOSYS),
    }
}

//! Interposed functions on macOS. They are untested: they were written without access to a Mac.
//!
//! The definitions take precedence for Rust code that is linked into the binary. Libraries that the binary loads call the
//! system's functions. `mach_absolute_time`, `SecRandomCopyBytes` and processes are not covered. Neither
//! are waits with a timeout: they compare virtual times with the kernel's clock, and so return at once.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;

use libc::{clockid_t, pthread_attr_t, pthread_t, size_t, time_t, timespec, timeval};

use crate::engine::failure::refusals::ForbiddenCall;
use crate::interpose::answers::{self, ClockKind};
use crate::interpose::real::Real;

type Start = extern "C" fn(*mut c_void) -> *mut c_void;

static CLOCK_GETTIME: Real<unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int> =
    Real::named(c"clock_gettime");
static GETTIMEOFDAY: Real<unsafe extern "C" fn(*mut timeval, *mut c_void) -> c_int> =
    Real::named(c"gettimeofday");
static TIME: Real<unsafe extern "C" fn(*mut time_t) -> time_t> = Real::named(c"time");
static NANOSLEEP: Real<unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int> =
    Real::named(c"nanosleep");
static GETENTROPY: Real<unsafe extern "C" fn(*mut c_void, size_t) -> c_int> =
    Real::named(c"getentropy");
static RANDOM_BYTES: Real<unsafe extern "C" fn(*mut c_void, size_t) -> c_int> =
    Real::named(c"CCRandomGenerateBytes");
static PTHREAD_CREATE: Real<
    unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int,
> = Real::named(c"pthread_create");
static SYSCONF: Real<unsafe extern "C" fn(c_int) -> c_long> = Real::named(c"sysconf");
static GETHOSTNAME: Real<unsafe extern "C" fn(*mut c_char, size_t) -> c_int> =
    Real::named(c"gethostname");

/// Runs before `main`.
#[used]
#[unsafe(link_section = "__DATA,__mod_init_func")]
static FIND_ALL: extern "C" fn() = {
    extern "C" fn find_all() {
        CLOCK_GETTIME.find();
        GETTIMEOFDAY.find();
        TIME.find();
        NANOSLEEP.find();
        GETENTROPY.find();
        RANDOM_BYTES.find();
        PTHREAD_CREATE.find();
        SYSCONF.find();
        GETHOSTNAME.find();
    }
    find_all
};

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 10] {
    [
        clock_gettime as *const (),
        gettimeofday as *const (),
        time as *const (),
        nanosleep as *const (),
        getentropy as *const (),
        CCRandomGenerateBytes as *const (),
        pthread_create as *const (),
        sysconf as *const (),
        gethostname as *const (),
        ptr::from_ref(&FIND_ALL).cast(),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let kind = match clock {
        libc::CLOCK_REALTIME => Some(ClockKind::Wall),
        libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => None,
        _ => Some(ClockKind::Monotonic),
    };
    match (kind.and_then(answers::now), CLOCK_GETTIME.function()) {
        (Some(now), _) if !time.is_null() => {
            let (tv_sec, tv_nsec) = (now.as_secs() as time_t, now.subsec_nanos().into());
            // SAFETY: the pointer is not null, and valid for writes of a `timespec`, as guaranteed by the caller.
            unsafe { time.write(timespec { tv_sec, tv_nsec }) };
            0
        }
        // SAFETY: the caller guarantees that the arguments are valid.
        (_, Some(real)) => unsafe { real(clock, time) },
        (_, None) => -1,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int {
    match (answers::now(ClockKind::Wall), GETTIMEOFDAY.function()) {
        (Some(now), _) if !time.is_null() => {
            let (tv_sec, tv_usec) = (now.as_secs() as time_t, now.subsec_micros() as i32);
            // SAFETY: the pointer is not null, and valid for writes of a `timeval`, as guaranteed by the caller.
            unsafe { time.write(timeval { tv_sec, tv_usec }) };
            0
        }
        // SAFETY: the caller guarantees that the arguments are valid.
        (_, Some(real)) => unsafe { real(time, zone) },
        (_, None) => -1,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(seconds: *mut time_t) -> time_t {
    match (answers::now(ClockKind::Wall), TIME.function()) {
        (Some(now), _) => {
            let now = now.as_secs() as time_t;
            if !seconds.is_null() {
                // SAFETY: the pointer is not null, and valid for writes of a `time_t`, as guaranteed by the caller.
                unsafe { seconds.write(now) };
            }
            now
        }
        // SAFETY: the caller guarantees that the argument is valid.
        (None, Some(real)) => unsafe { real(seconds) },
        (None, None) => -1,
    }
}

/// In a run it returns at once, and the run fails. It does not return an error, since std panics on errors.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int {
    if answers::refuse(ForbiddenCall::Sleep) {
        return 0;
    }
    match NANOSLEEP.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(time, rest) },
        None => -1,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buffer: *mut c_void, length: size_t) -> c_int {
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller.
    if length <= 256 && unsafe { answers::fill_raw(buffer.cast(), length) } {
        return 0;
    }
    match GETENTROPY.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(buffer, length) },
        None => -1,
    }
}

/// std's `HashMap` gets its keys from this function.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the system's name")]
pub unsafe extern "C" fn CCRandomGenerateBytes(buffer: *mut c_void, length: size_t) -> c_int {
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller.
    if unsafe { answers::fill_raw(buffer.cast(), length) } {
        return 0;
    }
    match RANDOM_BYTES.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(buffer, length) },
        None => -1,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    if answers::refuse(ForbiddenCall::Thread) {
        return libc::EAGAIN;
    }
    if answers::record_allowed_thread() {
        // The end of the thread is not detected, so the thread counts as alive from now on.
        answers::count_thread_start();
    }
    match PTHREAD_CREATE.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(thread, attributes, start, argument) },
        None => libc::EAGAIN,
    }
}

/// In a run, returns one processor, since a run has one thread.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    let asks_processors = matches!(name, libc::_SC_NPROCESSORS_ONLN | libc::_SC_NPROCESSORS_CONF);
    match SYSCONF.function() {
        _ if asks_processors && answers::is_here() => 1,
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(name) },
        None => -1,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gethostname(name: *mut c_char, length: size_t) -> c_int {
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller.
    match (unsafe { answers::host_name(name.cast(), length) }, GETHOSTNAME.function()) {
        (Some(true), _) => 0,
        (Some(false), _) => -1,
        // SAFETY: the caller guarantees that the arguments are valid.
        (None, Some(real)) => unsafe { real(name, length) },
        (None, None) => -1,
    }
}

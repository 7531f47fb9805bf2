//! What a process learns about its computer: the host name and the number of processors.

#[cfg(target_arch = "x86_64")]
use std::ffi::c_ulong;
use std::ffi::{c_char, c_int, c_long};
use std::ptr;

use libc::{cpu_set_t, pid_t, size_t, utsname};

use crate::interpose::answers;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;

static SYSCONF: Real<unsafe extern "C" fn(c_int) -> c_long> = Real::named(c"sysconf");
static SCHED_GETAFFINITY: Real<unsafe extern "C" fn(pid_t, size_t, *mut cpu_set_t) -> c_int> =
    Real::named(c"sched_getaffinity");
static GETHOSTNAME: Real<unsafe extern "C" fn(*mut c_char, size_t) -> c_int> =
    Real::named(c"gethostname");
static UNAME: Real<unsafe extern "C" fn(*mut utsname) -> c_int> = Real::named(c"uname");

#[cfg(target_arch = "x86_64")]
pub(super) static GETAUXVAL: Real<unsafe extern "C" fn(c_ulong) -> c_ulong> =
    Real::named(c"getauxval");

pub(super) fn find_all() {
    SYSCONF.find();
    SCHED_GETAFFINITY.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        sysconf as *const (),
        sched_getaffinity as *const (),
        gethostname as *const (),
        uname as *const (),
        #[cfg(target_arch = "x86_64")]
        {
            getauxval as *const ()
        },
        #[cfg(not(target_arch = "x86_64"))]
        ptr::null(),
    ]
}

/// In a run, returns one processor, since a run has one thread. std would limit a larger number to that of the control
/// group.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    let asks_processors = matches!(name, libc::_SC_NPROCESSORS_ONLN | libc::_SC_NPROCESSORS_CONF);
    if asks_processors && answers::is_here() {
        return 1;
    }
    match SYSCONF.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(name) },
        None => fail(libc::ENOSYS).into(),
    }
}

/// As [`sysconf`]: in a run the calling thread may use the first processor only.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sched_getaffinity(pid: pid_t, size: size_t, set: *mut cpu_set_t) -> c_int {
    if pid == 0 && size > 0 && !set.is_null() && answers::is_here() {
        // SAFETY: the pointer is not null, and valid for writes of `size` bytes, at least one, as guaranteed by the caller.
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
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(pid, size, set) },
        None => fail(libc::ENOSYS),
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
        (Some(false), _) => fail(libc::ENAMETOOLONG),
        // SAFETY: the caller guarantees that the arguments are valid.
        (None, Some(real)) => unsafe { real(name, length) },
        (None, None) => fail(libc::ENOSYS),
    }
}

/// In a run the host is the machine. The system and its release are those of the real computer.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uname(into: *mut utsname) -> c_int {
    let result = match UNAME.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(into) },
        None => return fail(libc::ENOSYS),
    };
    if result == 0 {
        // SAFETY: the call succeeded, so the pointer is valid for writes. The name is an array of this size.
        unsafe {
            let name = &raw mut (*into).nodename;
            answers::host_name(name.cast(), size_of_val(&*name));
        }
    }
    result
}

/// In a run the kernel maps no functions into the process, so that code which would read clocks through them makes system calls,
/// which are trapped. `rustix` before version 1 is such code.
///
/// # Safety
///
/// It has no preconditions.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getauxval(name: c_ulong) -> c_ulong {
    if name == libc::AT_SYSINFO_EHDR && answers::is_here() {
        fail(libc::ENOENT);
        return 0;
    }
    // SAFETY: the function has no preconditions.
    GETAUXVAL.function().map_or(0, |real| unsafe { real(name) })
}

/// Handles system calls about the computer, by number.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
pub(super) unsafe fn call_by_number(number: c_long, [a, b, c, ..]: [c_long; 6]) -> Option<c_long> {
    // SAFETY: guaranteed by the caller; the functions take the same arguments as the system calls.
    unsafe {
        match number {
            libc::SYS_uname => Some(uname(a as _).into()),
            // The system call returns the size of the kernel's set.
            libc::SYS_sched_getaffinity if answers::is_here() => {
                match sched_getaffinity(a as _, b as _, c as _) {
                    0 => Some(b.min(size_of::<c_long>() as c_long)),
                    error => Some(error.into()),
                }
            }
            _ => None,
        }
    }
}

//! Functions of the C library that control a descriptor or query its type: `fcntl`, `ioctl` and
//! `isatty`.

use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::ptr;

use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number, second_name};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, RangeRequest, SystemCalls, descriptor_calls, is_simulated,
};

static FCNTL: Real<unsafe extern "C" fn(c_int, c_int, ...) -> c_int> = Real::named(c"fcntl");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [fcntl as *const (), fcntl64 as *const (), ioctl as *const (), isatty as *const ()]
}

/// In C, callers pass `argument` only if the command requires it. See
/// [`syscall`](crate::interpose::linux::syscall).
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: c_long) -> c_int {
    if is_simulated(descriptor) {
        return control(descriptor, command, argument).to_c();
    }
    match command {
        // For these commands, the library does not make the system call `fcntl` directly, or waits
        // for a lock.
        libc::F_GETOWN | libc::F_SETLKW | libc::F_OFD_SETLKW => {
            forward!(FCNTL(descriptor, command, argument))
        }
        _ => forward_by_number!(SYS_fcntl(descriptor, command, argument)),
    }
}

second_name!(fcntl64 = fcntl(descriptor: c_int, command: c_int, argument: c_long) -> c_int);

fn control(descriptor: c_int, command: c_int, argument: c_long) -> Answer<c_int> {
    // A program that the process executes never inherits a simulated descriptor.
    if command == libc::F_GETFD {
        return Ok(libc::FD_CLOEXEC);
    }
    let calls = descriptor_calls()?;
    match command {
        libc::F_SETFD => calls.is_nonblocking(descriptor).map(|_| 0),
        libc::F_SETLK
        | libc::F_SETLKW
        | libc::F_GETLK
        | libc::F_OFD_SETLK
        | libc::F_OFD_SETLKW
        | libc::F_OFD_GETLK => {
            let lock = ptr::with_exposed_provenance_mut(argument as usize);
            // SAFETY: the caller guarantees that these commands get a lock or null.
            unsafe { lock_range(calls, descriptor, command, lock) }
        }
        libc::F_GETFL => calls.status_flags(descriptor),
        libc::F_SETFL => calls.set_status_flags(descriptor, argument as c_int).map(|()| 0),
        // Every simulated descriptor is above any minimum that a program may request.
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => calls.duplicate(descriptor),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// Translates a lock from C, and what is in its way to C.
///
/// # Safety
///
/// `lock` must be null or a lock that may be written to.
unsafe fn lock_range(
    calls: &dyn SystemCalls,
    descriptor: c_int,
    command: c_int,
    lock: *mut libc::flock,
) -> Answer<c_int> {
    if lock.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: guaranteed by the caller, and it is not null.
    let given = unsafe { lock.read() };
    let request = RangeRequest {
        kind: given.l_type.into(),
        whence: given.l_whence.into(),
        start: given.l_start,
        length: given.l_len,
        process: given.l_pid,
    };
    let found = calls.lock_range(descriptor, command, request)?;
    if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
        let found = libc::flock {
            l_type: found.kind as i16,
            l_whence: found.whence as i16,
            l_start: found.start,
            l_len: found.length,
            l_pid: found.process,
        };
        // SAFETY: as above.
        unsafe { lock.write(found) };
    }
    Ok(0)
}

/// Like [`fcntl`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(
    descriptor: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_ioctl(descriptor, request, argument));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { control_device(descriptor, request, argument) }.to_c()
}

/// # Safety
///
/// `argument` must be null or what the request requires.
unsafe fn control_device(
    descriptor: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> Answer<c_int> {
    let calls = descriptor_calls()?;
    let number = argument.cast::<c_int>();
    match request {
        libc::FIONBIO | libc::FIONREAD if number.is_null() => Err(Errno(libc::EFAULT)),
        libc::FIONBIO => {
            // SAFETY: the integer pointer is not null, and valid for reads, as guaranteed by the caller.
            calls.set_nonblocking(descriptor, unsafe { number.read() } != 0)?;
            Ok(0)
        }
        libc::FIONREAD => {
            let available = calls.available(descriptor)?;
            // SAFETY: the pointer is not null, and valid for writes of an integer, as guaranteed by the caller.
            unsafe { number.write(c_int::try_from(available).unwrap_or(c_int::MAX)) };
            Ok(0)
        }
        libc::FIOCLEX | libc::FIONCLEX => calls.is_nonblocking(descriptor).map(|_| 0),
        _ => Err(Errno(libc::ENOTTY)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn isatty(descriptor: c_int) -> c_int {
    let error = if is_simulated(descriptor) {
        let checked = descriptor_calls().and_then(|calls| calls.status_flags(descriptor));
        checked.err().map_or(libc::ENOTTY, |error| error.0)
    } else {
        let mut settings = std::mem::MaybeUninit::<[u8; 64]>::uninit();
        match forward_by_number!(SYS_ioctl(descriptor, libc::TCGETS, settings.as_mut_ptr())) {
            0 => return 1,
            _ => return 0,
        }
    };
    fail(error);
    0
}

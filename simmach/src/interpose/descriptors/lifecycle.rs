//! Functions of the C library that create, copy and close descriptors.

use std::ffi::{c_int, c_long, c_uint};

use crate::interpose::descriptors::forward::{ToC, forward_by_number};
use crate::interpose::linux::fail;
use crate::interpose::system::{Answer, Errno, creation_calls, descriptor_calls, is_simulated};

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 7] {
    [
        close as *const (),
        dup as *const (),
        dup2 as *const (),
        dup3 as *const (),
        eventfd as *const (),
        pipe as *const (),
        pipe2 as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_close(descriptor));
    }
    match descriptor_calls() {
        Ok(calls) => calls.close(descriptor).to_c(),
        Err(_) => 0,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_dup(descriptor));
    }
    duplicate(descriptor).to_c()
}

fn duplicate(descriptor: c_int) -> Answer<c_int> {
    descriptor_calls()?.duplicate(descriptor)
}

/// The number of a simulated descriptor cannot be chosen. The number of a simulated `target` is too large for the kernel.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(descriptor: c_int, target: c_int) -> c_int {
    if is_simulated(descriptor) {
        return replace(descriptor, target).to_c();
    }
    // `dup3` fails if both descriptors are equal.
    if descriptor == target {
        let flags = forward_by_number!(SYS_fcntl(descriptor, libc::F_GETFD));
        return if flags < 0 { flags } else { target };
    }
    forward_by_number!(SYS_dup3(descriptor, target, 0))
}

fn replace(descriptor: c_int, target: c_int) -> Answer<c_int> {
    if descriptor != target {
        return Err(Errno(libc::EBADF));
    }
    // Check whether it is open.
    descriptor_calls()?.is_nonblocking(descriptor)?;
    Ok(descriptor)
}

/// Like [`dup2`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(descriptor: c_int, target: c_int, flags: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_dup3(descriptor, target, flags));
    }
    fail(if descriptor == target { libc::EINVAL } else { libc::EBADF })
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eventfd(count: c_uint, flags: c_int) -> c_int {
    let Some(calls) = creation_calls() else {
        return forward_by_number!(SYS_eventfd2(count, flags));
    };
    if flags & !(libc::EFD_SEMAPHORE | libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) != 0 {
        return fail(libc::EINVAL);
    }
    calls.event_counter(count, flags).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe(ends: *mut c_int) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { pipe2(ends, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    let Some(calls) = creation_calls() else {
        return forward_by_number!(SYS_pipe2(ends, flags));
    };
    if ends.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: the pointer is not null, and valid for writes of two integers, as guaranteed by the caller.
    calls.pipe(flags).map(|pair| unsafe { ends.cast::<[c_int; 2]>().write(pair) }).to_c()
}

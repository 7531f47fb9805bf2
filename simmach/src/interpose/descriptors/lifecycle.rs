//! Functions of the C library that create, copy and close descriptors.

use std::ffi::{c_int, c_long, c_uint};

use crate::interpose::descriptors::forward::{ToC, forward_by_number};
use crate::interpose::linux::fail;
use crate::interpose::system::{Answer, Errno, creation_calls, descriptor_calls, is_simulated};

/// The functions defined here.
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
/// As in C.
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
/// As in C.
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

/// A simulated descriptor can have no other number. A simulated `target` is too large for the kernel.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(descriptor: c_int, target: c_int) -> c_int {
    if is_simulated(descriptor) {
        return replace(descriptor, target).to_c();
    }
    // `dup3` fails if the two are equal.
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
    // Whether it is open.
    descriptor_calls()?.is_nonblocking(descriptor)?;
    Ok(descriptor)
}

/// As [`dup2`].
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(descriptor: c_int, target: c_int, flags: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_dup3(descriptor, target, flags));
    }
    fail(if descriptor == target { libc::EINVAL } else { libc::EBADF })
}

/// # Safety
///
/// As in C.
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
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe(ends: *mut c_int) -> c_int {
    // SAFETY: the caller's argument, as it came.
    unsafe { pipe2(ends, 0) }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    let Some(calls) = creation_calls() else {
        return forward_by_number!(SYS_pipe2(ends, flags));
    };
    if ends.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: the caller gives room for two integers, and it is not null.
    calls.pipe(flags).map(|pair| unsafe { ends.cast::<[c_int; 2]>().write(pair) }).to_c()
}

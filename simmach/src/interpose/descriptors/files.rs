//! Functions of the C library that open files. In a run, `/dev/urandom` and `/dev/random` return bytes drawn from the seed.
//! All other files are real.
//!
//! Real files are opened by a system call, as in the C library, since allocators open files before symbols can be looked up.
//! Therefore a thread that opens a FIFO cannot be cancelled while it waits for the other end.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint};

use crate::interpose::descriptors::forward::{ToC, forward_by_number};
use crate::interpose::system::creation_calls;

/// The functions defined here.
pub(super) fn defined() -> [*const (); 4] {
    [open as *const (), open64 as *const (), openat as *const (), openat64 as *const ()]
}

/// In C, callers pass the mode only if the flags require it; otherwise, the kernel ignores it. See
/// [`syscall`](crate::interpose::linux::syscall).
///
/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

/// As [`open`].
///
/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    match creation_calls() {
        // SAFETY: the path is null or a C string, as guaranteed by the caller.
        Some(calls) if unsafe { is_random_source(path) } => calls.random_source().to_c(),
        _ => forward_by_number!(SYS_openat(folder, path, flags, mode)),
    }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { openat(folder, path, flags, mode) }
}

/// # Safety
///
/// `path` must be null or a C string.
unsafe fn is_random_source(path: *const c_char) -> bool {
    if path.is_null() {
        return false;
    }
    // SAFETY: guaranteed by the caller; it is not null.
    let path = unsafe { CStr::from_ptr(path) };
    path == c"/dev/urandom" || path == c"/dev/random"
}

//! Functions of the C library that open files. In a run `/dev/urandom` and `/dev/random` are answered from the seed; all
//! other files are real.
//!
//! The others are opened by a system call, as the C library does: allocators open files before anything can be looked up.
//! A thread cannot be cancelled there while it waits for the other end of a FIFO.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint};

use crate::interpose::descriptors::forward::{ToC, forward_by_number};
use crate::interpose::system::creation_calls;

/// The functions defined here.
pub(super) fn defined() -> [*const (); 4] {
    [open as *const (), open64 as *const (), openat as *const (), openat64 as *const ()]
}

/// In C the mode is given only where the flags ask for it; the kernel ignores it otherwise. See
/// [`syscall`](crate::interpose::linux::syscall).
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

/// As [`open`].
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    match creation_calls() {
        // SAFETY: the caller gives a path, or null.
        Some(calls) if unsafe { is_random_source(path) } => calls.random_source().to_c(),
        _ => forward_by_number!(SYS_openat(folder, path, flags, mode)),
    }
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    unsafe { openat(folder, path, flags, mode) }
}

/// # Safety
///
/// `path` is null or a string.
unsafe fn is_random_source(path: *const c_char) -> bool {
    if path.is_null() {
        return false;
    }
    // SAFETY: the caller's, and it is not null.
    let path = unsafe { CStr::from_ptr(path) };
    path == c"/dev/urandom" || path == c"/dev/random"
}

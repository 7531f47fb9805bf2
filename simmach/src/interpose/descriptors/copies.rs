//! Functions of the C library that copy from one descriptor to another within the kernel. They work
//! only on real descriptors.

use std::ffi::{c_int, c_uint};

use libc::{off_t, size_t, ssize_t};

use crate::interpose::descriptors::forward::{forward, second_name};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::is_simulated;

static SENDFILE: Real<unsafe extern "C" fn(c_int, c_int, *mut off_t, size_t) -> ssize_t> =
    Real::named(c"sendfile");
static SPLICE: Real<
    unsafe extern "C" fn(c_int, *mut off_t, c_int, *mut off_t, size_t, c_uint) -> ssize_t,
> = Real::named(c"splice");

static COPY_FILE_RANGE: Real<
    unsafe extern "C" fn(c_int, *mut off_t, c_int, *mut off_t, size_t, c_uint) -> ssize_t,
> = Real::named(c"copy_file_range");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [
        sendfile as *const (),
        sendfile64 as *const (),
        splice as *const (),
        copy_file_range as *const (),
    ]
}

/// Fails with `EINVAL` for a simulated descriptor, as for any descriptor that does not support this
/// call. std then copies by reads and writes.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    into: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    if is_simulated(into) || is_simulated(from) {
        return fail(libc::EINVAL) as ssize_t;
    }
    forward!(SENDFILE(into, from, offset, count))
}

second_name!(
    sendfile64 = sendfile(into: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t
);

/// Like [`sendfile`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut off_t,
    into: c_int,
    into_offset: *mut off_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if is_simulated(from) || is_simulated(into) {
        return fail(libc::EINVAL) as ssize_t;
    }
    forward!(SPLICE(from, from_offset, into, into_offset, count, flags))
}

/// Fails with `EXDEV` for a simulated descriptor: std and others then copy by reads and writes.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off_t,
    into: c_int,
    into_offset: *mut off_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if is_simulated(from) || is_simulated(into) {
        return fail(libc::EXDEV) as ssize_t;
    }
    forward!(COPY_FILE_RANGE(from, from_offset, into, into_offset, count, flags))
}

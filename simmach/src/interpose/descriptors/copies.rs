//! Functions of the C library that copy from one descriptor to another within the kernel. They only work on real
//! descriptors.

use std::ffi::{c_int, c_uint};

use libc::{off_t, size_t, ssize_t};

use crate::interpose::descriptors::forward::forward;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::is_simulated;

static SENDFILE: Real<unsafe extern "C" fn(c_int, c_int, *mut off_t, size_t) -> ssize_t> =
    Real::named(c"sendfile");
static SPLICE: Real<
    unsafe extern "C" fn(c_int, *mut off_t, c_int, *mut off_t, size_t, c_uint) -> ssize_t,
> = Real::named(c"splice");

/// The functions defined here.
pub(super) fn defined() -> [*const (); 3] {
    [sendfile as *const (), sendfile64 as *const (), splice as *const ()]
}

/// Fails with `EINVAL` for a simulated descriptor, as for any descriptor that does not support it. std then copies by reads
/// and writes.
///
/// # Safety
///
/// The same as for the C function.
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

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(
    into: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { sendfile(into, from, offset, count) }
}

/// As [`sendfile`].
///
/// # Safety
///
/// The same as for the C function.
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

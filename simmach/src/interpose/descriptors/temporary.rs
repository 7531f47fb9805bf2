//! Functions of the C library that create files with unique names, and `remove`. The library's own
//! versions call the kernel directly.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use libc::FILE;

use crate::interpose::descriptors::files::{answered, mkdir, openat, rmdir, unlink};
use crate::interpose::descriptors::forward::forward;
use crate::interpose::descriptors::streams;
use crate::interpose::linux::{errno, fail};
use crate::interpose::real::Real;
use crate::interpose::system::{fill_random, path_calls};

static MKSTEMPS: Real<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
    Real::named(c"mkostemps64");
static MKDTEMP: Real<unsafe extern "C" fn(*mut c_char) -> *mut c_char> = Real::named(c"mkdtemp");
static TMPFILE: Real<unsafe extern "C" fn() -> *mut FILE> = Real::named(c"tmpfile64");
static REMOVE: Real<unsafe extern "C" fn(*const c_char) -> c_int> = Real::named(c"remove");

/// Maximum number of names that are tried.
const ATTEMPTS: u32 = 100;

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 9] {
    [
        mkstemp as *const (),
        mkstemp64 as *const (),
        mkostemp as *const (),
        mkostemp64 as *const (),
        mkstemps as *const (),
        mkdtemp as *const (),
        tmpfile as *const (),
        tmpfile64 as *const (),
        remove as *const (),
    ]
}

/// Replaces the `XXXXXX` before the last `suffix` bytes of a template by letters from the seed, and
/// calls `make`. Repeats this while `make` finds that the name is taken.
///
/// # Safety
///
/// `template` is a string that may be written to.
unsafe fn with_new_name(
    template: *mut c_char,
    suffix: c_int,
    make: impl Fn(*const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller meets the requirements of this call.
    let length = unsafe { CStr::from_ptr(template) }.to_bytes().len();
    let start = usize::try_from(suffix).ok().and_then(|suffix| length.checked_sub(suffix + 6));
    let Some(start) = start else { return fail(libc::EINVAL) };
    // SAFETY: the range is within the string.
    let letters = unsafe { &mut *template.add(start).cast::<[u8; 6]>() };
    if letters != b"XXXXXX" {
        return fail(libc::EINVAL);
    }
    for _ in 0..ATTEMPTS {
        let mut drawn = [0; 6];
        fill_random(&mut drawn);
        *letters = drawn.map(|byte| b"abcdefghijklmnopqrstuvwxyz012345"[usize::from(byte % 32)]);
        match make(template) {
            -1 if errno() == libc::EEXIST => {}
            made => return made,
        }
    }
    *letters = *b"XXXXXX";
    fail(libc::EEXIST)
}

/// # Safety
///
/// `template` is a string that may be written to.
unsafe fn make_file(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    if template.is_null() || path_calls().is_none() {
        return forward!(MKSTEMPS(template, suffix, flags));
    }
    let flags = flags & !libc::O_ACCMODE | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    // SAFETY: the caller guarantees that the template is a C string, which is then the path.
    unsafe { with_new_name(template, suffix, |path| openat(libc::AT_FDCWD, path, flags, 0o600)) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp(template: *mut c_char) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { make_file(template, 0, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemp64(template: *mut c_char) -> c_int {
    // SAFETY: the caller guarantees that the argument is valid.
    unsafe { make_file(template, 0, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { make_file(template, 0, flags) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkostemp64(template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { make_file(template, 0, flags) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkstemps(template: *mut c_char, suffix: c_int) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { make_file(template, suffix, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdtemp(template: *mut c_char) -> *mut c_char {
    if template.is_null() || path_calls().is_none() {
        return forward!(MKDTEMP(template));
    }
    // SAFETY: the caller guarantees that the template is a C string, which is then the path.
    match unsafe { with_new_name(template, 0, |path| mkdir(path, 0o700)) } {
        0 => template,
        _ => ptr::null_mut(),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tmpfile() -> *mut FILE {
    if path_calls().is_none() {
        return forward!(TMPFILE());
    }
    let flags = libc::O_RDWR | libc::O_TMPFILE;
    // SAFETY: a path, and a mode for a stream that reads and writes.
    unsafe {
        match openat(libc::AT_FDCWD, c"/tmp".as_ptr(), flags, 0o600) {
            -1 => ptr::null_mut(),
            opened => streams::fdopen(opened, c"w+".as_ptr()),
        }
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tmpfile64() -> *mut FILE {
    // SAFETY: the function has no preconditions.
    unsafe { tmpfile() }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    if unsafe { answered(libc::AT_FDCWD, path) }.is_none() {
        return forward!(REMOVE(path));
    }
    // SAFETY: the caller guarantees that the path is valid.
    unsafe {
        match unlink(path) {
            -1 if errno() == libc::EISDIR => rmdir(path),
            removed => removed,
        }
    }
}

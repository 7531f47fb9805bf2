//! Functions of the C library on paths.
//!
//! In a run, the disk of the calling code's machine answers these functions, and files of the host
//! are only read. Reads of `/dev/urandom`, `/dev/random` and `/proc/sys/kernel/random/uuid` are
//! drawn from the seed; other devices and the kernel's files are real.
//!
//! Calls are forwarded as system calls by number, as the C library makes them, because allocators
//! open files before any symbol can be looked up. While a forwarded call waits for the other end of
//! a FIFO, its thread cannot be cancelled.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint};

use libc::{mode_t, size_t, ssize_t};

use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number, second_name};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, PathAt, RandomFile, Routed, SystemCalls, creation_calls, path_calls,
};

static FCHMODAT: Real<unsafe extern "C" fn(c_int, *const c_char, mode_t, c_int) -> c_int> =
    Real::named(c"fchmodat");

const FROM_WORKING_FOLDER: c_int = libc::AT_FDCWD;

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 25] {
    [
        open as *const (),
        open64 as *const (),
        openat as *const (),
        openat64 as *const (),
        creat as *const (),
        creat64 as *const (),
        readlink as *const (),
        readlinkat as *const (),
        symlink as *const (),
        symlinkat as *const (),
        mkdir as *const (),
        mkdirat as *const (),
        link as *const (),
        linkat as *const (),
        unlink as *const (),
        unlinkat as *const (),
        rmdir as *const (),
        rename as *const (),
        renameat as *const (),
        renameat2 as *const (),
        chmod as *const (),
        fchmodat as *const (),
        chdir as *const (),
        fchdir as *const (),
        truncate as *const (),
    ]
}

/// What answers a call on a path, and the path's bytes; `None` if the call is to be forwarded.
///
/// # Safety
///
/// `path` must be null or a C string, which lives as long as the result is used.
pub(super) unsafe fn answered<'a>(
    folder: c_int,
    path: *const c_char,
) -> Option<(&'static dyn SystemCalls, PathAt<'a>)> {
    let calls = path_calls()?;
    if path.is_null() {
        return None;
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    (!is_kernels(path)).then_some((calls, PathAt { folder, path }))
}

/// Whether a path leads to the kernel's files: allocators read them where nothing may be allocated.
fn is_kernels(path: &[u8]) -> bool {
    let is_below = |folder: &[u8]| path.starts_with(folder);
    (is_below(b"/proc/") || is_below(b"/sys/") || is_below(b"/dev/") && !is_below(b"/dev/shm"))
        && !path.windows(2).any(|two| two == b"..")
}

/// In C, callers pass the mode only if the flags require it; otherwise, the kernel ignores it. See
/// [`syscall`](crate::interpose::linux::syscall).
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { openat(FROM_WORKING_FOLDER, path, flags, mode) }
}

second_name!(open64 = open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int);

/// Like [`open`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    if let Some((calls, file)) = unsafe { random_file(path) } {
        return calls.open_random(file).to_c();
    }
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    let Some((calls, at)) = (unsafe { answered(folder, path) }) else {
        return forward_by_number!(SYS_openat(folder, path, flags, mode));
    };
    match calls.open(at, flags, mode) {
        Ok(Routed::Done(descriptor)) => descriptor,
        Ok(Routed::Host(path)) => {
            let path = path.as_ptr();
            forward_by_number!(SYS_openat(FROM_WORKING_FOLDER, path, flags, mode))
        }
        Err(Errno(error)) => fail(error),
    }
}

second_name!(
    openat64 = openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int
);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { openat(FROM_WORKING_FOLDER, path, flags, mode) }
}

second_name!(creat64 = creat(path: *const c_char, mode: mode_t) -> c_int);

/// Returns the file at a path if its content is drawn from the seed, and what opens it.
///
/// # Safety
///
/// `path` must be null or a C string.
pub(super) unsafe fn random_file(
    path: *const c_char,
) -> Option<(&'static dyn SystemCalls, RandomFile)> {
    let calls = creation_calls()?;
    if path.is_null() {
        return None;
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    let file = match unsafe { CStr::from_ptr(path) }.to_bytes() {
        b"/dev/urandom" | b"/dev/random" => RandomFile::Bytes,
        b"/proc/sys/kernel/random/uuid" => RandomFile::Uuid,
        _ => return None,
    };
    Some((calls, file))
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readlink(
    path: *const c_char,
    buffer: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { readlinkat(FROM_WORKING_FOLDER, path, buffer, size) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readlinkat(
    folder: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    let Some((calls, at)) = (unsafe { answered(folder, path) }) else {
        return forward_by_number!(SYS_readlinkat(folder, path, buffer, size)) as ssize_t;
    };
    match calls.read_link(at) {
        Ok(Routed::Done(target)) if size == 0 || buffer.is_null() => {
            drop(target);
            fail(libc::EINVAL) as ssize_t
        }
        Ok(Routed::Done(target)) => {
            let length = target.len().min(size);
            // SAFETY: `buffer` is not null, and the caller guarantees that it has room for `size`
            // bytes.
            unsafe { target.as_ptr().copy_to_nonoverlapping(buffer.cast(), length) };
            length as ssize_t
        }
        Ok(Routed::Host(path)) => {
            let path = path.as_ptr();
            forward_by_number!(SYS_readlinkat(FROM_WORKING_FOLDER, path, buffer, size)) as ssize_t
        }
        Err(Errno(error)) => fail(error) as ssize_t,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { symlinkat(target, FROM_WORKING_FOLDER, path) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlinkat(
    target: *const c_char,
    folder: c_int,
    path: *const c_char,
) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some((calls, at)) if !target.is_null() => {
            // SAFETY: `target` is not null, and the caller guarantees that it is a C string.
            calls.make_link(unsafe { CStr::from_ptr(target) }.to_bytes(), at).to_c()
        }
        _ => forward_by_number!(SYS_symlinkat(target, folder, path)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { mkdirat(FROM_WORKING_FOLDER, path, mode) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some((calls, at)) => calls.make_folder(at, mode).to_c(),
        None => forward_by_number!(SYS_mkdirat(folder, path, mode)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { linkat(FROM_WORKING_FOLDER, from, FROM_WORKING_FOLDER, to, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    folder: c_int,
    from: *const c_char,
    to_folder: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the paths are null or C strings, as guaranteed by the caller.
    match unsafe { (answered(folder, from), answered(to_folder, to)) } {
        (Some((calls, from)), Some((_, to))) => {
            let follows = flags & libc::AT_SYMLINK_FOLLOW != 0;
            calls.add_name(from, to, follows).to_c()
        }
        // A name for an open file, by its entry in the kernel's folder of descriptors.
        (None, Some((calls, _))) => calls.refuse("linkat", libc::EXDEV).to_c(),
        (Some((calls, _)), None) => calls.refuse("linkat", libc::EXDEV).to_c(),
        (None, None) => forward_by_number!(SYS_linkat(folder, from, to_folder, to, flags)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { unlinkat(FROM_WORKING_FOLDER, path, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some(_) if flags & !libc::AT_REMOVEDIR != 0 => fail(libc::EINVAL),
        Some((calls, at)) => calls.remove(at, flags & libc::AT_REMOVEDIR != 0).to_c(),
        None => forward_by_number!(SYS_unlinkat(folder, path, flags)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { unlinkat(FROM_WORKING_FOLDER, path, libc::AT_REMOVEDIR) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { renameat2(FROM_WORKING_FOLDER, from, FROM_WORKING_FOLDER, to, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    folder: c_int,
    from: *const c_char,
    to_folder: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { renameat2(folder, from, to_folder, to, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    folder: c_int,
    from: *const c_char,
    to_folder: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: the paths are null or C strings, as guaranteed by the caller.
    match unsafe { (answered(folder, from), answered(to_folder, to)) } {
        (Some((calls, from)), Some((_, to))) => match flags {
            0 | libc::RENAME_NOREPLACE => calls.rename(from, to, flags != 0).to_c(),
            _ => calls.refuse("renameat2", libc::EINVAL).to_c(),
        },
        (Some(_), None) | (None, Some(_)) => fail(libc::EXDEV),
        (None, None) => forward_by_number!(SYS_renameat2(folder, from, to_folder, to, flags)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chmod(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { fchmodat(FROM_WORKING_FOLDER, path, mode, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmodat(
    folder: c_int,
    path: *const c_char,
    mode: mode_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some((calls, _)) if flags != 0 => calls.refuse("fchmodat", libc::EOPNOTSUPP).to_c(),
        Some((calls, at)) => calls.set_mode_at(at, mode).to_c(),
        // The kernel's call has no flags: the library does it in another way.
        None if flags != 0 => forward!(FCHMODAT(folder, path, mode, flags)),
        None => forward_by_number!(SYS_fchmodat(folder, path, mode)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chdir(path: *const c_char) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(FROM_WORKING_FOLDER, path) } {
        Some((calls, at)) => calls.change_folder(at).to_c(),
        None => forward_by_number!(SYS_chdir(path)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchdir(descriptor: c_int) -> c_int {
    match path_calls() {
        Some(calls) => calls.change_folder_to(descriptor).to_c(),
        None => forward_by_number!(SYS_fchdir(descriptor)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn truncate(path: *const c_char, size: libc::off_t) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(FROM_WORKING_FOLDER, path) } {
        Some((calls, at)) => resize(calls, at, size).to_c(),
        None => forward_by_number!(SYS_truncate(path, size)),
    }
}

fn resize(calls: &dyn SystemCalls, at: PathAt<'_>, size: libc::off_t) -> Answer<()> {
    let size = u64::try_from(size).map_err(|_| Errno(libc::EINVAL))?;
    match calls.open(at, libc::O_WRONLY, 0)? {
        Routed::Done(descriptor) => {
            let resized = calls.resize(descriptor, size);
            calls.close(descriptor)?;
            resized
        }
        Routed::Host(_) => Err(Errno(libc::EROFS)),
    }
}

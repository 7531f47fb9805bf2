//! Functions of the C library that change the mode, the owner and the times of files.

use std::ffi::{c_char, c_int, c_long};

use libc::{gid_t, mode_t, timespec, timeval, uid_t};

use crate::interpose::descriptors::files::answered;
use crate::interpose::descriptors::forward::{ToC, forward_by_number};
use crate::interpose::linux::fail;
use crate::interpose::system::{Answer, Errno, NewTime, descriptor_calls, is_simulated};

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 7] {
    [
        fchmod as *const (),
        fchown as *const (),
        chown as *const (),
        lchown as *const (),
        futimens as *const (),
        utimensat as *const (),
        utimes as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmod(descriptor: c_int, mode: mode_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fchmod(descriptor, mode));
    }
    descriptor_calls().and_then(|calls| calls.set_mode(descriptor, mode)).to_c()
}

/// All files on a machine's disk belong to the program's user. Setting another owner has no effect.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchown(descriptor: c_int, user: uid_t, group: gid_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fchown(descriptor, user, group));
    }
    descriptor_calls().and_then(|calls| calls.check_file(descriptor)).to_c()
}

/// # Safety
///
/// `path` must be null or a C string.
unsafe fn change_owner(path: *const c_char, user: uid_t, group: gid_t, flags: c_int) -> c_int {
    // SAFETY: the caller meets the requirements of this call.
    match unsafe { answered(libc::AT_FDCWD, path) } {
        Some((calls, at)) => {
            let unchanged = [NewTime::Unchanged; 2];
            calls.set_times_at(at, unchanged, flags & libc::AT_SYMLINK_NOFOLLOW == 0).to_c()
        }
        None => forward_by_number!(SYS_fchownat(libc::AT_FDCWD, path, user, group, flags)),
    }
}

/// Like [`fchown`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chown(path: *const c_char, user: uid_t, group: gid_t) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { change_owner(path, user, group, 0) }
}

/// Like [`fchown`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lchown(path: *const c_char, user: uid_t, group: gid_t) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { change_owner(path, user, group, libc::AT_SYMLINK_NOFOLLOW) }
}

/// # Safety
///
/// `times` is null or has two times.
unsafe fn new_times(times: *const timespec) -> Answer<[NewTime; 2]> {
    if times.is_null() {
        return Ok([NewTime::Now; 2]);
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    let [accessed, modified] = unsafe { times.cast::<[timespec; 2]>().read() };
    Ok([new_time(accessed)?, new_time(modified)?])
}

fn new_time(time: timespec) -> Answer<NewTime> {
    match time.tv_nsec {
        libc::UTIME_NOW => Ok(NewTime::Now),
        libc::UTIME_OMIT => Ok(NewTime::Unchanged),
        0..1_000_000_000 => {
            let nanos = time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec);
            Ok(NewTime::At(nanos))
        }
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimens(descriptor: c_int, times: *const timespec) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_utimensat(descriptor, std::ptr::null::<u8>(), times, 0));
    }
    // SAFETY: the caller guarantees that `times` is null or points to two times.
    let times = unsafe { new_times(times) };
    descriptor_calls().and_then(|calls| calls.set_times(descriptor, times?)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimensat(
    folder: c_int,
    path: *const c_char,
    times: *const timespec,
    flags: c_int,
) -> c_int {
    if path.is_null() && is_simulated(folder) {
        // SAFETY: the caller guarantees that `times` is valid.
        return unsafe { futimens(folder, times) };
    }
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some((calls, at)) => {
            let follows = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
            // SAFETY: the caller guarantees that `times` is null or points to two times.
            unsafe { new_times(times) }
                .and_then(|times| calls.set_times_at(at, times, follows))
                .to_c()
        }
        None => forward_by_number!(SYS_utimensat(folder, path, times, flags)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimes(path: *const c_char, times: *const timeval) -> c_int {
    if times.is_null() {
        // SAFETY: the caller guarantees that the arguments are valid.
        return unsafe { utimensat(libc::AT_FDCWD, path, std::ptr::null(), 0) };
    }
    // SAFETY: `times` is not null, and the caller guarantees that it points to two times.
    let times = unsafe { times.cast::<[timeval; 2]>().read() };
    if times.iter().any(|time| !(0..1_000_000).contains(&time.tv_usec)) {
        return fail(libc::EINVAL);
    }
    let times = times.map(|time| timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1_000 });
    // SAFETY: the caller's path, and two times.
    unsafe { utimensat(libc::AT_FDCWD, path, times.as_ptr(), 0) }
}

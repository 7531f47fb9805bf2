//! Functions of the C library that return the status of files (the `stat` family) and the size of a
//! file system.

use std::ffi::{c_char, c_int, c_long, c_uint};
use std::ptr;

use crate::interpose::descriptors::files::answered;
use crate::interpose::descriptors::forward::{forward, forward_by_number, second_name};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, NodeType, PathAt, Routed, Space, Status, SystemCalls, descriptor_calls,
    is_simulated, own_user_and_group,
};

const FROM_WORKING_FOLDER: c_int = libc::AT_FDCWD;
/// `EXT4_SUPER_MAGIC`, the answer to programs that ask for the type of their file system.
const EXT4: libc::__fsword_t = 0xef53;

static FACCESSAT: Real<unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int> =
    Real::named(c"faccessat");
static STATVFS: Real<unsafe extern "C" fn(*const c_char, *mut libc::statvfs) -> c_int> =
    Real::named(c"statvfs");
static FSTATVFS: Real<unsafe extern "C" fn(c_int, *mut libc::statvfs) -> c_int> =
    Real::named(c"fstatvfs");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 19] {
    [
        stat as *const (),
        stat64 as *const (),
        lstat as *const (),
        lstat64 as *const (),
        fstat as *const (),
        fstat64 as *const (),
        fstatat as *const (),
        fstatat64 as *const (),
        statx as *const (),
        access as *const (),
        faccessat as *const (),
        statfs as *const (),
        statfs64 as *const (),
        fstatfs as *const (),
        fstatfs64 as *const (),
        statvfs as *const (),
        statvfs64 as *const (),
        fstatvfs as *const (),
        fstatvfs64 as *const (),
    ]
}

/// How `fstatat` and `statx` name a file: by a path, or by a descriptor if the path is empty.
///
/// # Safety
///
/// `path` must be null or a C string.
unsafe fn status_of(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
) -> Option<Answer<Routed<Status>>> {
    // SAFETY: the path is not null, and the caller guarantees that it is a C string.
    let is_empty = path.is_null() || unsafe { path.read() } == 0;
    if is_empty && flags & libc::AT_EMPTY_PATH != 0 && is_simulated(folder) {
        let status = descriptor_calls().and_then(|calls| calls.status(folder));
        return Some(status.map(Routed::Done));
    }
    // SAFETY: the caller meets the requirements of this call.
    let (calls, at) = unsafe { answered(folder, path) }?;
    if is_empty && flags & libc::AT_EMPTY_PATH != 0 {
        // A descriptor of the host, or the working folder.
        return match folder {
            FROM_WORKING_FOLDER => Some(calls.status_at(PathAt { path: b".", ..at }, true)),
            _ => None,
        };
    }
    Some(calls.status_at(at, flags & libc::AT_SYMLINK_NOFOLLOW == 0))
}

fn mode_of(status: &Status) -> u32 {
    let node = match status.node {
        NodeType::File => libc::S_IFREG,
        NodeType::Folder => libc::S_IFDIR,
        NodeType::Link => libc::S_IFLNK,
        NodeType::Socket => libc::S_IFSOCK,
        NodeType::Pipe => libc::S_IFIFO,
        NodeType::Device => libc::S_IFCHR,
        NodeType::Anonymous => 0,
    };
    node | status.mode
}

/// Seconds and nanoseconds of a time in nanoseconds.
fn parts(time: i64) -> (i64, i64) {
    (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000))
}

fn to_stat(status: &Status) -> libc::stat {
    // SAFETY: all fields are numbers, for which zeros are valid.
    let mut to: libc::stat = unsafe { std::mem::zeroed() };
    to.st_dev = status.device;
    to.st_ino = status.inode;
    to.st_mode = mode_of(status);
    to.st_nlink = status.links.into();
    (to.st_uid, to.st_gid) = own_user_and_group();
    to.st_size = status.size as libc::off_t;
    to.st_blksize = 4096;
    to.st_blocks = status.blocks as libc::blkcnt_t;
    (to.st_atime, to.st_atime_nsec) = parts(status.accessed);
    (to.st_mtime, to.st_mtime_nsec) = parts(status.modified);
    (to.st_ctime, to.st_ctime_nsec) = parts(status.changed);
    to
}

fn to_statx(status: &Status) -> libc::statx {
    // SAFETY: all fields are numbers, for which zeros are valid.
    let mut to: libc::statx = unsafe { std::mem::zeroed() };
    to.stx_mask = libc::STATX_BASIC_STATS;
    to.stx_blksize = 4096;
    to.stx_nlink = status.links;
    (to.stx_uid, to.stx_gid) = own_user_and_group();
    to.stx_mode = mode_of(status) as u16;
    to.stx_ino = status.inode;
    to.stx_size = status.size;
    to.stx_blocks = status.blocks;
    to.stx_dev_major = libc::major(status.device);
    to.stx_dev_minor = libc::minor(status.device);
    for (to, time) in [
        (&mut to.stx_atime, status.accessed),
        (&mut to.stx_mtime, status.modified),
        (&mut to.stx_ctime, status.changed),
    ] {
        let (seconds, nanos) = parts(time);
        (to.tv_sec, to.tv_nsec) = (seconds, nanos as u32);
    }
    to
}

/// # Safety
///
/// `path` must be null or a C string, and `to` null or room for a `stat`.
unsafe fn write_status(
    folder: c_int,
    path: *const c_char,
    to: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller meets the requirements of this call.
    match unsafe { status_of(folder, path, flags) } {
        None => forward_by_number!(SYS_newfstatat(folder, path, to, flags)),
        Some(_) if to.is_null() => fail(libc::EFAULT),
        Some(Ok(Routed::Done(status))) => {
            // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
            unsafe { to.write(to_stat(&status)) };
            0
        }
        Some(Ok(Routed::Host(path))) => {
            let path = path.as_ptr();
            forward_by_number!(SYS_newfstatat(FROM_WORKING_FOLDER, path, to, flags))
        }
        Some(Err(Errno(error))) => fail(error),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat(path: *const c_char, to: *mut libc::stat) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { write_status(FROM_WORKING_FOLDER, path, to, 0) }
}

second_name!(stat64 = stat(path: *const c_char, to: *mut libc::stat) -> c_int);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lstat(path: *const c_char, to: *mut libc::stat) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { write_status(FROM_WORKING_FOLDER, path, to, libc::AT_SYMLINK_NOFOLLOW) }
}

second_name!(lstat64 = lstat(path: *const c_char, to: *mut libc::stat) -> c_int);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat(
    folder: c_int,
    path: *const c_char,
    to: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { write_status(folder, path, to, flags) }
}

second_name!(
    fstatat64 = fstatat(
        folder: c_int,
        path: *const c_char,
        to: *mut libc::stat,
        flags: c_int,
    ) -> c_int
);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(descriptor: c_int, to: *mut libc::stat) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fstat(descriptor, to));
    }
    // SAFETY: the caller's arguments, with an empty path.
    unsafe { write_status(descriptor, ptr::null(), to, libc::AT_EMPTY_PATH) }
}

second_name!(fstat64 = fstat(descriptor: c_int, to: *mut libc::stat) -> c_int);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    to: *mut libc::statx,
) -> c_int {
    // std asks with null pointers whether there is the call.
    if to.is_null() {
        return forward_by_number!(SYS_statx(folder, path, flags, mask, to));
    }
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { status_of(folder, path, flags) } {
        None => forward_by_number!(SYS_statx(folder, path, flags, mask, to)),
        Some(Ok(Routed::Done(status))) => {
            // SAFETY: `to` is not null, and the caller guarantees that it has room for a `statx`.
            unsafe { to.write(to_statx(&status)) };
            0
        }
        Some(Ok(Routed::Host(path))) => {
            let path = path.as_ptr();
            forward_by_number!(SYS_statx(FROM_WORKING_FOLDER, path, flags, mask, to))
        }
        Some(Err(Errno(error))) => fail(error),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { faccessat(FROM_WORKING_FOLDER, path, mode, 0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faccessat(
    folder: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { status_of(folder, path, flags) } {
        None if flags == 0 => forward_by_number!(SYS_faccessat(folder, path, mode)),
        None => forward!(FACCESSAT(folder, path, mode, flags)),
        Some(_) if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 => fail(libc::EINVAL),
        Some(Ok(Routed::Done(status))) => {
            // Modes are stored and not checked, except that a file must be executable for someone.
            let is_program = status.node != NodeType::File || status.mode & 0o111 != 0;
            if mode & libc::X_OK == 0 || is_program { 0 } else { fail(libc::EACCES) }
        }
        Some(Ok(Routed::Host(path))) => {
            let path = path.as_ptr();
            forward_by_number!(SYS_faccessat(FROM_WORKING_FOLDER, path, mode))
        }
        Some(Err(Errno(error))) => fail(error),
    }
}

/// The space at a path; `None` if the call is to be forwarded.
///
/// # Safety
///
/// `path` must be null or a C string.
unsafe fn space_at(path: *const c_char) -> Option<Answer<Routed<Space>>> {
    // SAFETY: the caller meets the requirements of this call.
    let (calls, at) = unsafe { answered(FROM_WORKING_FOLDER, path) }?;
    Some(calls.space(at))
}

fn space_of(descriptor: c_int) -> Answer<Space> {
    descriptor_calls().and_then(|calls: &dyn SystemCalls| calls.space_of(descriptor))
}

/// # Safety
///
/// `to` is room for a `statfs`, or null.
unsafe fn write_statfs(space: Space, to: *mut libc::statfs) -> c_int {
    if to.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: `to` is not null, and the caller guarantees that it has room. All fields are numbers,
    // for which zeros are valid.
    unsafe {
        to.write_bytes(0, 1);
        (*to).f_type = EXT4;
        (*to).f_bsize = 4096;
        (*to).f_frsize = 4096;
        (*to).f_blocks = space.total / 4096;
        (*to).f_bfree = space.free / 4096;
        (*to).f_bavail = space.free / 4096;
        (*to).f_namelen = 255;
    }
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs(path: *const c_char, to: *mut libc::statfs) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    match unsafe { space_at(path) } {
        None => forward_by_number!(SYS_statfs(path, to)),
        // SAFETY: the caller guarantees that `to` has room for the result.
        Some(Ok(Routed::Done(space))) => unsafe { write_statfs(space, to) },
        Some(Ok(Routed::Host(path))) => forward_by_number!(SYS_statfs(path.as_ptr(), to)),
        Some(Err(Errno(error))) => fail(error),
    }
}

second_name!(statfs64 = statfs(path: *const c_char, to: *mut libc::statfs) -> c_int);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatfs(descriptor: c_int, to: *mut libc::statfs) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fstatfs(descriptor, to));
    }
    match space_of(descriptor) {
        // SAFETY: the caller guarantees that `to` has room for the result.
        Ok(space) => unsafe { write_statfs(space, to) },
        Err(Errno(error)) => fail(error),
    }
}

second_name!(fstatfs64 = fstatfs(descriptor: c_int, to: *mut libc::statfs) -> c_int);

/// # Safety
///
/// `to` must be null or have room for a `statvfs`.
unsafe fn write_statvfs(space: Space, to: *mut libc::statvfs) -> c_int {
    if to.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: guaranteed by the caller, and it is not null; all of its fields are numbers.
    unsafe {
        to.write_bytes(0, 1);
        (*to).f_bsize = 4096;
        (*to).f_frsize = 4096;
        (*to).f_blocks = space.total / 4096;
        (*to).f_bfree = space.free / 4096;
        (*to).f_bavail = space.free / 4096;
        (*to).f_namemax = 255;
    }
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { space_at(path) } {
        None => forward!(STATVFS(path, to)),
        // SAFETY: the caller meets the requirements of this call.
        Some(Ok(Routed::Done(space))) => unsafe { write_statvfs(space, to) },
        Some(Ok(Routed::Host(path))) => forward!(STATVFS(path.as_ptr(), to)),
        Some(Err(Errno(error))) => fail(error),
    }
}

second_name!(statvfs64 = statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatvfs(descriptor: c_int, to: *mut libc::statvfs) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FSTATVFS(descriptor, to));
    }
    match space_of(descriptor) {
        // SAFETY: the caller meets the requirements of this call.
        Ok(space) => unsafe { write_statvfs(space, to) },
        Err(Errno(error)) => fail(error),
    }
}

second_name!(fstatvfs64 = fstatvfs(descriptor: c_int, to: *mut libc::statvfs) -> c_int);

//! Functions of the C library that list folders, and functions that return a path. Inside the
//! library these functions call the kernel directly, so each of them is defined here.
//!
//! A folder on a machine's disk is listed through a structure that begins with its descriptor, like
//! the C library's own structure. So one comparison distinguishes the two.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::ptr;

use libc::{DIR, dirent64, size_t, ssize_t};

use crate::interpose::descriptors::files::{answered, openat};
use crate::interpose::descriptors::forward::{forward, forward_by_number, second_name};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, FolderEntry, NodeType, SystemCalls, descriptor_calls, is_simulated, path_calls,
};

static OPENDIR: Real<unsafe extern "C" fn(*const c_char) -> *mut DIR> = Real::named(c"opendir");
static FDOPENDIR: Real<unsafe extern "C" fn(c_int) -> *mut DIR> = Real::named(c"fdopendir");
static READDIR: Real<unsafe extern "C" fn(*mut DIR) -> *mut dirent64> = Real::named(c"readdir64");
static READDIR_R: Real<unsafe extern "C" fn(*mut DIR, *mut dirent64, *mut *mut dirent64) -> c_int> =
    Real::named(c"readdir64_r");
static CLOSEDIR: Real<unsafe extern "C" fn(*mut DIR) -> c_int> = Real::named(c"closedir");
static DIRFD: Real<unsafe extern "C" fn(*mut DIR) -> c_int> = Real::named(c"dirfd");
static REWINDDIR: Real<unsafe extern "C" fn(*mut DIR)> = Real::named(c"rewinddir");
static TELLDIR: Real<unsafe extern "C" fn(*mut DIR) -> c_long> = Real::named(c"telldir");
static SEEKDIR: Real<unsafe extern "C" fn(*mut DIR, c_long)> = Real::named(c"seekdir");
static GETCWD: Real<unsafe extern "C" fn(*mut c_char, size_t) -> *mut c_char> =
    Real::named(c"getcwd");
static REALPATH: Real<unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut c_char> =
    Real::versioned(c"realpath", c"GLIBC_2.3");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 14] {
    [
        opendir as *const (),
        fdopendir as *const (),
        readdir as *const (),
        readdir64 as *const (),
        readdir_r as *const (),
        readdir64_r as *const (),
        closedir as *const (),
        dirfd as *const (),
        rewinddir as *const (),
        telldir as *const (),
        seekdir as *const (),
        getdents64 as *const (),
        getcwd as *const (),
        realpath as *const (),
    ]
}

/// A folder that is listed.
#[repr(C)]
struct Listing {
    descriptor: c_int,
    entry: dirent64,
}

/// The listing, if the folder is one of a machine's disk.
///
/// # Safety
///
/// `folder` was returned by `opendir` or `fdopendir`, and was not closed.
unsafe fn own<'a>(folder: *mut DIR) -> Option<&'a mut Listing> {
    // SAFETY: the C library's structure begins with an integer, too.
    let descriptor = unsafe { folder.cast::<c_int>().read() };
    // SAFETY: only listings made here have such a descriptor.
    is_simulated(descriptor).then(|| unsafe { &mut *folder.cast::<Listing>() })
}

fn list(descriptor: c_int) -> *mut DIR {
    // SAFETY: all fields are numbers, for which zeros are valid.
    let entry = unsafe { std::mem::zeroed() };
    Box::into_raw(Box::new(Listing { descriptor, entry })).cast()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> *mut DIR {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    if unsafe { answered(libc::AT_FDCWD, path) }.is_none() {
        return forward!(OPENDIR(path));
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the caller guarantees that the path is valid.
    let descriptor = unsafe { openat(libc::AT_FDCWD, path, flags, 0) };
    if descriptor < 0 {
        return ptr::null_mut();
    }
    // SAFETY: a folder that was just opened.
    unsafe { fdopendir(descriptor) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopendir(descriptor: c_int) -> *mut DIR {
    if !is_simulated(descriptor) {
        return forward!(FDOPENDIR(descriptor));
    }
    match descriptor_calls().and_then(|calls| calls.status(descriptor)) {
        Ok(status) if status.node == NodeType::Folder => list(descriptor),
        Ok(_) => {
            fail(libc::ENOTDIR);
            ptr::null_mut()
        }
        Err(Errno(error)) => {
            fail(error);
            ptr::null_mut()
        }
    }
}

fn next(descriptor: c_int) -> Answer<Option<FolderEntry>> {
    descriptor_calls()?.next_entry(descriptor)
}

fn type_of(node: NodeType) -> u8 {
    match node {
        NodeType::File => libc::DT_REG,
        NodeType::Folder => libc::DT_DIR,
        NodeType::Link => libc::DT_LNK,
        NodeType::Socket | NodeType::Pipe | NodeType::Device | NodeType::Anonymous => {
            libc::DT_UNKNOWN
        }
    }
}

fn fill(to: &mut dirent64, entry: &FolderEntry) {
    to.d_ino = entry.inode;
    to.d_off = entry.next as libc::off64_t;
    to.d_reclen = size_of::<dirent64>() as u16;
    to.d_type = type_of(entry.node);
    for (to, byte) in to.d_name.iter_mut().zip(entry.name.iter().chain([&0])) {
        *to = *byte as c_char;
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(folder: *mut DIR) -> *mut dirent64 {
    // SAFETY: the caller guarantees that the folder is valid.
    let Some(listing) = (unsafe { own(folder) }) else { return forward!(READDIR(folder)) };
    match next(listing.descriptor) {
        Ok(Some(entry)) => {
            fill(&mut listing.entry, &entry);
            &raw mut listing.entry
        }
        Ok(None) => ptr::null_mut(),
        Err(Errno(error)) => {
            fail(error);
            ptr::null_mut()
        }
    }
}

second_name!(readdir = readdir64(folder: *mut DIR) -> *mut dirent64);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64_r(
    folder: *mut DIR,
    entry: *mut dirent64,
    result: *mut *mut dirent64,
) -> c_int {
    // SAFETY: the caller guarantees that the folder is valid.
    let Some(listing) = (unsafe { own(folder) }) else {
        return forward!(READDIR_R(folder, entry, result));
    };
    let found = match next(listing.descriptor) {
        Ok(Some(found)) => {
            // SAFETY: the caller guarantees that `entry` has room for an entry.
            fill(unsafe { &mut *entry }, &found);
            entry
        }
        Ok(None) => ptr::null_mut(),
        Err(Errno(error)) => return error,
    };
    // SAFETY: the caller guarantees that `result` has room for a pointer.
    unsafe { result.write(found) };
    0
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir_r(
    folder: *mut DIR,
    entry: *mut dirent64,
    result: *mut *mut dirent64,
) -> c_int {
    // SAFETY: the caller's arguments; the types are equal on 64-bit targets.
    unsafe { readdir64_r(folder, entry, result) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(folder: *mut DIR) -> c_int {
    // SAFETY: the caller guarantees that the folder is valid.
    if unsafe { own(folder) }.is_none() {
        return forward!(CLOSEDIR(folder));
    }
    // SAFETY: it was made by `list`, and the caller does not use it any more.
    let listing = unsafe { Box::from_raw(folder.cast::<Listing>()) };
    // SAFETY: the listing owns its descriptor.
    unsafe { crate::interpose::descriptors::lifecycle::close(listing.descriptor) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirfd(folder: *mut DIR) -> c_int {
    // SAFETY: the caller guarantees that the folder is valid.
    match unsafe { own(folder) } {
        Some(listing) => listing.descriptor,
        None => forward!(DIRFD(folder)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rewinddir(folder: *mut DIR) {
    // SAFETY: the caller guarantees that the folder is valid.
    unsafe { move_to(folder, 0, |folder, _| REWINDDIR.function().map(|real| real(folder))) };
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seekdir(folder: *mut DIR, position: c_long) {
    // SAFETY: the caller guarantees that the folder is valid.
    unsafe {
        move_to(folder, position, |folder, position| {
            SEEKDIR.function().map(|real| real(folder, position))
        });
    }
}

/// # Safety
///
/// The same as for [`own`].
unsafe fn move_to(
    folder: *mut DIR,
    position: c_long,
    real: impl FnOnce(*mut DIR, c_long) -> Option<()>,
) {
    // SAFETY: the caller meets the requirements of this call.
    match unsafe { own(folder) } {
        Some(listing) => {
            let seek =
                |calls: &dyn SystemCalls| calls.seek(listing.descriptor, position, libc::SEEK_SET);
            let _ = descriptor_calls().and_then(seek);
        }
        None => {
            let _ = real(folder, position);
        }
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn telldir(folder: *mut DIR) -> c_long {
    // SAFETY: the caller guarantees that the folder is valid.
    let Some(listing) = (unsafe { own(folder) }) else { return forward!(TELLDIR(folder)) };
    let seek = |calls: &dyn SystemCalls| calls.seek(listing.descriptor, 0, libc::SEEK_CUR);
    match descriptor_calls().and_then(seek) {
        Ok(position) => position as c_long,
        Err(Errno(error)) => fail(error).into(),
    }
}

/// The length of an entry's fields before its name.
const HEADER: usize = 19;

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getdents64(
    descriptor: c_int,
    buffer: *mut c_void,
    size: size_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_getdents64(descriptor, buffer, size)) as ssize_t;
    }
    let mut filled = 0;
    loop {
        let entry = match next(descriptor) {
            Ok(Some(entry)) => entry,
            Ok(None) => return filled as ssize_t,
            Err(Errno(error)) => return fail(error) as ssize_t,
        };
        let length = (HEADER + entry.name.len() + 1).next_multiple_of(8);
        if length > size - filled {
            // It is the first of the next call.
            let seek = |calls: &dyn SystemCalls| {
                calls.seek(descriptor, entry.next as i64 - 1, libc::SEEK_SET)
            };
            let _ = descriptor_calls().and_then(seek);
            return if filled == 0 { fail(libc::EINVAL) as ssize_t } else { filled as ssize_t };
        }
        let mut raw = vec![0; length];
        raw[..8].copy_from_slice(&entry.inode.to_ne_bytes());
        raw[8..16].copy_from_slice(&entry.next.to_ne_bytes());
        raw[16..18].copy_from_slice(&(length as u16).to_ne_bytes());
        raw[18] = type_of(entry.node);
        raw[HEADER..HEADER + entry.name.len()].copy_from_slice(&entry.name);
        // SAFETY: the caller guarantees that `buffer` has room for `size` bytes, which is enough
        // for this entry.
        unsafe { raw.as_ptr().copy_to_nonoverlapping(buffer.cast::<u8>().add(filled), length) };
        filled += length;
    }
}

/// Returns a path in the caller's buffer, or in a new one if that is null.
///
/// # Safety
///
/// `buffer` is null or has room for `size` bytes.
unsafe fn return_path(path: Vec<u8>, buffer: *mut c_char, size: size_t) -> *mut c_char {
    let Ok(path) = CString::new(path) else { return ptr::null_mut() };
    let length = path.as_bytes_with_nul().len();
    let buffer = match buffer.is_null() {
        true => {
            let room = length.max(if size == usize::MAX { 0 } else { size });
            // SAFETY: the function has no preconditions. The caller frees the memory.
            unsafe { libc::malloc(room) }.cast()
        }
        false if length > size => {
            fail(libc::ERANGE);
            return ptr::null_mut();
        }
        false => buffer,
    };
    if !buffer.is_null() {
        // SAFETY: the buffer has room for the path and its NUL.
        unsafe { path.as_ptr().copy_to_nonoverlapping(buffer, length) };
    }
    buffer
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getcwd(buffer: *mut c_char, size: size_t) -> *mut c_char {
    let Some(calls) = path_calls() else { return forward!(GETCWD(buffer, size)) };
    if !buffer.is_null() && size == 0 {
        fail(libc::EINVAL);
        return ptr::null_mut();
    }
    match calls.working_folder() {
        // SAFETY: the caller's buffer.
        Ok(path) => unsafe { return_path(path, buffer, size) },
        Err(Errno(error)) => {
            fail(error);
            ptr::null_mut()
        }
    }
}

/// The system call returns the length of the path with its NUL, and needs a buffer.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
pub(super) unsafe fn getcwd_by_number(buffer: *mut c_char, size: size_t) -> c_int {
    if path_calls().is_none() || buffer.is_null() {
        return forward_by_number!(SYS_getcwd(buffer, size));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    match unsafe { getcwd(buffer, size) } {
        path if path.is_null() => -1,
        // SAFETY: it was just written.
        path => unsafe { CStr::from_ptr(path) }.to_bytes_with_nul().len() as c_int,
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realpath(path: *const c_char, buffer: *mut c_char) -> *mut c_char {
    let Some(calls) = path_calls().filter(|_| !path.is_null()) else {
        return forward!(REALPATH(path, buffer));
    };
    // SAFETY: the caller's path, which is not null.
    match calls.canonical_path(unsafe { CStr::from_ptr(path) }.to_bytes()) {
        // SAFETY: the caller guarantees that `buffer` is null or has room for `PATH_MAX` bytes.
        Ok(path) => unsafe { return_path(path, buffer, usize::MAX) },
        Err(Errno(error)) => {
            fail(error);
            ptr::null_mut()
        }
    }
}

//! C's streams (`FILE`) on files of a run. The streams of glibc call the kernel directly. So a
//! stream on a simulated descriptor is one of glibc's custom streams, which call functions of this
//! module.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use libc::{FILE, size_t, ssize_t};

use crate::interpose::descriptors::files::{answered, openat, random_file};
use crate::interpose::descriptors::forward::forward;
use crate::interpose::descriptors::{lifecycle, positions, transfer};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::is_simulated;

type Open = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut FILE;

static FOPEN: Real<Open> = Real::named(c"fopen64");
static FDOPEN: Real<unsafe extern "C" fn(c_int, *const c_char) -> *mut FILE> =
    Real::named(c"fdopen");
static FILENO: Real<unsafe extern "C" fn(*mut FILE) -> c_int> = Real::named(c"fileno");
static FOPENCOOKIE: Real<unsafe extern "C" fn(*mut c_void, *const c_char, Functions) -> *mut FILE> =
    Real::named(c"fopencookie");

/// Descriptors of the streams that this module opened, by address. If a run does not close a
/// stream, its entry remains until the address is used again.
static STREAMS: Mutex<BTreeMap<usize, c_int>> = Mutex::new(BTreeMap::new());
/// Whether `STREAMS` may have entries.
static HAS_STREAMS: AtomicBool = AtomicBool::new(false);

/// The functions of a custom stream, in the layout that glibc expects.
#[repr(C)]
#[derive(Clone, Copy)]
struct Functions {
    read: unsafe extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t,
    write: unsafe extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t,
    seek: unsafe extern "C" fn(*mut c_void, *mut libc::off64_t, c_int) -> c_int,
    close: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        fopen as *const (),
        fopen64 as *const (),
        fdopen as *const (),
        fileno as *const (),
        fileno_unlocked as *const (),
    ]
}

unsafe extern "C" fn read_stream(cookie: *mut c_void, to: *mut c_char, size: size_t) -> ssize_t {
    // SAFETY: glibc passes a buffer of the stream, which is valid.
    unsafe { transfer::read(cookie.addr() as c_int, to.cast(), size) }
}

unsafe extern "C" fn write_stream(
    cookie: *mut c_void,
    from: *const c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: glibc passes a buffer of the stream, which is valid. It expects 0 for an error.
    unsafe { transfer::write(cookie.addr() as c_int, from.cast(), size) }.max(0)
}

unsafe extern "C" fn seek_stream(
    cookie: *mut c_void,
    position: *mut libc::off64_t,
    whence: c_int,
) -> c_int {
    // SAFETY: glibc passes a pointer that is valid for reads and writes of a position.
    unsafe {
        match positions::lseek(cookie.addr() as c_int, position.read(), whence) {
            -1 => -1,
            found => {
                position.write(found);
                0
            }
        }
    }
}

unsafe extern "C" fn close_stream(cookie: *mut c_void) -> c_int {
    let descriptor = cookie.addr() as c_int;
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, own| *own != descriptor);
    // SAFETY: the stream owns its descriptor.
    unsafe { lifecycle::close(descriptor) }
}

/// A stream on a simulated descriptor.
///
/// # Safety
///
/// `mode` is a string.
unsafe fn stream(descriptor: c_int, mode: *const c_char) -> *mut FILE {
    let functions = Functions {
        read: read_stream,
        write: write_stream,
        seek: seek_stream,
        close: close_stream,
    };
    let Some(fopencookie) = FOPENCOOKIE.function() else {
        fail(libc::ENOSYS);
        return ptr::null_mut();
    };
    let cookie = ptr::without_provenance_mut(descriptor as usize);
    // SAFETY: the functions take the cookie, which is only a number; the mode is the caller's.
    let opened = unsafe { fopencookie(cookie, mode, functions) };
    if !opened.is_null() {
        HAS_STREAMS.store(true, Ordering::Relaxed);
        let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
        streams.insert(opened.addr(), descriptor);
    }
    opened
}

/// The flags that a mode stands for; `None` if it is none.
fn flags_of(mode: &[u8]) -> Option<c_int> {
    let is_both = mode.contains(&b'+');
    let mut flags = match (mode.first()?, is_both) {
        (b'r', false) => libc::O_RDONLY,
        (b'r', true) => libc::O_RDWR,
        (b'w', false) => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
        (b'w', true) => libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC,
        (b'a', false) => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
        (b'a', true) => libc::O_RDWR | libc::O_CREAT | libc::O_APPEND,
        _ => return None,
    };
    if mode.contains(&b'x') {
        flags |= libc::O_EXCL;
    }
    Some(flags)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    let is_answered =
        unsafe { answered(libc::AT_FDCWD, path).is_some() || random_file(path).is_some() };
    if mode.is_null() || !is_answered {
        return forward!(FOPEN(path, mode));
    }
    // SAFETY: the caller guarantees that `mode` is a C string.
    let Some(flags) = flags_of(unsafe { CStr::from_ptr(mode) }.to_bytes()) else {
        fail(libc::EINVAL);
        return ptr::null_mut();
    };
    // SAFETY: the caller guarantees that the path is valid.
    match unsafe { openat(libc::AT_FDCWD, path, flags, 0o666) } {
        -1 => ptr::null_mut(),
        // SAFETY: a descriptor that was just opened, and the caller's mode.
        opened => unsafe { fdopen(opened, mode) },
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { fopen(path, mode) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopen(descriptor: c_int, mode: *const c_char) -> *mut FILE {
    if !is_simulated(descriptor) || mode.is_null() {
        return forward!(FDOPEN(descriptor, mode));
    }
    // SAFETY: the caller guarantees that `mode` is a C string.
    unsafe { stream(descriptor, mode) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fileno(stream: *mut FILE) -> c_int {
    if HAS_STREAMS.load(Ordering::Relaxed) {
        let streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(descriptor) = streams.get(&stream.addr()) {
            return *descriptor;
        }
    }
    forward!(FILENO(stream))
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fileno_unlocked(stream: *mut FILE) -> c_int {
    // SAFETY: the caller's argument, as it came.
    unsafe { fileno(stream) }
}

//! Functions of the C library that change the size of open files, advise on them and sync them.

use std::ffi::{c_int, c_long, c_uint};

use libc::off_t;

use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number, second_name};
use crate::interpose::descriptors::positions::position;
use crate::interpose::linux::{errno, fail};
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, SyncCall, SystemCalls, descriptor_calls, is_simulated, path_calls,
};

static FSYNC: Real<unsafe extern "C" fn(c_int) -> c_int> = Real::named(c"fsync");
static FDATASYNC: Real<unsafe extern "C" fn(c_int) -> c_int> = Real::named(c"fdatasync");
static POSIX_FALLOCATE: Real<unsafe extern "C" fn(c_int, off_t, off_t) -> c_int> =
    Real::named(c"posix_fallocate");
static FLOCK: Real<unsafe extern "C" fn(c_int, c_int) -> c_int> = Real::named(c"flock");
static SYNC: Real<unsafe extern "C" fn()> = Real::named(c"sync");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 14] {
    [
        ftruncate as *const (),
        ftruncate64 as *const (),
        fallocate as *const (),
        fallocate64 as *const (),
        posix_fallocate as *const (),
        posix_fallocate64 as *const (),
        posix_fadvise as *const (),
        posix_fadvise64 as *const (),
        fsync as *const (),
        fdatasync as *const (),
        syncfs as *const (),
        sync as *const (),
        sync_file_range as *const (),
        flock as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(descriptor: c_int, size: off_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_ftruncate(descriptor, size));
    }
    let resize = |calls: &dyn SystemCalls| calls.resize(descriptor, position(size)?);
    descriptor_calls().and_then(resize).to_c()
}

second_name!(ftruncate64 = ftruncate(descriptor: c_int, size: off_t) -> c_int);

fn allocate(descriptor: c_int, mode: c_int, start: off_t, length: off_t) -> Answer<()> {
    let calls = descriptor_calls()?;
    if start < 0 || length <= 0 {
        return Err(Errno(libc::EINVAL));
    }
    match calls.check_file(descriptor) {
        Err(Errno(libc::EINVAL)) => Err(Errno(libc::ENODEV)),
        checked => {
            checked?;
            calls.allocate(descriptor, mode, start as u64, length as u64)
        }
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate(
    descriptor: c_int,
    mode: c_int,
    start: off_t,
    length: off_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fallocate(descriptor, mode, start, length));
    }
    allocate(descriptor, mode, start, length).to_c()
}

second_name!(
    fallocate64 = fallocate(descriptor: c_int, mode: c_int, start: off_t, length: off_t) -> c_int
);

/// It returns its error, and leaves `errno` as it is.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(descriptor: c_int, start: off_t, length: off_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(POSIX_FALLOCATE(descriptor, start, length));
    }
    match allocate(descriptor, 0, start, length) {
        Ok(()) => 0,
        Err(Errno(error)) => error,
    }
}

second_name!(
    posix_fallocate64 = posix_fallocate(descriptor: c_int, start: off_t, length: off_t) -> c_int
);

/// Advice has no effect on a machine's disk. It returns its error, and leaves `errno` as it is.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fadvise(
    descriptor: c_int,
    start: off_t,
    length: off_t,
    advice: c_int,
) -> c_int {
    if is_simulated(descriptor) {
        return match descriptor_calls().and_then(|calls| calls.check_file(descriptor)) {
            Ok(()) => 0,
            Err(Errno(libc::EINVAL)) => libc::ESPIPE,
            Err(Errno(error)) => error,
        };
    }
    match forward_by_number!(SYS_fadvise64(descriptor, start, length, advice)) {
        0 => 0,
        _ => errno(),
    }
}

second_name!(
    posix_fadvise64 = posix_fadvise(
        descriptor: c_int,
        start: off_t,
        length: off_t,
        advice: c_int,
    ) -> c_int
);

fn sync_open(descriptor: c_int, call: SyncCall) -> c_int {
    descriptor_calls().and_then(|calls| calls.sync(descriptor, call)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FSYNC(descriptor));
    }
    sync_open(descriptor, SyncCall::All)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FDATASYNC(descriptor));
    }
    sync_open(descriptor, SyncCall::Data)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncfs(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_syncfs(descriptor));
    }
    sync_open(descriptor, SyncCall::FileSystem)
}

/// In a run it syncs the machine's disk.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync() {
    match (path_calls(), SYNC.function()) {
        (Some(calls), _) => {
            let _ = calls.sync_disk();
        }
        // SAFETY: the function has no preconditions.
        (None, Some(real)) => unsafe { real() },
        (None, None) => {}
    }
}

/// It begins to write, and makes nothing durable: the disk may keep what it is given in its cache.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(
    descriptor: c_int,
    start: off_t,
    length: off_t,
    flags: c_uint,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_sync_file_range(descriptor, start, length, flags));
    }
    match descriptor_calls().and_then(|calls| calls.check_file(descriptor)) {
        Err(Errno(libc::EINVAL)) => fail(libc::ESPIPE),
        checked => checked.to_c(),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flock(descriptor: c_int, operation: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FLOCK(descriptor, operation));
    }
    descriptor_calls().and_then(|calls| calls.lock(descriptor, operation)).to_c()
}

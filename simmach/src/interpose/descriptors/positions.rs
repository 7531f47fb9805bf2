//! Functions of the C library that read and write at a position, and that set the position of an open file.

use std::ffi::{c_int, c_void};

use libc::{iovec, off_t, size_t, ssize_t};

use crate::interpose::descriptors::forward::{ToC, forward, second_name};
use crate::interpose::descriptors::{buffers, transfer};
use crate::interpose::linux::{fail, pass_on};
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, SyncCall, SystemCalls, descriptor_calls, is_simulated,
};

type At = unsafe extern "C" fn(c_int, *mut c_void, size_t, off_t) -> ssize_t;
type VectorAt = unsafe extern "C" fn(c_int, *const iovec, c_int, off_t) -> ssize_t;

static PREAD: Real<At> = Real::named(c"pread64");
static PWRITE: Real<unsafe extern "C" fn(c_int, *const c_void, size_t, off_t) -> ssize_t> =
    Real::named(c"pwrite64");
static PREADV: Real<VectorAt> = Real::named(c"preadv");
static PWRITEV: Real<VectorAt> = Real::named(c"pwritev");
static PREADV2: Real<unsafe extern "C" fn(c_int, *const iovec, c_int, off_t, c_int) -> ssize_t> =
    Real::named(c"preadv2");
static PWRITEV2: Real<unsafe extern "C" fn(c_int, *const iovec, c_int, off_t, c_int) -> ssize_t> =
    Real::named(c"pwritev2");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 14] {
    [
        pread as *const (),
        pread64 as *const (),
        pwrite as *const (),
        pwrite64 as *const (),
        preadv as *const (),
        preadv64 as *const (),
        pwritev as *const (),
        pwritev64 as *const (),
        preadv2 as *const (),
        preadv64v2 as *const (),
        pwritev2 as *const (),
        pwritev64v2 as *const (),
        lseek as *const (),
        lseek64 as *const (),
    ]
}

pub(super) fn position(at: off_t) -> Answer<u64> {
    u64::try_from(at).map_err(|_| Errno(libc::EINVAL))
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread(
    descriptor: c_int,
    buffer: *mut c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PREAD(descriptor, buffer, length, at));
    }
    // SAFETY: the caller guarantees that `buffer` has room for `length` bytes, which are only
    // written to.
    let buffer = unsafe { buffers::target(buffer, length) };
    let read = |calls: &dyn SystemCalls| calls.read_at(descriptor, &mut [buffer?], position(at)?);
    descriptor_calls().and_then(read).to_c()
}

second_name!(
    pread64 = pread(descriptor: c_int, buffer: *mut c_void, length: size_t, at: off_t) -> ssize_t
);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PWRITE(descriptor, buffer, length, at));
    }
    // SAFETY: the caller guarantees that `buffer` has `length` bytes.
    let buffer = unsafe { buffers::source(buffer, length) };
    let write = |calls: &dyn SystemCalls| calls.write_at(descriptor, &[buffer?], position(at)?);
    descriptor_calls().and_then(write).to_c()
}

second_name!(
    pwrite64 = pwrite(
        descriptor: c_int,
        buffer: *const c_void,
        length: size_t,
        at: off_t,
    ) -> ssize_t
);

/// # Safety
///
/// The caller must meet the requirements of the C function. In a run the buffers may not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn preadv(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PREADV(descriptor, vector, count, at));
    }
    // SAFETY: the caller guarantees that `vector` has `count` buffers, which are only written to.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::targets(vector, count) });
    let read = |calls: &dyn SystemCalls| calls.read_at(descriptor, &mut buffers?, position(at)?);
    descriptor_calls().and_then(read).to_c()
}

second_name!(
    preadv64 = preadv(descriptor: c_int, vector: *const iovec, count: c_int, at: off_t) -> ssize_t
);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PWRITEV(descriptor, vector, count, at));
    }
    // SAFETY: the caller guarantees that `vector` has `count` buffers.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::sources(vector, count) });
    let write = |calls: &dyn SystemCalls| calls.write_at(descriptor, &buffers?, position(at)?);
    descriptor_calls().and_then(write).to_c()
}

second_name!(
    pwritev64 = pwritev(descriptor: c_int, vector: *const iovec, count: c_int, at: off_t) -> ssize_t
);

/// With flags: those that ask for speed have no effect; `RWF_SYNC` and `RWF_DSYNC` sync; others are not supported.
///
/// # Safety
///
/// The caller must meet the requirements of the C function. In a run the buffers may not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn preadv2(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PREADV2(descriptor, vector, count, at, flags));
    }
    if flags & !(libc::RWF_HIPRI | libc::RWF_NOWAIT) != 0 {
        return fail(libc::EOPNOTSUPP) as ssize_t;
    }
    // SAFETY: the caller guarantees that the arguments are valid. A position of -1 selects the
    // file's own position.
    unsafe {
        match at {
            -1 => transfer::readv(descriptor, vector, count),
            _ => preadv(descriptor, vector, count, at),
        }
    }
}

second_name!(
    preadv64v2 = preadv2(
        descriptor: c_int,
        vector: *const iovec,
        count: c_int,
        at: off_t,
        flags: c_int,
    ) -> ssize_t
);

/// Like [`preadv2`].
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev2(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(PWRITEV2(descriptor, vector, count, at, flags));
    }
    let syncs = libc::RWF_SYNC | libc::RWF_DSYNC;
    if flags & !(syncs | libc::RWF_HIPRI) != 0 {
        return fail(libc::EOPNOTSUPP) as ssize_t;
    }
    // SAFETY: the caller guarantees that the arguments are valid. A position of -1 selects the
    // file's own position.
    let written = unsafe {
        match at {
            -1 => transfer::writev(descriptor, vector, count),
            _ => pwritev(descriptor, vector, count, at),
        }
    };
    if written > 0 && flags & syncs != 0 {
        let call = if flags & libc::RWF_SYNC != 0 { SyncCall::All } else { SyncCall::Data };
        if let Err(Errno(error)) = descriptor_calls().and_then(|calls| calls.sync(descriptor, call))
        {
            return fail(error) as ssize_t;
        }
    }
    written
}

second_name!(
    pwritev64v2 = pwritev2(
        descriptor: c_int,
        vector: *const iovec,
        count: c_int,
        at: off_t,
        flags: c_int,
    ) -> ssize_t
);

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek(descriptor: c_int, offset: off_t, whence: c_int) -> off_t {
    if !is_simulated(descriptor) {
        // SAFETY: a call of the kernel with the caller's arguments.
        return unsafe {
            pass_on(libc::SYS_lseek, [descriptor.into(), offset, whence.into(), 0, 0, 0])
        };
    }
    match descriptor_calls().and_then(|calls| calls.seek(descriptor, offset, whence)) {
        Ok(position) => position as off_t,
        Err(Errno(error)) => fail(error).into(),
    }
}

second_name!(lseek64 = lseek(descriptor: c_int, offset: off_t, whence: c_int) -> off_t);

//! Functions of the C library on open files: at positions, on sizes, syncs and attributes.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

use libc::{gid_t, iovec, mode_t, off_t, size_t, ssize_t, timespec, timeval, uid_t};

use crate::interpose::descriptors::buffers;
use crate::interpose::descriptors::files::answered;
use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number};
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Errno, NewTime, SyncCall, SystemCalls, descriptor_calls, is_simulated, path_calls,
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
static FSYNC: Real<unsafe extern "C" fn(c_int) -> c_int> = Real::named(c"fsync");
static FDATASYNC: Real<unsafe extern "C" fn(c_int) -> c_int> = Real::named(c"fdatasync");
static POSIX_FALLOCATE: Real<unsafe extern "C" fn(c_int, off_t, off_t) -> c_int> =
    Real::named(c"posix_fallocate");
static COPY_FILE_RANGE: Real<
    unsafe extern "C" fn(c_int, *mut off_t, c_int, *mut off_t, size_t, c_uint) -> ssize_t,
> = Real::named(c"copy_file_range");
static SYNC: Real<unsafe extern "C" fn()> = Real::named(c"sync");

/// The functions defined here.
pub(super) fn defined() -> [*const (); 37] {
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
        fchmod as *const (),
        fchown as *const (),
        chown as *const (),
        lchown as *const (),
        futimens as *const (),
        utimensat as *const (),
        utimes as *const (),
        fchdir as *const (),
        copy_file_range as *const (),
        isatty as *const (),
    ]
}

fn position(at: off_t) -> Answer<u64> {
    u64::try_from(at).map_err(|_| Errno(libc::EINVAL))
}

/// # Safety
///
/// The same as for the C function.
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
    // SAFETY: the caller gives room for `length` bytes, which are only written to.
    let buffer = unsafe { buffers::target(buffer, length) };
    let read = |calls: &dyn SystemCalls| calls.read_at(descriptor, &mut [buffer?], position(at)?);
    descriptor_calls().and_then(read).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(
    descriptor: c_int,
    buffer: *mut c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { pread(descriptor, buffer, length, at) }
}

/// # Safety
///
/// The same as for the C function.
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
    // SAFETY: the caller gives `length` bytes.
    let buffer = unsafe { buffers::source(buffer, length) };
    let write = |calls: &dyn SystemCalls| calls.write_at(descriptor, &[buffer?], position(at)?);
    descriptor_calls().and_then(write).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { pwrite(descriptor, buffer, length, at) }
}

/// # Safety
///
/// The same as for the C function. In a run the buffers may not overlap.
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
    // SAFETY: the caller gives `count` buffers, which are only written to.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::targets(vector, count) });
    let read = |calls: &dyn SystemCalls| calls.read_at(descriptor, &mut buffers?, position(at)?);
    descriptor_calls().and_then(read).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn preadv64(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { preadv(descriptor, vector, count, at) }
}

/// # Safety
///
/// The same as for the C function.
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
    // SAFETY: the caller gives `count` buffers.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::sources(vector, count) });
    let write = |calls: &dyn SystemCalls| calls.write_at(descriptor, &buffers?, position(at)?);
    descriptor_calls().and_then(write).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { pwritev(descriptor, vector, count, at) }
}

/// With flags: those that ask for speed have no effect; `RWF_SYNC` and `RWF_DSYNC` sync; others are not supported.
///
/// # Safety
///
/// The same as for the C function. In a run the buffers may not overlap.
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
    // SAFETY: guaranteed by the caller, whose arguments are passed on. At -1 it is the file's own position.
    unsafe {
        match at {
            -1 => crate::interpose::descriptors::transfer::readv(descriptor, vector, count),
            _ => preadv(descriptor, vector, count, at),
        }
    }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn preadv64v2(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { preadv2(descriptor, vector, count, at, flags) }
}

/// As [`preadv2`].
///
/// # Safety
///
/// The same as for the C function.
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
    // SAFETY: guaranteed by the caller, whose arguments are passed on. At -1 it is the file's own position.
    let written = unsafe {
        match at {
            -1 => crate::interpose::descriptors::transfer::writev(descriptor, vector, count),
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

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64v2(
    descriptor: c_int,
    vector: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { pwritev2(descriptor, vector, count, at, flags) }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek(descriptor: c_int, offset: off_t, whence: c_int) -> off_t {
    if !is_simulated(descriptor) {
        // SAFETY: a call of the kernel with the caller's arguments.
        return unsafe {
            crate::interpose::linux::pass_on(
                libc::SYS_lseek,
                [descriptor.into(), offset, whence.into(), 0, 0, 0],
            )
        };
    }
    match descriptor_calls().and_then(|calls| calls.seek(descriptor, offset, whence)) {
        Ok(position) => position as off_t,
        Err(Errno(error)) => fail(error).into(),
    }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek64(descriptor: c_int, offset: off_t, whence: c_int) -> off_t {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { lseek(descriptor, offset, whence) }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(descriptor: c_int, size: off_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_ftruncate(descriptor, size));
    }
    let resize = |calls: &dyn SystemCalls| calls.resize(descriptor, position(size)?);
    descriptor_calls().and_then(resize).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(descriptor: c_int, size: off_t) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { ftruncate(descriptor, size) }
}

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
/// The same as for the C function.
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

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate64(
    descriptor: c_int,
    mode: c_int,
    start: off_t,
    length: off_t,
) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { fallocate(descriptor, mode, start, length) }
}

/// It returns its error, and leaves `errno` as it is.
///
/// # Safety
///
/// The same as for the C function.
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

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate64(
    descriptor: c_int,
    start: off_t,
    length: off_t,
) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { posix_fallocate(descriptor, start, length) }
}

/// Advice has no effect on a machine's disk. It returns its error, and leaves `errno` as it is.
///
/// # Safety
///
/// The same as for the C function.
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
        _ => crate::interpose::linux::errno(),
    }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fadvise64(
    descriptor: c_int,
    start: off_t,
    length: off_t,
    advice: c_int,
) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { posix_fadvise(descriptor, start, length, advice) }
}

fn sync_open(descriptor: c_int, call: SyncCall) -> c_int {
    descriptor_calls().and_then(|calls| calls.sync(descriptor, call)).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FSYNC(descriptor));
    }
    sync_open(descriptor, SyncCall::All)
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(FDATASYNC(descriptor));
    }
    sync_open(descriptor, SyncCall::Data)
}

/// # Safety
///
/// The same as for the C function.
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
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync() {
    match (path_calls(), SYNC.function()) {
        (Some(calls), _) => {
            let _ = calls.sync_disk();
        }
        // SAFETY: it has no preconditions.
        (None, Some(real)) => unsafe { real() },
        (None, None) => {}
    }
}

/// It begins to write, and makes nothing durable: the disk may keep what it is given in its cache.
///
/// # Safety
///
/// The same as for the C function.
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
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmod(descriptor: c_int, mode: mode_t) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_fchmod(descriptor, mode));
    }
    descriptor_calls().and_then(|calls| calls.set_mode(descriptor, mode)).to_c()
}

/// All files of a machine's disk are of the program's own user: another one has no effect.
///
/// # Safety
///
/// The same as for the C function.
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
    // SAFETY: the caller's.
    match unsafe { answered(libc::AT_FDCWD, path) } {
        Some((calls, at)) => {
            let unchanged = [NewTime::Unchanged; 2];
            calls.set_times_at(at, unchanged, flags & libc::AT_SYMLINK_NOFOLLOW == 0).to_c()
        }
        None => forward_by_number!(SYS_fchownat(libc::AT_FDCWD, path, user, group, flags)),
    }
}

/// As [`fchown`].
///
/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chown(path: *const c_char, user: uid_t, group: gid_t) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { change_owner(path, user, group, 0) }
}

/// As [`fchown`].
///
/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lchown(path: *const c_char, user: uid_t, group: gid_t) -> c_int {
    // SAFETY: guaranteed by the caller, whose arguments are passed on.
    unsafe { change_owner(path, user, group, libc::AT_SYMLINK_NOFOLLOW) }
}

/// # Safety
///
/// `times` is null or has two times.
unsafe fn new_times(times: *const timespec) -> Answer<[NewTime; 2]> {
    if times.is_null() {
        return Ok([NewTime::Now; 2]);
    }
    // SAFETY: the caller's, and it is not null.
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
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimens(descriptor: c_int, times: *const timespec) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_utimensat(descriptor, std::ptr::null::<u8>(), times, 0));
    }
    // SAFETY: the caller gives two times, or null.
    let times = unsafe { new_times(times) };
    descriptor_calls().and_then(|calls| calls.set_times(descriptor, times?)).to_c()
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimensat(
    folder: c_int,
    path: *const c_char,
    times: *const timespec,
    flags: c_int,
) -> c_int {
    if path.is_null() && is_simulated(folder) {
        // SAFETY: the caller's times.
        return unsafe { futimens(folder, times) };
    }
    // SAFETY: the path is null or a C string, as guaranteed by the caller.
    match unsafe { answered(folder, path) } {
        Some((calls, at)) => {
            let follows = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
            // SAFETY: the caller gives two times, or null.
            unsafe { new_times(times) }
                .and_then(|times| calls.set_times_at(at, times, follows))
                .to_c()
        }
        None => forward_by_number!(SYS_utimensat(folder, path, times, flags)),
    }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimes(path: *const c_char, times: *const timeval) -> c_int {
    if times.is_null() {
        // SAFETY: guaranteed by the caller, whose arguments are passed on.
        return unsafe { utimensat(libc::AT_FDCWD, path, std::ptr::null(), 0) };
    }
    // SAFETY: the caller gives two times, and it is not null.
    let times = unsafe { times.cast::<[timeval; 2]>().read() };
    if times.iter().any(|time| !(0..1_000_000).contains(&time.tv_usec)) {
        return fail(libc::EINVAL);
    }
    let times = times.map(|time| timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1_000 });
    // SAFETY: the caller's path, and two times.
    unsafe { utimensat(libc::AT_FDCWD, path, times.as_ptr(), 0) }
}

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchdir(descriptor: c_int) -> c_int {
    match path_calls() {
        Some(calls) => calls.change_folder_to(descriptor).to_c(),
        None => forward_by_number!(SYS_fchdir(descriptor)),
    }
}

/// Fails with `EXDEV` for a simulated descriptor: std and others then copy by reads and writes.
///
/// # Safety
///
/// The same as for the C function.
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

/// # Safety
///
/// The same as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn isatty(descriptor: c_int) -> c_int {
    let error = if is_simulated(descriptor) {
        let checked = descriptor_calls().and_then(|calls| calls.status_flags(descriptor));
        checked.err().map_or(libc::ENOTTY, |error| error.0)
    } else {
        let mut settings = std::mem::MaybeUninit::<[u8; 64]>::uninit();
        match forward_by_number!(SYS_ioctl(descriptor, libc::TCGETS, settings.as_mut_ptr())) {
            0 => return 1,
            _ => return 0,
        }
    };
    fail(error);
    0
}

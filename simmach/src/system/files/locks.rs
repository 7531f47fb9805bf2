//! Locks on open files, by `flock` and `fcntl`.

use std::ffi::c_int;
use std::task::Waker;

use crate::disk::locks::{LockOwner, RangeLock};
use crate::disk::machines::{MachineDisk, with_disk};
use crate::engine::MachineId;
use crate::interpose::system::{Answer, Errno, RangeRequest};
use crate::system::files::{OpenFile, with_open};
use crate::system::threads::{Deadline, wait};

/// The result of an attempt to lock.
enum Attempt<T> {
    Done(T),
    /// Another lock on this machine conflicts.
    Blocked(MachineId),
}

/// Answers `flock`.
pub(in crate::system) fn lock(descriptor: c_int, operation: c_int) -> Answer<()> {
    let is_blocking = operation & libc::LOCK_NB == 0;
    let what = operation & !libc::LOCK_NB;
    if !matches!(what, libc::LOCK_SH | libc::LOCK_EX | libc::LOCK_UN) {
        return Err(Errno(libc::EINVAL));
    }
    until_free(is_blocking, || {
        let done = with_open(descriptor, |open, disk| {
            let locks = disk.locks(open.inode);
            if what == libc::LOCK_UN {
                locks.unlock_whole(open.number);
                return Ok((Attempt::Done(()), disk.take_lock_waiters()));
            }
            // The new lock replaces a previous lock of this open file, which other threads may wait
            // for.
            let is_locked = locks.lock_whole(open.number, what == libc::LOCK_EX);
            let attempt =
                if is_locked { Attempt::Done(()) } else { Attempt::Blocked(open.machine) };
            Ok((attempt, disk.take_lock_waiters()))
        })?;
        let Some((attempt, waiters)) = done else { return Ok(Attempt::Done(())) };
        waiters.into_iter().for_each(Waker::wake);
        Ok(attempt)
    })
}

/// The locks of `fcntl`, by its commands.
pub(in crate::system) fn lock_range(
    descriptor: c_int,
    command: c_int,
    request: RangeRequest,
) -> Answer<RangeRequest> {
    let is_blocking = matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW);
    until_free(is_blocking, || {
        let done = with_open(descriptor, |open, disk| {
            let wanted = range(open, disk, command, request)?;
            if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
                return Ok((Attempt::Done(found(disk, open, wanted, request)), Vec::new()));
            }
            let locks = disk.locks(open.inode);
            if request.kind == libc::F_UNLCK {
                locks.unlock_range(wanted.owner, wanted.start, wanted.end);
                return Ok((Attempt::Done(request), disk.take_lock_waiters()));
            }
            if !open.may_lock(request.kind) {
                return Err(Errno(libc::EBADF));
            }
            if locks.conflict(wanted).is_some() {
                return Ok((Attempt::Blocked(open.machine), Vec::new()));
            }
            locks.lock_range(wanted);
            Ok((Attempt::Done(request), disk.take_lock_waiters()))
        })?;
        let Some((attempt, waiters)) = done else { return Ok(Attempt::Done(request)) };
        waiters.into_iter().for_each(Waker::wake);
        Ok(attempt)
    })
}

/// Attempts to lock, and waits in between if the call may block.
fn until_free<T>(is_blocking: bool, mut attempt: impl FnMut() -> Answer<Attempt<T>>) -> Answer<T> {
    loop {
        match attempt()? {
            Attempt::Done(done) => return Ok(done),
            Attempt::Blocked(_) if !is_blocking => return Err(Errno(libc::EAGAIN)),
            Attempt::Blocked(machine) => {
                wait(Deadline::after(None), "a file lock", |waker| {
                    with_disk(machine, |disk| {
                        disk.add_lock_waiter(waker);
                        Ok(())
                    })
                })?;
            }
        }
    }
}

/// The range that a request means.
fn range(
    open: &OpenFile,
    disk: &MachineDisk,
    command: c_int,
    request: RangeRequest,
) -> Answer<RangeLock> {
    let base = match request.whence {
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => open.position,
        libc::SEEK_END => disk.files.metadata(open.inode)?.size,
        _ => return Err(Errno(libc::EINVAL)),
    };
    let invalid = Errno(libc::EINVAL);
    let start = i64::try_from(base).ok().and_then(|base| base.checked_add(request.start));
    let start = start.ok_or(Errno(libc::EOVERFLOW))?;
    // A negative length is that of the range before.
    let (start, end) = match request.length {
        0 => (start, i64::MAX),
        length @ 1.. => (start, start.checked_add(length).ok_or(Errno(libc::EOVERFLOW))?),
        length => (start.checked_add(length).ok_or(invalid)?, start),
    };
    let start = u64::try_from(start).map_err(|_| invalid)?;
    let end = if end == i64::MAX { u64::MAX } else { end as u64 };
    let owner = match command {
        libc::F_OFD_SETLK | libc::F_OFD_SETLKW | libc::F_OFD_GETLK => {
            if request.process != 0 {
                return Err(invalid);
            }
            LockOwner::OpenFile(open.number)
        }
        _ => LockOwner::Process(open.process),
    };
    Ok(RangeLock { owner, start, end, is_exclusive: request.kind == libc::F_WRLCK })
}

/// What is in the way of a lock, as `F_GETLK` tells it.
fn found(
    disk: &mut MachineDisk,
    open: &OpenFile,
    wanted: RangeLock,
    request: RangeRequest,
) -> RangeRequest {
    match disk.locks(open.inode).conflict(wanted) {
        None => RangeRequest { kind: libc::F_UNLCK, ..request },
        Some(other) => RangeRequest {
            kind: if other.is_exclusive { libc::F_WRLCK } else { libc::F_RDLCK },
            whence: libc::SEEK_SET,
            start: other.start as i64,
            length: if other.end == u64::MAX { 0 } else { (other.end - other.start) as i64 },
            process: match other.owner {
                LockOwner::OpenFile(_) => -1,
                LockOwner::Process(process) => process.0 as i32,
            },
        },
    }
}

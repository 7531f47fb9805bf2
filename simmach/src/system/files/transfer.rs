//! Operations on open files and folders: reading, writing, seeking and resizing.

use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

use smallvec::SmallVec;

use crate::disk::faults::Access;
use crate::disk::locks::LockOwner;
use crate::disk::machines::{MachineDisk, with_disk};
use crate::disk::{FileType, InodeId, MAX_SIZE, SyncKind};
use crate::engine::record::byte_hash::hash_bytes;
use crate::engine::record::event::FileCall;
use crate::engine::{self, Effect};
use crate::interpose::system::{Answer, Errno, FolderEntry, NewTime, SyncCall};
use crate::system::files::paths::{entry_type, record_failure, set_times_of};
use crate::system::files::{OpenFile, faults, now, own_process, trace, with_open};

const KEEP_SIZE: c_int = libc::FALLOC_FL_KEEP_SIZE;
const PUNCH_HOLE: c_int = libc::FALLOC_FL_PUNCH_HOLE;
const ZERO_RANGE: c_int = libc::FALLOC_FL_ZERO_RANGE;

/// What a call read or wrote.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    inode: InodeId,
    /// The content for the trace.
    hash: u64,
    bytes: usize,
}

/// Reads at the file's position. Returns `None` if the descriptor is not that of a file on a disk.
pub(in crate::system) fn read(
    descriptor: c_int,
    into: &mut [IoSliceMut<'_>],
) -> Option<Answer<usize>> {
    let done = with_open(descriptor, |open, disk| Ok(read_open(open, disk, into, None)));
    done.ok().map(finish_read)
}

/// Reads at a position.
pub(in crate::system) fn read_at(
    descriptor: c_int,
    into: &mut [IoSliceMut<'_>],
    at: u64,
) -> Answer<usize> {
    let done = with_open(descriptor, |open, disk| Ok(read_open(open, disk, into, Some(at))));
    done.map_err(of_stream).and_then(finish_read)
}

fn read_open(
    open: &mut OpenFile,
    disk: &MachineDisk,
    into: &mut [IoSliceMut<'_>],
    at: Option<u64>,
) -> Answer<Transfer> {
    if !open.reads() {
        return Err(Errno(libc::EBADF));
    }
    disk.check(Access::Read)?;
    let start = at.unwrap_or(open.position);
    let (mut bytes, mut hash) = (0, 0);
    for buffer in into.iter_mut() {
        let count = disk.files.read(open.inode, start + bytes as u64, buffer)?;
        hash = hash_bytes(hash, &buffer[..count]);
        bytes += count;
        if count < buffer.len() {
            break;
        }
    }
    if at.is_none() {
        open.position += bytes as u64;
    }
    Ok(Transfer { inode: open.inode, hash, bytes })
}

/// Adds a read to the trace. `None`: the process has ended.
fn finish_read(done: Option<Answer<Transfer>>) -> Answer<usize> {
    match done {
        Some(Ok(Transfer { inode, hash, bytes })) => {
            trace(FileCall::Read, inode.0, hash, Ok(bytes), |bytes| *bytes as i64)
        }
        Some(Err(error)) => trace(FileCall::Read, 0, 0, Err(error), |_| 0),
        None => Ok(0),
    }
}

/// Writes at the file's position. Returns `None` if the descriptor is not that of a file on a disk.
pub(in crate::system) fn write(descriptor: c_int, from: &[IoSlice<'_>]) -> Option<Answer<usize>> {
    let done = with_open(descriptor, |open, disk| Ok(write_open(open, disk, from, None)));
    done.ok().map(|done| finish_write(descriptor, from, done))
}

/// Writes at a position.
pub(in crate::system) fn write_at(
    descriptor: c_int,
    from: &[IoSlice<'_>],
    at: u64,
) -> Answer<usize> {
    let done = with_open(descriptor, |open, disk| Ok(write_open(open, disk, from, Some(at))));
    finish_write(descriptor, from, done.map_err(of_stream)?)
}

/// Returns what was written, and whether it must be synced.
fn write_open(
    open: &mut OpenFile,
    disk: &mut MachineDisk,
    from: &[IoSlice<'_>],
    at: Option<u64>,
) -> Answer<(Transfer, bool)> {
    if !open.writes() {
        return Err(Errno(libc::EBADF));
    }
    disk.check(Access::Change)?;
    // As in Linux, `pwrite` appends, too.
    let start = match open.flags & libc::O_APPEND {
        0 => at.unwrap_or(open.position),
        _ => disk.files.metadata(open.inode)?.size,
    };
    let bytes = match from {
        [piece] => disk.files.write(open.inode, start, &[piece], now())?,
        _ => {
            let pieces: SmallVec<[&[u8]; 4]> = from.iter().map(|piece| &piece[..]).collect();
            disk.files.write(open.inode, start, &pieces, now())?
        }
    };
    if at.is_none() {
        open.position = start + bytes as u64;
    }
    let hash = from.iter().fold(start, |hash, piece| hash_bytes(hash, piece));
    Ok((Transfer { inode: open.inode, hash, bytes }, open.flags & libc::O_DSYNC != 0))
}

/// Adds a write to the trace, and syncs it if the file was opened so. `None`: the process has ended.
fn finish_write(
    descriptor: c_int,
    from: &[IoSlice<'_>],
    done: Option<Answer<(Transfer, bool)>>,
) -> Answer<usize> {
    let (Transfer { inode, hash, bytes }, syncs) = match done {
        Some(Ok(done)) => done,
        Some(Err(error)) => {
            if error.0 == libc::ENOSPC {
                note_full_disk();
            }
            return trace(FileCall::Write, 0, 0, Err(error), |_| 0);
        }
        None => return Ok(from.iter().map(|piece| piece.len()).sum()),
    };
    let answer = trace(FileCall::Write, inode.0, hash, Ok(bytes), |bytes| *bytes as i64);
    if syncs {
        sync_write(descriptor)?;
    }
    answer
}

fn note_full_disk() {
    record_failure(libc::ENOSPC, "write: the machine's disk is full".to_owned());
    let machine = engine::scope().map(|scope| scope.machine);
    engine::record_fault(Effect::DiskFull, machine, || "no room for a write".to_owned());
}

/// Makes a write durable, if the file was opened so. The power may have failed in between.
fn sync_write(descriptor: c_int) -> Answer<()> {
    match with_open(descriptor, |open, disk| open.sync_if_asked(disk)) {
        Ok(Some(())) => {
            if let Some(scope) = engine::live_scope() {
                faults::finish(scope, FileCall::Sync, &Ok(()));
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => trace(FileCall::Sync, 0, 0, Err(error), |()| 0),
    }
}

/// The error of a call with a position on what has none: `ESPIPE` in place of `EINVAL`.
fn of_stream(error: Errno) -> Errno {
    if error.0 == libc::EINVAL { Errno(libc::ESPIPE) } else { error }
}

/// `ESPIPE` for what has no positions.
fn check_seekable(descriptor: c_int) -> Answer<()> {
    with_open(descriptor, |_, _| Ok(())).map_err(of_stream).map(drop)
}

/// `lseek`.
pub(in crate::system) fn seek(descriptor: c_int, offset: i64, whence: c_int) -> Answer<u64> {
    check_seekable(descriptor)?;
    let moved = with_open(descriptor, |open, disk| {
        let metadata = disk.files.metadata(open.inode)?;
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => open.position,
            libc::SEEK_END if metadata.kind == FileType::File => metadata.size,
            libc::SEEK_DATA | libc::SEEK_HOLE if metadata.kind == FileType::File => {
                let start = u64::try_from(offset).ok().filter(|start| *start < metadata.size);
                let start = start.ok_or(Errno(libc::ENXIO))?;
                open.position = match whence {
                    libc::SEEK_DATA => disk.files.next_data(open.inode, start)?,
                    _ => disk.files.next_hole(open.inode, start)?,
                };
                return Ok(open.position);
            }
            _ => return Err(Errno(libc::EINVAL)),
        };
        let position = i64::try_from(base).ok().and_then(|base| base.checked_add(offset));
        let position = position.and_then(|position| u64::try_from(position).ok());
        let position = position.filter(|position| *position <= MAX_SIZE);
        open.position = position.ok_or(Errno(libc::EINVAL))?;
        // A listing that begins again sees the folder as it is then.
        if open.position == 0 {
            open.listing = None;
        }
        Ok(open.position)
    });
    Ok(moved?.unwrap_or(0))
}

/// Changes an open file that may be written, and adds the call to the trace.
fn change(
    call: FileCall,
    descriptor: c_int,
    content: u64,
    f: impl FnOnce(&mut OpenFile, &mut MachineDisk) -> Answer<()>,
) -> Answer<()> {
    let changed = with_open(descriptor, |open, disk| {
        f(open, disk)?;
        Ok(open.inode.0)
    });
    match changed {
        Ok(Some(inode)) => trace(call, inode, content, Ok(()), |()| 0),
        Ok(None) => Ok(()),
        Err(error) => trace(call, 0, content, Err(error), |()| 0),
    }
}

/// `ftruncate`.
pub(in crate::system) fn resize(descriptor: c_int, size: u64) -> Answer<()> {
    change(FileCall::Resize, descriptor, size, |open, disk| {
        if !open.writes() {
            return Err(Errno(libc::EINVAL));
        }
        disk.check(Access::Change)?;
        disk.files.resize(open.inode, size, now()).map_err(of_folder)?;
        open.sync_if_asked(disk)
    })
}

/// The error of a call that does not work on folders: `EINVAL` in place of `EISDIR`.
fn of_folder(error: Errno) -> Errno {
    if error.0 == libc::EISDIR { Errno(libc::EINVAL) } else { error }
}

/// `fallocate`.
pub(in crate::system) fn allocate(
    descriptor: c_int,
    mode: c_int,
    start: u64,
    length: u64,
) -> Answer<()> {
    change(FileCall::Allocate, descriptor, start ^ length.rotate_left(32), |open, disk| {
        if !open.writes() {
            return Err(Errno(libc::EBADF));
        }
        disk.check(Access::Change)?;
        let end = start.checked_add(length).filter(|end| *end <= MAX_SIZE);
        let end = end.ok_or(Errno(libc::EFBIG))?;
        let size = disk.files.metadata(open.inode)?.size;
        let keeps_size = mode & KEEP_SIZE != 0;
        match mode & !KEEP_SIZE {
            0 => disk.files.check_room(open.inode, start, length)?,
            PUNCH_HOLE if !keeps_size => return Err(Errno(libc::EOPNOTSUPP)),
            PUNCH_HOLE | ZERO_RANGE => disk.files.clear(open.inode, start, length, now())?,
            _ => {
                record_failure(
                    libc::EOPNOTSUPP,
                    format!(
                        "fallocate: a simulated disk does not support the mode {mode:#x}, only 0, \
                         FALLOC_FL_PUNCH_HOLE and FALLOC_FL_ZERO_RANGE, also with FALLOC_FL_KEEP_SIZE"
                    ),
                );
                return Err(Errno(libc::EOPNOTSUPP));
            }
        }
        if !keeps_size && end > size {
            disk.files.resize(open.inode, end, now())?;
        }
        open.sync_if_asked(disk)
    })
}

/// `fsync`, `fdatasync` and `syncfs`.
pub(in crate::system) fn sync(descriptor: c_int, call: SyncCall) -> Answer<()> {
    change(FileCall::Sync, descriptor, call as u64, |open, disk| match call {
        SyncCall::All => disk.sync(open.inode, SyncKind::All),
        SyncCall::Data => disk.sync(open.inode, SyncKind::Data),
        SyncCall::FileSystem => disk.sync_all(),
    })
}

/// `sync`.
pub(in crate::system) fn sync_disk() -> Answer<()> {
    let Some((machine, _)) = own_process()? else { return Ok(()) };
    let synced = with_disk(machine, MachineDisk::sync_all);
    trace(FileCall::Sync, 0, SyncCall::FileSystem as u64, synced, |()| 0)
}

/// The next entry of a folder.
pub(in crate::system) fn next_entry(descriptor: c_int) -> Answer<Option<FolderEntry>> {
    let entry = with_open(descriptor, |open, disk| {
        let listing = match &mut open.listing {
            Some(listing) => listing,
            none => none.insert(list(disk, open.inode)?),
        };
        let Some((name, inode, kind)) = listing.get(open.position as usize) else {
            return Ok(None);
        };
        open.position += 1;
        let (name, node) = (name.clone(), entry_type(*kind));
        Ok(Some(FolderEntry { inode: inode.0, node, name, next: open.position }))
    });
    Ok(entry?.flatten())
}

fn list(disk: &MachineDisk, folder: InodeId) -> Answer<Vec<(Vec<u8>, InodeId, FileType)>> {
    let mut listing = vec![
        (b".".to_vec(), folder, FileType::Folder),
        (b"..".to_vec(), disk.files.parent(folder)?, FileType::Folder),
    ];
    listing.extend(disk.files.list(folder)?);
    Ok(listing)
}

/// `fchmod`.
pub(in crate::system) fn set_mode(descriptor: c_int, mode: u32) -> Answer<()> {
    with_open(descriptor, |open, disk| disk.files.set_mode(open.inode, mode, now())).map(|_| ())
}

/// `futimens`.
pub(in crate::system) fn set_times(descriptor: c_int, times: [NewTime; 2]) -> Answer<()> {
    with_open(descriptor, |open, disk| set_times_of(disk, open.inode, times)).map(|_| ())
}

impl OpenFile {
    /// The owners whose locks go with the file.
    pub(super) fn owners(&self) -> [LockOwner; 2] {
        [LockOwner::OpenFile(self.number), LockOwner::Process(self.process)]
    }

    /// Whether it was opened for what a lock of this kind is about.
    pub(super) fn may_lock(&self, kind: c_int) -> bool {
        match kind {
            libc::F_RDLCK => self.reads(),
            _ => self.writes(),
        }
    }

    pub(super) fn reads(&self) -> bool {
        self.flags & libc::O_PATH == 0 && self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    pub(super) fn writes(&self) -> bool {
        self.flags & libc::O_PATH == 0 && self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// Makes what was written durable, if the file was opened so.
    fn sync_if_asked(&self, disk: &mut MachineDisk) -> Answer<()> {
        match self.flags & libc::O_SYNC {
            libc::O_SYNC => disk.sync(self.inode, SyncKind::All),
            libc::O_DSYNC => disk.sync(self.inode, SyncKind::Data),
            _ => Ok(()),
        }
    }
}

//! Calls on files of a machine's disk: those on paths, and those on open files and folders.

mod faults;
mod locks;
mod mapping;
mod open;
mod paths;
mod transfer;

use std::ffi::c_int;
use std::task::Waker;

use crate::disk::locks::LockOwner;
use crate::disk::machines::{MachineDisk, with_disk};
use crate::disk::orphans::is_orphan;
use crate::disk::path::Start;
use crate::disk::{FileType, InodeId, Metadata};
use crate::engine::record::event::{Event, FileCall};
use crate::engine::{self, MachineId, ProcessId, context};
use crate::interpose::system::{Answer, Errno, NodeType, Status};
use crate::system::descriptors::{FileKind, with, with_file};
pub(super) use crate::system::files::locks::{lock, lock_range};
pub(super) use crate::system::files::mapping::{add_mapping, map, sync_mapping};
pub(super) use crate::system::files::open::open;
pub(super) use crate::system::files::paths::{
    add_name, canonical_path, change_folder, change_folder_to, make_folder, make_link, read_link,
    record_failure, remove, rename, set_mode_at, set_times_at, space, space_by_descriptor,
    status_at, working_folder,
};
pub(super) use crate::system::files::transfer::{
    allocate, next_entry, read, read_at, resize, seek, set_mode, set_times, sync, sync_disk, write,
    write_at,
};

/// An open file or folder on a machine's disk.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(super) machine: MachineId,
    pub(super) process: ProcessId,
    pub(super) inode: InodeId,
    /// Identifies this open file as the owner of locks.
    pub(super) number: u64,
    /// Where the next read or write begins, in bytes. For a folder, the number of entries that were
    /// listed.
    pub(super) position: u64,
    /// The flags with which it was opened.
    pub(super) flags: c_int,
    /// A folder's absolute path.
    pub(super) path: Vec<u8>,
    /// What a folder contained when its listing began.
    pub(super) listing: Option<Vec<(Vec<u8>, InodeId, FileType)>>,
    /// Its process has ended: calls succeed and do nothing, so that destructors do not fail.
    pub(super) is_dead: bool,
}

/// The running process and its machine; `None` if the process has ended and has no disk. The harness,
/// which runs plans, has a disk like any machine.
fn own_process() -> Answer<Option<(MachineId, ProcessId)>> {
    let scope = engine::scope().ok_or(Errno(libc::EIO))?;
    let has_disk = scope.alive || is_orphan(scope.process);
    Ok(has_disk.then_some((scope.machine, scope.process)))
}

/// The wall clock of the running code's machine, in nanoseconds since 1970. This is not counted as
/// a clock reading of the program.
fn now() -> i64 {
    let now = context::try_with(|engine| {
        engine.clock.wall(engine.scope().machine, engine.clock.now()).as_nanos()
    });
    now.and_then(|now| i64::try_from(now).ok()).unwrap_or(0)
}

/// Calls `f` with the open file of a descriptor and the disk that it is on; `None` if its process has ended.
///
/// # Errors
///
/// `EINVAL` if the descriptor is not a file's.
fn with_open<R>(
    descriptor: c_int,
    f: impl FnOnce(&mut OpenFile, &mut MachineDisk) -> Answer<R>,
) -> Answer<Option<R>> {
    with_file(descriptor, |_, file| match &mut file.kind {
        // The destructors of a process run before its files are marked as dead.
        FileKind::Disk(open) if open.is_dead || own_process()?.is_none() => Ok(None),
        FileKind::Disk(open) => with_disk(open.machine, |disk| f(open, disk).map(Some)),
        _ => Err(Errno(libc::EINVAL)),
    })
}

/// Closes an open file. Returns the wakers of calls that wait for a lock on the file.
#[must_use]
pub(super) fn close(open: &OpenFile) -> Vec<Waker> {
    if open.is_dead {
        return Vec::new();
    }
    let waiters = with_disk(open.machine, |disk| {
        disk.files.remove_user(open.inode);
        Ok(disk.release_locks(open.inode, open.owners()))
    });
    waiters.unwrap_or_default()
}

/// Releases the locks on a file that belong to the process (`fcntl`), even if the process has other
/// descriptors of the file, as POSIX requires. Call this before a descriptor is closed. Returns the
/// wakers of calls that wait for these locks.
#[must_use]
pub(super) fn release_process_locks(descriptor: c_int) -> Vec<Waker> {
    let released = with_open(descriptor, |open, disk| {
        Ok(disk.release_locks(open.inode, [LockOwner::Process(open.process)]))
    });
    released.ok().flatten().unwrap_or_default()
}

/// A process has ended: its open files stay, and do nothing. The files of an orphan (see
/// `disk::orphans`) keep working on its own copy of the disk.
pub(super) fn close_process(process: ProcessId) {
    if is_orphan(process) {
        return crate::disk::machines::close_process(process);
    }
    let waiters = with(|descriptors| {
        let mut waiters = Vec::new();
        for file in descriptors.files_mut() {
            if let FileKind::Disk(open) = &mut file.kind
                && open.process == process
            {
                waiters.extend(close(open));
                open.is_dead = true;
            }
        }
        Ok(waiters)
    });
    crate::disk::machines::close_process(process);
    waiters.into_iter().flatten().for_each(Waker::wake);
}

/// The disk of an orphan is gone: its open files do nothing.
pub(super) fn abandon(orphan: ProcessId) {
    let _ = with(|descriptors| {
        for file in descriptors.files_mut() {
            if let FileKind::Disk(open) = &mut file.kind
                && open.process == orphan
            {
                open.is_dead = true;
            }
        }
        Ok(())
    });
}

/// Returns where a relative `path` starts if `folder` is an open folder; `None` stands for the
/// working folder.
fn start_of(folder: c_int, path: &[u8]) -> Answer<Option<Start>> {
    if folder == libc::AT_FDCWD || path.starts_with(b"/") {
        return Ok(None);
    }
    if !crate::interpose::system::is_simulated(folder) {
        let path = real_path(folder)?;
        return Ok(Some(Start { folder: None, path }));
    }
    let start = with_open(folder, |open, disk| match disk.files.metadata(open.inode)?.kind {
        FileType::Folder => Ok(Start { folder: Some(open.inode), path: open.path.clone() }),
        FileType::File | FileType::Link => Err(Errno(libc::ENOTDIR)),
    });
    match start {
        Ok(start) => start.ok_or(Errno(libc::ENOENT)).map(Some),
        Err(Errno(libc::EINVAL)) => Err(Errno(libc::ENOTDIR)),
        Err(error) => Err(error),
    }
}

/// Returns the path of an open folder of the host.
fn real_path(descriptor: c_int) -> Answer<Vec<u8>> {
    let link = format!("/proc/self/fd/{descriptor}");
    let found = context::outside(|| rustix::fs::readlink(link, Vec::new()));
    let path = found.map_err(|_| Errno(libc::EBADF))?.into_bytes();
    if path.starts_with(b"/") { Ok(path) } else { Err(Errno(libc::ENOTDIR)) }
}

fn status_of(machine: MachineId, metadata: Metadata) -> Status {
    Status {
        device: device(machine),
        inode: metadata.inode.0,
        node: node_type(metadata.kind),
        mode: metadata.mode,
        links: metadata.links,
        size: metadata.size,
        blocks: metadata.blocks,
        accessed: metadata.times.accessed,
        modified: metadata.times.modified,
        changed: metadata.times.changed,
    }
}

fn node_type(kind: FileType) -> NodeType {
    match kind {
        FileType::File => NodeType::File,
        FileType::Folder => NodeType::Folder,
        FileType::Link => NodeType::Link,
    }
}

/// The device number of a machine's disk. Each machine has its own, since some libraries treat
/// files with equal device and inode numbers as the same file.
fn device(machine: MachineId) -> u64 {
    libc::makedev(254, machine.0)
}

/// The status of a descriptor.
pub(super) fn status(descriptor: c_int) -> Answer<Status> {
    let other = |node| Status {
        device: libc::makedev(0, 12),
        inode: 0,
        node,
        mode: 0o600,
        links: 1,
        size: 0,
        blocks: 0,
        accessed: 0,
        modified: 0,
        changed: 0,
    };
    with_file(descriptor, |_, file| match &file.kind {
        FileKind::Disk(open) if open.is_dead => Ok(other(NodeType::File)),
        FileKind::Disk(open) => with_disk(open.machine, |disk| {
            Ok(status_of(open.machine, disk.files.metadata(open.inode)?))
        }),
        FileKind::Counter { .. } | FileKind::Epoll(_) => Ok(other(NodeType::Anonymous)),
        FileKind::PipeReader(_) | FileKind::PipeWriter(_) => Ok(other(NodeType::Pipe)),
        FileKind::Random => Ok(other(NodeType::Device)),
        FileKind::Uuid(_) => Ok(other(NodeType::File)),
        FileKind::Unconnected { .. }
        | FileKind::Listener { .. }
        | FileKind::Stream { .. }
        | FileKind::Datagrams { .. }
        | FileKind::Unix(_) => Ok(other(NodeType::Socket)),
    })
}

/// Adds a call to the trace: what it was about, and its result. The caller must hold no borrow of
/// the run's state: the call may cut the machine's power, which needs this state.
fn trace<T>(
    call: FileCall,
    subject: u64,
    content: u64,
    answer: Answer<T>,
    result: impl FnOnce(&T) -> i64,
) -> Answer<T> {
    let returned = match &answer {
        Ok(value) => result(value),
        Err(Errno(error)) => -i64::from(*error),
    };
    // What an orphan does has no effect on the run.
    let event = Event::FileCall { call, subject, content, result: returned };
    if let Some(scope) = engine::trace_if_alive(event) {
        faults::finish(scope, call, &answer);
    }
    answer
}

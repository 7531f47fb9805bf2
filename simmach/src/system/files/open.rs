//! Opens files and folders.

use std::ffi::{CString, c_int};

use crate::disk::faults::Access;
use crate::disk::host::HostKind;
use crate::disk::machines::{MachineDisk, at_path};
use crate::disk::path::{Follow, Found, Resolved};
use crate::disk::{FileType, InodeId};
use crate::engine::record::event::FileCall;
use crate::engine::{MachineId, ProcessId};
use crate::interpose::system::{Answer, Errno, PathAt, Routed};
use crate::system::descriptors::{FileKind, open as open_descriptor};
use crate::system::files::paths::{hash_path, host_is_read_only};
use crate::system::files::{OpenFile, now, own_process, start_of, trace};

/// Permission bits that are removed from new files (the `umask`).
pub(super) const MASK: u32 = 0o022;

/// Flags that concern the use of an open file, not the opening.
const KEPT_FLAGS: c_int = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DIRECT
    | libc::O_NOATIME
    | libc::O_PATH
    | libc::O_DIRECTORY;

/// The result of opening a path.
enum Opened {
    Inode(InodeId, Vec<u8>),
    Host(Vec<u8>),
}

/// Opens a file or a folder.
pub(in crate::system) fn open(at: PathAt<'_>, flags: c_int, mode: u32) -> Answer<Routed<c_int>> {
    let Some((machine, process)) = own_process()? else {
        return open_dead(flags).map(Routed::Done);
    };
    let is_new = flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
    let follow = match () {
        // `O_CREAT` cannot create a file at a path with a slash at the end, even if a link there
        // leads to a folder.
        () if flags & libc::O_CREAT != 0 && at.path.ends_with(b"/") => Follow::No,
        () if flags & libc::O_NOFOLLOW != 0 || is_new => Follow::IfSlash,
        () => Follow::Yes,
    };
    let start = start_of(at.folder, at.path)?;
    let opened = at_path((machine, process), start.as_ref(), at.path, follow, |disk, resolved| {
        let opened = find_or_create(disk, resolved, flags, mode)?;
        if let Opened::Inode(inode, _) = &opened {
            disk.files.add_user(*inode);
        }
        Ok((opened, disk.next_open()))
    });
    let changes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0 || is_unnamed(flags);
    let opened = match opened {
        Ok((Opened::Host(path), _)) => {
            return Ok(Routed::Host(CString::new(path).map_err(|_| Errno(libc::ENOENT))?));
        }
        Ok((Opened::Inode(inode, path), number)) => Ok((inode, path, number)),
        Err(error) => Err(error),
    };
    let opened = match changes {
        true => {
            trace(FileCall::Open, hash_path(at.path), 0, opened, |(inode, _, _)| inode.0 as i64)
        }
        false => opened,
    };
    let (inode, path, number) = opened?;
    let file = OpenFile { number, ..new_file((machine, process), inode, flags, path) };
    open_descriptor(FileKind::Disk(Box::new(file)), flags & libc::O_NONBLOCK != 0).map(Routed::Done)
}

fn new_file(
    (machine, process): (MachineId, ProcessId),
    inode: InodeId,
    flags: c_int,
    path: Vec<u8>,
) -> OpenFile {
    let flags = flags & KEPT_FLAGS;
    OpenFile {
        machine,
        process,
        inode,
        number: 0,
        position: 0,
        flags,
        path,
        listing: None,
        is_dead: false,
    }
}

/// A file of a process that has ended.
fn open_dead(flags: c_int) -> Answer<c_int> {
    let own = (MachineId(u32::MAX), ProcessId::HARNESS);
    let file = OpenFile { is_dead: true, ..new_file(own, InodeId(0), flags, Vec::new()) };
    open_descriptor(FileKind::Disk(Box::new(file)), false)
}

fn is_unnamed(flags: c_int) -> bool {
    flags & libc::O_TMPFILE == libc::O_TMPFILE
}

fn writes(flags: c_int) -> bool {
    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0
}

fn find_or_create(
    disk: &mut MachineDisk,
    resolved: Resolved,
    flags: c_int,
    mode: u32,
) -> Answer<Opened> {
    let is_new = flags & libc::O_EXCL != 0 && flags & libc::O_CREAT != 0;
    match resolved.found {
        Found::Device => Ok(Opened::Host(resolved.path)),
        _ if resolved.names_folder && flags & libc::O_CREAT != 0 => Err(Errno(libc::EISDIR)),
        Found::OnDisk(_) | Found::OnHost(_) if is_new => Err(Errno(libc::EEXIST)),
        Found::OnDisk(inode) => open_inode(disk, inode, resolved, flags, mode),
        Found::OnHost(kind) => open_host(disk, kind, resolved, flags, mode),
        Found::Nothing if flags & libc::O_CREAT == 0 || is_unnamed(flags) => {
            Err(Errno(libc::ENOENT))
        }
        Found::Nothing => {
            disk.check(Access::Change)?;
            let folder = disk.parent(&resolved, now())?;
            let mode = mode & 0o7777 & !MASK;
            let inode = disk.files.create_file(folder, &resolved.name(), mode, now())?;
            Ok(Opened::Inode(inode, Vec::new()))
        }
    }
}

fn open_inode(
    disk: &mut MachineDisk,
    inode: InodeId,
    resolved: Resolved,
    flags: c_int,
    mode: u32,
) -> Answer<Opened> {
    match disk.files.metadata(inode)?.kind {
        FileType::File | FileType::Link
            if flags & libc::O_DIRECTORY != 0 || resolved.names_folder =>
        {
            Err(Errno(libc::ENOTDIR))
        }
        FileType::Link if flags & libc::O_PATH == 0 => Err(Errno(libc::ELOOP)),
        FileType::Folder if is_unnamed(flags) => {
            disk.check(Access::Change)?;
            let mode = mode & 0o7777 & !MASK;
            let inode = disk.files.create_unnamed(inode, mode, now())?;
            Ok(Opened::Inode(inode, Vec::new()))
        }
        FileType::Folder if writes(flags) || flags & libc::O_CREAT != 0 => Err(Errno(libc::EISDIR)),
        FileType::File => {
            if flags & libc::O_TRUNC != 0 {
                disk.check(Access::Change)?;
                disk.files.resize(inode, 0, now())?;
            }
            Ok(Opened::Inode(inode, Vec::new()))
        }
        FileType::Folder | FileType::Link => Ok(Opened::Inode(inode, resolved.path)),
    }
}

fn open_host(
    disk: &mut MachineDisk,
    kind: HostKind,
    resolved: Resolved,
    flags: c_int,
    mode: u32,
) -> Answer<Opened> {
    match kind {
        HostKind::Folder if is_unnamed(flags) => {
            disk.check(Access::Change)?;
            let folder = disk.files.create_durable_folders(&resolved.path, now())?;
            let mode = mode & 0o7777 & !MASK;
            let inode = disk.files.create_unnamed(folder, mode, now())?;
            Ok(Opened::Inode(inode, Vec::new()))
        }
        HostKind::Folder if writes(flags) || flags & libc::O_CREAT != 0 => Err(Errno(libc::EISDIR)),
        HostKind::Link if flags & libc::O_PATH == 0 => Err(Errno(libc::ELOOP)),
        HostKind::File | HostKind::Link
            if flags & libc::O_DIRECTORY != 0 || resolved.names_folder =>
        {
            Err(Errno(libc::ENOTDIR))
        }
        HostKind::File if writes(flags) => Err(host_is_read_only("open", &resolved.path)),
        HostKind::File | HostKind::Folder | HostKind::Link => Ok(Opened::Host(resolved.path)),
    }
}

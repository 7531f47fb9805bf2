//! Calls on paths, except those that open a file.

use std::ffi::{CString, c_int};

use crate::disk::faults::Access;
use crate::disk::host::HostKind;
use crate::disk::machines::{self, MachineDisk, at_path};
use crate::disk::path::{Follow, Found, Resolved, Start};
use crate::disk::{FileType, InodeId};
use crate::engine::record::event::FileCall;
use crate::engine::{MachineId, ProcessId, context, mix};
use crate::interpose::system::{Answer, Errno, NewTime, NodeType, PathAt, Routed, Space, Status};
use crate::system::files::open::MASK;
use crate::system::files::{now, own_process, start_of, status_of, trace, with_open};

/// A hash of a path, for the trace.
pub(super) fn hash_path(path: &[u8]) -> u64 {
    path.iter().fold(path.len() as u64, |hash, byte| mix(hash, u64::from(*byte)))
}

/// Returns the error for a call that would change a file of the host, and keeps its description for
/// the report.
pub(super) fn host_is_read_only(call: &str, path: &[u8]) -> Errno {
    let text = format!(
        "{call}({}): the file is on the real machine, and a run can only read such files. Write below the working \
         folder, /tmp or /var, or wrap the call in simmach::interpose::allow_files",
        String::from_utf8_lossy(path)
    );
    record_failure(libc::EROFS, text);
    Errno(libc::EROFS)
}

/// Keeps the description of a failed call for the report.
pub(in crate::system) fn record_failure(code: c_int, text: String) {
    context::try_with(|engine| engine.failed_calls.add(engine.scope().process, code, text));
}

/// Resolves a path for the running process, and calls `f` with the result. Returns `None` if the
/// process has ended.
fn resolve<R>(
    at: PathAt<'_>,
    follow: Follow,
    f: impl FnOnce((MachineId, ProcessId), &mut MachineDisk, Resolved) -> Answer<R>,
) -> Answer<Option<R>> {
    let Some(own) = own_process()? else { return Ok(None) };
    let start = start_of(at.folder, at.path)?;
    at_path(own, start.as_ref(), at.path, follow, |disk, resolved| f(own, disk, resolved)).map(Some)
}

fn following(follows: bool) -> Follow {
    if follows { Follow::Yes } else { Follow::IfSlash }
}

fn host<T>(path: Vec<u8>) -> Answer<Routed<T>> {
    Ok(Routed::Host(CString::new(path).map_err(|_| Errno(libc::ENOENT))?))
}

/// `ENOTDIR` if a path that ends in a slash leads to a file.
fn check_slash(disk: &MachineDisk, resolved: &Resolved, inode: InodeId) -> Answer<()> {
    match disk.files.metadata(inode)?.kind {
        FileType::File | FileType::Link if resolved.names_folder => Err(Errno(libc::ENOTDIR)),
        FileType::File | FileType::Link | FileType::Folder => Ok(()),
    }
}

/// `stat` and `lstat`.
pub(in crate::system) fn status_at(at: PathAt<'_>, follows: bool) -> Answer<Routed<Status>> {
    let found =
        resolve(at, following(follows), |(machine, _), disk, resolved| match resolved.found {
            Found::OnDisk(inode) => {
                check_slash(disk, &resolved, inode)?;
                Ok(Routed::Done(status_of(machine, disk.files.metadata(inode)?)))
            }
            Found::OnHost(HostKind::File) if resolved.names_folder => Err(Errno(libc::ENOTDIR)),
            Found::OnHost(_) | Found::Device => host(resolved.path),
            Found::Nothing => Err(Errno(libc::ENOENT)),
        });
    found?.ok_or(Errno(libc::ENOENT))
}

/// `readlink`.
pub(in crate::system) fn read_link(at: PathAt<'_>) -> Answer<Routed<Vec<u8>>> {
    let found = resolve(at, Follow::IfSlash, |_, disk, resolved| match resolved.found {
        Found::OnDisk(inode) => {
            check_slash(disk, &resolved, inode)?;
            Ok(Routed::Done(disk.files.target(inode)?.to_vec()))
        }
        Found::OnHost(HostKind::Link) | Found::Device => host(resolved.path),
        Found::OnHost(_) => Err(Errno(libc::EINVAL)),
        Found::Nothing => Err(Errno(libc::ENOENT)),
    });
    found?.ok_or(Errno(libc::ENOENT))
}

/// Makes a new name at a path, by `make`.
fn make(
    call: FileCall,
    at: PathAt<'_>,
    may_end_in_slash: bool,
    make: impl FnOnce(&mut MachineDisk, InodeId, &[u8]) -> Answer<InodeId>,
) -> Answer<()> {
    let made = resolve(at, Follow::No, |_, disk, resolved| match resolved.found {
        Found::OnDisk(_) | Found::OnHost(_) => Err(Errno(libc::EEXIST)),
        Found::Device => Err(host_is_read_only(call.name(), &resolved.path)),
        Found::Nothing if resolved.names_folder && !may_end_in_slash => Err(Errno(libc::ENOENT)),
        Found::Nothing => {
            disk.check(Access::Change)?;
            let folder = disk.parent(&resolved, now())?;
            make(disk, folder, &resolved.name())
        }
    });
    match made {
        Ok(None) => Ok(()),
        Ok(Some(inode)) => {
            trace(call, hash_path(at.path), 0, Ok(inode), |inode| inode.0 as i64).map(drop)
        }
        Err(error) => trace(call, hash_path(at.path), 0, Err(error), |()| 0),
    }
}

/// `symlink`.
pub(in crate::system) fn make_link(target: &[u8], at: PathAt<'_>) -> Answer<()> {
    if target.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    make(FileCall::SymbolicLink, at, false, |disk, folder, name| {
        disk.files.create_link(folder, name, target, now())
    })
}

/// `mkdir`.
pub(in crate::system) fn make_folder(at: PathAt<'_>, mode: u32) -> Answer<()> {
    make(FileCall::MakeFolder, at, true, |disk, folder, name| {
        disk.files.create_folder(folder, name, mode & 0o1777 & !MASK, now())
    })
}

/// `link`.
pub(in crate::system) fn add_name(from: PathAt<'_>, to: PathAt<'_>, follows: bool) -> Answer<()> {
    let found = resolve(from, following(follows), |_, disk, resolved| match resolved.found {
        Found::OnDisk(inode) => {
            check_slash(disk, &resolved, inode)?;
            Ok(inode)
        }
        Found::OnHost(HostKind::Folder) => Err(Errno(libc::EPERM)),
        Found::OnHost(_) | Found::Device => Err(Errno(libc::EXDEV)),
        Found::Nothing => Err(Errno(libc::ENOENT)),
    })?;
    let Some(inode) = found else { return Ok(()) };
    make(FileCall::Link, to, false, |disk, folder, name| {
        disk.files.link(inode, folder, name, now()).map(|()| inode)
    })
}

/// `unlink` and `rmdir`.
pub(in crate::system) fn remove(at: PathAt<'_>, is_folder: bool) -> Answer<()> {
    let removed = resolve(at, Follow::No, |_, disk, resolved| match resolved.found {
        Found::OnDisk(_) if !resolved.ends_in_name => Err(Errno(match last_part(at.path) {
            b"." if is_folder => libc::EINVAL,
            b".." if is_folder => libc::ENOTEMPTY,
            _ if is_folder => libc::EBUSY,
            _ => libc::EISDIR,
        })),
        Found::OnDisk(inode) => {
            let parent = resolved.parent.ok_or(Errno(libc::EBUSY))?;
            disk.check(Access::Change)?;
            let kind = disk.files.metadata(inode)?.kind;
            match (is_folder, kind) {
                (true, FileType::File | FileType::Link) => Err(Errno(libc::ENOTDIR)),
                (false, FileType::File | FileType::Link) if resolved.names_folder => {
                    Err(Errno(libc::ENOTDIR))
                }
                (true, _) => disk.files.remove_folder(parent, &resolved.name(), now()),
                (false, _) => disk.files.unlink(parent, &resolved.name(), now()),
            }
        }
        Found::OnHost(HostKind::Folder) if !is_folder => Err(Errno(libc::EISDIR)),
        Found::OnHost(_) | Found::Device => {
            Err(host_is_read_only(if is_folder { "rmdir" } else { "unlink" }, &resolved.path))
        }
        Found::Nothing => Err(Errno(libc::ENOENT)),
    });
    let call = if is_folder { FileCall::RemoveFolder } else { FileCall::Remove };
    trace(call, hash_path(at.path), 0, removed, |_| 0).map(|_| ())
}

/// The last part of a path, without slashes at its end.
fn last_part(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    path[..end].rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// `rename`.
pub(in crate::system) fn rename(from: PathAt<'_>, to: PathAt<'_>, must_be_new: bool) -> Answer<()> {
    let renamed = move_name(from, to, must_be_new);
    let content = hash_path(to.path);
    trace(FileCall::Rename, hash_path(from.path), content, renamed, |_| 0).map(|_| ())
}

/// Errors come in Linux's order: of the folders of both names, of the names, of what they lead to.
fn move_name(from: PathAt<'_>, to: PathAt<'_>, must_be_new: bool) -> Answer<Option<()>> {
    let Some(source) = resolve(from, Follow::No, |_, _, resolved| Ok(resolved))? else {
        return Ok(None);
    };
    resolve(to, Follow::No, |_, disk, target| {
        if !source.ends_in_name {
            return Err(Errno(libc::EBUSY));
        }
        if !target.ends_in_name {
            return Err(Errno(if must_be_new { libc::EEXIST } else { libc::EBUSY }));
        }
        let inode = match source.found {
            Found::OnDisk(inode) => inode,
            Found::OnHost(_) | Found::Device => {
                return Err(host_is_read_only("rename", &source.path));
            }
            Found::Nothing => return Err(Errno(libc::ENOENT)),
        };
        if must_be_new && target.found != Found::Nothing {
            return Err(Errno(libc::EEXIST));
        }
        let is_folder = disk.files.metadata(inode)?.kind == FileType::Folder;
        if !is_folder && (source.names_folder || target.names_folder) {
            return Err(Errno(libc::ENOTDIR));
        }
        if let Found::OnHost(_) | Found::Device = target.found {
            return Err(host_is_read_only("rename", &target.path));
        }
        let folder = source.parent.ok_or(Errno(libc::EBUSY))?;
        disk.check(Access::Change)?;
        let to_folder = disk.parent(&target, now())?;
        let (from, to) = ((folder, &source.name()[..]), (to_folder, &target.name()[..]));
        disk.files.rename(from, to, must_be_new, now())
    })
}

/// Changes what a path leads to, which must be on the disk.
fn change(
    call: &str,
    at: PathAt<'_>,
    follows: bool,
    f: impl FnOnce(&mut MachineDisk, InodeId) -> Answer<()>,
) -> Answer<()> {
    let changed = resolve(at, following(follows), |_, disk, resolved| match resolved.found {
        Found::OnDisk(inode) => {
            check_slash(disk, &resolved, inode)?;
            f(disk, inode)
        }
        Found::OnHost(_) | Found::Device => Err(host_is_read_only(call, &resolved.path)),
        Found::Nothing => Err(Errno(libc::ENOENT)),
    });
    changed.map(|_| ())
}

/// `chmod`.
pub(in crate::system) fn set_mode_at(at: PathAt<'_>, mode: u32) -> Answer<()> {
    change("chmod", at, true, |disk, inode| disk.files.set_mode(inode, mode, now()))
}

/// `utimensat`.
pub(in crate::system) fn set_times_at(
    at: PathAt<'_>,
    times: [NewTime; 2],
    follows: bool,
) -> Answer<()> {
    change("utimensat", at, follows, |disk, inode| set_times_of(disk, inode, times))
}

pub(super) fn set_times_of(
    disk: &mut MachineDisk,
    inode: InodeId,
    times: [NewTime; 2],
) -> Answer<()> {
    let now = now();
    let time = |time| match time {
        NewTime::Unchanged => None,
        NewTime::Now => Some(now),
        NewTime::At(at) => Some(at),
    };
    disk.files.set_times(inode, time(times[0]), time(times[1]), now)
}

/// `chdir`.
pub(in crate::system) fn change_folder(at: PathAt<'_>) -> Answer<()> {
    let found = resolve(at, Follow::Yes, |(_, process), disk, resolved| match resolved.found {
        Found::OnDisk(inode) => match disk.files.metadata(inode)?.kind {
            FileType::Folder => Ok((process, Start { folder: Some(inode), path: resolved.path })),
            FileType::File | FileType::Link => Err(Errno(libc::ENOTDIR)),
        },
        Found::OnHost(HostKind::Folder) => {
            Ok((process, Start { folder: None, path: resolved.path }))
        }
        Found::OnHost(_) => Err(Errno(libc::ENOTDIR)),
        Found::Device => {
            record_failure(
                libc::EACCES,
                "chdir: in a run, a folder in /dev, /proc or /sys cannot be the working folder"
                    .to_owned(),
            );
            Err(Errno(libc::EACCES))
        }
        Found::Nothing => Err(Errno(libc::ENOENT)),
    })?;
    match found {
        Some((process, folder)) => machines::set_working_folder(process, folder),
        None => Ok(()),
    }
}

/// `fchdir`.
pub(in crate::system) fn change_folder_to(descriptor: c_int) -> Answer<()> {
    let Some((_, process)) = own_process()? else { return Ok(()) };
    match start_of(descriptor, b".")? {
        Some(folder) => machines::set_working_folder(process, folder),
        None => Err(Errno(libc::EBADF)),
    }
}

/// `getcwd`.
pub(in crate::system) fn working_folder() -> Answer<Vec<u8>> {
    let own = own_process()?.ok_or(Errno(libc::ENOENT))?;
    Ok(or_root(machines::working_folder(own)?))
}

/// `realpath`.
pub(in crate::system) fn canonical_path(path: &[u8]) -> Answer<Vec<u8>> {
    let at = PathAt { folder: libc::AT_FDCWD, path };
    let found = resolve(at, Follow::Yes, |_, disk, resolved| match resolved.found {
        Found::OnDisk(inode) => {
            check_slash(disk, &resolved, inode)?;
            Ok(or_root(resolved.path))
        }
        Found::OnHost(HostKind::File) if resolved.names_folder => Err(Errno(libc::ENOTDIR)),
        Found::OnHost(_) | Found::Device => Ok(or_root(resolved.path)),
        Found::Nothing => Err(Errno(libc::ENOENT)),
    });
    found?.ok_or(Errno(libc::ENOENT))
}

fn or_root(path: Vec<u8>) -> Vec<u8> {
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// `statfs` of a path.
pub(in crate::system) fn space(at: PathAt<'_>) -> Answer<Routed<Space>> {
    let found = resolve(at, Follow::Yes, |_, disk, resolved| match resolved.found {
        Found::OnDisk(_) => Ok(Routed::Done(space_of(disk))),
        Found::OnHost(_) | Found::Device => host(resolved.path),
        Found::Nothing => Err(Errno(libc::ENOENT)),
    });
    found?.ok_or(Errno(libc::ENOENT))
}

/// The space of a disk.
pub(super) fn space_of(disk: &MachineDisk) -> Space {
    let (total, free) = disk.files.space();
    Space { total, free }
}

/// The type of what an open descriptor is, as a folder's entry has it.
pub(super) fn entry_type(kind: FileType) -> NodeType {
    super::node_type(kind)
}

/// The disk's space, by a descriptor.
pub(in crate::system) fn space_by_descriptor(descriptor: c_int) -> Answer<Space> {
    let space = with_open(descriptor, |_, disk| Ok(space_of(disk)))?;
    Ok(space.unwrap_or(Space { total: 0, free: 0 }))
}

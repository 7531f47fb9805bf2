//! Resolves paths: finds the file that a path names, on a machine's disk or on the host.
//!
//! A machine's disk is empty at first and receives everything that is written. Files that are not
//! on the disk are read from the host, except in the folders that each machine has on its own disk
//! ([`HostView`]). Devices and the kernel's files are those of the host.

use std::collections::VecDeque;

use crate::disk::file_system::FileSystem;
use crate::disk::host::{Host, HostKind};
use crate::disk::inode::{FileType, InodeId, Name, ROOT};
use crate::interpose::system::{Answer, Errno};

/// Maximum number of symbolic links that one path may lead through, as in Linux.
const MAX_LINKS: u32 = 40;
/// Maximum length of a path in bytes, including its NUL.
const MAX_PATH: usize = 4096;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    Yes,
    /// Only if a slash after the link asks for a folder.
    IfSlash,
    /// Never: the call concerns the link itself.
    No,
}

/// The folder in which relative paths begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The folder on the disk; `None` if it is only on the host.
    pub(crate) folder: Option<InodeId>,
    /// The absolute path of the folder, without a slash at the end. The path of the root is empty.
    pub(crate) path: Vec<u8>,
}

/// The result of resolving a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The absolute path without symbolic links. Only a last link that was not to be followed
    /// remains.
    pub(crate) path: Vec<u8>,
    pub(crate) found: Found,
    /// The folder of the last name, if it is on the disk.
    pub(crate) parent: Option<InodeId>,
    /// Whether the path ends in a slash, so that it must lead to a folder.
    pub(crate) names_folder: bool,
    /// Whether the last part is a name, and not `.`, `..` or the root.
    pub(crate) ends_in_name: bool,
}

/// What there is at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An inode on the disk.
    OnDisk(InodeId),
    /// Something on the host, which can only be read.
    OnHost(HostKind),
    /// A device or a file of the kernel, which is the host's.
    Device,
    /// Nothing, in a folder that exists.
    Nothing,
}

impl Resolved {
    /// The last name.
    pub(crate) fn name(&self) -> Name {
        let name = self.path.rsplit(|byte| *byte == b'/').next();
        name.unwrap_or_default().to_vec()
    }
}

/// The state of one resolution.
struct Walk<'a> {
    files: &'a FileSystem,
    host: &'a dyn Host,
    path: Vec<u8>,
    /// The folder that was reached, if it is on the disk.
    folder: Option<InodeId>,
    pending: VecDeque<Name>,
    links: u32,
}

/// Resolves a path.
pub(crate) fn resolve(
    files: &FileSystem,
    host: &dyn Host,
    start: &Start,
    path: &[u8],
    follow: Follow,
) -> Answer<Resolved> {
    if path.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    if path.len() >= MAX_PATH {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut walk = Walk {
        files,
        host,
        path: start.path.clone(),
        folder: start.folder,
        pending: VecDeque::new(),
        links: 0,
    };
    walk.push(path);
    let names_folder = path.ends_with(b"/");
    let follows = match follow {
        Follow::Yes => true,
        Follow::IfSlash => names_folder,
        Follow::No => false,
    };
    walk.run(follows, names_folder)
}

impl Walk<'_> {
    /// Puts a path before what is pending.
    fn push(&mut self, path: &[u8]) {
        if path.starts_with(b"/") {
            self.path.clear();
            self.folder = Some(ROOT);
        }
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        for part in parts.rev() {
            self.pending.push_front(part.to_vec());
        }
    }

    fn run(mut self, follows: bool, names_folder: bool) -> Answer<Resolved> {
        let mut parent = None;
        let mut ends_in_name = false;
        while let Some(name) = self.pending.pop_front() {
            ends_in_name = false;
            match &name[..] {
                b"." => continue,
                b".." => {
                    self.leave();
                    continue;
                }
                _ => {}
            }
            ends_in_name = true;
            parent = self.folder;
            let is_last = self.pending.is_empty();
            self.path.push(b'/');
            self.path.extend(&name);
            if self.path.len() >= MAX_PATH {
                return Err(Errno(libc::ENAMETOOLONG));
            }
            let found = self.find(&name)?;
            if (follows || !is_last) && self.follow(found)? {
                continue;
            }
            if is_last {
                return Ok(Resolved { path: self.path, found, parent, names_folder, ends_in_name });
            }
            self.folder = match found {
                Found::OnDisk(inode) if is_folder(self.files, found) => Some(inode),
                Found::OnHost(HostKind::Folder) => None,
                // Only the kernel knows what is there.
                Found::Device => return Ok(self.device()),
                Found::OnDisk(_) | Found::OnHost(_) => return Err(Errno(libc::ENOTDIR)),
                Found::Nothing => return Err(Errno(libc::ENOENT)),
            };
        }
        // The path ends in a folder: the root, `.` or `..`.
        let found = match self.folder {
            Some(folder) => Found::OnDisk(folder),
            None => Found::OnHost(HostKind::Folder),
        };
        Ok(Resolved { path: self.path, found, parent, names_folder, ends_in_name })
    }

    /// What a name in the folder that was reached leads to. `self.path` ends in the name.
    fn find(&self, name: &[u8]) -> Answer<Found> {
        if let Some(folder) = self.folder {
            match self.files.lookup(folder, name) {
                Ok(inode) => return Ok(Found::OnDisk(inode)),
                Err(Errno(libc::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
        let view = self.host.view();
        if view.is_device(&self.path) {
            return Ok(Found::Device);
        }
        if view.is_hidden(&self.path) {
            return Ok(Found::Nothing);
        }
        Ok(self.host.kind(&self.path).map_or(Found::Nothing, Found::OnHost))
    }

    /// Follows a symbolic link. Returns false if there is none.
    fn follow(&mut self, found: Found) -> Answer<bool> {
        let target = match found {
            Found::OnDisk(inode) => match self.files.target(inode) {
                Ok(target) => target.to_vec(),
                Err(_) => return Ok(false),
            },
            Found::OnHost(HostKind::Link) => {
                self.host.target(&self.path).ok_or(Errno(libc::ENOENT))?
            }
            Found::OnHost(_) | Found::Device | Found::Nothing => return Ok(false),
        };
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno(libc::ELOOP));
        }
        let parent = self.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.path.truncate(parent);
        self.push(&target);
        Ok(true)
    }

    /// Goes to the folder that contains the one that was reached.
    fn leave(&mut self) {
        let parent = self.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.path.truncate(parent);
        self.folder = on_disk(self.files, &self.path);
    }

    fn device(mut self) -> Resolved {
        for name in self.pending {
            self.path.push(b'/');
            self.path.extend(&name);
        }
        let found = Found::Device;
        Resolved { path: self.path, found, parent: None, names_folder: false, ends_in_name: true }
    }
}

/// The folder on the disk with an absolute path that has no links.
pub(crate) fn on_disk(files: &FileSystem, path: &[u8]) -> Option<InodeId> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(ROOT, |folder, name| files.lookup(folder, name).ok())
}

fn is_folder(files: &FileSystem, found: Found) -> bool {
    match found {
        Found::OnDisk(inode) => {
            files.metadata(inode).is_ok_and(|metadata| metadata.kind == FileType::Folder)
        }
        Found::OnHost(kind) => kind == HostKind::Folder,
        Found::Device | Found::Nothing => false,
    }
}

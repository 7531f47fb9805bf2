//! The file system of one machine: its inodes and names, and its state after a power failure.
//!
//! The methods take inodes and single names; `disk::path` resolves paths.

use std::collections::BTreeMap;

use crate::disk::content::Content;
use crate::disk::inode::{FileType, Inode, InodeId, InodeKind, Metadata, Name, ROOT, Times};
use crate::disk::journal::NameChange;
use crate::disk::pages::PAGE;
use crate::disk_profile::CrashProfile;
use crate::engine::mix;
use crate::interpose::system::{Answer, Errno};

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 255;
/// Maximum number of names of an inode, as in ext4.
const MAX_NAMES: u32 = 65_000;

/// The file system of a machine.
#[derive(Clone, Debug)]
pub(crate) struct FileSystem {
    pub(super) profile: CrashProfile,
    /// The inodes, by number. A deleted inode leaves an empty entry, since its number is not
    /// reused.
    inodes: Vec<Option<Box<Inode>>>,
    /// Changes of names that are not durable, oldest first.
    pub(super) names: Vec<NameChange>,
    /// For each path, as a word: how many inodes have been created there.
    created: BTreeMap<u64, u64>,
    /// Maximum number of pages.
    pub(super) capacity: u64,
    pub(super) used: u64,
    /// Whether no page is free, whatever the capacity is.
    pub(super) is_full: bool,
    /// Number of inodes that existed before the machine's first start.
    own: usize,
}

/// How much a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncKind {
    /// `fsync`.
    All,
    /// `fdatasync`: what is needed to read the data.
    Data,
}

impl FileSystem {
    /// An empty file system with a capacity in bytes.
    pub(crate) fn new(profile: CrashProfile, capacity: u64) -> Self {
        let mut new = Self {
            profile,
            inodes: vec![None, None],
            names: Vec::new(),
            created: BTreeMap::new(),
            capacity: capacity / PAGE as u64,
            used: 0,
            is_full: false,
            own: 0,
        };
        new.add(InodeKind::Folder(BTreeMap::new()), ROOT, 0o755, 0, Times::default());
        new
    }

    fn add(
        &mut self,
        kind: InodeKind,
        parent: InodeId,
        mode: u32,
        subject: u64,
        times: Times,
    ) -> InodeId {
        let id = InodeId(self.inodes.len() as u64);
        let inode = Inode { kind, parent, names: 0, users: 0, pins: 0, mode, times, subject };
        self.inodes.push(Some(Box::new(inode)));
        id
    }

    #[inline]
    pub(super) fn find(&self, id: InodeId) -> Option<&Inode> {
        self.inodes.get(id.0 as usize)?.as_deref()
    }

    #[inline]
    pub(super) fn find_mut(&mut self, id: InodeId) -> Option<&mut Inode> {
        self.inodes.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// An inode; `ENOENT` if it is gone, such as a folder that was removed.
    pub(super) fn inode(&self, id: InodeId) -> Answer<&Inode> {
        self.find(id).ok_or(Errno(libc::ENOENT))
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> Answer<&mut Inode> {
        self.find_mut(id).ok_or(Errno(libc::ENOENT))
    }

    /// The entries of a folder.
    pub(super) fn entries(&self, folder: InodeId) -> Answer<&BTreeMap<Name, InodeId>> {
        match &self.inode(folder)?.kind {
            InodeKind::Folder(entries) => Ok(entries),
            InodeKind::File(_) | InodeKind::Link(_) => Err(Errno(libc::ENOTDIR)),
        }
    }

    pub(super) fn entries_mut(&mut self, folder: InodeId) -> Answer<&mut BTreeMap<Name, InodeId>> {
        match &mut self.inode_mut(folder)?.kind {
            InodeKind::Folder(entries) => Ok(entries),
            InodeKind::File(_) | InodeKind::Link(_) => Err(Errno(libc::ENOTDIR)),
        }
    }

    pub(super) fn content(&self, file: InodeId) -> Answer<&Content> {
        match &self.inode(file)?.kind {
            InodeKind::File(content) => Ok(content),
            InodeKind::Folder(_) => Err(Errno(libc::EISDIR)),
            InodeKind::Link(_) => Err(Errno(libc::EINVAL)),
        }
    }

    /// The inode that a name in a folder leads to.
    pub(crate) fn lookup(&self, folder: InodeId, name: &[u8]) -> Answer<InodeId> {
        if name.len() > MAX_NAME {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.entries(folder)?.get(name).copied().ok_or(Errno(libc::ENOENT))
    }

    /// The folder that a folder is in.
    pub(crate) fn parent(&self, folder: InodeId) -> Answer<InodeId> {
        Ok(self.inode(folder)?.parent)
    }

    /// What a program may ask about an inode.
    pub(crate) fn metadata(&self, id: InodeId) -> Answer<Metadata> {
        let inode = self.inode(id)?;
        let (links, size, pages) = match &inode.kind {
            InodeKind::File(content) => (inode.names, content.size(), content.pages.used()),
            InodeKind::Folder(entries) => {
                let is_folder = |id: &&InodeId| {
                    self.find(**id).is_some_and(|inode| inode.file_type() == FileType::Folder)
                };
                let folders = entries.values().filter(is_folder).count() as u32;
                let own = if inode.names == 0 && id != ROOT { 0 } else { 2 + folders };
                (own, PAGE as u64, 1)
            }
            InodeKind::Link(target) => (inode.names, target.len() as u64, 0),
        };
        Ok(Metadata {
            inode: id,
            kind: inode.file_type(),
            mode: inode.mode,
            links,
            size,
            blocks: pages * (PAGE as u64 / 512),
            times: inode.times,
        })
    }

    /// The target of a symbolic link.
    pub(crate) fn target(&self, link: InodeId) -> Answer<&[u8]> {
        match &self.inode(link)?.kind {
            InodeKind::Link(target) => Ok(target),
            InodeKind::File(_) | InodeKind::Folder(_) => Err(Errno(libc::EINVAL)),
        }
    }

    /// The names in a folder, in order, with what they lead to.
    pub(crate) fn list(&self, folder: InodeId) -> Answer<Vec<(Name, InodeId, FileType)>> {
        let entries = self.entries(folder)?.iter();
        let typed =
            entries.filter_map(|(name, id)| Some((name.clone(), *id, self.find(*id)?.file_type())));
        Ok(typed.collect())
    }

    /// Path of an inode from the root, by the first name that is found for each; `None` if none leads to it.
    pub(super) fn paths(&self) -> BTreeMap<InodeId, Vec<u8>> {
        let mut found = BTreeMap::from([(ROOT, Vec::new())]);
        let mut pending = vec![ROOT];
        while let Some(folder) = pending.pop() {
            let path = found.get(&folder).cloned().unwrap_or_default();
            for (name, id) in self.entries(folder).into_iter().flatten() {
                if !found.contains_key(id) {
                    found.insert(*id, [&path[..], b"/", name].concat());
                    pending.push(*id);
                }
            }
        }
        found
    }

    /// Creates a file.
    pub(crate) fn create_file(
        &mut self,
        folder: InodeId,
        name: &[u8],
        mode: u32,
        now: i64,
    ) -> Answer<InodeId> {
        self.create(folder, name, InodeKind::File(Content::default()), mode, now)
    }

    /// Creates a file without a name (`O_TMPFILE`).
    pub(crate) fn create_unnamed(
        &mut self,
        folder: InodeId,
        mode: u32,
        now: i64,
    ) -> Answer<InodeId> {
        self.entries(folder)?;
        let subject = self.next_subject(folder, b"");
        let times = Times { accessed: now, modified: now, changed: now };
        Ok(self.add(InodeKind::File(Content::default()), folder, mode, subject, times))
    }

    /// Creates a folder.
    pub(crate) fn create_folder(
        &mut self,
        folder: InodeId,
        name: &[u8],
        mode: u32,
        now: i64,
    ) -> Answer<InodeId> {
        self.create(folder, name, InodeKind::Folder(BTreeMap::new()), mode, now)
    }

    /// Creates a symbolic link.
    pub(crate) fn create_link(
        &mut self,
        folder: InodeId,
        name: &[u8],
        target: &[u8],
        now: i64,
    ) -> Answer<InodeId> {
        self.create(folder, name, InodeKind::Link(target.to_vec()), 0o777, now)
    }

    fn create(
        &mut self,
        folder: InodeId,
        name: &[u8],
        kind: InodeKind,
        mode: u32,
        now: i64,
    ) -> Answer<InodeId> {
        self.check_new_name(folder, name)?;
        let subject = self.next_subject(folder, name);
        let times = Times { accessed: now, modified: now, changed: now };
        let id = self.add(kind, folder, mode, subject, times);
        self.insert(folder, name, id, now)?;
        self.log(NameChange::Link { folder, name: name.to_vec(), inode: id });
        Ok(id)
    }

    /// Creates the folders of an absolute path that are not there, as if they had been from the beginning.
    pub(crate) fn create_durable_folders(&mut self, path: &[u8], now: i64) -> Answer<InodeId> {
        let mut folder = ROOT;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            folder = match self.lookup(folder, name) {
                Err(Errno(libc::ENOENT)) => self.create_durable_folder(folder, name, now)?,
                found => found?,
            };
        }
        self.entries(folder)?;
        Ok(folder)
    }

    fn create_durable_folder(&mut self, folder: InodeId, name: &[u8], now: i64) -> Answer<InodeId> {
        self.check_new_name(folder, name)?;
        let subject = self.next_subject(folder, name);
        let times = Times { accessed: now, modified: now, changed: now };
        let id = self.add(InodeKind::Folder(BTreeMap::new()), folder, 0o755, subject, times);
        self.insert(folder, name, id, now)?;
        Ok(id)
    }

    /// Takes all that there is for what was there before the machine's first start.
    pub(crate) fn mark_untouched(&mut self) {
        self.own = self.inodes.len();
    }

    /// Whether nothing was created since then.
    pub(crate) fn is_untouched(&self) -> bool {
        self.inodes.len() == self.own
    }

    fn check_new_name(&self, folder: InodeId, name: &[u8]) -> Answer<()> {
        if name.len() > MAX_NAME {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        if self.entries(folder)?.contains_key(name) {
            return Err(Errno(libc::EEXIST));
        }
        // A folder that was removed takes no names.
        if folder != ROOT && self.inode(folder)?.names == 0 {
            return Err(Errno(libc::ENOENT));
        }
        Ok(())
    }

    /// The word of a new inode in addresses of draws.
    fn next_subject(&mut self, folder: InodeId, name: &[u8]) -> u64 {
        let parent = self.find(folder).map_or(0, |inode| inode.subject);
        let path = name
            .iter()
            .fold(mix(parent, name.len() as u64), |hash, byte| mix(hash, u64::from(*byte)));
        let nth = self.created.entry(path).or_default();
        *nth += 1;
        mix(path, *nth)
    }

    fn insert(&mut self, folder: InodeId, name: &[u8], id: InodeId, now: i64) -> Answer<()> {
        self.entries_mut(folder)?.insert(name.to_vec(), id);
        self.touch(folder, now);
        if let Some(inode) = self.find_mut(id) {
            inode.names += 1;
            inode.times.changed = now;
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, id: InodeId, now: i64) {
        if let Some(inode) = self.find_mut(id) {
            inode.times.modified = now;
            inode.times.changed = now;
        }
    }

    /// Gives an inode another name.
    pub(crate) fn link(
        &mut self,
        inode: InodeId,
        folder: InodeId,
        name: &[u8],
        now: i64,
    ) -> Answer<()> {
        self.check_new_name(folder, name)?;
        match self.inode(inode)? {
            Inode { kind: InodeKind::Folder(_), .. } => return Err(Errno(libc::EPERM)),
            Inode { names: MAX_NAMES.., .. } => return Err(Errno(libc::EMLINK)),
            Inode { .. } => {}
        }
        self.insert(folder, name, inode, now)?;
        self.log(NameChange::Link { folder, name: name.to_vec(), inode });
        Ok(())
    }

    /// Removes a name of a file or of a symbolic link.
    pub(crate) fn unlink(&mut self, folder: InodeId, name: &[u8], now: i64) -> Answer<()> {
        let inode = self.lookup(folder, name)?;
        match self.inode(inode)?.kind {
            InodeKind::Folder(_) => Err(Errno(libc::EISDIR)),
            InodeKind::File(_) | InodeKind::Link(_) => self.remove(folder, name, inode, now),
        }
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&mut self, folder: InodeId, name: &[u8], now: i64) -> Answer<()> {
        let inode = self.lookup(folder, name)?;
        if !self.entries(inode)?.is_empty() {
            return Err(Errno(libc::ENOTEMPTY));
        }
        self.remove(folder, name, inode, now)
    }

    fn remove(&mut self, folder: InodeId, name: &[u8], inode: InodeId, now: i64) -> Answer<()> {
        self.entries_mut(folder)?.remove(name);
        self.touch(folder, now);
        // The change mentions the inode before its last name goes.
        self.log(NameChange::Unlink { folder, name: name.to_vec(), inode });
        self.lose_name(inode, now);
        Ok(())
    }

    fn lose_name(&mut self, id: InodeId, now: i64) {
        if let Some(inode) = self.find_mut(id) {
            inode.names -= 1;
            inode.times.changed = now;
        }
        self.free(id);
    }

    /// Moves a name. What was there before is replaced, unless `must_be_new`.
    pub(crate) fn rename(
        &mut self,
        (folder, name): (InodeId, &[u8]),
        (to_folder, to_name): (InodeId, &[u8]),
        must_be_new: bool,
        now: i64,
    ) -> Answer<()> {
        let inode = self.lookup(folder, name)?;
        let is_folder = self.inode(inode)?.file_type() == FileType::Folder;
        if is_folder && self.is_within(to_folder, inode) {
            return Err(Errno(libc::EINVAL));
        }
        let replaced = match self.lookup(to_folder, to_name) {
            Ok(_) if must_be_new => return Err(Errno(libc::EEXIST)),
            Ok(replaced) if replaced == inode => return Ok(()),
            Ok(replaced) => Some(replaced),
            Err(Errno(libc::ENOENT)) => {
                self.check_new_name(to_folder, to_name)?;
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(replaced) = replaced {
            self.check_replaced(replaced, is_folder, folder)?;
        }
        self.absorb(inode);
        self.entries_mut(folder)?.remove(name);
        self.entries_mut(to_folder)?.insert(to_name.to_vec(), inode);
        for folder in [folder, to_folder] {
            self.touch(folder, now);
        }
        let own = self.inode_mut(inode)?;
        own.parent = to_folder;
        own.times.changed = now;
        let data = match (&own.kind, replaced) {
            (InodeKind::File(content), Some(_)) => content.next_serial(),
            (InodeKind::File(_) | InodeKind::Folder(_) | InodeKind::Link(_), _) => 0,
        };
        let (name, to_name) = (name.to_vec(), to_name.to_vec());
        self.log(NameChange::Rename { folder, name, to_folder, to_name, inode, replaced, data });
        if let Some(replaced) = replaced {
            self.lose_name(replaced, now);
        }
        Ok(())
    }

    fn check_replaced(&self, replaced: InodeId, by_folder: bool, from: InodeId) -> Answer<()> {
        match (&self.inode(replaced)?.kind, by_folder) {
            // A folder that the source is in is not empty either.
            _ if self.is_within(from, replaced) => Err(Errno(libc::ENOTEMPTY)),
            (InodeKind::Folder(entries), true) if !entries.is_empty() => {
                Err(Errno(libc::ENOTEMPTY))
            }
            (InodeKind::Folder(_), true) => Ok(()),
            (InodeKind::Folder(_), false) => Err(Errno(libc::EISDIR)),
            (InodeKind::File(_) | InodeKind::Link(_), true) => Err(Errno(libc::ENOTDIR)),
            (InodeKind::File(_) | InodeKind::Link(_), false) => Ok(()),
        }
    }

    /// Whether a folder is another one, or is in it.
    fn is_within(&self, mut folder: InodeId, other: InodeId) -> bool {
        loop {
            if folder == other {
                return true;
            }
            match self.find(folder) {
                Some(inode) if folder != ROOT && inode.parent != folder => folder = inode.parent,
                Some(_) | None => return false,
            }
        }
    }

    pub(super) fn log(&mut self, change: NameChange) {
        for inode in change.inodes().collect::<Vec<_>>() {
            if let Some(inode) = self.find_mut(inode) {
                inode.pins += 1;
            }
        }
        self.names.push(change);
    }

    /// Forgets a change of names, which is durable now or undone.
    pub(super) fn unpin(&mut self, change: &NameChange) {
        for inode in change.inodes().collect::<Vec<_>>() {
            if let Some(inode) = self.find_mut(inode) {
                inode.pins -= 1;
            }
            self.free(inode);
        }
    }

    /// Notes a user of an inode, such as an open file: it is kept without a name.
    pub(crate) fn add_user(&mut self, id: InodeId) {
        if let Some(inode) = self.find_mut(id) {
            inode.users += 1;
        }
    }

    /// A user of an inode is gone.
    pub(crate) fn remove_user(&mut self, id: InodeId) {
        if let Some(inode) = self.find_mut(id) {
            inode.users = inode.users.saturating_sub(1);
        }
        self.free(id);
    }

    /// Deletes an inode that nothing leads to, nor could after a power failure.
    fn free(&mut self, id: InodeId) {
        let is_unused = |inode: &Inode| inode.names == 0 && inode.users == 0 && inode.pins == 0;
        if id != ROOT && self.find(id).is_some_and(is_unused) {
            self.delete(id);
        }
    }

    pub(super) fn delete(&mut self, id: InodeId) {
        let inode = self.inodes.get_mut(id.0 as usize).and_then(Option::take);
        if let Some(InodeKind::File(content)) = inode.map(|inode| inode.kind) {
            self.used = self.used.saturating_sub(content.pages.used());
        }
    }

    pub(super) fn all(&self) -> Vec<InodeId> {
        let there = (0..).zip(&self.inodes).filter(|(_, inode)| inode.is_some());
        there.map(|(number, _)| InodeId(number)).collect()
    }
}

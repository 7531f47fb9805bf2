//! Syncs and power failures of a file system.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::disk::fate::LossDraws;
use crate::disk::file_system::{FileSystem, SyncKind};
use crate::disk::inode::{InodeId, InodeKind, ROOT};
use crate::disk::journal::{self, NameChange};
use crate::disk::power_failure::Victim;
use crate::disk_profile::CrashProfile;
use crate::interpose::system::Answer;

/// The losses of a power failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Number of lost changes of names.
    pub(crate) names: u64,
    /// Number of changes of files that did not reach the disk as a whole.
    pub(crate) writes: u64,
}

impl FileSystem {
    /// Makes a file or a folder durable.
    pub(crate) fn sync(&mut self, id: InodeId, kind: SyncKind) -> Answer<()> {
        self.absorb(id);
        let commits = match self.profile {
            CrashProfile::Journal => self.is_in_running_transaction(id, kind)?,
            CrashProfile::Posix => false,
        };
        if let InodeKind::File(content) = &mut self.inode_mut(id)?.kind {
            content.sync();
        } else if self.profile == CrashProfile::Posix {
            self.sync_folder(id);
        }
        if commits {
            self.commit(|_| true);
        }
        Ok(())
    }

    /// Makes a sync of a file or a folder fail. The next sync does not write the affected changes
    /// either.
    pub(crate) fn fail_sync(&mut self, id: InodeId) -> Answer<()> {
        if let InodeKind::File(content) = &mut self.inode_mut(id)?.kind {
            content.fail_sync();
        }
        Ok(())
    }

    /// A sync of everything fails.
    pub(crate) fn fail_sync_all(&mut self) {
        for id in self.all() {
            if let Some(InodeKind::File(content)) = self.find_mut(id).map(|inode| &mut inode.kind) {
                content.fail_sync();
            }
        }
    }

    /// Makes a range of a file durable, as `msync` does.
    pub(crate) fn sync_range(&mut self, file: InodeId, start: u64, length: u64) -> Answer<()> {
        self.absorb(file);
        if self.profile == CrashProfile::Journal
            && self.is_in_running_transaction(file, SyncKind::All)?
        {
            self.commit(|_| true);
        }
        if let InodeKind::File(content) = &mut self.inode_mut(file)?.kind {
            content.sync_range(start, length);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn sync_all(&mut self) {
        for id in self.all() {
            if let Some(InodeKind::File(content)) = self.find_mut(id).map(|inode| &mut inode.kind) {
                content.sync();
            }
        }
        self.commit(|_| true);
    }

    /// Whether a sync of an inode has to commit the journal: whether the inode, or what is needed to read it, has changed.
    fn is_in_running_transaction(&self, id: InodeId, kind: SyncKind) -> Answer<bool> {
        let is_changed = match (&self.inode(id)?.kind, kind) {
            (InodeKind::File(content), SyncKind::All) => !content.changes.is_empty(),
            (InodeKind::File(content), SyncKind::Data) => content.has_new_blocks(),
            (InodeKind::Folder(_) | InodeKind::Link(_), _) => false,
        };
        Ok(is_changed || self.names.iter().any(|change| change.mentions(id)))
    }

    /// Makes the names in a folder durable, and those in other folders that they were moved from or to.
    fn sync_folder(&mut self, folder: InodeId) {
        let mut folders = BTreeSet::from([folder]);
        // From the newest on: whatever shares a folder with a durable change is durable, if it is older.
        let mut durable: Vec<bool> = self
            .names
            .iter()
            .rev()
            .map(|change| {
                let shares = change.folders().any(|folder| folders.contains(&folder));
                if shares {
                    folders.extend(change.folders());
                }
                shares
            })
            .collect();
        durable.reverse();
        let mut durable = durable.into_iter();
        self.commit(|_| durable.next() == Some(true));
    }

    /// Makes the changes of names durable for which `which` returns true, and what reaches the disk with them.
    fn commit(&mut self, mut which: impl FnMut(&NameChange) -> bool) {
        if self.names.is_empty() {
            return;
        }
        let all = std::mem::take(&mut self.names);
        let mut done = Vec::new();
        for change in all {
            if which(&change) {
                done.push(change);
            } else {
                self.names.push(change);
            }
        }
        for change in &done {
            self.force(change);
        }
        for change in &done {
            self.unpin(change);
        }
    }

    /// Makes durable what reaches the disk with a change of names.
    fn force(&mut self, change: &NameChange) {
        let (inode, from, until) = match *change {
            NameChange::Rename { inode, data, .. } if self.profile == CrashProfile::Journal => {
                (inode, 0, data)
            }
            NameChange::Resize { inode, serial, .. } => (inode, serial, serial + 1),
            NameChange::Link { .. } | NameChange::Unlink { .. } | NameChange::Rename { .. } => {
                return;
            }
        };
        if let Some(InodeKind::File(content)) = self.find_mut(inode).map(|inode| &mut inode.kind) {
            content.force(from, until);
        }
    }

    /// The machine loses its power: nothing uses an inode any more, and what was not durable may be lost.
    pub(crate) fn lose_power(&mut self, draws: &mut dyn LossDraws) -> Losses {
        for id in self.all() {
            self.abandon_mappings(id);
        }
        let changes = std::mem::take(&mut self.names);
        let paths = LazyCell::new(|| journal::Paths::new(self.paths(), &changes));
        let describe = |change: &NameChange| change.describe(&paths);
        let lost = journal::decide(&changes, self.profile, draws, &describe);
        let mut cuts: BTreeMap<InodeId, u64> = BTreeMap::new();
        for (change, is_lost) in changes.iter().zip(&lost) {
            match *change {
                NameChange::Resize { inode, serial, .. } if *is_lost => {
                    cuts.entry(inode).or_insert(serial);
                }
                _ if *is_lost => {}
                _ => self.force(change),
            }
        }
        let undone = changes.iter().zip(&lost).filter(|(_, is_lost)| **is_lost);
        let undone: Vec<&NameChange> = undone.map(|(change, _)| change).collect();
        for change in undone.iter().rev() {
            self.undo(change);
        }
        self.collect();
        let writes = self.lose_writes(&cuts, draws);
        Losses { names: undone.len() as u64, writes }
    }

    fn undo(&mut self, change: &NameChange) {
        match change {
            NameChange::Link { folder, name, .. } => {
                if let Ok(entries) = self.entries_mut(*folder) {
                    entries.remove(name);
                }
            }
            NameChange::Unlink { folder, name, inode } => {
                if let Ok(entries) = self.entries_mut(*folder) {
                    entries.insert(name.clone(), *inode);
                }
            }
            NameChange::Rename { folder, name, to_folder, to_name, inode, replaced, .. } => {
                if let Ok(entries) = self.entries_mut(*to_folder) {
                    match replaced {
                        Some(replaced) => entries.insert(to_name.clone(), *replaced),
                        None => entries.remove(to_name),
                    };
                }
                if let Ok(entries) = self.entries_mut(*folder) {
                    entries.insert(name.clone(), *inode);
                }
            }
            NameChange::Resize { .. } => {}
        }
    }

    /// Deletes what no name leads to, and counts names anew.
    fn collect(&mut self) {
        let mut names: BTreeMap<InodeId, (u32, InodeId)> = BTreeMap::from([(ROOT, (0, ROOT))]);
        let mut pending = vec![ROOT];
        while let Some(folder) = pending.pop() {
            for id in self.entries(folder).into_iter().flat_map(BTreeMap::values) {
                let (count, _) = names.entry(*id).or_insert_with(|| {
                    pending.push(*id);
                    (0, folder)
                });
                *count += 1;
            }
        }
        for id in self.all() {
            match (names.get(&id), self.find_mut(id)) {
                (Some((count, parent)), Some(inode)) => {
                    (inode.names, inode.parent) = (*count, *parent);
                    (inode.users, inode.pins) = (0, 0);
                }
                (None, _) => self.delete(id),
                (Some(_), None) => {}
            }
        }
    }

    fn lose_writes(&mut self, cuts: &BTreeMap<InodeId, u64>, draws: &mut dyn LossDraws) -> u64 {
        let profile = self.profile;
        let (mut lost, mut used) = (0, 0);
        for (id, path) in self.paths() {
            let Some(inode) = self.find_mut(id) else { continue };
            let subject = inode.subject;
            let InodeKind::File(content) = &mut inode.kind else { continue };
            let cut = cuts.get(&id).copied().unwrap_or(u64::MAX);
            let path = String::from_utf8_lossy(&path);
            lost += Victim { subject, path: &path, cut, profile }.lose(content, draws);
            used += content.pages.used();
        }
        self.used = used;
        lost
    }
}

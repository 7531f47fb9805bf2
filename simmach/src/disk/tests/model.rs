//! A naive file system. It keeps full copies of every version of every file, and tries one by one
//! every state of the names that a power failure may leave.

mod versions;

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::content::SECTOR;
use crate::disk::file_system::SyncKind;
use crate::disk::inode::{InodeId, Name, ROOT};
use crate::disk::tests::model::versions::{
    How, Version, base, count_file, explain_file, lost_resizes, sync_file,
};
use crate::disk_profile::CrashProfile;

const PAGE: usize = 4096;
const SECTOR_BYTES: usize = SECTOR as usize;

/// The names in each folder.
pub(super) type Names = BTreeMap<(InodeId, Name), InodeId>;
/// The bytes of each file.
pub(super) type Contents = BTreeMap<InodeId, Vec<u8>>;
/// The visible state of a file system.
pub(super) type State = (Names, Contents);

#[derive(Clone, Debug)]
enum Change {
    Link {
        at: (InodeId, Name),
        inode: InodeId,
    },
    Unlink {
        at: (InodeId, Name),
    },
    Rename {
        from: (InodeId, Name),
        to: (InodeId, Name),
        inode: InodeId,
        replaces: bool,
        versions: usize,
    },
    Resize {
        file: InodeId,
        version: usize,
    },
}

/// The files of a machine.
pub(super) struct Model {
    profile: CrashProfile,
    /// The names that are durable.
    base: Names,
    changes: Vec<Change>,
    files: BTreeMap<InodeId, Vec<Version>>,
    folders: BTreeSet<InodeId>,
}

/// How often each kind of state was found after a power failure.
#[derive(Debug, Default)]
pub(super) struct Seen {
    whole_file: u64,
    old_file: u64,
    prefix: u64,
    torn: u64,
    reordered: u64,
    cut_in_a_write: u64,
    zeros_appended: u64,
    torn_prefix: u64,
    dropped_by_failed_sync: u64,
    all_names: u64,
    no_name_change: u64,
    prefix_of_names: u64,
    scattered_names: u64,
    creation_lost: u64,
    removal_lost: u64,
    rename_lost: u64,
    resize_lost: u64,
}

impl Seen {
    pub(super) fn assert_complete(&self, profile: CrashProfile) {
        let Self {
            whole_file, old_file, prefix, torn, torn_prefix, reordered, cut_in_a_write, ..
        } = *self;
        let Self { dropped_by_failed_sync, all_names, no_name_change, prefix_of_names, .. } = *self;
        let Self { creation_lost, removal_lost, rename_lost, resize_lost, .. } = *self;
        let files = [whole_file, old_file, prefix, torn, torn_prefix, reordered, cut_in_a_write];
        let names = [all_names, no_name_change, prefix_of_names];
        let lost = [creation_lost, removal_lost, rename_lost, resize_lost, dropped_by_failed_sync];
        let is_found = |count: &u64| *count >= 20;
        assert!(files.iter().chain(&names).chain(&lost).all(is_found), "{self:#?}");
        let loose = [self.zeros_appended, self.scattered_names];
        match profile {
            CrashProfile::Journal => assert_eq!(loose, [0, 0], "{self:#?}"),
            CrashProfile::Posix => assert!(loose.iter().all(is_found), "{self:#?}"),
        }
    }
}

impl Model {
    pub(super) fn new(profile: CrashProfile) -> Self {
        Self {
            profile,
            base: Names::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            folders: BTreeSet::from([ROOT]),
        }
    }

    /// Whether enough changes of names are pending: the states to try double with each.
    pub(super) fn is_full(&self) -> bool {
        self.changes.len() >= 9
    }

    pub(super) fn names(&self) -> Names {
        self.applied(|_| true)
    }

    /// The contents of all files that have names.
    pub(super) fn contents(&self) -> Contents {
        self.contents_of(&self.names())
    }

    pub(super) fn reachable(&self) -> Names {
        reachable(&self.names())
    }

    pub(super) fn reachable_contents(&self) -> Contents {
        self.contents_of(&self.reachable())
    }

    fn contents_of(&self, names: &Names) -> Contents {
        let files = names.values().filter_map(|id| Some((*id, self.files.get(id)?)));
        files.map(|(id, versions)| (id, versions[versions.len() - 1].bytes.clone())).collect()
    }

    pub(super) fn folders(&self) -> Vec<InodeId> {
        let names = self.names();
        let named = names.values().filter(|id| self.folders.contains(id)).copied();
        [ROOT].into_iter().chain(named).collect()
    }

    pub(super) fn files(&self) -> Vec<InodeId> {
        let ids: BTreeSet<InodeId> = self.contents().into_keys().collect();
        ids.into_iter().collect()
    }

    pub(super) fn create(&mut self, folder: InodeId, name: &Name, inode: InodeId, is_folder: bool) {
        if is_folder {
            self.folders.insert(inode);
        } else {
            self.files.insert(inode, vec![base(Vec::new())]);
        }
        self.link(folder, name, inode);
    }

    pub(super) fn link(&mut self, folder: InodeId, name: &Name, inode: InodeId) {
        self.changes.push(Change::Link { at: (folder, name.clone()), inode });
    }

    pub(super) fn remove(&mut self, folder: InodeId, name: &Name) {
        self.changes.push(Change::Unlink { at: (folder, name.clone()) });
    }

    pub(super) fn rename(&mut self, from: (InodeId, &Name), to: (InodeId, &Name)) {
        let names = self.names();
        let (from, to) = ((from.0, from.1.clone()), (to.0, to.1.clone()));
        let inode = names[&from];
        let replaced = names.get(&to);
        if replaced == Some(&inode) {
            return;
        }
        let versions = self.files.get(&inode).map_or(0, Vec::len);
        let replaces = replaced.is_some();
        self.changes.push(Change::Rename { from, to, inode, replaces, versions });
    }

    fn add(&mut self, file: InodeId, how: How, touched: std::ops::Range<usize>, bytes: Vec<u8>) {
        let version = Version {
            bytes,
            how,
            touched,
            is_durable: false,
            is_dropped: false,
            is_taken_for_durable: false,
        };
        self.files.get_mut(&file).expect("it is a file").push(version);
    }

    fn newest(&self, file: InodeId) -> Vec<u8> {
        self.files[&file].last().expect("the base").bytes.clone()
    }

    pub(super) fn write(&mut self, file: InodeId, start: u64, written: &[u8]) {
        let (start, mut bytes) = (start as usize, self.newest(file));
        bytes.resize(bytes.len().max(start + written.len()), 0);
        bytes[start..start + written.len()].copy_from_slice(written);
        self.add(file, How::Write, start..start + written.len(), bytes);
    }

    pub(super) fn clear(&mut self, file: InodeId, start: u64, length: u64) {
        let mut bytes = self.newest(file);
        let end = bytes.len().min((start + length) as usize);
        let start = start as usize;
        if start < end {
            bytes[start..end].fill(0);
            self.add(file, How::Write, start..end, bytes);
        }
    }

    pub(super) fn resize(&mut self, file: InodeId, size: u64) {
        let (size, mut bytes) = (size as usize, self.newest(file));
        let touched = size.min(bytes.len())..bytes.len();
        if size == bytes.len() {
            return;
        }
        if self.profile == CrashProfile::Journal {
            self.changes.push(Change::Resize { file, version: self.files[&file].len() });
        }
        bytes.resize(size, 0);
        self.add(file, How::Resize, touched, bytes);
    }

    pub(super) fn sync(&mut self, id: InodeId, kind: SyncKind) {
        let mentions =
            self.changes.iter().any(|change| change.mentions(id, &self.names_before(change)));
        let is_changed = self.files.get(&id).is_some_and(|versions| match kind {
            SyncKind::All => versions.len() > 1,
            // More may be committed, by writes to holes.
            SyncKind::Data => {
                versions.windows(2).any(|two| two[0].bytes.len() != two[1].bytes.len())
            }
        });
        if let Some(versions) = self.files.get_mut(&id) {
            sync_file(versions);
        }
        match self.profile {
            CrashProfile::Journal if is_changed || mentions => {
                self.commit(&vec![true; self.changes.len()])
            }
            CrashProfile::Journal => {}
            CrashProfile::Posix if self.folders.contains(&id) => {
                // The folder's own changes, and what those depend on, to a fixed point.
                let mut chosen: Vec<bool> =
                    self.changes.iter().map(|change| change.folders().contains(&id)).collect();
                self.close(&mut chosen);
                self.commit(&chosen);
            }
            CrashProfile::Posix => {}
        }
    }

    /// The names before a change, to know what it replaces.
    fn names_before(&self, change: &Change) -> Names {
        let mut names = self.base.clone();
        for before in self.changes.iter().take_while(|before| !std::ptr::eq(*before, change)) {
            before.apply(&mut names);
        }
        names
    }

    /// Adds what older changes the chosen ones depend on: all that share a folder with one of them.
    fn close(&self, chosen: &mut [bool]) {
        for _ in 0..chosen.len() {
            for newer in 0..chosen.len() {
                for older in 0..newer {
                    let folders = self.changes[older].folders();
                    if chosen[newer]
                        && self.changes[newer]
                            .folders()
                            .iter()
                            .any(|folder| folders.contains(folder))
                    {
                        chosen[older] = true;
                    }
                }
            }
        }
    }

    fn commit(&mut self, chosen: &[bool]) {
        let (mut kept, mut base) = (Vec::new(), self.base.clone());
        for (change, is_chosen) in std::mem::take(&mut self.changes).into_iter().zip(chosen) {
            if *is_chosen {
                change.apply(&mut base);
                self.force(&change);
            } else {
                kept.push(change);
            }
        }
        (self.base, self.changes) = (base, kept);
    }

    /// Makes durable what reaches the disk with a change of names.
    fn force(&mut self, change: &Change) {
        if let Some((file, versions)) = self.forced_by(change) {
            for version in self
                .files
                .get_mut(&file)
                .into_iter()
                .flatten()
                .take(versions.end)
                .skip(versions.start)
            {
                version.is_durable |= !version.is_dropped;
            }
        }
    }

    fn forced_by(&self, change: &Change) -> Option<(InodeId, std::ops::Range<usize>)> {
        match *change {
            Change::Rename { inode, replaces: true, versions, .. }
                if self.profile == CrashProfile::Journal =>
            {
                Some((inode, 0..versions))
            }
            Change::Resize { file, version } => Some((file, version..version + 1)),
            Change::Rename { .. } | Change::Link { .. } | Change::Unlink { .. } => None,
        }
    }

    pub(super) fn fail_sync(&mut self, id: InodeId) {
        for version in self.files.get_mut(&id).into_iter().flatten().skip(1) {
            version.is_dropped |= !version.is_durable && version.how == How::Write;
        }
    }

    pub(super) fn sync_range(&mut self, id: InodeId, start: u64, length: u64) {
        let is_mentioned =
            self.changes.iter().any(|change| change.mentions(id, &self.names_before(change)));
        if self.profile == CrashProfile::Journal && (self.files[&id].len() > 1 || is_mentioned) {
            self.commit(&vec![true; self.changes.len()]);
        }
        let range = start as usize..(start + length) as usize;
        let versions = self.files.get_mut(&id).into_iter().flatten();
        for version in versions.filter(|version| version.how == How::Write) {
            let is_within =
                range.start <= version.touched.start && version.touched.end <= range.end;
            version.is_durable |= is_within && !version.is_dropped;
        }
    }

    pub(super) fn sync_all(&mut self) {
        self.files.values_mut().for_each(sync_file);
        self.commit(&vec![true; self.changes.len()]);
    }

    /// Begins again with what a power failure has left.
    pub(super) fn restart(&mut self, (names, contents): &State) {
        self.base = names.clone();
        self.changes.clear();
        self.files = contents.iter().map(|(id, bytes)| (*id, vec![base(bytes.clone())])).collect();
    }

    fn applied(&self, which: impl Fn(usize) -> bool) -> Names {
        let mut names = self.base.clone();
        for (index, change) in self.changes.iter().enumerate() {
            if which(index) {
                change.apply(&mut names);
            }
        }
        names
    }

    /// The changes of names that a power failure may leave.
    fn choices(&self) -> Vec<Vec<bool>> {
        let count = self.changes.len();
        match self.profile {
            CrashProfile::Journal => {
                (0..=count).map(|kept| (0..count).map(|index| index < kept).collect()).collect()
            }
            CrashProfile::Posix => {
                let subsets = (0..1_u32 << count)
                    .map(|bits| (0..count).map(|index| bits >> index & 1 == 1).collect::<Vec<_>>());
                let is_closed = |chosen: &Vec<bool>| {
                    let mut closed = chosen.clone();
                    self.close(&mut closed);
                    closed == *chosen
                };
                subsets.filter(is_closed).collect()
            }
        }
    }

    /// Finds how a power failure may have left a state, and counts what kind of state it is.
    pub(super) fn explain(&self, (names, contents): &State, seen: &mut Seen) -> Result<(), String> {
        let mut reasons = Vec::new();
        for chosen in self.choices() {
            if reachable(&self.applied(|index| chosen[index])) != *names {
                continue;
            }
            let limits = |file| self.limits(file, &chosen);
            let wrong = contents.iter().find_map(|(file, bytes)| {
                let (floors, ceiling) = limits(*file);
                let versions = &self.files[file];
                let is_ordered = self.profile == CrashProfile::Journal;
                explain_file(versions, &floors, ceiling, bytes, is_ordered).err()
            });
            match wrong {
                Some(wrong) => reasons.push(format!("with {chosen:?}: {wrong}")),
                None => {
                    self.count(names, contents, &chosen, seen);
                    return Ok(());
                }
            }
        }
        Err(format!("this state is not allowed: {names:?}: {reasons:?}"))
    }

    /// Which versions of a file are durable if these changes of names are, and how many there may be.
    fn limits(&self, file: InodeId, chosen: &[bool]) -> (Vec<bool>, usize) {
        let mut durable: Vec<bool> =
            self.files[&file].iter().map(|version| version.is_durable).collect();
        let mut ceiling = durable.len();
        for (change, is_kept) in self.changes.iter().zip(chosen) {
            let Some((of, versions)) = self.forced_by(change) else { continue };
            if of != file {
                continue;
            }
            if *is_kept {
                for version in versions.filter(|version| !self.files[&file][*version].is_dropped) {
                    durable[version] = true;
                }
            } else if let Change::Resize { version, .. } = change {
                ceiling = ceiling.min(*version);
            }
        }
        (durable, ceiling)
    }

    fn count(&self, names: &Names, contents: &Contents, chosen: &[bool], seen: &mut Seen) {
        for (file, bytes) in contents {
            count_file(&self.files[file], bytes, seen);
        }
        let before = reachable(&self.names());
        let kept = chosen.iter().filter(|is_kept| **is_kept).count();
        if chosen.is_empty() {
            return;
        }
        let is_prefix = chosen.iter().take(kept).all(|is_kept| *is_kept);
        let is_named = |change: &Change| !matches!(change, Change::Resize { .. });
        if *names == before {
            seen.all_names += 1;
        } else if kept == 0 {
            seen.no_name_change += 1;
        } else if is_prefix {
            seen.prefix_of_names += 1;
        } else {
            seen.scattered_names += 1;
        }
        let lost = self.changes.iter().zip(chosen).filter(|(_, is_kept)| !**is_kept);
        for (change, _) in lost {
            debug_assert!(is_named(change) || self.profile == CrashProfile::Journal);
            match change {
                Change::Link { at, .. } => seen.creation_lost += u64::from(!names.contains_key(at)),
                Change::Unlink { at } => seen.removal_lost += u64::from(names.contains_key(at)),
                Change::Rename { from, to, inode, .. } => {
                    let is_lost = names.get(from) == Some(inode) && names.get(to) != Some(inode);
                    seen.rename_lost += u64::from(is_lost);
                }
                Change::Resize { file, version } => {
                    let is_lost = contents.get(file).is_some_and(|bytes| {
                        bytes.len() == self.files[file][version - 1].bytes.len()
                    });
                    seen.resize_lost += u64::from(is_lost);
                }
            }
        }
        if self.profile == CrashProfile::Posix {
            seen.resize_lost += contents
                .iter()
                .map(|(file, bytes)| lost_resizes(&self.files[file], bytes))
                .sum::<u64>();
        }
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link { at, inode } => {
                names.insert(at.clone(), *inode);
            }
            Self::Unlink { at } => {
                names.remove(at);
            }
            Self::Rename { from, to, inode, .. } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Resize { .. } => {}
        }
    }

    fn folders(&self) -> Vec<InodeId> {
        match self {
            Self::Link { at, .. } | Self::Unlink { at } => vec![at.0],
            Self::Rename { from, to, .. } => vec![from.0, to.0],
            Self::Resize { .. } => Vec::new(),
        }
    }

    fn mentions(&self, id: InodeId, before: &Names) -> bool {
        let inodes = match self {
            Self::Link { inode, .. } => vec![*inode],
            Self::Unlink { at } => before.get(at).copied().into_iter().collect(),
            Self::Rename { inode, to, .. } => {
                [*inode].into_iter().chain(before.get(to).copied()).collect()
            }
            Self::Resize { file, .. } => vec![*file],
        };
        inodes.contains(&id) || self.folders().contains(&id)
    }
}

/// The names that lead to something from the root.
fn reachable(names: &Names) -> Names {
    let mut folders = BTreeSet::from([ROOT]);
    loop {
        let found: BTreeSet<InodeId> = names
            .iter()
            .filter(|((folder, _), _)| folders.contains(folder))
            .map(|(_, id)| *id)
            .collect();
        let before = folders.len();
        folders.extend(found);
        if folders.len() == before {
            break;
        }
    }
    names
        .iter()
        .filter(|((folder, _), _)| folders.contains(folder))
        .map(|(at, id)| (at.clone(), *id))
        .collect()
}

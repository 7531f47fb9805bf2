//! Changes of names that are not durable, and which of them a power failure undoes.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::fate::{Fate, LossAddress, LossDraws, NAMES, Outlook, UNLIKELY};
use crate::disk::inode::{InodeId, Name};
use crate::disk::power_failure::bytes;
use crate::disk_profile::CrashProfile;

/// A change of names, or a change of a file's size that the journal orders with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NameChange {
    /// A name was created.
    Link { folder: InodeId, name: Name, inode: InodeId },
    /// A name was removed.
    Unlink { folder: InodeId, name: Name, inode: InodeId },
    /// A name was moved, and may have replaced another name.
    Rename {
        folder: InodeId,
        name: Name,
        to_folder: InodeId,
        to_name: Name,
        inode: InodeId,
        replaced: Option<InodeId>,
        /// Number of earlier changes to the file, which reach the disk before the rename.
        data: u64,
    },
    /// The size of a file was changed by the change with this serial number.
    Resize {
        inode: InodeId,
        serial: u64,
        /// The sizes before and after the change.
        sizes: [u64; 2],
    },
}

impl NameChange {
    /// The folders that this change affects.
    pub(super) fn folders(&self) -> impl Iterator<Item = InodeId> {
        let folders = match *self {
            Self::Link { folder, .. } | Self::Unlink { folder, .. } => [Some(folder), None],
            Self::Rename { folder, to_folder, .. } => [Some(folder), Some(to_folder)],
            Self::Resize { .. } => [None, None],
        };
        folders.into_iter().flatten()
    }

    /// The inodes that this change concerns.
    pub(super) fn inodes(&self) -> impl Iterator<Item = InodeId> {
        let (inode, replaced) = match *self {
            Self::Link { inode, .. } | Self::Unlink { inode, .. } | Self::Resize { inode, .. } => {
                (inode, None)
            }
            Self::Rename { inode, replaced, .. } => (inode, replaced),
        };
        self.folders().chain([inode]).chain(replaced)
    }

    /// Whether this change concerns `inode`: as a folder, as the named file, or as the file that
    /// was replaced.
    pub(super) fn mentions(&self, inode: InodeId) -> bool {
        self.inodes().any(|mentioned| mentioned == inode)
    }

    /// Describes the loss of this change.
    pub(super) fn describe(&self, paths: &Paths<'_>) -> String {
        match self {
            Self::Link { folder, name, .. } => {
                format!("the creation of {} is lost", paths.of_name(*folder, name))
            }
            Self::Unlink { folder, name, .. } => {
                format!("the removal of {} is lost", paths.of_name(*folder, name))
            }
            Self::Rename { folder, name, to_folder, to_name, .. } => format!(
                "the renaming of {} to {} is lost",
                paths.of_name(*folder, name),
                paths.of_name(*to_folder, to_name)
            ),
            Self::Resize { inode, sizes: [before, after], .. } => format!(
                "the change of the size of {} from {} to {} is lost",
                paths.of(*inode),
                bytes(*before),
                bytes(*after)
            ),
        }
    }
}

/// The paths that inodes have at a power failure, or had before they were removed.
pub(super) struct Paths<'a> {
    present: BTreeMap<InodeId, Vec<u8>>,
    changes: &'a [NameChange],
}

impl<'a> Paths<'a> {
    /// `present` has the paths of the inodes to which a name leads. `changes` are not durable.
    pub(super) fn new(present: BTreeMap<InodeId, Vec<u8>>, changes: &'a [NameChange]) -> Self {
        Self { present, changes }
    }

    fn of(&self, inode: InodeId) -> String {
        if let Some(path) = self.present.get(&inode) {
            return String::from_utf8_lossy(path).into_owned();
        }
        // The folder of an inode's last name was removed later than this name, so this ends.
        let last = self.changes.iter().rev().find_map(|change| match change {
            NameChange::Unlink { folder, name, inode: removed } if *removed == inode => {
                Some((*folder, name))
            }
            NameChange::Rename { to_folder, to_name, replaced, .. } if *replaced == Some(inode) => {
                Some((*to_folder, to_name))
            }
            _ => None,
        });
        match last {
            Some((folder, name)) => self.of_name(folder, name),
            None => "a file without a name".to_owned(),
        }
    }

    fn of_name(&self, folder: InodeId, name: &Name) -> String {
        format!("{}/{}", self.of(folder), String::from_utf8_lossy(name))
    }
}

/// Decides which changes a power failure undoes. The result has one entry for each change, the
/// oldest first: whether it is lost.
pub(super) fn decide(
    changes: &[NameChange],
    profile: CrashProfile,
    draws: &mut dyn LossDraws,
    describe: &dyn Fn(&NameChange) -> String,
) -> Vec<bool> {
    let mut lost = vec![false; changes.len()];
    if changes.is_empty() {
        return lost;
    }
    let fate = Fate::draw(draws, NAMES, changes.len());
    let fate = match (fate, profile) {
        // A journal has no other way to lose some of them.
        (Fate::Scattered, CrashProfile::Journal) => {
            let cut = LossAddress { subject: NAMES, part: u64::MAX - 3 };
            Fate::Prefix { kept: draws.setting(cut, changes.len() as u64) as usize, is_torn: false }
        }
        (fate, _) => fate,
    };
    let mut kept_folders = BTreeSet::new();
    for (index, change) in changes.iter().enumerate().rev() {
        // What is on the disk has all before it, of its folder or in the journal.
        let is_on_disk = match profile {
            CrashProfile::Journal => lost.get(index + 1) == Some(&false),
            CrashProfile::Posix => change.folders().any(|folder| kept_folders.contains(&folder)),
        };
        let chance = match fate.outlook(index) {
            Outlook::Kept => UNLIKELY,
            Outlook::Lost => 1.0,
            Outlook::Torn => 0.5,
        };
        if !is_on_disk {
            let at = LossAddress::change(NAMES, changes.len() - 1 - index);
            lost[index] = draws.is_lost(at, chance, &|| describe(change));
        }
        if !lost[index] {
            kept_folders.extend(change.folders());
        }
    }
    lost
}

//! Inodes: files, folders and symbolic links, apart from their names.

use std::collections::BTreeMap;

use crate::disk::content::Content;

/// The number of an inode on its disk. Numbers are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InodeId(pub(crate) u64);

/// The root folder.
pub(crate) const ROOT: InodeId = InodeId(2);

/// A name in a folder.
pub(crate) type Name = Vec<u8>;

/// The times of an inode, in nanoseconds since 1970 by the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) accessed: i64,
    pub(crate) modified: i64,
    pub(crate) changed: i64,
}

/// The type of an inode, with its contents.
#[derive(Clone, Debug)]
pub(super) enum InodeKind {
    File(Content),
    Folder(BTreeMap<Name, InodeId>),
    Link(Vec<u8>),
}

/// An inode.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) kind: InodeKind,
    /// If the inode is a folder, the folder that contains it.
    pub(super) parent: InodeId,
    /// Number of names of the inode.
    pub(super) names: u32,
    /// Number of open files and working folders that use the inode.
    pub(super) users: u32,
    /// Changes of names that are not durable and mention it.
    pub(super) pins: u32,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) times: Times,
    /// Its word in addresses of draws: where it was created, and how many were created there before.
    pub(super) subject: u64,
}

/// What a program may ask about an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) inode: InodeId,
    pub(crate) kind: FileType,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// Blocks of 512 bytes.
    pub(crate) blocks: u64,
    pub(crate) times: Times,
}

/// The type of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileType {
    File,
    Folder,
    Link,
}

impl Inode {
    pub(super) fn file_type(&self) -> FileType {
        match self.kind {
            InodeKind::File(_) => FileType::File,
            InodeKind::Folder(_) => FileType::Folder,
            InodeKind::Link(_) => FileType::Link,
        }
    }
}

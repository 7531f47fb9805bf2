//! The disk of each machine: a file system whose unsynced changes a power failure may take.
//!
//! A [`FileSystem`] is in memory. It keeps what each change that is not durable has overwritten, and decides at a power failure
//! which of them reached the disk: of a file all, none, a prefix whose last write is torn, or any sectors; of names as the
//! [`CrashProfile`] says. Each loss is a draw whose calm value loses nothing.
//!
//! Not modelled are corrupt sectors, disks that report a sync before it is done, and quotas.

mod attributes;
mod content;
mod durability;
mod fate;
mod file_system;
pub(crate) mod host;
mod inode;
mod journal;
pub(crate) mod locks;
pub(crate) mod machines;
pub(crate) mod mappings;
mod pages;
pub(crate) mod path;
mod power_failure;
mod profile;
mod region;
#[cfg(test)]
mod tests;

pub(crate) use crate::disk::file_system::{MAX_SIZE, SyncKind};
pub(crate) use crate::disk::inode::{FileType, InodeId, Metadata};

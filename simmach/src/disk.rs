//! The disk of each machine: a file system that may lose unsynced changes at a power failure.
//!
//! A [`FileSystem`] is in memory. For each change that is not durable, it keeps the overwritten
//! bytes. At a power failure, it decides which of these changes survive. Of the changes of a file,
//! all survive, or none, or a prefix whose last write is torn, or any sectors. Of the changes of
//! names, those survive that the [`CrashProfile`] allows. Each loss is a draw whose calm value
//! loses nothing.
//!
//! Corrupt sectors, quotas, and disks that report a sync too early are not modelled.

mod attributes;
mod content;
mod data;
pub(crate) mod delays;
mod durability;
mod fate;
pub(crate) mod faults;
mod file_system;
pub(crate) mod host;
mod image;
mod inode;
mod journal;
pub(crate) mod locks;
pub(crate) mod machines;
pub(crate) mod mappings;
pub(crate) mod orphans;
mod pages;
pub(crate) mod path;
mod power_failure;
mod region;
pub(crate) mod snapshot;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use crate::disk::data::MAX_SIZE;
pub(crate) use crate::disk::file_system::SyncKind;
pub(crate) use crate::disk::inode::{FileType, InodeId, Metadata};

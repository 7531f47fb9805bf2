//! Mappings of files for writing: which memory shows which part of which file.
//!
//! Allocators unmap memory at any time, even while the run's state is borrowed. In that case the
//! functions here do nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::disk::inode::InodeId;
use crate::disk::machines::{FILE_SYSTEMS, MachineDisks};
use crate::engine::{MachineId, ProcessId};
use crate::interpose::system::{Answer, Errno};

/// Number of mappings in all runs of this OS process. While it is 0, calls on memory are forwarded
/// at once.
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

/// A mapping of a file for writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    pub(crate) machine: MachineId,
    pub(crate) process: ProcessId,
    pub(crate) inode: InodeId,
    /// The offset in the file at which the mapping begins, in bytes.
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// Whether any mapping may exist.
pub(crate) fn has_mappings() -> bool {
    MAPPINGS.load(Ordering::Relaxed) > 0
}

fn with<R>(f: impl FnOnce(&mut MachineDisks) -> R) -> Option<R> {
    FILE_SYSTEMS.try_with(|slot| slot.try_with(f)).ok().flatten()
}

/// Records a mapping at an address.
pub(crate) fn add(address: usize, mapping: Mapping) -> Answer<()> {
    MAPPINGS.fetch_add(1, Ordering::Relaxed);
    let added = with(|disks| _ = disks.mappings.insert(address, mapping));
    added.ok_or(Errno(libc::EIO))
}

/// Removes the mappings in memory that is about to be unmapped, and reads what was written to them.
pub(crate) fn remove(address: usize, length: usize) {
    with(|disks| {
        let end = address.saturating_add(length);
        let touched = disks.mappings.range(address..end);
        let touched: Vec<(usize, Mapping)> = touched.map(|(at, own)| (*at, *own)).collect();
        for (at, mapping) in touched {
            // A part of a mapping at its end may stay, as if it were all there.
            if at + mapping.length <= end {
                disks.mappings.remove(&at);
                MAPPINGS.fetch_sub(1, Ordering::Relaxed);
                disks.unmap(mapping);
            }
        }
    });
}

/// A mapping was moved, and may have another length.
pub(crate) fn relocate(from: usize, to: usize, length: usize) {
    with(|disks| {
        if let Some(mapping) = disks.mappings.remove(&from) {
            disks.mappings.insert(to, Mapping { length, ..mapping });
        }
    });
}

/// The part of a file that a range of memory shows: the mapping, and where the range begins in the file.
pub(crate) fn find(address: usize) -> Option<(Mapping, u64)> {
    let found = with(|disks| {
        let (start, mapping) = disks.mappings.range(..=address).next_back()?;
        let within = address - start;
        (within < mapping.length).then_some((*mapping, mapping.offset + within as u64))
    });
    found.flatten()
}

impl MachineDisks {
    /// The mappings of a process that has ended, or of all.
    pub(super) fn forget_mappings(&mut self, which: impl Fn(&Mapping) -> bool) -> Vec<Mapping> {
        let gone: Vec<usize> =
            self.mappings.iter().filter(|(_, own)| which(own)).map(|(at, _)| *at).collect();
        MAPPINGS.fetch_sub(gone.len(), Ordering::Relaxed);
        gone.into_iter().filter_map(|at| self.mappings.remove(&at)).collect()
    }
}

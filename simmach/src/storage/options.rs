//! Options of a store: durability and size.

use std::time::Duration;

/// Maximum number of tables in a store. LMDB clears a few dozen bytes for each table in every transaction.
pub(crate) const MAX_TABLES: u32 = 64;

/// Granularity of map sizes in bytes: the largest page size of all platforms.
const MAP_UNIT: usize = 64 * 1024;

/// Options for opening a store: when commits become durable, and the maximum size.
///
/// ```
/// # use std::time::Duration;
/// use simmach::storage::{Durability, Options, Result, Store};
///
/// async fn open_log() -> Result<Store> {
///     let flush_interval = Duration::from_millis(500);
///     Options::new().durability(Durability::Periodic(flush_interval)).open("log").await
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    durability: Durability,
    map_size: usize,
}

/// When a committed transaction becomes durable, that is, survives power loss. Every commit
/// survives the end of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At the commit, before `write` returns.
    #[default]
    EveryCommit,
    /// At the next flush, which takes place this long after the first commit that is not durable.
    ///
    /// `write` returns sooner than with [`EveryCommit`](Self::EveryCommit), and a power loss undoes
    /// all commits since the last flush. The kernel of the machine flushes, so a pending flush
    /// takes place even if the process ends. The kernel flushes early when half of the free space
    /// in the store is used up, as kernels do under memory pressure.
    ///
    /// Outside a run, LMDB's own sync is off, and a task on the committing tokio runtime flushes. If that runtime ends
    /// before the flush, the operating system writes the data back at a time of its choice. On file systems that reorder
    /// writes, a power loss may then damage more than the commits since the last flush.
    Periodic(Duration),
}

impl Options {
    /// The default options: [`Durability::EveryCommit`] and a map size of 64 MiB.
    pub const fn new() -> Self {
        Self { durability: Durability::EveryCommit, map_size: 64 << 20 }
    }

    /// Sets when commits become durable. The default is [`Durability::EveryCommit`].
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the maximum size of the store in bytes, rounded up to a multiple of 64 KiB. The default is 64 MiB.
    ///
    /// A write that needs more returns [`Error::Full`](super::Error::Full). The size only reserves address space. In a run,
    /// only the used part takes memory or disk space of the real machine.
    #[must_use]
    pub const fn map_size(mut self, bytes: usize) -> Self {
        self.map_size = bytes;
        self
    }

    pub(crate) fn commit(&self) -> Durability {
        self.durability
    }

    pub(crate) fn size(&self) -> usize {
        self.map_size
    }
}

impl Default for Options {
    /// Same as [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

/// Rounds a size up to one that LMDB can map.
pub(crate) fn whole_units(map_size: usize) -> usize {
    map_size.clamp(MAP_UNIT, usize::MAX - MAP_UNIT).next_multiple_of(MAP_UNIT)
}

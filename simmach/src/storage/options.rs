//! How a store is opened.

use std::time::Duration;

/// How many tables a store has room for. LMDB clears a few dozen bytes for each in every transaction.
pub(crate) const MAX_TABLES: u32 = 64;

/// LMDB's own granularity: the largest page size among the platforms it runs on.
const MAP_UNIT: usize = 64 * 1024;

/// How a store is opened: what is durable when, and how large it may get.
///
/// ```
/// # use std::time::Duration;
/// use simmach::storage::{Durability, Options, Result, Store};
///
/// async fn open_log() -> Result<Store> {
///     let half_a_second = Duration::from_millis(500);
///     Options::new().durability(Durability::Periodic(half_a_second)).open("log").await
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    durability: Durability,
    map_size: usize,
}

/// When a committed transaction survives a loss of power. All of them survive the end of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is committed, before `write` returns.
    #[default]
    EveryCommit,
    /// At the next flush, which is this long after the first commit since the last one: `write` returns sooner, and a loss
    /// of power takes what no flush followed. A flush that is due happens even if the process has ended since: the
    /// machine's kernel does it. One comes ahead of time when half of the room that was left in the store is used: a kernel
    /// that is short of memory writes early.
    ///
    /// Outside a run LMDB's own sync is off, and the flush is a task of the tokio runtime that committed; should that end
    /// before it, the machine's kernel writes by its own rules. A file system that does not keep the order of writes may lose
    /// more than what no flush followed.
    Periodic(Duration),
}

impl Options {
    /// Every commit durable, 64 MiB at most.
    pub const fn new() -> Self {
        Self { durability: Durability::EveryCommit, map_size: 64 << 20 }
    }

    /// When commits are durable. [`Durability::EveryCommit`] unless set.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many bytes the store may take, rounded up to 64 KiB: past it a write answers
    /// [`Error::Full`](super::Error::Full). 64 MiB unless set. It costs address space and nothing else until it is used;
    /// what is used is memory of the machine that the simulation runs on.
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
    /// [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

/// As many bytes as LMDB can map.
pub(crate) fn whole_units(map_size: usize) -> usize {
    map_size.clamp(MAP_UNIT, usize::MAX - MAP_UNIT).next_multiple_of(MAP_UNIT)
}

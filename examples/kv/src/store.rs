//! The store of a node: openraft's storage traits, implemented with [`simmach::storage`], which is
//! LMDB. The log can be in a plain file instead.
//!
//! Only this module and its submodules use simmach. In production, a store is a file in a real
//! folder, with real fsyncs. In a simulated run, a store is on the machine's simulated disk, where
//! a power loss takes everything that is not durable.

mod codec;
mod file_log;
mod log;
mod machine;
mod snapshot;

use std::path::{Path, PathBuf};
use std::time::Duration;

use simmach::storage::{self, Durability, Options};

pub use crate::store::file_log::FileLog;
pub use crate::store::log::LogStore;
pub use crate::store::machine::StateMachine;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// LMDB fails.
    #[error("cannot open the store: {0}")]
    Lmdb(#[from] storage::Error),
    /// The file of the log cannot be used.
    #[error("cannot open the log: {0}")]
    File(#[from] std::io::Error),
}

/// When a node reports that data is stored: a vote, log entries, or a change of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// After the data is on the disk.
    #[default]
    BeforeAnswer,
    /// Before the data is on the disk. The data is written there after this time; a power loss
    /// before then takes it. This is faster, but a cluster that loses power loses acknowledged
    /// writes. The tests detect this.
    Later(Duration),
}

/// Where a node stores its log and its vote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// In LMDB, like the state.
    #[default]
    Lmdb,
    /// In a plain file.
    File {
        /// The file. It is created if it does not exist.
        path: PathBuf,
        /// Whether a write is synced before it is reported as stored. Without this, a power loss
        /// takes acknowledged writes. The tests detect this.
        is_synced: bool,
    },
}

/// Maximum size of a store, in bytes. The store reserves it as address space, not as memory.
const MAP_SIZE: usize = 1 << 30;

/// Sets the folder for the stores of this OS process. `main` calls this function once, since a
/// process runs one node. Simulated runs do not call it, since each machine has its own disk.
pub fn set_folder(folder: &Path) {
    storage::set_folder(folder);
}

/// Opens this node's log in LMDB.
///
/// # Errors
///
/// If the folder or the files in it cannot be used.
pub async fn open_log(flush: Flush) -> Result<LogStore, StoreError> {
    Ok(LogStore::new(options(flush).open("log").await?))
}

/// Opens this node's state, which is in LMDB.
///
/// # Errors
///
/// If the folder or the files in it cannot be used.
pub async fn open_state(flush: Flush) -> Result<StateMachine, StoreError> {
    Ok(StateMachine::new(options(flush).open("state").await?))
}

fn options(flush: Flush) -> Options {
    let durability = match flush {
        Flush::BeforeAnswer => Durability::EveryCommit,
        Flush::Later(delay) => Durability::Periodic(delay),
    };
    Options::new().map_size(MAP_SIZE).durability(durability)
}

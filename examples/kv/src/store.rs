//! The store of a node: openraft's storage traits, implemented with [`simmach::storage`], which is
//! LMDB.
//!
//! Only this module and its submodules use simmach. In production, a store is a file in a real
//! folder, with real fsyncs. In a simulated run, a store is on the machine's simulated disk, where
//! a power loss takes everything that is not durable.

mod codec;
mod log;
mod machine;
mod snapshot;

use std::path::Path;
use std::time::Duration;

use simmach::storage::{self, Durability, Options};

pub use crate::store::log::LogStore;
pub use crate::store::machine::StateMachine;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be opened: {0}")]
pub struct StoreError(#[from] storage::Error);

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

/// Maximum size of a store, in bytes. The store reserves it as address space, not as memory.
const MAP_SIZE: usize = 1 << 30;

/// Sets the folder for the stores of this OS process. `main` calls this function once, since a
/// process runs one node. Simulated runs do not call it, since each machine has its own disk.
pub fn set_folder(folder: &Path) {
    storage::set_folder(folder);
}

/// Opens the store of this node: one file for the log, and one for the state.
///
/// # Errors
///
/// If the folder or the files in it cannot be used.
pub async fn open(flush: Flush) -> Result<(LogStore, StateMachine), StoreError> {
    let durability = match flush {
        Flush::BeforeAnswer => Durability::EveryCommit,
        Flush::Later(delay) => Durability::Periodic(delay),
    };
    let options = Options::new().map_size(MAP_SIZE).durability(durability);
    let log = options.open("log").await?;
    let state = options.open("state").await?;
    Ok((LogStore::new(log), StateMachine::new(state)))
}

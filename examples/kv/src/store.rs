//! The store of a node: openraft's storage traits on [`simmach::storage`], which is LMDB.
//!
//! Only this module and those below it name simmach. In production a store is a file in a real folder, with real fsyncs. In a
//! simulated run it is on the simulated disk of the machine, where a power loss takes what is not durable.

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

/// When a node says that something is stored: a vote, entries of the log, a change of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// When it is on the disk.
    #[default]
    BeforeAnswer,
    /// Before. It is written to the disk this long afterwards, and a power loss takes what is not there. It is faster, and a
    /// cluster that loses its power loses acknowledged writes: the tests show that they notice.
    Later(Duration),
}

/// The most that a store may hold, in bytes. It is address space only.
const MAP_SIZE: usize = 1 << 30;

/// Sets the folder for the stores of this OS process. It is set once, by `main`: a process is one node. In a simulated run each
/// machine has a disk of its own, and nothing calls this.
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

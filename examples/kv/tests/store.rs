//! openraft's own tests of a store, in a real folder: outside a run the store is the one of production.

use kv::store::{LogStore, StateMachine};
use kv::{Flush, NodeId, TypeConfig};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{StorageError, StorageIOError};
use tempfile::TempDir;

/// Makes stores, each in a folder of its own, which is deleted with the guard.
struct Folders;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Folders {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<NodeId>> {
        let folder = TempDir::new().map_err(|error| StorageIOError::write(&error))?;
        kv::store::set_folder(folder.path());
        let opened = kv::store::open(Flush::BeforeAnswer).await;
        let (log, state) = opened.map_err(|error| StorageIOError::write(&error))?;
        Ok((folder, log, state))
    }
}

#[test]
fn store_is_as_openraft_wants_it() {
    Suite::test_all(Folders).expect("no test of the suite fails");
}

//! Runs openraft's tests of a store, in a real folder. Outside a run, the store is the same as in
//! production.

use kv::store::{LogStore, StateMachine};
use kv::{Flush, NodeId, TypeConfig};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{StorageError, StorageIOError};
use tempfile::TempDir;

/// Creates stores, each in its own folder. The guard deletes the folder when it is dropped.
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

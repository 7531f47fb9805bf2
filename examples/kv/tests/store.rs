//! Runs openraft's tests of a store, in a real folder. Outside a run, the store is the same as in
//! production.

use kv::store::{FileLog, LogStore, StateMachine};
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
        let log = kv::store::open_log(Flush::BeforeAnswer).await;
        let state = kv::store::open_state(Flush::BeforeAnswer).await;
        let failed = |error| StorageIOError::write(&error);
        Ok((folder, log.map_err(failed)?, state.map_err(failed)?))
    }
}

/// Like [`Folders`], with the log in a plain file.
struct Files;

impl StoreBuilder<TypeConfig, FileLog, StateMachine, TempDir> for Files {
    async fn build(&self) -> Result<(TempDir, FileLog, StateMachine), StorageError<NodeId>> {
        let folder = TempDir::new().map_err(|error| StorageIOError::write(&error))?;
        kv::store::set_folder(folder.path());
        let log = FileLog::open(folder.path().join("raft.log"), true).await;
        let state = kv::store::open_state(Flush::BeforeAnswer).await;
        let log = log.map_err(|error| StorageIOError::write(&error))?;
        Ok((folder, log, state.map_err(|error| StorageIOError::write(&error))?))
    }
}

/// Both parts set the folder of the process, so they are one test.
#[test]
fn store_is_as_openraft_wants_it() {
    Suite::test_all(Folders).expect("no test of the suite fails with the log in LMDB");
    Suite::test_all(Files).expect("no test of the suite fails with the log in a file");
}

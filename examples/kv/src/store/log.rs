//! Stores a node's log and its vote.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{Str, U64};
use simmach::storage::{self, Store, Table, WriteTxn};

use crate::store::codec::Postcard;
use crate::types::{NodeId, TypeConfig};

/// The entries, by index.
type Entries<'e> = Table<'e, U64<BE>, Postcard<Entry<TypeConfig>>>;
const ENTRIES: &str = "entries";

/// A table with one entry, whose key is [`ONLY`].
type Votes<'e> = Table<'e, Str, Postcard<Vote<NodeId>>>;
const VOTE: &str = "vote";

/// A table with one entry, whose key is [`ONLY`]: the last log entry that was removed because a
/// snapshot contains it.
type Purged<'e> = Table<'e, Str, Postcard<LogId<NodeId>>>;
const PURGED: &str = "purged";

const ONLY: &str = "only";

/// A node's log and vote. They share one store, so that they are written in openraft's order.
#[derive(Clone, Debug)]
pub struct LogStore {
    store: Store,
}

impl LogStore {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn write(
        &self,
        f: impl FnOnce(&mut WriteTxn<'_, '_>) -> storage::Result<()> + Send + 'static,
    ) -> Result<(), StorageError<NodeId>> {
        let written = self.store.write(f).await;
        written.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let read = self.store.read(move |txn| {
            let Some(entries): Option<Entries<'_>> = txn.table(ENTRIES)? else {
                return Ok(Vec::new());
            };
            let found = entries.range(txn, &range)?.map(|entry| Ok(entry?.1));
            found.collect::<storage::Result<_>>()
        });
        read.await.map_err(|error| StorageIOError::read_logs(&error).into())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<NodeId>> {
        let read = self.store.read(|txn| {
            let purged: Option<Purged<'_>> = txn.table(PURGED)?;
            let last_purged_log_id = match purged {
                Some(table) => table.get(txn, ONLY)?,
                None => None,
            };
            let entries: Option<Entries<'_>> = txn.table(ENTRIES)?;
            let last = match entries {
                Some(table) => table.last(txn)?,
                None => None,
            };
            let last_log_id = last.map(|(_, entry)| entry.log_id).or(last_purged_log_id);
            Ok(LogState { last_purged_log_id, last_log_id })
        });
        read.await.map_err(|error| StorageIOError::read_logs(&error).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        let vote = *vote;
        let written = self.store.write(move |txn| {
            let votes: Votes<'_> = txn.table(VOTE)?;
            Ok(votes.put(txn, ONLY, &vote)?)
        });
        written.await.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        let read = self.store.read(|txn| match txn.table(VOTE)? {
            Some(votes) => Ok(Votes::get(&votes, txn, ONLY)?),
            None => Ok(None),
        });
        read.await.map_err(|error| StorageIOError::read_vote(&error).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let new: Vec<_> = entries.into_iter().collect();
        let written = self.write(move |txn| {
            let entries: Entries<'_> = txn.table(ENTRIES)?;
            for entry in &new {
                entries.put(txn, &entry.log_id.index, entry)?;
            }
            Ok(())
        });
        let written = written.await;
        callback.log_io_completed(match &written {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
        written
    }

    async fn truncate(&mut self, from: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.write(move |txn| {
            let entries: Entries<'_> = txn.table(ENTRIES)?;
            entries.delete_range(txn, &(from.index..))?;
            Ok(())
        })
        .await
    }

    async fn purge(&mut self, up_to: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.write(move |txn| {
            let purged: Purged<'_> = txn.table(PURGED)?;
            purged.put(txn, ONLY, &up_to)?;
            let entries: Entries<'_> = txn.table(ENTRIES)?;
            entries.delete_range(txn, &(Bound::Unbounded, Bound::Included(up_to.index)))?;
            Ok(())
        })
        .await
    }
}

//! The state machine: the state after all applied log entries.
//!
//! One transaction applies a batch of entries, and it is durable before the node answers. So the
//! state always includes the entries that were removed from the log.

use std::io::Cursor;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, OptionalSend, Snapshot, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{self, Str, U64};
use simmach::storage::{self, ReadTxn, Store, Table, WriteTxn};

use crate::store::codec::Postcard;
use crate::store::snapshot;
use crate::types::{Answer, Change, Command, NodeId, RequestId, TypeConfig};

/// The values, by key.
pub(super) type Values<'e> = Table<'e, Str, types::Bytes>;
pub(super) const VALUES: &str = "values";

/// The last request of each client, by the client's ID.
pub(super) type Sessions<'e> = Table<'e, U64<BE>, Postcard<Session>>;
pub(super) const SESSIONS: &str = "sessions";

/// The clients, by the index of their last request. The first client has been silent for the
/// longest time.
pub(super) type Clients<'e> = Table<'e, U64<BE>, U64<BE>>;
pub(super) const CLIENTS: &str = "clients";

/// A table with one entry, whose key is [`ONLY`].
pub(super) type AppliedStates<'e> = Table<'e, Str, Postcard<Applied>>;
pub(super) const APPLIED: &str = "applied";
pub(super) const ONLY: &str = "only";

/// How many clients are remembered. If a forgotten client repeats its last request, the request is
/// applied twice.
const MAX_SESSIONS: u64 = 10_000;

/// How far the log is applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Applied {
    pub(super) last: Option<LogId<NodeId>>,
    pub(super) membership: StoredMembership<NodeId, BasicNode>,
}

/// The last request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    serial: u64,
    /// The index in the log.
    pub(super) index: u64,
}

/// The state of a node: values, sessions of clients, and the current snapshot.
#[derive(Clone, Debug)]
pub struct StateMachine {
    pub(super) store: Store,
}

impl StateMachine {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The value of a key in this node's state, which may be older than the cluster's.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn value(&self, key: String) -> Result<Option<Bytes>, StorageError<NodeId>> {
        let read = self.store.read(move |txn| {
            let Some(values): Option<Values<'_>> = txn.table(VALUES)? else { return Ok(None) };
            Ok(values.get(txn, &key)?.map(Bytes::copy_from_slice))
        });
        read.await.map_err(|error| read_error(&error))
    }
}

pub(super) fn read_error(error: &storage::Error) -> StorageError<NodeId> {
    StorageIOError::read_state_machine(error).into()
}

pub(super) fn applied(txn: &ReadTxn<'_, '_>) -> storage::Result<Applied> {
    let Some(table): Option<AppliedStates<'_>> = txn.table(APPLIED)? else {
        return Ok(Applied::default());
    };
    Ok(table.get(txn, ONLY)?.unwrap_or_default())
}

/// Applies a command, at its index in the log.
fn execute(txn: &mut WriteTxn<'_, '_>, index: u64, command: &Command) -> storage::Result<Answer> {
    if let Some(request) = command.request
        && let Some(answer) = begin_request(txn, index, request)?
    {
        return Ok(answer);
    }
    let values: Values<'_> = txn.table(VALUES)?;
    match &command.change {
        Change::Put { key, value } => values.put(txn, key, value)?,
        Change::Delete { key } => {
            values.delete(txn, key)?;
        }
    }
    Ok(Answer::Done)
}

/// Records a client's request. Returns its answer if it must not be executed: it was before, or a later one was.
fn begin_request(
    txn: &mut WriteTxn<'_, '_>,
    index: u64,
    request: RequestId,
) -> storage::Result<Option<Answer>> {
    let sessions: Sessions<'_> = txn.table(SESSIONS)?;
    let clients: Clients<'_> = txn.table(CLIENTS)?;
    if let Some(last) = sessions.get(txn, &request.client)? {
        if request.serial == last.serial {
            return Ok(Some(Answer::Done));
        }
        if request.serial < last.serial {
            return Ok(Some(Answer::Superseded));
        }
        clients.delete(txn, &last.index)?;
    }
    sessions.put(txn, &request.client, &Session { serial: request.serial, index })?;
    clients.put(txn, &index, &request.client)?;
    if clients.len(txn)? > MAX_SESSIONS
        && let Some((oldest, client)) = clients.first(txn)?
    {
        clients.delete(txn, &oldest)?;
        sessions.delete(txn, &client)?;
    }
    Ok(None)
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<NodeId>>, StoredMembership<NodeId, BasicNode>), StorageError<NodeId>>
    {
        let applied = self.store.read(applied).await.map_err(|error| read_error(&error))?;
        Ok((applied.last, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let written = self.store.write(move |txn| {
            let table: AppliedStates<'_> = txn.table(APPLIED)?;
            let mut applied = table.get(txn, ONLY)?.unwrap_or_default();
            let mut answers = Vec::with_capacity(entries.len());
            for Entry { log_id, payload } in entries {
                applied.last = Some(log_id);
                answers.push(match payload {
                    EntryPayload::Blank => Answer::Done,
                    EntryPayload::Normal(command) => execute(txn, log_id.index, &command)?,
                    EntryPayload::Membership(membership) => {
                        applied.membership = StoredMembership::new(Some(log_id), membership);
                        Answer::Done
                    }
                });
            }
            table.put(txn, ONLY, &applied)?;
            Ok(answers)
        });
        let written = written.await;
        written.map_err(|error| StorageIOError::write_state_machine(&error).into())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<NodeId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<NodeId>> {
        snapshot::install(&self.store, meta.clone(), snapshot.into_inner()).await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<TypeConfig>>, StorageError<NodeId>> {
        snapshot::current(&self.store).await
    }
}

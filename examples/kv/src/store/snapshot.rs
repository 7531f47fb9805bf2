//! Snapshots: the whole state as bytes. A node keeps at most one snapshot, in addition to its
//! state.

use std::collections::BTreeMap;
use std::io::Cursor;

use bytes::Bytes;
use openraft::{
    AnyError, BasicNode, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError, StorageIOError,
};
use serde::{Deserialize, Serialize};
use simmach::storage::types::{self, Str};
use simmach::storage::{self, ReadTxn, Store, Table, WriteTxn};

use crate::store::codec::Postcard;
use crate::store::machine::{
    APPLIED, Applied, AppliedStates, CLIENTS, Clients, ONLY, SESSIONS, Session, Sessions,
    StateMachine, VALUES, Values, applied, read_error,
};
use crate::types::{NodeId, TypeConfig};

type Meta = SnapshotMeta<NodeId, BasicNode>;

/// Two tables with one entry each, whose key is [`ONLY`]: the metadata of the current snapshot, and
/// its bytes.
type Metas<'e> = Table<'e, Str, Postcard<Meta>>;
const META: &str = "snapshot-meta";
type Data<'e> = Table<'e, Str, types::Bytes>;
const DATA: &str = "snapshot";

/// The contents of a snapshot. Its bytes are this struct in postcard's format.
#[derive(Serialize, Deserialize)]
struct Contents {
    values: BTreeMap<String, Bytes>,
    sessions: BTreeMap<u64, Session>,
}

impl Contents {
    fn read(txn: &ReadTxn<'_, '_>) -> storage::Result<Self> {
        let mut contents = Self { values: BTreeMap::new(), sessions: BTreeMap::new() };
        let values: Option<Values<'_>> = txn.table(VALUES)?;
        if let Some(values) = values {
            for entry in values.iter(txn)? {
                let (key, value) = entry?;
                contents.values.insert(key.to_owned(), Bytes::copy_from_slice(value));
            }
        }
        let sessions: Option<Sessions<'_>> = txn.table(SESSIONS)?;
        if let Some(sessions) = sessions {
            for entry in sessions.iter(txn)? {
                let (client, session) = entry?;
                contents.sessions.insert(client, session);
            }
        }
        Ok(contents)
    }

    /// Replaces the state.
    fn write(&self, txn: &mut WriteTxn<'_, '_>) -> storage::Result<()> {
        let values: Values<'_> = txn.table(VALUES)?;
        values.clear(txn)?;
        for (key, value) in &self.values {
            values.put(txn, key, value)?;
        }
        let sessions: Sessions<'_> = txn.table(SESSIONS)?;
        let clients: Clients<'_> = txn.table(CLIENTS)?;
        sessions.clear(txn)?;
        clients.clear(txn)?;
        for (client, session) in &self.sessions {
            sessions.put(txn, client, session)?;
            clients.put(txn, &session.index, client)?;
        }
        Ok(())
    }
}

fn write_error(error: impl Into<AnyError>) -> StorageError<NodeId> {
    StorageIOError::write_snapshot(None, error).into()
}

/// Replaces the current snapshot.
fn keep(txn: &mut WriteTxn<'_, '_>, meta: &Meta, data: &[u8]) -> storage::Result<()> {
    let metas: Metas<'_> = txn.table(META)?;
    metas.put(txn, ONLY, meta)?;
    let table: Data<'_> = txn.table(DATA)?;
    Ok(table.put(txn, ONLY, data)?)
}

/// The current snapshot.
pub(super) async fn current(
    store: &Store,
) -> Result<Option<Snapshot<TypeConfig>>, StorageError<NodeId>> {
    let read = store.read(|txn| {
        let metas: Option<Metas<'_>> = txn.table(META)?;
        let data: Option<Data<'_>> = txn.table(DATA)?;
        let (Some(metas), Some(data)) = (metas, data) else { return Ok(None) };
        let (Some(meta), Some(data)) = (metas.get(txn, ONLY)?, data.get(txn, ONLY)?) else {
            return Ok(None);
        };
        Ok(Some(Snapshot { meta, snapshot: Box::new(Cursor::new(data.to_vec())) }))
    });
    read.await.map_err(|error| read_error(&error))
}

/// Replaces the state by that of a snapshot of another node, which becomes the current one.
pub(super) async fn install(
    store: &Store,
    meta: Meta,
    data: Vec<u8>,
) -> Result<(), StorageError<NodeId>> {
    let contents: Contents = postcard::from_bytes(&data).map_err(|error| write_error(&error))?;
    let written = store.write(move |txn| {
        contents.write(txn)?;
        let applied = Applied { last: meta.last_log_id, membership: meta.last_membership.clone() };
        let table: AppliedStates<'_> = txn.table(APPLIED)?;
        table.put(txn, ONLY, &applied)?;
        keep(txn, &meta, &data)
    });
    written.await.map_err(|error| write_error(&error))
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<NodeId>> {
        let read = self.store.read(|txn| Ok((applied(txn)?, Contents::read(txn)?)));
        let (applied, contents) = read.await.map_err(|error| read_error(&error))?;
        let data = postcard::to_stdvec(&contents).map_err(|error| write_error(&error))?;
        let snapshot_id = match applied.last {
            Some(last) => last.to_string(),
            None => "empty".to_owned(),
        };
        let meta =
            Meta { last_log_id: applied.last, last_membership: applied.membership, snapshot_id };
        let kept = self.store.write({
            let (meta, data) = (meta.clone(), data.clone());
            move |txn| {
                // Another node's, installed meanwhile, may be newer.
                let metas: Metas<'_> = txn.table(META)?;
                match metas.get(txn, ONLY)? {
                    Some(newer) if newer.last_log_id > meta.last_log_id => Ok(()),
                    _ => keep(txn, &meta, &data),
                }
            }
        });
        kept.await.map_err(|error| write_error(&error))?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(data)) })
    }
}

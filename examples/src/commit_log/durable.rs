//! The log of the fixed version. One transaction checks a commit, stores its events, and stores the
//! outcome of the client's latest request.

use serde::{Deserialize, Serialize};
use simmach::storage::byteorder::BE;
use simmach::storage::types::U64;
use simmach::storage::{self, Table, WriteTxn};

use super::LogAnswer;
use super::journal::{self, Journal};
use crate::decision::Decision;
use crate::store::Postcard;
use crate::wire::RequestId;

/// The outcome of each client's latest request, by client.
type Clients<'e> = Table<'e, U64<BE>, Postcard<Latest>>;

const CLIENTS: &str = "clients";

#[derive(Debug, Serialize, Deserialize)]
struct Latest {
    number: u64,
    decision: Decision,
}

pub(super) struct Durable {
    journal: Journal,
}

impl Durable {
    pub(super) async fn open() -> storage::Result<Self> {
        Ok(Self { journal: Journal::open().await? })
    }

    pub(super) async fn commit(
        &self,
        request: RequestId,
        decided_at: u64,
        decision: Decision,
    ) -> storage::Result<LogAnswer> {
        self.journal.write(move |txn| commit(txn, request, decided_at, decision)).await
    }

    pub(super) async fn download(&self, from: u64) -> storage::Result<LogAnswer> {
        self.journal.download(from).await
    }
}

fn commit(
    txn: &mut WriteTxn<'_, '_>,
    request: RequestId,
    decided_at: u64,
    decision: Decision,
) -> storage::Result<LogAnswer> {
    let clients: Clients<'_> = txn.table(CLIENTS)?;
    if let Some(latest) = clients.get(txn, &request.client)? {
        if latest.number == request.number {
            return Ok(LogAnswer::Committed(latest.decision));
        }
        if latest.number > request.number {
            return Ok(LogAnswer::Superseded);
        }
    }
    if decided_at != journal::head(txn)? {
        return Ok(LogAnswer::Behind);
    }
    if let Decision::Accepted(events) = &decision {
        journal::append(txn, events)?;
    }
    let latest = Latest { number: request.number, decision };
    clients.put(txn, &request.client, &latest)?;
    Ok(LogAnswer::Committed(latest.decision))
}

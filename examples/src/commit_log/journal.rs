//! The events on the log's disk, by position. Both versions use this module.

use std::ops::Bound;

use simmach::storage::byteorder::BE;
use simmach::storage::types::U64;
use simmach::storage::{self, Store, Table, WriteTxn};

use super::{BATCH, LogAnswer};
use crate::event::Event;
use crate::store::Postcard;

/// The events by position, starting at 0.
type Events<'e> = Table<'e, U64<BE>, Postcard<Event>>;

const EVENTS: &str = "events";

#[derive(Clone)]
pub(super) struct Journal {
    store: Store,
}

impl Journal {
    pub(super) async fn open() -> storage::Result<Self> {
        Ok(Self { store: storage::open("log").await? })
    }

    /// Runs `f` in a transaction. When this function returns `Ok`, the transaction is durable.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut WriteTxn<'_, '_>) -> storage::Result<R> + Send + 'static,
    ) -> storage::Result<R> {
        self.store.write(f).await
    }

    pub(super) async fn download(&self, from: u64) -> storage::Result<LogAnswer> {
        self.store
            .read(move |txn| {
                let mut events = Vec::new();
                let Some(table): Option<Events<'_>> = txn.table(EVENTS)? else {
                    return Ok(LogAnswer::Events { events, head: 0 });
                };
                let range = (Bound::Included(from), Bound::Unbounded);
                for entry in table.range(txn, &range)?.take(BATCH) {
                    let (_, event) = entry?;
                    events.push(event);
                }
                Ok(LogAnswer::Events { events, head: table.len(txn)? })
            })
            .await
    }
}

/// Number of events.
pub(super) fn head(txn: &WriteTxn<'_, '_>) -> storage::Result<u64> {
    match txn.find_table(EVENTS)? {
        None => Ok(0),
        Some(table) => Ok(Events::len(&table, txn)?),
    }
}

/// Appends events.
pub(super) fn append(txn: &mut WriteTxn<'_, '_>, events: &[Event]) -> storage::Result<()> {
    let table: Events<'_> = txn.table(EVENTS)?;
    for (position, event) in (table.len(txn)?..).zip(events) {
        table.put(txn, &position, event)?;
    }
    Ok(())
}

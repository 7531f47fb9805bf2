//! A backend's store: the quantity at each location, and the number of log events in the store.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use simmach::storage::byteorder::BE;
use simmach::storage::types::{Str, U64};
use simmach::storage::{self, BoxedError, BytesDecode, BytesEncode, ReadTxn, Store, WriteTxn};

use crate::event::{Event, Location, Quantity};

/// Table of quantities by location. A location without items has no entry.
const QUANTITY: &str = "quantity";

/// Table with one entry, [`EVENTS`]: the number of log events that the quantities include.
const COUNTER: &str = "counter";
const EVENTS: &str = "events";

/// The quantities of all locations.
pub(crate) struct Stock {
    store: Store,
}

/// The store's state at one moment.
#[derive(Debug)]
pub(crate) struct View {
    /// Number of log events that the state includes.
    pub(crate) counter: u64,
    /// The quantity at each requested location.
    pub(crate) quantities: Vec<Quantity>,
}

impl Stock {
    pub(crate) async fn open() -> storage::Result<Self> {
        Ok(Self { store: storage::open("db").await? })
    }

    /// The quantities at these locations.
    pub(crate) async fn view(&self, locations: Vec<Location>) -> storage::Result<View> {
        self.store
            .read(move |txn| {
                let quantities = match txn.table::<U64<BE>, U64<BE>>(QUANTITY)? {
                    None => vec![0; locations.len()],
                    Some(table) => locations
                        .iter()
                        .map(|location| Ok(table.get(txn, &location.0)?.unwrap_or(0)))
                        .collect::<storage::Result<_>>()?,
                };
                Ok(View { counter: counter(txn)?, quantities })
            })
            .await
    }

    /// Number of all items.
    pub(crate) async fn total(&self) -> storage::Result<Quantity> {
        self.store
            .read(|txn| {
                let Some(table) = txn.table::<U64<BE>, U64<BE>>(QUANTITY)? else { return Ok(0) };
                let mut total: Quantity = 0;
                for entry in table.iter(txn)? {
                    let (_, quantity) = entry?;
                    total = total.saturating_add(quantity);
                }
                Ok(total)
            })
            .await
    }

    /// Number of events in the store.
    pub(crate) async fn counter(&self) -> storage::Result<u64> {
        self.store.read(counter).await
    }

    /// Buggy version: applies events without counting them.
    pub(crate) async fn apply(&self, events: Vec<Event>) -> storage::Result<()> {
        self.store.write(move |txn| apply(txn, &events)).await
    }

    /// Buggy version: sets the number of events, in a transaction of its own.
    pub(crate) async fn set_counter(&self, count: u64) -> storage::Result<()> {
        self.store.write(move |txn| set_counter(txn, count)).await
    }

    /// Applies and counts the events from position `from` on, unless the store has them already. Returns whether it did. Each
    /// event is applied exactly once, also by concurrent callers.
    pub(crate) async fn apply_once(&self, from: u64, events: Vec<Event>) -> storage::Result<bool> {
        self.store
            .write(move |txn| {
                if counter_in_write(txn)? != from {
                    return Ok(false);
                }
                apply(txn, &events)?;
                set_counter(txn, from + events.len() as u64)?;
                Ok(true)
            })
            .await
    }
}

fn apply(txn: &mut WriteTxn<'_, '_>, events: &[Event]) -> storage::Result<()> {
    let table = txn.table::<U64<BE>, U64<BE>>(QUANTITY)?;
    for event in events {
        match event.total() {
            (location, 0) => {
                table.delete(txn, &location.0)?;
            }
            (location, total) => table.put(txn, &location.0, &total)?,
        }
    }
    Ok(())
}

fn counter(txn: &ReadTxn<'_, '_>) -> storage::Result<u64> {
    let Some(table) = txn.table::<Str, U64<BE>>(COUNTER)? else { return Ok(0) };
    Ok(table.get(txn, EVENTS)?.unwrap_or(0))
}

fn counter_in_write(txn: &WriteTxn<'_, '_>) -> storage::Result<u64> {
    let Some(table) = txn.find_table::<Str, U64<BE>>(COUNTER)? else { return Ok(0) };
    Ok(table.get(txn, EVENTS)?.unwrap_or(0))
}

fn set_counter(txn: &mut WriteTxn<'_, '_>, count: u64) -> storage::Result<()> {
    let table = txn.table::<Str, U64<BE>>(COUNTER)?;
    Ok(table.put(txn, EVENTS, &count)?)
}

/// Values of a table in postcard's format.
pub(crate) struct Postcard<T>(PhantomData<T>);

impl<'a, T: Serialize + 'a> BytesEncode<'a> for Postcard<T> {
    type EItem = T;

    fn bytes_encode(item: &'a T) -> Result<Cow<'a, [u8]>, BoxedError> {
        Ok(Cow::Owned(postcard::to_stdvec(item)?))
    }
}

impl<'a, T: DeserializeOwned + 'a> BytesDecode<'a> for Postcard<T> {
    type DItem = T;

    fn bytes_decode(bytes: &'a [u8]) -> Result<T, BoxedError> {
        Ok(postcard::from_bytes(bytes)?)
    }
}

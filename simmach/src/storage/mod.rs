//! Storage: real LMDB, by heed, on every machine's own disk.
//!
//! Modelled: a store for each service and name on each machine; one writer at a time, in virtual time; the disk's latency;
//! what is durable when, and a loss of power that takes exactly what is not; a full disk; a wipe. Not modelled: torn or
//! decayed pages, a disk that lies about what is durable, bandwidth, the time that reads take, and files beside the stores.
//!
//! ```
//! use simmach::storage::{self, types::{Bytes, Str}};
//!
//! async fn remember(key: &'static str) -> storage::Result<u64> {
//!     let db = storage::open("db").await?;
//!     db.write(move |txn| {
//!         let stock = txn.table::<Str, Bytes>("stock")?;
//!         stock.put(txn, key, b"here")?;
//!         Ok(())
//!     })
//!     .await?;
//!     db.read(|txn| match txn.table::<Str, Bytes>("stock")? {
//!         Some(stock) => Ok(stock.len(txn)?),
//!         None => Ok(0),
//!     })
//!     .await
//! }
//! ```
//!
//! A transaction is a closure, and none lives across an `await`: a process that is killed leaves none open. Closures are
//! `Send + 'static` so that, outside a simulation, they can run where blocking is allowed.

mod disks;
mod error;
mod faults;
pub(crate) mod memory_disk;
mod options;
mod profile;
mod traced;
mod transact;
mod turn;
mod txn;
mod volume;
mod writers;

pub use heed::{BoxedError, BytesDecode, BytesEncode, PutFlags, RoTxn, RwTxn, WithoutTls};
pub use heed::{byteorder, types};

pub use error::{Error, Result};
pub use options::{Durability, Options};
pub use profile::DiskProfile;
pub use traced::Traced;
pub use txn::{ReadTxn, Table, WriteTxn};

pub(crate) use disks::{
    StorageSpec, close_process, install, name_process, power_off, remove, wipe,
};

use crate::time::sleep;
use disks::StoreId;
use turn::Turn;

/// Opens the store of this name with the default [`Options`].
///
/// # Errors
///
/// As [`Options::open`].
pub async fn open(name: &str) -> Result<Store> {
    Options::new().open(name).await
}

impl Options {
    /// Opens the store of this name, made if there is none; it belongs to this service on this machine, and keeps what was
    /// committed when the process ends and is started again.
    ///
    /// Opened twice in one process it is the same store.
    ///
    /// # Errors
    ///
    /// [`Error::Name`](Error::Name) unless the name is 1 to 64 of the characters `a-z`, `A-Z`, `0-9`, `-`, `_` and
    /// `.`, not starting with a dot; [`Error::Options`](Error::Options) if this process has it open with other
    /// options; [`Error::Closed`](Error::Closed) outside a run.
    pub async fn open(self, name: &str) -> Result<Store> {
        disks::open(name, self).map(Store)
    }
}

/// A store: a transactional map of tables, on this machine's disk.
///
/// A handle, good in the process that opened it and for as long as that lives.
#[derive(Clone, Debug)]
pub struct Store(StoreId);

impl Store {
    /// Runs `f` in a write transaction and commits it if `f` answers `Ok`.
    ///
    /// Waits for the one writer, first come, first served, then for the disk; then `f` runs, and what it did is committed
    /// and, unless the store's [`Durability`] says otherwise, durable, in one moment. It returns a little later: a power-off
    /// in between leaves a transaction that is stored and was never acknowledged, as on a real machine.
    ///
    /// Dropped before that moment, nothing happens; after it, the transaction stands.
    ///
    /// # Errors
    ///
    /// What `f` answers, as it is, and nothing is stored; [`Error::Full`] if the disk is; [`Error::Closed`] and
    /// [`Error::Foreign`] for a handle that is not this process's; LMDB's own.
    pub async fn write<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&mut WriteTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let turn = Turn::wait(self.0).await?;
        let latencies = transact::draw_latencies(self.0)?;
        if !latencies.disk.is_zero() {
            sleep(latencies.disk).await;
        }
        let value = transact::write(self.0, f)?;
        drop(turn);
        if !latencies.acknowledge.is_zero() {
            sleep(latencies.acknowledge).await;
        }
        Ok(value)
    }

    /// Runs `f` in a read transaction, on what was committed last, whether or not that is durable. Takes no time.
    ///
    /// # Errors
    ///
    /// What `f` answers, as it is; [`Error::Closed`] and [`Error::Foreign`] for a handle that is not this process's;
    /// [`Error::Nested`] inside the closure of one of this store's transactions; LMDB's own.
    pub async fn read<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&ReadTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        transact::read(self.0, f)
    }
}

#[cfg(test)]
mod tests;

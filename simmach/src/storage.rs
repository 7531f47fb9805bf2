//! Storage: real LMDB, by heed, on every machine's own disk; outside a run, with the feature `real`, in a folder of the real
//! one, with LMDB's own fsync and its transactions off the async threads.
//!
//! Modelled in a run: a store for each service and name on each machine; one writer at a time, in virtual time; the disk's latency;
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
//! `Send + 'static` so that, outside a run, they can run where blocking is allowed.
//!
//! Outside a run a process has one folder for its stores, named by [`set_folder`] or else by the environment variable
//! `SIMMACH_DATA_DIR`; a store is the file `<name>.mdb` in it. That of a machine in a run belongs to one service, so services
//! that have stores of one name are processes of their own in the real world too, or have folders of their own.

#[cfg(feature = "sim")]
mod disks;
mod error;
#[cfg(feature = "sim")]
mod faults;
#[cfg(feature = "sim")]
pub(crate) mod memory_disk;
mod name;
mod options;
#[cfg(feature = "sim")]
mod profile;
#[cfg(feature = "real")]
mod real;
mod traced;
#[cfg(feature = "sim")]
mod transact;
#[cfg(feature = "sim")]
mod turn;
mod txn;
#[cfg(feature = "sim")]
mod volume;
#[cfg(feature = "sim")]
mod writers;

pub use heed::{
    BoxedError, BytesDecode, BytesEncode, PutFlags, RoTxn, RwTxn, WithoutTls, byteorder, types,
};

pub use crate::storage::error::{Error, Result};
pub use crate::storage::options::{Durability, Options};
pub use crate::storage::traced::Traced;
pub use crate::storage::txn::{ReadTxn, Table, WriteTxn};

#[cfg(feature = "sim")]
pub use crate::storage::profile::DiskProfile;

#[cfg(feature = "sim")]
pub(crate) use crate::storage::disks::{
    RunFolder, StorageSpec, close_process, install, is_empty, name_process, power_off, remove, wipe,
};

use std::path::Path;

#[cfg(feature = "sim")]
use crate::storage::disks::StoreId;
#[cfg(feature = "sim")]
use crate::storage::turn::Turn;
#[cfg(feature = "sim")]
use crate::time::sleep;

/// Names the folder that this process's stores are in, outside a run; it is made when a store is opened. It holds for the
/// stores that are opened from then on, and goes before the environment variable `SIMMACH_DATA_DIR`.
///
/// In a run it does nothing: there each machine has a disk of its own.
pub fn set_folder(folder: impl AsRef<Path>) {
    here! {
        simulated => {
            let _ = folder;
        },
        real => real::set_folder(folder.as_ref()),
    }
}

/// Makes what heed makes once a process: made in the first run, it would take randomness that other runs have to spare.
#[cfg(feature = "sim")]
pub(crate) fn prepare() {
    let _ = heed::env_closing_event("");
}

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
    /// options; [`Error::Closed`](Error::Closed) outside a run. With the feature `real`, outside a run:
    /// [`Error::Io`](Error::Io) where no folder is [named](set_folder) or it can't be used, and LMDB's own.
    ///
    /// # Panics
    ///
    /// Outside a run, with the feature `real`: where there is no tokio runtime.
    pub async fn open(self, name: &str) -> Result<Store> {
        here! {
            simulated => disks::open(name, self).map(|id| Store(Kind::Simulated(id))),
            real => real::Store::open(name, self).await.map(|store| Store(Kind::Real(store))),
        }
    }
}

/// A store: a transactional map of tables, on this machine's disk.
///
/// A handle, good in the process that opened it and for as long as that lives.
#[derive(Clone, Debug)]
pub struct Store(Kind);

#[derive(Clone, Debug)]
enum Kind {
    #[cfg(feature = "sim")]
    Simulated(StoreId),
    #[cfg(feature = "real")]
    Real(real::Store),
}

impl Store {
    /// Runs `f` in a write transaction and commits it if `f` answers `Ok`.
    ///
    /// Waits for the one writer, first come, first served, then for the disk; then `f` runs, and what it did is committed
    /// and, unless the store's [`Durability`] says otherwise, durable, in one moment. It returns a little later: a power-off
    /// in between leaves a transaction that is stored and was never acknowledged, as on a real machine.
    ///
    /// Dropped before that moment, nothing happens; after it, the transaction stands. Outside a run either may be, once
    /// its turn has come.
    ///
    /// # Errors
    ///
    /// What `f` answers, as it is, and nothing is stored; [`Error::Full`] if the disk is; [`Error::Closed`] and
    /// [`Error::Foreign`] for a handle that is not this process's; [`Error::Nested`] inside the closure of one of this
    /// store's transactions; LMDB's own.
    pub async fn write<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&mut WriteTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        either!(Kind of &self.0, simulated id => write(*id, f).await, real store => store.write(f).await)
    }

    /// Runs `f` in a read transaction, on what was committed last, whether or not that is durable. Takes no time
    /// in a run.
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
        either!(Kind of &self.0, simulated id => transact::read(*id, f), real store => store.read(f).await)
    }
}

#[cfg(feature = "sim")]
async fn write<R>(id: StoreId, f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>) -> Result<R> {
    let turn = Turn::wait(id).await?;
    let latencies = transact::draw_latencies(id)?;
    if !latencies.disk.is_zero() {
        sleep(latencies.disk).await;
    }
    let value = transact::write(id, f)?;
    drop(turn);
    if !latencies.acknowledge.is_zero() {
        sleep(latencies.acknowledge).await;
    }
    Ok(value)
}

#[cfg(all(test, feature = "sim"))]
mod tests;

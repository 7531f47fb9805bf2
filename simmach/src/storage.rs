//! Transactional storage: LMDB, through heed, on the disk of each machine.
//!
//! In a run, each machine has a simulated disk. These are modelled: one store for each service and
//! name on a machine; one writer at a time, in virtual time; disk latency; durability, where power
//! loss takes exactly the commits that are not durable; full disks; and wiped disks. These are not
//! modelled: torn or corrupt pages, disks that report data as durable too early, bandwidth, the
//! latency of reads, and files other than stores.
//!
//! Outside a run, with the feature `real`, stores are LMDB files in a real folder. Commits use fsync, and transactions run on
//! threads where blocking is allowed.
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
//! A transaction is a closure. So it cannot live across an `await`, and a killed process leaves no
//! transaction open. Closures are `Send + 'static`, so that they can run on a different thread
//! outside a run.
//!
//! # Folders outside a run
//!
//! A process has one folder for its stores, set with [`set_folder`] or the environment variable
//! `SIMMACH_DATA_DIR`. A store is the file `<name>.mdb` in that folder. In a run, services on one
//! machine have separate stores, even if the stores have the same name. For the same separation
//! outside a run, start each service as a process with its own folder.

#[cfg(feature = "sim")]
mod disk_errors;
#[cfg(feature = "sim")]
pub(crate) mod disks;
mod error;
#[cfg(feature = "sim")]
pub(crate) mod memory_disk;
mod name;
mod options;
#[cfg(feature = "real")]
mod real;
mod size;
mod traced;
#[cfg(feature = "sim")]
mod transact;
#[cfg(feature = "sim")]
mod turn;
pub(crate) mod txn;
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
pub use crate::disk_profile::DiskProfile;

#[cfg(feature = "sim")]
pub(crate) use crate::storage::disks::{
    RunFolder, StorageSpec, StoreCopies, close_process, copy, images, install, is_empty,
    name_process, power_off, remove, restore, set_commit_hook, set_full, wipe,
};

use std::path::Path;

#[cfg(feature = "sim")]
use crate::engine;
#[cfg(feature = "sim")]
use crate::storage::disks::HandleId;
#[cfg(feature = "sim")]
use crate::storage::turn::Turn;
#[cfg(feature = "sim")]
use crate::time::sleep;

/// Sets the folder for the stores of this process outside a run.
///
/// It applies to stores that are opened later, and takes precedence over the environment variable `SIMMACH_DATA_DIR`. The folder
/// is created when a store is opened. In a run this does nothing, since each machine has a disk of its own.
pub fn set_folder(folder: impl AsRef<Path>) {
    here! {
        simulated => {
            let _ = folder;
        },
        real => real::set_folder(folder.as_ref()),
    }
}

/// Initializes heed's global state. Otherwise the first run would initialize it, and draw randomness that other runs do not
/// draw.
#[cfg(feature = "sim")]
pub(crate) fn prepare() {
    let _ = heed::env_closing_event("");
}

/// Opens the store `name` with the default [`Options`]. See [`Options::open`].
///
/// # Errors
///
/// Same as [`Options::open`].
pub async fn open(name: &str) -> Result<Store> {
    Options::new().open(name).await
}

impl Options {
    /// Opens the store `name`, creating it if it does not exist.
    ///
    /// The store belongs to this service on this machine. Its data survives the end of the process. Opening it again in the same
    /// process returns another handle of the same store.
    ///
    /// # Errors
    ///
    /// - [`Error::Name`] unless the name has 1 to 64 of the characters `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`, and does not start
    ///   with a dot.
    /// - [`Error::Options`] if this process already has it open with other options.
    /// - [`Error::Closed`] outside a run, without the feature `real`.
    /// - [`Error::Io`] and [`Error::Lmdb`] outside a run, with the feature `real`: if no folder is [set](set_folder) or it
    ///   cannot be used.
    ///
    /// # Panics
    ///
    /// Outside a run, with the feature `real`: if there is no tokio runtime.
    pub async fn open(self, name: &str) -> Result<Store> {
        here! {
            simulated => disks::open(name, self).map(|id| Store(StoreKind::Simulated(id))),
            real => real::Store::open(name, self).await.map(|store| Store(StoreKind::Real(store))),
        }
    }
}

/// A handle to a store: a set of tables on the disk of this machine, read and written in transactions.
///
/// Only the service or client that opened the store can use the handle, until it ends.
#[derive(Clone, Debug)]
pub struct Store(StoreKind);

#[derive(Clone, Debug)]
enum StoreKind {
    #[cfg(feature = "sim")]
    Simulated(HandleId),
    #[cfg(feature = "real")]
    Real(real::Store),
}

impl Store {
    /// Runs `f` in a write transaction, and commits it if `f` returns `Ok`.
    ///
    /// A store has one writer at a time, and writers queue in the order of their calls. When it is the caller's turn, the
    /// call waits for the disk. Then `f` runs and the transaction commits, at one point in virtual time. The transaction is
    /// also durable at that point, unless the [`Durability`] of the store says otherwise. The call returns a little later: a
    /// power loss in between leaves a transaction that is stored but was never acknowledged, as on a real machine.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before the commit, nothing is stored. If it is dropped later, the transaction is stored.
    /// Outside a run the transaction may be stored if the future is dropped after it became the writer.
    ///
    /// # Errors
    ///
    /// Nothing is stored if there is an error.
    ///
    /// - The error that `f` returns.
    /// - [`Error::Full`] if the disk is full.
    /// - [`Error::Closed`] and [`Error::Foreign`] if the handle does not belong to this process.
    /// - [`Error::Nested`] inside the closure of a transaction of the same store.
    /// - [`Error::Lmdb`] and [`Error::Io`] from LMDB.
    pub async fn write<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&mut WriteTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        either!(StoreKind of &self.0, simulated id => write(*id, f).await, real store => store.write(f).await)
    }

    /// Runs `f` in a read transaction. It sees the last commit, even if that is not durable yet. Takes no time in a run.
    ///
    /// # Errors
    ///
    /// - The error that `f` returns.
    /// - [`Error::Closed`] and [`Error::Foreign`] if the handle does not belong to this process.
    /// - [`Error::Nested`] inside the closure of a transaction of the same store.
    /// - [`Error::Lmdb`] and [`Error::Io`] from LMDB.
    pub async fn read<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&ReadTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        either!(StoreKind of &self.0, simulated id => transact::read(*id, f), real store => store.read(f).await)
    }
}

#[cfg(feature = "sim")]
async fn write<R>(id: HandleId, f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>) -> Result<R> {
    let turn = Turn::wait(id).await?;
    let latencies = transact::draw_latencies(id)?;
    if !latencies.disk.is_zero() {
        sleep(latencies.disk).await;
    }
    let value = match transact::write(id, f) {
        // The power failed within the commit, so the call does not return.
        Err(Error::Closed) if engine::live_scope().is_none() => std::future::pending().await,
        written => written?,
    };
    drop(turn);
    if !latencies.acknowledge.is_zero() {
        sleep(latencies.acknowledge).await;
    }
    Ok(value)
}

#[cfg(all(test, feature = "sim"))]
mod tests;

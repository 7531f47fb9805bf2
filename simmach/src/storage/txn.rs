//! Transactions as closures use them, and the tables in them.
//!
//! Read and write transactions dereference to heed's transactions, which the methods of tables
//! take. Each transaction looks up a table by name, which compares a few strings. The handle of a
//! table cannot outlive the transaction, because an abort or a power loss also removes the tables
//! that the transaction created.

use std::ops::{Deref, DerefMut};

use heed::{CommitToken, Database, DatabaseOpener, OnCommit, RoTxn, RwTxn, WithoutTls};

use crate::storage::error::{Error, Result};
use crate::storage::traced::{self, Traced};

/// A table of a store: heed's typed database, valid for the transaction that it was opened in.
pub type Table<'e, K, V> = Database<'e, Traced<K>, Traced<V>>;

/// A write transaction. It is committed if the closure returns `Ok`.
pub struct WriteTxn<'t, 'e> {
    opener: &'t DatabaseOpener<'e, WithoutTls>,
    txn: &'t mut RwTxn<'e>,
}

/// A read transaction. It sees the last commit.
pub struct ReadTxn<'t, 'e> {
    opener: &'t DatabaseOpener<'e, WithoutTls>,
    txn: &'t RoTxn<'e, WithoutTls>,
}

impl<'t, 'e> WriteTxn<'t, 'e> {
    pub(crate) fn new(opener: &'t DatabaseOpener<'e, WithoutTls>, txn: &'t mut RwTxn<'e>) -> Self {
        Self { opener, txn }
    }

    /// Opens the table `name`, creating it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] if the name is empty or has a zero byte, [`Error::Full`] if there is no space for a new table, and
    /// [`Error::Lmdb`] if the store has more than 64 tables.
    pub fn table<K: 'static, V: 'static>(&mut self, name: &str) -> Result<Table<'e, K, V>> {
        check(name)?;
        traced::record(name.as_bytes());
        Ok(self.opener.create_database(self.txn, Some(name))?)
    }

    /// Opens the table `name`, or returns `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// Same as [`table`](Self::table).
    pub fn find_table<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Option<Table<'e, K, V>>> {
        check(name)?;
        Ok(self.opener.open_database(self.txn, Some(name))?)
    }
}

impl<'t, 'e> ReadTxn<'t, 'e> {
    pub(crate) fn new(
        opener: &'t DatabaseOpener<'e, WithoutTls>,
        txn: &'t RoTxn<'e, WithoutTls>,
    ) -> Self {
        Self { opener, txn }
    }

    /// Opens the table `name`, or returns `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] if the name is empty or has a zero byte, and [`Error::Lmdb`] if the store has more than 64 tables.
    pub fn table<K: 'static, V: 'static>(&self, name: &str) -> Result<Option<Table<'e, K, V>>> {
        check(name)?;
        Ok(self.opener.open_database(self.txn, Some(name))?)
    }
}

impl<'e> Deref for WriteTxn<'_, 'e> {
    type Target = RwTxn<'e>;

    fn deref(&self) -> &Self::Target {
        self.txn
    }
}

impl DerefMut for WriteTxn<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.txn
    }
}

impl<'e> Deref for ReadTxn<'_, 'e> {
    type Target = RoTxn<'e, WithoutTls>;

    fn deref(&self) -> &Self::Target {
        self.txn
    }
}

/// Checks the name of a table. heed panics if it has a zero byte, and LMDB cannot store an empty key.
fn check(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::Name(format!(
            "invalid table name {name:?}: it must not be empty or contain a zero byte"
        )));
    }
    Ok(())
}

/// Wraps the value of a closure, so that heed's `OnCommit` passes it on unchanged.
pub(crate) struct Returned<R>(pub(crate) R);

impl<R> OnCommit for Returned<R> {
    type Committed = R;

    fn on_commit(self, _: &CommitToken) -> R {
        self.0
    }
}

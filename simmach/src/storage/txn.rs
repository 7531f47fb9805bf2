//! What a transaction's closure is given: LMDB's transaction, and the tables in it.
//!
//! Both dereference to heed's transactions, which is what the methods of a table take. A table is looked up by name in
//! each transaction (a few names to compare), so a handle can't outlive what it was opened in: a transaction that is
//! aborted, or lost with the power, takes the tables it made with it. Lifetimes see to that.

use std::ops::{Deref, DerefMut};

use heed::{CommitToken, Database, DatabaseOpener, OnCommit, RoTxn, RwTxn, WithoutTls};

use crate::storage::error::{Error, Result};
use crate::storage::traced::{self, Traced};

/// A table of a store: heed's typed database, good for as long as the transaction it was opened in.
pub type Table<'e, K, V> = Database<'e, Traced<K>, Traced<V>>;

/// A transaction that reads and writes; it is committed when its closure returns `Ok`.
pub struct WriteTxn<'t, 'e> {
    opener: &'t DatabaseOpener<'e, WithoutTls>,
    txn: &'t mut RwTxn<'e>,
}

/// A transaction that reads what was committed last.
pub struct ReadTxn<'t, 'e> {
    opener: &'t DatabaseOpener<'e, WithoutTls>,
    txn: &'t RoTxn<'e, WithoutTls>,
}

impl<'t, 'e> WriteTxn<'t, 'e> {
    pub(crate) fn new(opener: &'t DatabaseOpener<'e, WithoutTls>, txn: &'t mut RwTxn<'e>) -> Self {
        Self { opener, txn }
    }

    /// The table of this name, made if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] for an empty name or one with a zero byte; [`Error::Full`] if the new table has no room;
    /// LMDB's own if the store has too many tables.
    pub fn table<K: 'static, V: 'static>(&mut self, name: &str) -> Result<Table<'e, K, V>> {
        check(name)?;
        traced::note(name.as_bytes());
        Ok(self.opener.create_database(self.txn, Some(name))?)
    }

    /// The table of this name, if there is one.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
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

    /// The table of this name; `None` if no transaction that made it was committed, or survived.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] for an empty name or one with a zero byte; LMDB's own if the store has too many tables.
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

/// heed panics on a zero byte, and LMDB takes an empty name for a key that can't be.
fn check(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::Name(format!("a table can't be named {name:?}")));
    }
    Ok(())
}

/// Carries a closure's value past heed, whose own values change when they are committed.
pub(crate) struct Returned<R>(pub(crate) R);

impl<R> OnCommit for Returned<R> {
    type Committed = R;

    fn on_commit(self, _: &CommitToken) -> R {
        self.0
    }
}

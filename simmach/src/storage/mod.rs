//! Storage: real LMDB on every machine's own disk.

mod error;
mod txn;
mod volume;

pub use error::{Error, Result};
pub use txn::{ReadTxn, Table, WriteTxn};

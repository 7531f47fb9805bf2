//! What transactions write enters the trace: keys and values as they are encoded.
//!
//! Covered: all that goes through a table's codecs, and the names of tables. A key that is only looked up in a write
//! transaction is covered with it. Not covered: the bytes that `put_reserved` lets its closure write, and which of heed's
//! methods was called; what these do to a run shows when it is read.

use std::borrow::Cow;
#[cfg(feature = "sim")]
use std::cell::Cell;
use std::marker::PhantomData;

use heed::{BoxedError, BytesDecode, BytesEncode};

#[cfg(feature = "sim")]
use crate::engine::record::trace::hash_bytes;

#[cfg(feature = "sim")]
thread_local! {
    /// The running hash over what this thread's transaction has written so far.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// A codec whose bytes enter the trace: those of every [`Table`](super::Table).
#[derive(Debug)]
pub struct Traced<C>(PhantomData<C>);

impl<'a, C: BytesEncode<'a>> BytesEncode<'a> for Traced<C> {
    type EItem = C::EItem;

    fn bytes_encode(item: &'a Self::EItem) -> Result<Cow<'a, [u8]>, BoxedError> {
        let bytes = C::bytes_encode(item)?;
        note(&bytes);
        Ok(bytes)
    }
}

impl<'a, C: BytesDecode<'a>> BytesDecode<'a> for Traced<C> {
    type DItem = C::DItem;

    fn bytes_decode(bytes: &'a [u8]) -> Result<Self::DItem, BoxedError> {
        C::bytes_decode(bytes)
    }
}

/// Adds bytes to what this thread's transaction has written.
pub(super) fn note(bytes: &[u8]) {
    #[cfg(not(feature = "sim"))]
    let _ = bytes;
    // A thread that ends has no transaction.
    #[cfg(feature = "sim")]
    let _ = WRITTEN.try_with(|written| written.set(hash_bytes(written.get(), bytes)));
}

/// A transaction begins: nothing is written yet.
#[cfg(feature = "sim")]
pub(super) fn begin() {
    let _ = WRITTEN.try_with(|written| written.set(0));
}

/// The hash over what was written since the transaction began.
#[cfg(feature = "sim")]
pub(super) fn written() -> u64 {
    WRITTEN.try_with(Cell::get).unwrap_or_default()
}

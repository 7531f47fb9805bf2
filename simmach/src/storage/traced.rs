//! Adds the data that transactions write to the trace, as a hash over the encoded keys and values.
//!
//! The hash includes all bytes that the codecs of tables encode in a write transaction, even for
//! keys that are only looked up, and the names of tables. It does not include bytes written by the
//! closure of `put_reserved`, and does not show which method of heed was called. Differences in
//! these become visible when the data is read.

use std::borrow::Cow;
#[cfg(feature = "sim")]
use std::cell::Cell;
use std::marker::PhantomData;

use heed::{BoxedError, BytesDecode, BytesEncode};

#[cfg(feature = "sim")]
use crate::engine::record::byte_hash::hash_bytes;

#[cfg(feature = "sim")]
thread_local! {
    /// Running hash over the bytes that this thread's transaction has encoded so far.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// A codec that adds the encoded bytes to the hash. Every [`Table`](super::Table) uses it.
#[derive(Debug)]
pub struct Traced<C>(PhantomData<C>);

impl<'a, C: BytesEncode<'a>> BytesEncode<'a> for Traced<C> {
    type EItem = C::EItem;

    fn bytes_encode(item: &'a Self::EItem) -> Result<Cow<'a, [u8]>, BoxedError> {
        let bytes = C::bytes_encode(item)?;
        record(&bytes);
        Ok(bytes)
    }
}

impl<'a, C: BytesDecode<'a>> BytesDecode<'a> for Traced<C> {
    type DItem = C::DItem;

    fn bytes_decode(bytes: &'a [u8]) -> Result<Self::DItem, BoxedError> {
        C::bytes_decode(bytes)
    }
}

/// Adds bytes to the hash of this thread's transaction.
pub(super) fn record(bytes: &[u8]) {
    #[cfg(not(feature = "sim"))]
    let _ = bytes;
    // Fails only while the thread exits, when no transaction runs.
    #[cfg(feature = "sim")]
    let _ = WRITTEN.try_with(|written| written.set(hash_bytes(written.get(), bytes)));
}

/// Resets the hash at the beginning of a transaction.
#[cfg(feature = "sim")]
pub(super) fn begin() {
    let _ = WRITTEN.try_with(|written| written.set(0));
}

/// Returns the hash over the bytes encoded since the transaction began.
#[cfg(feature = "sim")]
pub(super) fn written() -> u64 {
    WRITTEN.try_with(Cell::get).unwrap_or_default()
}

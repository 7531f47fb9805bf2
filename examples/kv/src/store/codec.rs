//! Encodes and decodes table values in postcard's format.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use simmach::storage::{BoxedError, BytesDecode, BytesEncode};

/// The codec for values of type `T`.
pub(super) struct Postcard<T>(PhantomData<T>);

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

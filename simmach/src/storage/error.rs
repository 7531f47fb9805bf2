//! Errors of stores.

use std::cell::Cell;
use std::error::Error as StdError;
use std::{fmt, io};

use heed::MdbError;

use crate::storage::size::bytes;

#[cfg(unix)]
const ENOSPC: i32 = 28;

thread_local! {
    static CONVERTED_FULL: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether an [`Error::Full`] was converted into an [`io::Error`] on this thread since the
/// last call. The conversion yields the code of a full real disk, so the code does not show whether
/// the full disk is real or simulated.
#[cfg(feature = "sim")]
pub(super) fn take_converted_full() -> bool {
    CONVERTED_FULL.take()
}

/// The result of an operation on a store. By default, a success has no value.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error of an operation on a store.
///
/// In the closure of a transaction, `?` converts errors of heed, [`io::Error`] and boxed errors. [`Error::user`] wraps any other
/// error. All errors convert into an [`io::Error`] with a matching kind. [`Full`](Self::Full) converts into the error that the
/// operating system returns for a full disk (`ENOSPC`).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store has reached its map size, or the capacity of its disk. Nothing of the transaction
    /// is stored.
    Full {
        /// The name of the store. The name is empty within the closure of the transaction.
        store: String,
        /// The size that the store reached, in bytes. The size is zero within the closure of the
        /// transaction.
        size: usize,
    },
    /// The service or client that opened the store has ended, or the handle is used outside its run.
    Closed,
    /// A different service or client opened the handle. A service that was started again counts as a different one.
    Foreign,
    /// The store was used in the closure of one of its own transactions.
    Nested,
    /// The name is not valid for a store or table; the text says why.
    Name(String),
    /// The store is already open, with different options.
    Options(String),
    /// An error of LMDB or of a codec, for example because a key is too long.
    Lmdb(heed::Error),
    /// An error of the operating system.
    Io(io::Error),
    /// An error of the closure itself.
    User(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Wraps an error of any type. A closure returns it to abort its transaction.
    pub fn user(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::User(error.into())
    }

    /// Creates the error of a full store. The transaction adds the name and the size of the store.
    pub(super) fn full() -> Self {
        Self::Full { store: String::new(), size: 0 }
    }

    /// Adds the name and the size of the full store, unless this is a different error, or already has a name.
    pub(super) fn in_store(self, name: &str, size: usize) -> Self {
        match self {
            Self::Full { store, .. } if store.is_empty() => {
                Self::Full { store: name.to_owned(), size }
            }
            other => other,
        }
    }

    /// Returns the error that the closure returned, if it has the type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::User(error) => error.downcast_ref(),
            Self::Full { .. }
            | Self::Closed
            | Self::Foreign
            | Self::Nested
            | Self::Name(_)
            | Self::Options(_)
            | Self::Lmdb(_)
            | Self::Io(_) => None,
        }
    }

    /// Returns the kind of the [`io::Error`] that this converts into.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Full { .. } => io::ErrorKind::StorageFull,
            Self::Closed => io::ErrorKind::NotConnected,
            Self::Foreign => io::ErrorKind::PermissionDenied,
            Self::Nested => io::ErrorKind::Deadlock,
            Self::Name(_) | Self::Options(_) => io::ErrorKind::InvalidInput,
            Self::Lmdb(_) => io::ErrorKind::InvalidData,
            Self::Io(error) => error.kind(),
            Self::User(_) => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { store, size } => {
                match store.as_str() {
                    "" => f.write_str("the store is full")?,
                    store => write!(f, "the store {store:?} is full ({})", bytes(*size as u128))?,
                }
                f.write_str(
                    ": raise `Options::map_size`, or the disk's `DiskProfile::capacity` if the run sets one",
                )
            }
            Self::Closed => f.write_str(
                "the store is closed: the service or client that opened it has ended, or the run is over",
            ),
            Self::Foreign => f.write_str(
                "this handle of the store was opened by another service or client: call `open` in the service or \
                 client that uses the store",
            ),
            Self::Nested => {
                f.write_str("the closure of a transaction uses the store itself: use the transaction instead")
            }
            Self::Name(why) | Self::Options(why) => f.write_str(why),
            Self::Lmdb(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::User(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            // `Display` already shows these errors themselves.
            Self::Lmdb(error) => error.source(),
            Self::Io(error) => error.source(),
            Self::User(error) => error.source(),
            Self::Full { .. }
            | Self::Closed
            | Self::Foreign
            | Self::Nested
            | Self::Name(_)
            | Self::Options(_) => None,
        }
    }
}

impl From<heed::Error> for Error {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Self::full(),
            heed::Error::Io(error) => Self::Io(error),
            error @ (heed::Error::Mdb(_)
            | heed::Error::Encoding(_)
            | heed::Error::Decoding(_)
            | heed::Error::EnvAlreadyOpened) => Self::Lmdb(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::User(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            #[cfg(unix)]
            Error::Full { .. } => {
                CONVERTED_FULL.set(true);
                Self::from_raw_os_error(ENOSPC)
            }
            error => Self::new(error.kind(), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct OutOfStock(u32);

    impl fmt::Display for OutOfStock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} missing", self.0)
        }
    }

    impl StdError for OutOfStock {}

    #[test]
    fn result_defaults_to_unit_and_this_error() {
        let plain: Result = Err(Error::full());
        let full: std::result::Result<(), Error> = plain;
        assert!(matches!(full, Err(Error::Full { .. })));
    }

    #[test]
    fn user_errors_come_back_unchanged() {
        let error = Error::user(OutOfStock(3));
        assert_eq!(error.to_string(), "3 missing");
        assert_eq!(error.downcast_ref(), Some(&OutOfStock(3)));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
    }

    #[test]
    fn full_map_is_a_full_disk() {
        let error = Error::from(heed::Error::Mdb(MdbError::MapFull));
        assert!(matches!(error, Error::Full { .. }));
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.raw_os_error(), cfg!(unix).then_some(28));
    }

    #[test]
    fn full_store_is_named_with_its_size() {
        let full = Error::full().in_store("db", 64 << 20).in_store("other", 1);
        assert!(
            full.to_string().starts_with("the store \"db\" is full (64 MiB): raise "),
            "{full}"
        );
        assert_eq!(Error::Closed.in_store("db", 1).to_string(), Error::Closed.to_string());
    }

    #[test]
    fn io_errors_keep_their_kind_both_ways() {
        let error = Error::from(heed::Error::Io(io::ErrorKind::NotFound.into()));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    }
}

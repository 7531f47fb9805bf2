//! What a store's operation answers when it can't do what it was asked.

use std::cell::Cell;
use std::error::Error as StdError;
use std::{fmt, io};

use heed::MdbError;

#[cfg(unix)]
const ENOSPC: i32 = 28;

thread_local! {
    static CONVERTED_FULL: Cell<bool> = const { Cell::new(false) };
}

/// Whether an [`Error::Full`] of this thread became an [`io::Error`] since this was last asked: by its code alone, that one cannot
/// be told from a real disk's.
#[cfg(feature = "sim")]
pub(super) fn take_converted_full() -> bool {
    CONVERTED_FULL.take()
}

/// The result of a store's operation: `Result` alone is one without a value.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a store's operation did not happen.
///
/// In a transaction's closure `?` takes what heed's tables answer, an [`io::Error`], and a boxed error of one's own;
/// [`Error::user`] wraps any other. All convert into an [`io::Error`] of a fitting kind; that of [`Full`](Self::Full) has the
/// operating system's code, as a file on a full disk has.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full: the store reached its map size. Nothing of the transaction is stored.
    Full,
    /// The process that the store was opened by has ended, or the handle is used outside its run.
    Closed,
    /// The store was opened by another process: a handle does not reach into another machine.
    Foreign,
    /// A transaction's closure used the store that it is a transaction of.
    Nested,
    /// A name of a store that can't be one; the text says why.
    Name(String),
    /// The store is open in this process, with other options.
    Options(String),
    /// A table is used with other types of keys than it was made with, a key is too long, and the like: LMDB's answer.
    Lmdb(heed::Error),
    /// The operating system's answer.
    Io(io::Error),
    /// The closure's own error, as it returned it.
    User(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Wraps an error of one's own, for a closure that wants its transaction aborted.
    pub fn user(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::User(error.into())
    }

    /// The closure's own error, if it is one of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::User(error) => error.downcast_ref(),
            Self::Full
            | Self::Closed
            | Self::Foreign
            | Self::Nested
            | Self::Name(_)
            | Self::Options(_)
            | Self::Lmdb(_)
            | Self::Io(_) => None,
        }
    }

    /// The kind of [`io::Error`] that this converts into.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Full => io::ErrorKind::StorageFull,
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
            Self::Full => f.write_str("the disk is full: the store has reached its map size"),
            Self::Closed => f.write_str(
                "the store is closed: the process that opened it has ended, or its run is over",
            ),
            Self::Foreign => f.write_str("the store was opened by another process"),
            Self::Nested => {
                f.write_str("the store is used inside the closure of one of its own transactions")
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
            // Shown as it is above: what lies beneath it comes next.
            Self::Lmdb(error) => error.source(),
            Self::Io(error) => error.source(),
            Self::User(error) => error.source(),
            Self::Full
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
            heed::Error::Mdb(MdbError::MapFull) => Self::Full,
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
            Error::Full => {
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
        let plain: Result = Err(Error::Full);
        let full: std::result::Result<(), Error> = plain;
        assert!(matches!(full, Err(Error::Full)));
    }

    #[test]
    fn a_user_s_error_comes_back_as_it_was() {
        let error = Error::user(OutOfStock(3));
        assert_eq!(error.to_string(), "3 missing");
        assert_eq!(error.downcast_ref(), Some(&OutOfStock(3)));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
    }

    #[test]
    fn a_full_map_is_a_full_disk() {
        let error = Error::from(heed::Error::Mdb(MdbError::MapFull));
        assert!(matches!(error, Error::Full));
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.raw_os_error(), cfg!(unix).then_some(28));
    }

    #[test]
    fn an_io_error_keeps_its_kind_both_ways() {
        let error = Error::from(heed::Error::Io(io::ErrorKind::NotFound.into()));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    }
}

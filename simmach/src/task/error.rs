//! [`JoinError`]: the error of a task that was cancelled or panicked.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::panic_message::panic_message;

/// The error of a task that was cancelled or panicked.
pub struct JoinError {
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// The mutex makes the error `Sync`, like tokio's error. The mutex is never contended.
    Panic(Mutex<Box<dyn Any + Send + 'static>>),
}

impl JoinError {
    #[cfg(feature = "sim")]
    pub(crate) fn cancelled() -> Self {
        Self { cause: Cause::Cancelled }
    }

    #[cfg(feature = "sim")]
    pub(crate) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Self {
        Self { cause: Cause::Panic(Mutex::new(payload)) }
    }

    /// Returns `true` if the task was aborted or its process ended.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// Returns `true` if the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic(_))
    }

    /// Returns the payload of the task's panic.
    ///
    /// # Panics
    ///
    /// If the task did not panic. See [`JoinError::try_into_panic`].
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.try_into_panic().expect("the task was cancelled, it did not panic")
    }

    /// Returns the payload of the task's panic.
    ///
    /// # Errors
    ///
    /// Returns `self` if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.cause {
            Cause::Panic(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            Cause::Cancelled => Err(self),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => f.write_str("task was cancelled"),
            Cause::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "task panicked: {}", panic_message(payload.as_ref()))
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error.to_string())
    }
}

#[cfg(feature = "real")]
impl From<tokio::task::JoinError> for JoinError {
    fn from(error: tokio::task::JoinError) -> Self {
        let cause = match error.try_into_panic() {
            Ok(payload) => Cause::Panic(Mutex::new(payload)),
            Err(_) => Cause::Cancelled,
        };
        Self { cause }
    }
}

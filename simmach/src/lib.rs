//! A test harness for distributed systems.

#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
mod outcome;
#[cfg(feature = "sim")]
mod spec;

#[cfg(feature = "sim")]
pub mod rand;
#[cfg(feature = "sim")]
pub mod storage;
#[cfg(feature = "sim")]
pub mod task;
#[cfg(feature = "sim")]
pub mod time;

/// The macro's only door. Not for use by hand: anything in it may change.
#[doc(hidden)]
#[cfg(feature = "sim")]
pub mod __private;

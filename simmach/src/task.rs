//! Tasks for the code under test: tokio's names, on the run's one thread; outside a run, with the feature `real`, tokio's
//! own.
//!
//! In a run, who runs next is the seed's choice. A task belongs to the process that spawned it and ends with it. Not modelled: a
//! machine's number of cores; tasks never run at the same time.

mod blocking;
mod error;
mod handle;
#[cfg(feature = "sim")]
mod join;
mod join_set;
pub(crate) mod select;
#[cfg(feature = "sim")]
mod simulated;
mod spawn;

pub use crate::task::blocking::{spawn_blocking, work};
pub use crate::task::error::JoinError;
pub use crate::task::handle::{AbortHandle, JoinHandle};
pub use crate::task::join_set::JoinSet;
pub use crate::task::spawn::{spawn, spawn_local, yield_now};

#[cfg(feature = "sim")]
pub(crate) use crate::task::simulated::{spawn_as, spawn_main};

#[cfg(all(test, feature = "sim"))]
mod tests;

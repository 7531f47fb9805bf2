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

pub use blocking::{spawn_blocking, work};
pub use error::JoinError;
pub use handle::{AbortHandle, JoinHandle};
pub use join_set::JoinSet;
pub use spawn::{spawn, spawn_local, yield_now};

#[cfg(feature = "sim")]
pub(crate) use simulated::{spawn_as, spawn_detached};

#[cfg(all(test, feature = "sim"))]
mod tests;

//! Tasks for the code under test, with the API of `tokio::task`.
//!
//! In a run, all tasks share one thread, and the seed decides which ready task runs next. A task
//! belongs to the process that spawned the task, and ends with that process. The number of cores of
//! a machine is not modelled: tasks never run in parallel.
//!
//! Outside a run, with the feature `real`, tasks are tokio tasks.

mod blocking;
#[cfg(feature = "sim")]
mod entered;
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

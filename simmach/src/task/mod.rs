//! Tasks for the code under test: tokio's names, on the run's one thread.
//!
//! Who runs next is the seed's choice. A task belongs to the process that spawned it and ends with it. Not modelled: a
//! machine's number of cores; tasks never run at the same time.

mod blocking;
mod join;
mod join_set;
pub(crate) mod select;
mod spawn;

pub use blocking::{spawn_blocking, work};
pub use join::{AbortHandle, JoinError, JoinHandle};
pub use join_set::JoinSet;
pub use spawn::{spawn, spawn_local, yield_now};

pub(crate) use spawn::spawn_as;

#[cfg(test)]
mod tests;

//! A test harness for distributed systems.

#[cfg(feature = "sim")]
mod chaos;
#[cfg(feature = "sim")]
mod choice;
#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
#[allow(dead_code, reason = "its doors come next")]
mod harness;
#[cfg(feature = "sim")]
mod machine;
#[cfg(feature = "sim")]
mod outcome;
#[cfg(feature = "sim")]
#[allow(dead_code, reason = "its doors come next")]
mod report;
#[cfg(feature = "sim")]
mod run;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "sim")]
mod spec;

#[cfg(feature = "sim")]
pub mod net;
#[cfg(feature = "sim")]
pub mod prelude;
#[cfg(feature = "sim")]
pub mod rand;
#[cfg(feature = "sim")]
pub mod storage;
#[cfg(feature = "sim")]
pub mod task;
#[cfg(feature = "sim")]
pub mod time;

#[cfg(feature = "sim")]
pub use {
    chaos::{DurationRange, GracefulMonkey, Partitions, Plan, PowerOffs},
    choice::{Range, Step, Steps},
    machine::{Ending, OnExit, Selector, signal},
    sim::{ControlError, Sim},
    simmach_macros::sim_test,
    spec::Topology,
};

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is any, unless said.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// The macro's only door. Not for use by hand: anything in it may change.
#[doc(hidden)]
#[cfg(feature = "sim")]
pub mod __private;

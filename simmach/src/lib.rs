//! A test harness for distributed systems.

#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
mod outcome;
#[cfg(feature = "sim")]
mod spec;

#[cfg(feature = "sim")]
pub mod storage;

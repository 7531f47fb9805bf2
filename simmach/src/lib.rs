//! A test harness for distributed systems.

#[cfg(feature = "sim")]
mod engine;

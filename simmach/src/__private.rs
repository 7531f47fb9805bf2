//! The macros' only door. Anything in it may change.

pub use simmach_macros::select_branches;

pub use crate::task::select::Order;

#[cfg(feature = "sim")]
pub use crate::harness::doors::plain::run as plain;
#[cfg(feature = "sim")]
pub use crate::harness::doors::trials::main;
#[cfg(feature = "sim")]
pub use crate::spec::{ExpectFailure, Settings, ShouldPanic, SimTest, Spec, SpecBuilder};
#[cfg(feature = "sim")]
pub use inventory;

#[cfg(feature = "sim")]
inventory::collect!(SimTest);

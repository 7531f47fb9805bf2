//! The macros' only door. Anything in it may change.

pub use simmach_macros::select_branches;

pub use crate::task::select::Order;

pub use crate::harness::plain::run as plain;
pub use crate::harness::trials::main;
pub use crate::spec::{ExpectFailure, Settings, ShouldPanic, SimTest, Spec, SpecBuilder};
#[cfg(feature = "sim")]
pub use inventory;

#[cfg(feature = "sim")]
inventory::collect!(SimTest);

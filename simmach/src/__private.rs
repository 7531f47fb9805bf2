//! Items that the expansion of simmach's macros uses. Not part of the public API; anything here may change.

pub use simmach_macros::select_branches;

pub use crate::task::select::Order;

#[cfg(feature = "sim")]
pub use crate::harness::doors::libtest::run as plain;
#[cfg(feature = "sim")]
pub use crate::harness::doors::main_macro::main;
#[cfg(feature = "sim")]
pub use crate::spec::{ExpectFailure, Settings, ShouldPanic, SimTest, Spec, SpecBuilder};
#[cfg(feature = "sim")]
pub use inventory;

#[cfg(feature = "sim")]
inventory::collect!(SimTest);

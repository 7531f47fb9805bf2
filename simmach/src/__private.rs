//! The macro's only door. Anything in it may change.

pub use inventory;
pub use simmach_macros::select_branches;

pub use crate::harness::plain::run as plain;
pub use crate::harness::trials::main;
pub use crate::spec::{ExpectFailure, Settings, ShouldPanic, SimTest, Spec, SpecBuilder};
pub use crate::task::select::Order;

inventory::collect!(SimTest);

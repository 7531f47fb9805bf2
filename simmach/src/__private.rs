//! The macro's only door. Anything in it may change.

pub use inventory;

pub use crate::harness::plain::run as plain;
pub use crate::harness::trials::main;
pub use crate::spec::{Settings, ShouldPanic, SimTest, Spec, SpecBuilder};

inventory::collect!(SimTest);

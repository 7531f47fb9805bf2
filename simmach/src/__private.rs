//! Items that simmach's macros use in their expansions. They are not part of the public API and may
//! change at any time.

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
use crate::sim::Sim;

#[cfg(feature = "sim")]
inventory::collect!(SimTest);

/// The type of a simulated test's argument. Only [`Sim`] implements this trait, which exists for its error message.
#[cfg(feature = "sim")]
#[diagnostic::on_unimplemented(
    message = "the argument of a simulated test must have the type `Sim`",
    label = "has the type `{Self}`"
)]
pub trait TestArgument {
    /// Makes the argument.
    fn new(sim: Sim) -> Self;
}

#[cfg(feature = "sim")]
impl TestArgument for Sim {
    fn new(sim: Sim) -> Self {
        sim
    }
}

/// Makes the argument of a simulated test.
#[cfg(feature = "sim")]
pub fn argument<T: TestArgument>(sim: Sim) -> T {
    T::new(sim)
}

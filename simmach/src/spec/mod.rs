//! What the attribute says: the test before any run, and the cluster of a run.

mod settings;

pub use settings::{Settings, ShouldPanic, SimTest};

/// The cluster, its plans and the test's body, built afresh for each run on the run's own thread.
#[derive(Debug)]
pub struct Spec {}

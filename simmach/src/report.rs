//! What is said of runs: sinks that take data only, and know nothing of who made the runs.

pub(crate) mod console;
pub(crate) mod difference;
pub(crate) mod event;
pub(crate) mod generators;
pub(crate) mod log;
pub(crate) mod numbers;
pub(crate) mod story;
pub(crate) mod style;
pub(crate) mod summary;

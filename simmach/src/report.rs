//! Outcomes as text: failure reports, summaries, logs and stories.
//!
//! The functions here take plain data, and do not depend on how the test was run.

pub(crate) mod console;
pub(crate) mod correlation;
pub(crate) mod difference;
pub(crate) mod event;
pub(crate) mod generators;
pub(crate) mod log;
pub(crate) mod mismatch_cause;
pub(crate) mod numbers;
pub(crate) mod story;
pub(crate) mod style;
pub(crate) mod summary;

//! How a run fails: verdicts, panics with their locations and backtraces, and refused calls.

pub(crate) mod abort_report;
pub(crate) mod backtrace;
pub(crate) mod frames;
mod handling;
pub(crate) mod hook;
pub(crate) mod panics;
pub(crate) mod refusals;
pub(crate) mod verdict;

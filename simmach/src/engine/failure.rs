//! How a run fails, as data: verdicts, backtraces and refused calls.

pub(crate) mod backtrace;
pub(crate) mod frames;
pub(crate) mod refusals;
pub(crate) mod verdict;

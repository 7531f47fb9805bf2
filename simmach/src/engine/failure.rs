//! How a run fails: verdicts, panics with their places and backtraces, and what is refused.

pub(crate) mod backtrace;
mod failing;
pub(crate) mod frames;
pub(crate) mod hook;
pub(crate) mod last_words;
pub(crate) mod panics;
pub(crate) mod refusals;
pub(crate) mod verdict;

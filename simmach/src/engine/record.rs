//! Records of a run: the trace and its hash, effects, deviations, the lines of the log and failed calls.

pub(crate) mod byte_hash;
pub(crate) mod deviations;
pub(crate) mod effects;
pub(crate) mod event;
pub(crate) mod failed_calls;
pub(crate) mod log_lines;
pub(crate) mod trace;

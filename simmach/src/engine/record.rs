//! Records of a run: the trace and its hash, effects, deviations, the log and failed calls.

pub(crate) mod deviations;
pub(crate) mod effects;
pub(crate) mod event;
pub(crate) mod failed_calls;
pub(crate) mod log;
pub(crate) mod trace;

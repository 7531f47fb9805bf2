//! The lines of a run's log, in memory.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::engine::ids::MachineId;
use crate::engine::slot::Slot;

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Level {
    /// `tracing`'s `TRACE`.
    Trace,
    /// `tracing`'s `DEBUG`.
    Debug,
    /// `tracing`'s `INFO`.
    Info,
    /// `tracing`'s `WARN`.
    Warn,
    /// `tracing`'s `ERROR`.
    Error,
    /// A line of the harness about a fault or its end.
    Fault,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The machine's number; `u32::MAX` is the harness.
    pub machine: MachineId,
    /// The level.
    pub level: Level,
    /// The target of a record, usually its module; `None` for lines of the harness and of `Sim::log`.
    pub target: Option<Cow<'static, str>>,
    /// The message.
    pub text: String,
}

thread_local! {
    /// The log of this thread's run; holds `None` if its lines are not kept.
    pub(crate) static LINES: Slot<Option<Vec<LogLine>>> = const { Slot::new() };
}

/// Begins the lines of this thread's run; `kept` says whether they are kept.
pub(crate) fn begin(kept: bool) {
    drop(take());
    LINES.with(|lines| lines.install(kept.then(Vec::new)));
}

/// Whether the log of this thread's run is kept; `None` if there is no run.
pub(crate) fn in_run() -> Option<bool> {
    LINES.try_with(|lines| lines.with(|lines| lines.is_some())).ok().flatten()
}

/// Adds a line, if lines are kept.
pub(crate) fn push(line: LogLine) {
    LINES.with(|lines| lines.with(|lines| lines.as_mut().map(|lines| lines.push(line))));
}

/// Number of lines so far.
pub(crate) fn line_count() -> u64 {
    let count = LINES.with(|lines| lines.with(|lines| lines.as_ref().map_or(0, Vec::len)));
    count.unwrap_or(0) as u64
}

/// Takes all lines.
pub(crate) fn take() -> Vec<LogLine> {
    LINES.with(Slot::remove).flatten().unwrap_or_default()
}

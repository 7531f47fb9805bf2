//! The log of a run: records of `tracing` and `log` with virtual time and machine, kept in memory on request.
//!
//! Records that `RUST_LOG` enables are formatted in every run, even if no log is kept. An argument that panics or draws a
//! random number would otherwise do so only in the run that is reported. Other records are never formatted.

pub(crate) mod filter;
mod subscriber;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tracing::dispatcher::DefaultGuard;

pub(crate) use crate::engine::record::log::subscriber::install;

use crate::engine::context::{self, Slot};
use crate::engine::ids::MachineId;

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
    /// The target of a record, usually its module; `None` for lines of the harness.
    pub target: Option<Cow<'static, str>>,
    /// The message.
    pub text: String,
}

thread_local! {
    /// The log of this thread's run; holds `None` if its lines are not kept.
    static LINES: Slot<Option<Vec<LogLine>>> = const { Slot::new() };
}

/// Begins the log of this thread's run; `kept` says whether lines are kept. Records are captured until the guard is dropped.
pub(crate) fn begin(kept: bool) -> DefaultGuard {
    drop(take());
    LINES.with(|lines| lines.install(kept.then(Vec::new)));
    subscriber::enter()
}

/// Writes a line of the harness.
pub(crate) fn write_line(level: Level, machine: MachineId, text: impl FnOnce() -> String) {
    if !is_kept() {
        return;
    }
    // Before the lines are borrowed: the closure may log.
    let text = text();
    let at = context::try_with(|engine| engine.clock.now()).unwrap_or(0);
    push(LogLine { at, machine, level, target: None, text });
}

/// As [`write_line`], for a value of the user's. Formats it in every run, as records are.
pub(crate) fn write_value(level: Level, machine: MachineId, value: &dyn fmt::Display) {
    match in_run() {
        Some(false) => subscriber::format_and_discard(value),
        Some(true) | None => write_line(level, machine, || value.to_string()),
    }
}

/// Keeps a record of the running code. Does nothing outside a run.
fn keep(level: Level, target: Cow<'static, str>, text: String) {
    let now = context::try_with(|engine| (engine.clock.now(), engine.scope().machine));
    if let Some((at, machine)) = now {
        push(LogLine { at, machine, level, target: Some(target), text });
    }
}

/// Whether this thread has a run whose log is kept.
fn is_kept() -> bool {
    in_run() == Some(true)
}

/// Whether the log of this thread's run is kept; `None` if there is no run.
fn in_run() -> Option<bool> {
    LINES.try_with(|lines| lines.with(|lines| lines.is_some())).ok().flatten()
}

fn push(line: LogLine) {
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

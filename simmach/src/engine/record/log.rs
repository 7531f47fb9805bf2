//! The log of a run: records of `tracing` and `log` with virtual time and machine, kept in memory where asked.
//!
//! What `RUST_LOG` lets through is formatted in every run, also where no log is kept: an argument that panics or draws a random
//! number does so in the sweep too, and not only in the run that is reported. What is below is formatted in none.

mod capture;
pub(crate) mod filter;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tracing::dispatcher::DefaultGuard;

pub(crate) use crate::engine::record::log::capture::install;

use crate::engine::context::{self, Slot};
use crate::engine::ids::MachineId;

/// How grave a line is.
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
    /// The harness's own line about a machine that went down or came up.
    Fault,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The machine; `u32::MAX` is the harness.
    pub machine: MachineId,
    /// How grave.
    pub level: Level,
    /// What a record was for, mostly the module that it is in; the harness's own lines have none.
    pub target: Option<Cow<'static, str>>,
    /// What was said.
    pub text: String,
}

thread_local! {
    /// The log of the run on this thread; `None` inside where its lines are not kept.
    static LINES: Slot<Option<Vec<LogLine>>> = const { Slot::new() };
}

/// Begins the log of this thread's run, kept or silent. Ends with the guard.
pub(crate) fn begin(kept: bool) -> DefaultGuard {
    drop(take());
    LINES.with(|lines| lines.install(kept.then(Vec::new)));
    capture::enter()
}

/// A line of the harness's own.
pub(crate) fn write_line(level: Level, machine: MachineId, text: impl FnOnce() -> String) {
    if !is_kept() {
        return;
    }
    // Before the lines are reached for: the text may be made by code that logs.
    let text = text();
    let at = context::try_with(|engine| engine.clock.now()).unwrap_or(0);
    push(LogLine { at, machine, level, target: None, text });
}

/// As [`say`], of a value of the user's: it is formatted in every run, as records are.
pub(crate) fn write_value(level: Level, machine: MachineId, value: &dyn fmt::Display) {
    match in_run() {
        Some(false) => capture::format_and_discard(value),
        Some(true) | None => write_line(level, machine, || value.to_string()),
    }
}

/// A record of the code that runs now. Outside of a run nothing is kept.
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

/// How many lines there are so far.
pub(crate) fn line_count() -> u64 {
    let count = LINES.with(|lines| lines.with(|lines| lines.as_ref().map_or(0, Vec::len)));
    count.unwrap_or(0) as u64
}

/// All lines so far.
pub(crate) fn take() -> Vec<LogLine> {
    LINES.with(Slot::remove).flatten().unwrap_or_default()
}

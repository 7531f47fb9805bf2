//! The log of a run: `tracing` events with virtual time and machine, kept in memory where asked.
//!
//! Spans are accepted and not shown. Without a recording nothing is formatted.

use std::fmt::Write as _;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

use super::context::{self, Slot};
use super::ids::MachineId;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
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
pub struct LogLine {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The machine; `u32::MAX` is the harness.
    pub machine: MachineId,
    /// How grave.
    pub level: Level,
    /// What was said.
    pub text: String,
}

thread_local! {
    static LINES: Slot<Vec<LogLine>> = const { Slot::new() };
}

/// Begins the log of this thread's run: kept from `level` up, or silent. Ends with the guard.
pub(crate) fn begin(level: Option<Level>) -> dispatcher::DefaultGuard {
    static QUIET: OnceLock<Dispatch> = OnceLock::new();
    drop(take());
    match level {
        Some(least) => {
            LINES.with(|lines| lines.install(Vec::new()));
            dispatcher::set_default(&Dispatch::new(RunLog { least }))
        }
        None => dispatcher::set_default(QUIET.get_or_init(|| Dispatch::new(NoSubscriber::new()))),
    }
}

/// A line of the harness's own.
pub(crate) fn say(level: Level, machine: MachineId, text: impl FnOnce() -> String) {
    if LINES.with(|lines| lines.with(|_| ())).is_none() {
        return;
    }
    // Before the lines are reached for: the text may be made by code that logs.
    let text = text();
    let at = context::try_with(|engine| engine.clock.now()).unwrap_or(0);
    push(LogLine { at, machine, level, text });
}

fn push(line: LogLine) {
    LINES.with(|lines| lines.with(|lines| lines.push(line)));
}

/// How many lines there are so far.
pub(crate) fn lines() -> u64 {
    LINES.with(|lines| lines.with(|lines| lines.len())).unwrap_or(0) as u64
}

/// All lines so far.
pub(crate) fn take() -> Vec<LogLine> {
    LINES.with(Slot::remove).unwrap_or_default()
}

struct RunLog {
    least: Level,
}

impl Subscriber for RunLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(metadata) >= self.least
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some((at, machine)) =
            context::try_with(|engine| (engine.clock.now(), engine.scope().machine))
        else {
            return;
        };
        let mut text = Text(String::new());
        event.record(&mut text);
        let line = LogLine { at, machine, level: level_of(event.metadata()), text: text.0 };
        push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

/// The message as it stands, other fields as `name=value` behind it.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{rest}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        // Writing to a string fails only if the value's own `Debug` does.
        if written.is_err() {
            self.0.push_str("<a value that could not be formatted>");
        }
    }
}

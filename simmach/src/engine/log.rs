//! The log of a run: records of `tracing` and `log` with virtual time and machine, kept in memory on request.
//!
//! Records that `RUST_LOG` enables are formatted in every run, even if no log is kept. Otherwise,
//! an argument whose formatting panics or draws a random number would do so only in the run that is
//! reported. Other records are never formatted.

pub(crate) mod filter;
mod subscriber;

use std::borrow::Cow;
use std::fmt;

use tracing::dispatcher::DefaultGuard;

pub(crate) use crate::engine::log::subscriber::install;
pub(crate) use crate::engine::record::log_lines::{Level, LogLine, take};

use crate::engine::context;
use crate::engine::ids::MachineId;
use crate::engine::record::log_lines::{self, in_run, push};

/// Begins the log of this thread's run; `kept` says whether its lines are kept. Records are
/// captured until the guard is dropped.
pub(crate) fn begin(kept: bool) -> DefaultGuard {
    log_lines::begin(kept);
    subscriber::enter()
}

/// Captures the records of a guest's thread until the guard is dropped.
pub(crate) fn capture_on_thread() -> DefaultGuard {
    subscriber::on_thread()
}

/// Writes a line without a target.
pub(crate) fn write_line(level: Level, machine: MachineId, text: impl FnOnce() -> String) {
    if !is_kept() {
        return;
    }
    // The closure may log, so it is called before the lines are borrowed.
    let text = text();
    let at = context::try_with(|engine| engine.clock.now()).unwrap_or(0);
    push(LogLine { at, machine, level, target: None, text });
}

/// Like [`write_line`], for a value of the user's. Formats it in every run, as records are.
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
pub(crate) fn is_kept() -> bool {
    in_run() == Some(true)
}

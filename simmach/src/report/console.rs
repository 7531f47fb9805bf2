//! A failure as a text: what failed, where and when, what had happened to the cluster, the last lines of the log, and
//! the command that makes the run again.

use std::fmt::Write as _;

use crate::engine::failure::frames::Frame;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::outcome::Outcome;
use crate::report::log::{Pen, name_of};
use crate::report::numbers::{count, moment, span, thousands};
use crate::report::style::{Ink, Style};
use crate::report::summary::effects;

/// How many faults are shown, how many bytes of output, and how many who wait.
const FAULTS: usize = 20;
const OUTPUT: usize = 8 << 10;
const WAITING: usize = 30;

/// A run that failed.
#[derive(Clone, Debug)]
pub(crate) struct Red<'a> {
    pub(crate) test: &'a str,
    pub(crate) outcome: &'a Outcome,
    /// How many seeds below it passed.
    pub(crate) passed: u64,
    pub(crate) again: Again,
    /// What is said of that: what is left of it after it was shrunk, or what differed, and why that may be.
    pub(crate) doubt: String,
    /// What the run wrote to standard output and error.
    pub(crate) output: &'a [u8],
    /// Which seeds, where that is not what the attribute says.
    pub(crate) which: Option<String>,
    /// How many of the last lines of the log are shown.
    pub(crate) log_lines: usize,
    /// The command that makes this very run again, where that is not the seed's.
    pub(crate) replay: Option<String>,
    /// The command that runs the seed.
    pub(crate) command: String,
}

/// What became of the same run when it was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It was not.
    NotTried,
    /// It could not be, and why.
    Broken(String),
    /// The same.
    Same,
    /// The same failure, by another way.
    OtherTrace,
    /// It passed.
    Passed,
    /// Something else, in words.
    Other(String),
}

/// Failures of one kind, among all seeds.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The lowest seed.
    pub(crate) seed: u64,
    /// How many seeds.
    pub(crate) seeds: u64,
    /// What it was.
    pub(crate) text: String,
}

impl Again {
    /// What the second run of a seed says of the first, which failed.
    pub(crate) fn of(first: &Outcome, second: &Outcome) -> Self {
        let (Some(one), Some(two)) = (first.failure(), second.failure()) else {
            return match &second.verdict {
                Verdict::Passed => Self::Passed,
                Verdict::Broken(why) => Self::Broken(why.clone()),
                other @ Verdict::Failed(_) => Self::Other(brief(other)),
            };
        };
        if second.passed_before {
            return Self::Passed;
        }
        if !one.is_like(two) {
            return Self::Other(brief(&second.verdict));
        }
        if first.trace_hash == second.trace_hash && one.is_same(two) {
            Self::Same
        } else {
            Self::OtherTrace
        }
    }
}

impl Red<'_> {
    /// The report.
    pub(crate) fn text(&self, style: Style) -> String {
        let outcome = self.outcome;
        let seed = outcome.seed;
        let mut text = String::new();
        match &outcome.verdict {
            Verdict::Failed(failure) => {
                let not = match self.again {
                    Again::Passed | Again::Other(_) => ", NOT REPRODUCIBLE",
                    Again::NotTried | Again::Broken(_) | Again::Same | Again::OtherTrace => "",
                };
                let head = format!("{} failed with seed {seed}{not}", self.test);
                let _ = write!(text, "{}", style.paint(Ink::Alarm, head));
                self.put_passed(&mut text);
                put_indented(&mut text, "  ", &failure.message);
                if let Some(cause) = &failure.cause {
                    let _ = writeln!(text, "  caused by: {cause}");
                }
                // A process that died had no time to say where.
                if failure.kind != FailureKind::Crashed {
                    let _ = writeln!(text, "  {}", scene(failure));
                }
                text.push('\n');
                put_logger_advice(&mut text, style, &failure.message);
                put_again(&mut text, style, &self.again);
                text.push_str(&self.doubt);
                self.put_run(&mut text);
                put_waiting(&mut text, &failure.waiting);
                put_backtrace(&mut text, &failure.origin.frames);
            }
            Verdict::Broken(why) => {
                let head = format!("{} could not be run", self.test);
                let _ = writeln!(text, "{} (seed {seed})\n", style.paint(Ink::Alarm, head));
                put_indented(&mut text, "  ", why);
                text.push_str(
                    "  This is no failure of the program under test, and no pass either.\n\n",
                );
            }
            Verdict::Passed => {
                let _ = writeln!(text, "{} passed with seed {seed}\n", self.test);
            }
        }
        self.put_faults(&mut text, style);
        self.put_log(&mut text, style);
        self.put_output(&mut text);
        if let Some(replay) = &self.replay {
            let _ = writeln!(text, "  Run this again:\n    {}", style.paint(Ink::Bold, replay));
            let _ = writeln!(text, "  Run all of the seed again:\n    {}", self.command);
        } else {
            let _ =
                writeln!(text, "  Run it again:\n    {}", style.paint(Ink::Bold, &self.command));
        }
        text
    }

    fn put_passed(&self, text: &mut String) {
        let which = self.which.as_ref().map(|which| format!("; {which}"));
        let which = which.unwrap_or_default();
        let _ = match self.passed {
            0 => writeln!(text, "{which}\n"),
            n => writeln!(text, " ({} passed before it{which})\n", count(n, "seed")),
        };
    }

    /// A run whose process died has nothing to tell.
    fn put_run(&self, text: &mut String) {
        let outcome = self.outcome;
        if outcome.steps > 0 {
            let _ = writeln!(
                text,
                "  Simulated {} in {}: {}, {}.\n",
                span(outcome.virtual_nanos.into()),
                count(outcome.steps, "step"),
                count(outcome.jumps, "jump"),
                count(outcome.sockets, "socket"),
            );
        }
    }

    fn put_faults(&self, text: &mut String, style: Style) {
        let outcome = self.outcome;
        let Some(sum) = effects(&outcome.effects) else {
            if outcome.steps > 0 {
                text.push_str("  No faults took effect.\n\n");
            }
            return;
        };
        let _ = writeln!(text, "  What took effect: {sum}");
        let skipped = outcome.faults.len().saturating_sub(FAULTS);
        if skipped > 0 {
            let _ = writeln!(text, "    … {} before these", count(skipped as u64, "fault"));
        }
        for fault in &outcome.faults[skipped..] {
            let machine = fault.machine.map(|id| name_of(&outcome.machines, id));
            let machine = machine.map(|name| format!("{name}: ")).unwrap_or_default();
            let line = format!("{:>16}  {machine}{}", moment(fault.at), fault.text);
            let _ = writeln!(text, "    {}", style.paint(Ink::Fault, line));
        }
        text.push('\n');
    }

    fn put_log(&self, text: &mut String, style: Style) {
        let log = &self.outcome.log;
        let skipped = log.len().saturating_sub(self.log_lines);
        let Some(first) = log.get(skipped) else {
            return;
        };
        let _ = match skipped {
            0 => writeln!(text, "  The log:"),
            _ => writeln!(
                text,
                "  The last {} of {} log lines, from {} on:\n    … {} before these: SIMMACH_LOG_LINES=all shows all, \
                 RUST_LOG=warn,my_crate=debug keeps fewer",
                thousands(self.log_lines as u64),
                thousands(log.len() as u64),
                moment(first.at),
                count(skipped as u64, "line"),
            ),
        };
        let since = skipped.checked_sub(1).map_or(0, |before| log[before].at);
        let mut pen = Pen::new(&self.outcome.machines, style, since);
        for line in &log[skipped..] {
            put_lines(text, "    ", &pen.line(line));
        }
        text.push('\n');
    }

    fn put_output(&self, text: &mut String) {
        let output = String::from_utf8_lossy(self.output);
        let output = output.trim_end();
        if output.is_empty() {
            return;
        }
        let mut from = output.len().saturating_sub(OUTPUT);
        while !output.is_char_boundary(from) {
            from += 1;
        }
        text.push_str(match from {
            0 => "  It wrote:\n",
            _ => "  The last that it wrote:\n",
        });
        put_indented(text, "    ", &output[from..]);
    }
}

/// All kinds of failure of a test whose seeds were all run.
pub(crate) fn groups(test: &str, seeds: u64, groups: &[Group], style: Style) -> String {
    let failed: u64 = groups.iter().map(|group| group.seeds).sum();
    let head = format!("{test}: {} of {} failed", thousands(failed), count(seeds, "seed"));
    let kinds = match groups.len() {
        1 => "in one way".to_owned(),
        n => format!("in {n} ways"),
    };
    let mut text = format!("{}, {kinds}\n\n", style.paint(Ink::Alarm, head));
    for group in groups {
        let head = format!("  seed {} ({})", group.seed, count(group.seeds, "seed"));
        let _ = writeln!(text, "{}", style.paint(Ink::Bold, head));
        put_lines(&mut text, "    ", &group.text);
    }
    text.push('\n');
    text
}

/// A failure in one or two lines, for a list.
pub(crate) fn brief(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::Broken(why) => format!("could not be run: {why}"),
        Verdict::Failed(failure) => {
            let first = failure.message.lines().next().unwrap_or_default();
            match failure.kind {
                FailureKind::Crashed => first.to_owned(),
                _ => format!("{first}\n{}", scene(failure)),
            }
        }
    }
}

/// What kind, where and when.
fn scene(failure: &Failure) -> String {
    let mut text = match &failure.kind {
        FailureKind::Named(key) => format!("failure {key:?}"),
        kind => kind.word().to_owned(),
    };
    match (&failure.place, &failure.origin.called_from) {
        (Some(place), Some(caller)) => {
            let _ = write!(text, " at {place}, called from {caller}");
        }
        (Some(place), None) => {
            let _ = write!(text, " at {place}");
        }
        (None, _) => {}
    }
    if let Some(machine) = &failure.machine {
        let _ = write!(text, ", on {machine}");
    }
    if let Some(task) = &failure.task {
        let _ = write!(text, ", in {task}");
    }
    let _ = write!(text, ", at {}", moment(failure.at));
    if let (None, Some(caller)) = (&failure.place, &failure.origin.called_from) {
        let _ = write!(text, ", in {caller}");
    }
    text
}

fn put_again(text: &mut String, style: Style, again: &Again) {
    let note = match again {
        Again::NotTried | Again::Same => return,
        Again::Broken(why) => format!("It could not be run again, so that nothing is known of whether it repeats:\n{why}"),
        Again::OtherTrace => "It failed so again in a fresh process, but by another way: the run is not a function of its seed.".to_owned(),
        Again::Passed => "NOT REPRODUCIBLE: run again with the same seed it passed, in a fresh process. Don't take it for a bug that \
             was found: the run is not a function of its seed."
            .to_owned(),
        Again::Other(what) => format!(
            "NOT REPRODUCIBLE: run again with the same seed, in a fresh process, it ended otherwise:\n{what}\nDon't take it for a \
             bug that was found: the run is not a function of its seed."
        ),
    };
    for line in note.lines() {
        let _ = writeln!(text, "  {}", style.paint(Ink::Warning, line));
    }
    text.push('\n');
}

/// What to do about a service that installs a logger, or a subscriber, of its own.
fn put_logger_advice(text: &mut String, style: Style, message: &str) {
    const ERRORS: [&str; 4] = [
        "SetLoggerError",
        "attempted to set a logger after the logging system was already initialized",
        "SetGlobalDefaultError",
        "a global default trace dispatcher has already been set",
    ];
    if !ERRORS.iter().any(|error| message.contains(error)) {
        return;
    }
    let advice = [
        "A run's records of `log` and `tracing` go to simmach's own logger, which can't be replaced: use `try_init` and",
        "ignore its error, or install yours in `main`, outside of what a machine runs. `RUST_LOG` filters both.",
    ];
    for line in advice {
        let _ = writeln!(text, "  {}", style.paint(Ink::Warning, line));
    }
    text.push('\n');
}

fn put_waiting(text: &mut String, waiting: &[String]) {
    if waiting.is_empty() {
        return;
    }
    text.push_str("  Who waits for what:\n");
    for line in waiting.iter().take(WAITING) {
        let _ = writeln!(text, "    {line}");
    }
    if let Some(more) = waiting.len().checked_sub(WAITING).filter(|more| *more > 0) {
        let _ = writeln!(text, "    … and {more} more");
    }
    text.push('\n');
}

fn put_backtrace(text: &mut String, frames: &[Frame]) {
    if frames.is_empty() {
        return;
    }
    text.push_str("  Backtrace:\n");
    for (nth, frame) in frames.iter().enumerate() {
        let frame = frame.to_string().replace('\n', "\n     ");
        put_lines(text, "    ", &format!("{nth:>3}: {frame}"));
    }
    text.push('\n');
}

/// A paragraph.
pub(super) fn put_indented(text: &mut String, indent: &str, paragraph: &str) {
    put_lines(text, indent, paragraph);
    if indent.len() > 2 {
        text.push('\n');
    }
}

fn put_lines(text: &mut String, indent: &str, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
    }
}

#[cfg(test)]
mod tests;

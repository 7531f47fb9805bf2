//! The report of a failed run: what failed, where and when, the effects on the cluster, the end of the log, and the
//! command that repeats the run.

use std::fmt::Write as _;

use crate::engine::failure::frames::Frame;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::outcome::Outcome;
use crate::report::log::{LineFormatter, name_of};
use crate::report::numbers::{count, moment, span, thousands};
use crate::report::style::{Ink, Style};
use crate::report::summary::effects;

/// Maximum number of faults that are listed. Earlier faults are only counted.
const MAX_FAULTS: usize = 20;
/// Maximum number of bytes of output that are shown.
const MAX_OUTPUT: usize = 8 << 10;
/// Maximum number of blocked tasks that are listed.
const MAX_BLOCKED: usize = 30;

/// The report of one run, usually a failed one.
#[derive(Clone, Debug)]
pub(crate) struct RunReport<'a> {
    pub(crate) test: &'a str,
    pub(crate) outcome: &'a Outcome,
    /// Number of seeds that passed before this one.
    pub(crate) passed: u64,
    pub(crate) rerun: Rerun,
    /// The story of the shrunk run, or how two runs of the seed differ and the likely cause.
    pub(crate) notes: String,
    /// Standard output and standard error of the run.
    pub(crate) output: &'a [u8],
    /// Where the seeds come from, unless they come from the attribute.
    pub(crate) seed_source: Option<String>,
    /// Maximum number of log lines that are shown, counted from the end.
    pub(crate) log_lines: usize,
    /// The command that replays this run, if running the seed does not repeat it.
    pub(crate) replay: Option<String>,
    /// The command that runs the seed.
    pub(crate) command: String,
}

/// How a second run of a failed seed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// There was no second run.
    NotTried,
    /// The second run was broken, for this reason.
    Broken(String),
    /// The same failure with the same trace.
    Same,
    /// The same failure with a different trace.
    OtherTrace,
    /// The second run passed.
    Passed,
    /// A different failure, as [`summarize`] prints it.
    Other(String),
}

/// Failures of one kind in a sweep.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The lowest seed that failed this way.
    pub(crate) seed: u64,
    /// Number of seeds that failed this way.
    pub(crate) seeds: u64,
    /// The failure, as [`summarize`] prints it.
    pub(crate) text: String,
}

impl Rerun {
    /// Compares the second run of a seed with the first, which failed.
    pub(crate) fn compare(first: &Outcome, second: &Outcome) -> Self {
        let (Some(one), Some(two)) = (first.failure(), second.failure()) else {
            return match &second.verdict {
                Verdict::Passed => Self::Passed,
                Verdict::Broken(why) => Self::Broken(why.clone()),
                other @ Verdict::Failed(_) => Self::Other(summarize(other)),
            };
        };
        if second.passed_before {
            return Self::Passed;
        }
        if !one.is_like(two) {
            return Self::Other(summarize(&second.verdict));
        }
        if first.trace_hash == second.trace_hash && one.is_same(two) {
            Self::Same
        } else {
            Self::OtherTrace
        }
    }
}

impl RunReport<'_> {
    /// Formats the report.
    pub(crate) fn text(&self, style: Style) -> String {
        let outcome = self.outcome;
        let seed = outcome.seed;
        let mut text = String::new();
        match &outcome.verdict {
            Verdict::Failed(failure) => {
                let not = match self.rerun {
                    Rerun::Passed | Rerun::Other(_) => ", NOT REPRODUCIBLE",
                    Rerun::NotTried | Rerun::Broken(_) | Rerun::Same | Rerun::OtherTrace => "",
                };
                let head = format!("{} failed with seed {seed}{not}", self.test);
                let _ = write!(text, "{}", style.paint(Ink::Alarm, head));
                self.write_passed(&mut text);
                write_paragraph(&mut text, "  ", &failure.message);
                if let Some(cause) = &failure.cause {
                    let _ = writeln!(text, "  failed call: {cause}");
                }
                // A process that crashed left no location.
                if failure.kind != FailureKind::Crashed {
                    let _ = writeln!(text, "  {}", scene(failure));
                }
                text.push('\n');
                write_advice(&mut text, style, &failure.message);
                write_rerun(&mut text, style, &self.rerun);
                text.push_str(&self.notes);
                self.write_run(&mut text);
                write_blocked(&mut text, &failure.waiting);
                write_backtrace(&mut text, &failure.origin.frames);
            }
            Verdict::Broken(why) => {
                let head = format!("{} could not be run", self.test);
                let _ = writeln!(text, "{} (seed {seed})\n", style.paint(Ink::Alarm, head));
                write_paragraph(&mut text, "  ", why);
                text.push_str(
                    "  The run neither passed nor failed, so it says nothing about the program under test.\n\n",
                );
            }
            Verdict::Passed => {
                let _ = writeln!(text, "{} passed with seed {seed}\n", self.test);
            }
        }
        self.write_faults(&mut text, style);
        self.write_log(&mut text, style);
        self.write_output(&mut text);
        if let Some(replay) = &self.replay {
            let _ = writeln!(text, "  Run it again:\n    {}", style.paint(Ink::Bold, replay));
            let _ = writeln!(text, "  Run the unshrunk seed:\n    {}", self.command);
        } else {
            let _ =
                writeln!(text, "  Run it again:\n    {}", style.paint(Ink::Bold, &self.command));
        }
        text
    }

    fn write_passed(&self, text: &mut String) {
        let mut notes: Vec<String> = self.seed_source.iter().cloned().collect();
        if self.passed > 0 {
            notes.insert(0, format!("{} passed before this seed", count(self.passed, "seed")));
        }
        let _ = match notes.is_empty() {
            true => writeln!(text, "\n"),
            false => writeln!(text, " ({})\n", notes.join("; ")),
        };
    }

    /// Writes the run's size. A run whose process died has none.
    fn write_run(&self, text: &mut String) {
        let outcome = self.outcome;
        if outcome.polls > 0 {
            let _ = writeln!(
                text,
                "  Simulated {} in {}: {}, {}{}.\n",
                span(outcome.virtual_nanos.into()),
                count(outcome.polls, "poll"),
                count(outcome.clock_advances, "clock advance"),
                count(outcome.sockets, "socket"),
                threads_left(outcome),
            );
        }
    }

    fn write_faults(&self, text: &mut String, style: Style) {
        let outcome = self.outcome;
        let Some(sum) = effects(&outcome.effects) else {
            if outcome.polls > 0 {
                text.push_str("  Effects: none.\n\n");
            }
            return;
        };
        let _ = writeln!(text, "  Effects: {sum}");
        let skipped = outcome.faults.len().saturating_sub(MAX_FAULTS);
        if skipped > 0 {
            let _ = writeln!(text, "    … {} not shown", count(skipped as u64, "earlier fault"));
        }
        for fault in &outcome.faults[skipped..] {
            let machine = fault.machine.map(|id| name_of(&outcome.machines, id));
            let machine = machine.map(|name| format!("{name}: ")).unwrap_or_default();
            let line = format!("{:>16}  {machine}{}", moment(fault.at), fault.text);
            let _ = writeln!(text, "    {}", style.paint(Ink::Fault, line));
        }
        text.push('\n');
    }

    fn write_log(&self, text: &mut String, style: Style) {
        let log = &self.outcome.log;
        let skipped = log.len().saturating_sub(self.log_lines);
        let Some(first) = log.get(skipped) else {
            return;
        };
        let _ = match skipped {
            0 => writeln!(text, "  Log:"),
            _ => writeln!(
                text,
                "  Log, last {} of {} lines, from {}:\n    … {} not shown (SIMMACH_LOG_LINES=all shows all lines; \
                 RUST_LOG=warn,my_crate=debug records fewer)",
                thousands(self.log_lines as u64),
                thousands(log.len() as u64),
                moment(first.at),
                count(skipped as u64, "earlier line"),
            ),
        };
        let since = skipped.checked_sub(1).map_or(0, |before| log[before].at);
        let mut pen = LineFormatter::new(&self.outcome.machines, style, since);
        for line in &log[skipped..] {
            write_lines(text, "    ", &pen.line(line));
        }
        text.push('\n');
    }

    fn write_output(&self, text: &mut String) {
        let output = String::from_utf8_lossy(self.output);
        let output = output.trim_end();
        if output.is_empty() {
            return;
        }
        let mut from = output.len().saturating_sub(MAX_OUTPUT);
        while !output.is_char_boundary(from) {
            from += 1;
        }
        text.push_str(match from {
            0 => "  Output:\n",
            _ => "  Output, last 8 KiB:\n",
        });
        write_paragraph(text, "    ", &output[from..]);
    }
}

/// Formats the kinds of failure of a sweep that did not stop at the first failure.
pub(crate) fn groups(test: &str, seeds: u64, groups: &[Group], style: Style) -> String {
    let failed: u64 = groups.iter().map(|group| group.seeds).sum();
    let head = format!("{test}: {} of {} failed", thousands(failed), count(seeds, "seed"));
    let kinds = match groups.len() {
        1 => "in one way".to_owned(),
        n => format!("in {n} ways"),
    };
    let mut text = format!("{}, {kinds}\n\n", style.paint(Ink::Alarm, head));
    for group in groups {
        let head = match group.seeds {
            1 => format!("  seed {}", group.seed),
            seeds => format!("  {}, the lowest is {}", count(seeds, "seed"), group.seed),
        };
        let _ = writeln!(text, "{}", style.paint(Ink::Bold, head));
        write_lines(&mut text, "    ", &group.text);
    }
    text.push('\n');
    text
}

/// Formats a verdict in one or two lines.
pub(crate) fn summarize(verdict: &Verdict) -> String {
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

/// Formats the kind, location and time of a failure.
fn scene(failure: &Failure) -> String {
    let mut text = match &failure.kind {
        FailureKind::Named(key) => format!("failure {key:?}"),
        FailureKind::Error => "error returned".to_owned(),
        FailureKind::Service => "service failed".to_owned(),
        FailureKind::Hung => "task hung".to_owned(),
        FailureKind::Refused => "refused call".to_owned(),
        kind => kind.word().to_owned(),
    };
    match (&failure.location, &failure.origin.called_from) {
        (Some(location), Some(caller)) => {
            let _ = write!(text, " at {location}, called from {caller}");
        }
        (Some(location), None) => {
            let _ = write!(text, " at {location}");
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
    if let (None, Some(caller)) = (&failure.location, &failure.origin.called_from) {
        let _ = write!(text, ", in {caller}");
    }
    text
}

fn write_rerun(text: &mut String, style: Style, rerun: &Rerun) {
    const NO_EVIDENCE: &str =
        "This is not evidence of a bug in your program: the test is not deterministic.";
    let note = match rerun {
        Rerun::NotTried | Rerun::Same => return,
        Rerun::Broken(why) => format!(
            "In a fresh OS process, the same seed could not be run, so simmach does not know whether the failure \
             repeats:\n{why}"
        ),
        Rerun::OtherTrace => "\
In a fresh OS process, the same seed failed in the same way, but the trace differs: the test is not deterministic."
            .to_owned(),
        Rerun::Passed => format!(
            "NOT REPRODUCIBLE: in a fresh OS process, the same seed passed. {NO_EVIDENCE}"
        ),
        Rerun::Other(other) => format!(
            "NOT REPRODUCIBLE: in a fresh OS process, the same seed ended differently:\n{other}\n{NO_EVIDENCE}"
        ),
    };
    for line in note.lines() {
        let _ = writeln!(text, "  {}", style.paint(Ink::Warning, line));
    }
    text.push('\n');
}

/// Advice for failures whose messages contain one of these texts.
const ADVICE: [(&[&str], [&str; 2]); 2] = [
    (
        &[
            "SetLoggerError",
            "attempted to set a logger after the logging system was already initialized",
            "SetGlobalDefaultError",
            "a global default trace dispatcher has already been set",
        ],
        [
            "Records of `log` and `tracing` go to simmach's logger, which cannot be replaced during a run. Call \
             `try_init` and",
            "ignore its error, or install your logger in `main`, outside the services. `RUST_LOG` filters the records.",
        ],
    ),
    (
        &["there is no reactor running", "must be called from the context of a Tokio 1.x runtime"],
        [
            "This code needs a tokio runtime. Native processes have no tokio runtime: remove `runtime = native` or \
             `Topology::native`.",
            "Plans have no tokio runtime either, since they do not run on a machine: call `sim.run_on(machine, …)` \
             in the plan.",
        ],
    ),
];

/// Writes advice for a failure that has a known cause.
fn write_advice(text: &mut String, style: Style, message: &str) {
    let applies =
        |(texts, _): &&(&[&str], [&str; 2])| texts.iter().any(|known| message.contains(known));
    let Some((_, advice)) = ADVICE.iter().find(applies) else { return };
    for line in advice {
        let _ = writeln!(text, "  {}", style.paint(Ink::Warning, line));
    }
    text.push('\n');
}

fn write_blocked(text: &mut String, waiting: &[String]) {
    if waiting.is_empty() {
        return;
    }
    text.push_str("  Blocked tasks:\n");
    for line in waiting.iter().take(MAX_BLOCKED) {
        let _ = writeln!(text, "    {line}");
    }
    if let Some(more) = waiting.len().checked_sub(MAX_BLOCKED).filter(|more| *more > 0) {
        let _ = writeln!(text, "    … and {}", count(more as u64, "more task"));
    }
    text.push('\n');
}

fn write_backtrace(text: &mut String, frames: &[Frame]) {
    if frames.is_empty() {
        return;
    }
    text.push_str("  Backtrace:\n");
    for (nth, frame) in frames.iter().enumerate() {
        let frame = frame.to_string().replace('\n', "\n     ");
        write_lines(text, "    ", &format!("{nth:>3}: {frame}"));
    }
    text.push('\n');
}

fn threads_left(outcome: &Outcome) -> String {
    match outcome.threads_left {
        0 => String::new(),
        1 => ", 1 thread that did not end with its process".to_owned(),
        left => format!(", {} that did not end with their process", count(left, "thread")),
    }
}

/// Writes a paragraph, with an empty line after it if it is indented by more than two spaces.
pub(super) fn write_paragraph(text: &mut String, indent: &str, paragraph: &str) {
    write_lines(text, indent, paragraph);
    if indent.len() > 2 {
        text.push('\n');
    }
}

fn write_lines(text: &mut String, indent: &str, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
    }
}

#[cfg(test)]
mod tests;

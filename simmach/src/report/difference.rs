//! The report of two runs of one seed that differ: the first event that differs, in both versions, and the likely cause.

use std::fmt::Write as _;

use crate::engine::ids::MachineId;
use crate::engine::record::event::Event;
use crate::engine::record::trace::{MAX_KEPT_EVENTS, TraceEvent};
use crate::outcome::Outcome;
use crate::report::console::{summarize, write_paragraph};
use crate::report::event::{Names, describe};
use crate::report::generators::{self, Library};
use crate::report::log::name_of;
use crate::report::mismatch_cause::MismatchCause;
use crate::report::numbers::{count, thousands};
use crate::report::style::{Ink, Style};

/// Where a compared run was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunContext {
    /// In the sweep, among other runs.
    Sweep,
    /// As the first run of a process.
    Fresh,
    /// In a process other than the sweep's, after other seeds.
    AfterOthers,
    /// The first of two calm runs in one process.
    First,
    /// The second of two calm runs in one process.
    Second,
}

/// A seed that produces two different runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DifferingRuns<'a> {
    pub(crate) test: &'a str,
    pub(crate) one: (&'a Outcome, RunContext),
    pub(crate) two: (&'a Outcome, RunContext),
    /// Whether both runs were calm: without faults, drawn orders and delays. The shrinker tries
    /// such runs first.
    pub(crate) is_calm: bool,
    pub(crate) cause: MismatchCause,
    /// Linked libraries that have their own random number generators.
    pub(crate) libraries: &'a [Library],
    pub(crate) command: &'a str,
}

impl RunContext {
    fn label(self) -> &'static str {
        match self {
            Self::Sweep => "first run, among other seeds",
            Self::Fresh => "in a fresh OS process",
            Self::AfterOthers => "in another OS process, after other seeds",
            Self::First => "the first time",
            Self::Second => "the second time",
        }
    }
}

impl DifferingRuns<'_> {
    /// Formats the report.
    pub(crate) fn text(&self, style: Style) -> String {
        let seed = self.one.0.seed;
        let calm = if self.is_calm { " even without faults, delays and reordering" } else { "" };
        let head =
            format!("{} is not deterministic: two runs of seed {seed} differ{calm}", self.test);
        let mut text = format!("{}\n\n", style.paint(Ink::Alarm, head));
        text.push_str(&difference(self.one, self.two));
        text.push_str(&likely_cause(self.cause, self.libraries, style));
        for unmet in &self.one.0.unmet {
            write_paragraph(&mut text, "    ", unmet);
        }
        text.push_str(match self.is_calm {
            true => "  Until this is fixed, simmach may be unable to shrink failures of this test.\n\n",
            false => {
                "  Until this is fixed, a seed of this test may fail in one run and pass in the next.\n\n"
            }
        });
        let _ = writeln!(text, "  Run it again:\n    {}", style.paint(Ink::Bold, self.command));
        text
    }
}

/// Formats the likely cause.
pub(crate) fn likely_cause(cause: MismatchCause, libraries: &[Library], style: Style) -> String {
    let mut text = format!("  {}\n", style.paint(Ink::Warning, "Likely cause:"));
    write_paragraph(&mut text, "    ", &cause.text());
    let generators = generators::paragraph(cause, libraries);
    if !generators.is_empty() {
        write_paragraph(&mut text, "    ", &generators);
    }
    text
}

/// Formats the first event that differs, or how the runs ended if no event is known to differ.
pub(crate) fn difference(one: (&Outcome, RunContext), two: (&Outcome, RunContext)) -> String {
    let widest = one.1.label().len().max(two.1.label().len()) + 1;
    let mut text = String::new();
    let mut versions = |head: String, lines: [String; 2]| {
        let _ = writeln!(text, "  {head}");
        for (made, line) in [one.1, two.1].into_iter().zip(lines) {
            let made = format!("{}:", made.label());
            let _ = writeln!(text, "    {made:<widest$}  {line}");
        }
        text.push('\n');
    };
    let (Some(first), Some(second)) = (&one.0.events, &two.0.events) else {
        versions(
            "No events were recorded. How the runs ended:".to_owned(),
            [describe_end(one.0), describe_end(two.0)],
        );
        return text;
    };
    let same = first.iter().zip(second).take_while(|(one, two)| one.hash == two.hash).count();
    let nth = thousands(same as u64 + 1);
    match (first.get(same), second.get(same)) {
        (None, None) if same == MAX_KEPT_EVENTS => {
            let head = format!(
                "The first {} are equal. A later event differs, but only the first {} are kept. The runs ended:",
                count(same as u64, "event"),
                thousands(same as u64)
            );
            versions(head, [describe_end(one.0), describe_end(two.0)]);
        }
        (None, None) => {
            let ends = [describe_end(one.0), describe_end(two.0)];
            let head = match ends[0] == ends[1] {
                true => {
                    "When the two runs were repeated for this report, they did not differ. They ended:"
                }
                false => "All events are equal, but the runs ended differently:",
            };
            versions(head.to_owned(), ends);
        }
        (before, after) => {
            let mut lines = [describe_event(one.0, before), describe_event(two.0, after)];
            if let (true, Some(before), Some(after)) = (lines[0] == lines[1], before, after) {
                for (line, event) in lines.iter_mut().zip([before, after]) {
                    let (_, [a, b]) = event.event.words();
                    let _ = write!(
                        line,
                        " (data of the event: {a:x}, {b:x}; task {:x}; trace hash {:x})",
                        event.task, event.hash
                    );
                }
            }
            versions(format!("The first event that differs is number {nth}:"), lines);
        }
    }
    text
}

fn describe_end(outcome: &Outcome) -> String {
    let verdict = summarize(&outcome.verdict).replace('\n', ", ");
    let polls = count(outcome.polls, "poll");
    format!(
        "{verdict} after {} of virtual time, in {polls}, with trace hash {:016x}",
        exact_time(outcome.virtual_nanos),
        outcome.trace_hash
    )
}

fn exact_time(nanos: u64) -> String {
    format!("{}.{:09} s", thousands(nanos / 1_000_000_000), nanos % 1_000_000_000)
}

/// The name of a task, if it is known.
fn name_of_task(outcome: &Outcome, task: u64) -> Option<&str> {
    let known = outcome.task_names.binary_search_by_key(&task, |(task, _)| *task);
    known.ok().map(|at| outcome.task_names[at].1.as_str())
}

impl Names for Outcome {
    fn machine(&self, machine: MachineId) -> String {
        name_of(&self.machines, machine).to_owned()
    }

    fn task(&self, path: u64) -> String {
        name_of_task(self, path).unwrap_or("a task").to_owned()
    }
}

fn describe_event(outcome: &Outcome, event: Option<&TraceEvent>) -> String {
    let Some(event) = event else {
        return format!("no event: the run had ended: {}", describe_end(outcome));
    };
    let what = describe(&event.event, event.task, outcome);
    let by = match (&event.event, name_of_task(outcome, event.task)) {
        (Event::TaskPolled { .. }, _) | (_, None) => String::new(),
        (_, Some(task)) => format!(", in {task}"),
    };
    format!(
        "{}  {}  {what}{by}",
        exact_time(event.at),
        name_of(&outcome.machines, MachineId(event.machine))
    )
}

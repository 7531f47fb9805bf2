//! Two runs of one seed as a text: the first event in which they differ, in both versions, and what makes that likely.

use std::fmt::Write as _;

use crate::engine::ids::MachineId;
use crate::engine::record::event::Event;
use crate::engine::record::trace::{MOST_KEPT, TraceEvent};
use crate::outcome::Outcome;
use crate::report::console::{brief, put_indented};
use crate::report::event::{Names, describe};
use crate::report::generators::{self, Library};
use crate::report::log::name_of;
use crate::report::numbers::{count, thousands};
use crate::report::style::{Ink, Style};

/// How a run was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Among the others.
    Sweep,
    /// As the first of its process.
    Fresh,
    /// In another process than the sweep's, after other seeds.
    After,
    /// With everything calm.
    Once,
    /// The same, in the same process.
    OnceMore,
}

/// Why one seed makes two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Something outlives a run.
    State,
    /// Something that outlives a run makes maps in one and not in the other.
    Maps,
    /// Where the system has loaded the process.
    Addresses,
    /// A real thread that the run was allowed to start.
    Thread,
    /// Something that is another each time.
    Outside,
    /// One of these two: the system can't tell them apart.
    AddressesOrOutside,
    /// It did not show again.
    Rare,
}

/// A seed that makes two runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TwoRuns<'a> {
    pub(crate) test: &'a str,
    pub(crate) one: (&'a Outcome, Made),
    pub(crate) two: (&'a Outcome, Made),
    /// Everything was calm but what the test itself does, as shrinking tries it first.
    pub(crate) is_calm: bool,
    pub(crate) cause: Cause,
    /// What of those that may be the cause the binary is linked with.
    pub(crate) libraries: &'a [Library],
    pub(crate) command: &'a str,
}

const STATE: &str = "\
State that outlives a run. In fresh processes this seed is always the same run; after other runs, in the same process, it
is another. Look for a `static` that counts, a `OnceLock` or `LazyLock` that a run fills, a `thread_local!` of another
thread, here or in a crate. An unbiased `tokio::select!`, `futures::select!` and `tokio_stream::StreamMap` draw from such
a counter: simmach::select! does not.";
const MAPS: &str = "\
State that outlives a run, and the order of std's `HashMap`s. Before the runs differ, one has made more maps than the
other: code that fills a `static` makes some, such as a static `Regex`, which keeps caches by thread. The maps made after
that in the same poll have other keys, and so another order. Where an order shows, use a `BTreeMap`, sort, or give the map
a hasher with keys of your own.";
const ADDRESSES: &str = "\
Addresses. In processes that are loaded at the same addresses this seed is always the same run, and in others it is not.
Look for an address that is printed, hashed or compared (`{:p}`, `as usize`), and for maps with the default hasher of
`ahash`, `foldhash` or `hashbrown`, which is keyed by addresses: std's `HashMap` and `BTreeMap` are not.";
const THREAD: &str = "\
A real thread. The run started one, under `allow_threads`: what it does, and when, is not the seed's.";
const OUTSIDE: &str = "\
Something from outside, which is another each time, in a fresh process too. Look for a real clock that is read by an
instruction of the processor (`rdtsc`, the crate `quanta`) or from a file (`/proc/uptime`), for other files such as
`/dev/urandom` and `/proc/self`, for the process's number (`std::process::id`), for system calls that do not go through
the C library, and for libraries with random generators of their own (AWS-LC, OpenSSL, SQLite).";

const RARE: &str = "\
It did not show again, in several fresh processes and after another seed: so it shows seldom. State that only more runs
bring about, or something from outside: a real clock, a file, the process's number.";

impl Made {
    fn words(self) -> &'static str {
        match self {
            Self::Sweep => "in the sweep",
            Self::Fresh => "in a fresh process",
            Self::After => "in another process, after other seeds",
            Self::Once => "the first time",
            Self::OnceMore => "the second time",
        }
    }
}

impl Cause {
    /// In words, a paragraph.
    pub(crate) fn words(self) -> String {
        match self {
            Self::State => STATE.to_owned(),
            Self::Maps => MAPS.to_owned(),
            Self::Addresses => ADDRESSES.to_owned(),
            Self::Thread => THREAD.to_owned(),
            Self::Outside => OUTSIDE.to_owned(),
            Self::AddressesOrOutside => format!("{OUTSIDE}\nOr {ADDRESSES}"),
            Self::Rare => RARE.to_owned(),
        }
    }
}

impl Cause {
    /// What is seen in the events of two runs that differ goes before what more runs could only narrow down.
    pub(crate) fn given(self, one: &Outcome, two: &Outcome) -> Self {
        match self {
            Self::State | Self::Rare if makes_other_maps(one, two) => Self::Maps,
            other => other,
        }
    }
}

/// Whether the numbers of maps differ, at the first event that differs or before.
fn makes_other_maps(one: &Outcome, two: &Outcome) -> bool {
    let (Some(first), Some(second)) = (&one.events, &two.events) else { return false };
    let mut before = true;
    let mut until_they_differ = first
        .iter()
        .zip(second)
        .take_while(|(one, two)| std::mem::replace(&mut before, one.hash == two.hash));
    until_they_differ.any(|(one, two)| one.maps != two.maps)
}

impl TwoRuns<'_> {
    /// The report.
    pub(crate) fn text(&self, style: Style) -> String {
        let seed = self.one.0.seed;
        let calm = if self.is_calm { " with orders, times and faults calm" } else { "" };
        let head =
            format!("{} is not a function of its seed: seed {seed} made two runs{calm}", self.test);
        let mut text = format!("{}\n\n", style.paint(Ink::Alarm, head));
        text.push_str(&difference(self.one, self.two));
        text.push_str(&likely(self.cause, self.libraries, style));
        text.push_str(match self.is_calm {
            true => "  Until then no failure of this test can be relied on to shrink.\n\n",
            false => {
                "  Until then no seed of this test can be relied on to fail, or to pass, again.\n\n"
            }
        });
        let _ = writeln!(text, "  Run it again:\n    {}", style.paint(Ink::Bold, self.command));
        text
    }
}

/// What it likely comes of.
pub(crate) fn likely(cause: Cause, libraries: &[Library], style: Style) -> String {
    let mut text = format!("  {}\n", style.paint(Ink::Warning, "What is likely to cause it:"));
    put_indented(&mut text, "    ", &cause.words());
    let generators = generators::paragraph(cause, libraries);
    if !generators.is_empty() {
        put_indented(&mut text, "    ", &generators);
    }
    text
}

/// The first event that differs, or what does where events are not known.
pub(crate) fn difference(one: (&Outcome, Made), two: (&Outcome, Made)) -> String {
    let widest = one.1.words().len().max(two.1.words().len()) + 1;
    let mut text = String::new();
    let mut versions = |head: String, lines: [String; 2]| {
        let _ = writeln!(text, "  {head}");
        for (made, line) in [one.1, two.1].into_iter().zip(lines) {
            let made = format!("{}:", made.words());
            let _ = writeln!(text, "    {made:<widest$}  {line}");
        }
        text.push('\n');
    };
    let (Some(first), Some(second)) = (&one.0.events, &two.0.events) else {
        versions("Their events were not kept:".to_owned(), [ended(one.0), ended(two.0)]);
        return text;
    };
    let same = first.iter().zip(second).take_while(|(one, two)| one.hash == two.hash).count();
    let nth = thousands(same as u64 + 1);
    match (first.get(same), second.get(same)) {
        (None, None) if same == MOST_KEPT => {
            let head =
                format!("Their first {} are the same, but not all:", count(same as u64, "event"));
            versions(head, [ended(one.0), ended(two.0)]);
        }
        (None, None) => {
            versions(
                "Every event is the same, but not how they ended:".to_owned(),
                [ended(one.0), ended(two.0)],
            );
        }
        (before, after) => {
            let mut lines = [described(one.0, before), described(two.0, after)];
            if let (true, Some(before), Some(after)) = (lines[0] == lines[1], before, after) {
                for (line, event) in lines.iter_mut().zip([before, after]) {
                    let (_, [a, b]) = event.event.words();
                    let _ = write!(
                        line,
                        " ({a:x}, {b:x}; task {:x}; hash {:x})",
                        event.task, event.hash
                    );
                }
            }
            versions(format!("The first event that differs is number {nth}:"), lines);
        }
    }
    text
}

fn ended(outcome: &Outcome) -> String {
    let verdict = brief(&outcome.verdict).replace('\n', ", ");
    let steps = count(outcome.steps, "step");
    format!(
        "{verdict} after {} in {steps}, hash {:016x}",
        at(outcome.virtual_nanos),
        outcome.trace_hash
    )
}

fn at(nanos: u64) -> String {
    format!("{}.{:09} s", thousands(nanos / 1_000_000_000), nanos % 1_000_000_000)
}

/// What a task is called, if that is known.
fn name_of_task(outcome: &Outcome, task: u64) -> Option<&str> {
    let known = outcome.places.binary_search_by_key(&task, |(task, _)| *task);
    known.ok().map(|at| outcome.places[at].1.as_str())
}

impl Names for Outcome {
    fn machine(&self, machine: MachineId) -> String {
        name_of(&self.machines, machine).to_owned()
    }

    fn task(&self, path: u64) -> String {
        name_of_task(self, path).unwrap_or("a task").to_owned()
    }
}

fn described(outcome: &Outcome, event: Option<&TraceEvent>) -> String {
    let Some(event) = event else {
        return format!("none: the run is over, {}", ended(outcome));
    };
    let what = describe(&event.event, event.task, outcome);
    let by = match (&event.event, name_of_task(outcome, event.task)) {
        (Event::TaskPolled { .. }, _) | (_, None) => String::new(),
        (_, Some(task)) => format!(", in {task}"),
    };
    format!(
        "{}  {}  {what}{by}",
        at(event.at),
        name_of(&outcome.machines, MachineId(event.machine))
    )
}

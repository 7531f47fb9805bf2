//! A shrunk run as a story: what is left of it, in order, with what the log says of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::draws::family::Family;
use crate::engine::record::deviations::{Deviation, Kind, Size};
use crate::engine::record::log::{Level, LogLine};
use crate::outcome::Outcome;
use crate::report::log::{name_of, said};
use crate::report::numbers::{count, moment, thousands};
use crate::report::style::{Ink, Style};

/// So much is told; of the log, so many lines for each.
const MOST: usize = 40;
const LINES: usize = 3;

/// How a run was shrunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shrinking<'a> {
    pub(crate) before: &'a Size,
    pub(crate) after: &'a Size,
    pub(crate) runs: u64,
    /// Why it was not gone on with, unless nothing smaller was found.
    pub(crate) cut_short: Option<&'a str>,
    /// It did the same in a process of its own.
    pub(crate) repeats: bool,
}

/// From how much to how little, and what that is.
pub(crate) fn story(outcome: &Outcome, shrinking: &Shrinking<'_>, style: Style) -> String {
    let Shrinking { before, after, runs, cut_short, repeats } = *shrinking;
    let (runs, why) = (count(runs, "run"), cut_short.map(|why| format!("; {why}")));
    let (left, was) = (size(after), size(before));
    let head = match left == was {
        true => format!("It takes {left}"),
        false => format!("Shrunk to {left}"),
    };
    let mut text = format!("  {}", style.paint(Ink::Bold, head));
    let _ = match left == was {
        true => write!(text, ": {runs} found nothing smaller"),
        false => write!(text, " from {was}, by {runs}"),
    };
    let _ = writeln!(text, "{}.", why.unwrap_or_default());
    text.push_str(match repeats {
        true => "  It did the same in a process of its own.\n\n",
        false => "  In a process of its own it did NOT do the same: it depends on something besides its token.\n\n",
    });
    text.push_str(&list(outcome, style));
    text
}

/// What was not calm in a run, in order.
pub(crate) fn list(outcome: &Outcome, style: Style) -> String {
    let mut told: Vec<&Deviation> =
        outcome.deviations.iter().filter(|deviation| is_told(deviation)).collect();
    told.sort_by_key(|deviation| deviation.at);
    let mut text = String::new();
    for (nth, deviation) in (1..).zip(told.iter().take(MOST)) {
        let machine = deviation.machine.map(|machine| name_of(&outcome.machines, machine));
        let machine = machine.map(|name| format!("{name}: ")).unwrap_or_default();
        let line = format!("{nth:>3}. {:>14}  {machine}{}", moment(deviation.at), words(deviation));
        let ink = match deviation.kind {
            Kind::Strike | Kind::Fault => Ink::Fault,
            Kind::Field | Kind::Step | Kind::Choice | Kind::Order | Kind::Delay => Ink::Bold,
        };
        let _ = writeln!(text, "  {}", style.paint(ink, line));
        let until = told.get(nth).map_or(u64::MAX, |next| next.line);
        let lines: Vec<&LogLine> = about(&outcome.log, deviation, until).collect();
        for line in lines.iter().take(LINES) {
            let name = name_of(&outcome.machines, line.machine);
            let (at, said) = (moment(line.at), said(line, style));
            let _ = writeln!(text, "       {at:>14}    {name}: {said}");
        }
        if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
            let _ =
                writeln!(text, "       {:>14}    … and {}", "", count(more as u64, "more line"));
        }
    }
    if let Some(more) = told.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(text, "    … and {} more", thousands(more as u64));
    }
    let rest = rest(&outcome.deviations);
    if !rest.is_empty() {
        let _ = writeln!(text, "  Besides these, as the seed has it: {}.", rest.join(", "));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `2 faults and 3 steps`; nothing at all is said so.
pub(crate) fn size(size: &Size) -> String {
    let Size { machines: _, faults, steps, reorderings, choices: _, delays, nanos: _ } = *size;
    let parts =
        [(faults, "fault"), (steps, "step"), (reorderings, "reordering"), (delays, "delay")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, one)| count(n, one)).collect();
    match parts.split_last() {
        None => "nothing but the test itself".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn is_told(deviation: &Deviation) -> bool {
    match deviation.kind {
        Kind::Strike | Kind::Fault | Kind::Step | Kind::Choice => true,
        Kind::Order => deviation.family == Family::Wake && !deviation.text.is_empty(),
        Kind::Field | Kind::Delay => false,
    }
}

fn words(deviation: &Deviation) -> String {
    let Deviation { kind, value, of, text, .. } = deviation;
    match kind {
        Kind::Choice if *of > 1 => format!("the test chooses {value} of 0..{of}"),
        Kind::Choice => "the test draws true".to_owned(),
        Kind::Order => format!("{text} may wait for others"),
        Kind::Strike | Kind::Fault | Kind::Step | Kind::Field | Kind::Delay => text.clone(),
    }
}

/// The lines that the log has about it.
fn about<'a>(
    log: &'a [LogLine],
    deviation: &Deviation,
    until: u64,
) -> impl Iterator<Item = &'a LogLine> {
    let (machine, kind, from) = (deviation.machine, deviation.kind, deviation.line);
    let within = [from, until.max(from)].map(|line| log.len().min(line as usize));
    log[within[0]..within[1]].iter().filter(move |line| match kind {
        Kind::Strike | Kind::Fault => {
            machine.is_none_or(|machine| machine == line.machine) || line.level == Level::Fault
        }
        Kind::Step => line.level != Level::Fault && line.level > Level::Debug,
        Kind::Field | Kind::Choice | Kind::Order | Kind::Delay => false,
    })
}

/// What is too much to be told one by one.
fn rest(deviations: &[Deviation]) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for deviation in deviations.iter().filter(|deviation| deviation.kind == Kind::Delay) {
        let what = match deviation.family {
            Family::Latency => "latency",
            Family::Commit => "commit's time",
            Family::Blocking => "blocking call's time",
            Family::Reorder => "packet's delay",
            _ => "time",
        };
        *counts.entry(what).or_default() += 1;
    }
    let words = |(what, n): (&str, u64)| match (what, n) {
        ("latency", n) if n > 1 => format!("{} latencies", thousands(n)),
        (what, n) => count(n, what),
    };
    counts.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draws::address::Address;
    use crate::engine::failure::verdict::Verdict;
    use crate::engine::ids::MachineId;

    #[test]
    fn a_story_has_what_is_left_in_order() {
        let mut outcome = Outcome::without_a_run(1, Verdict::Passed);
        outcome.machines = vec!["cl".to_owned(), "api".to_owned()];
        let at = |at: u64, family, kind, text: &str| Deviation {
            text: text.to_owned(),
            of: 7,
            ..Deviation::new(Address::new(family, [0; 3]), kind, 5, at * 1_000_000_000)
        };
        outcome.deviations = vec![
            at(9, Family::Latency, Kind::Delay, ""),
            Deviation {
                machine: Some(MachineId(0)),
                line: 1,
                ..at(3, Family::Strike, Kind::Strike, "cl loses its power")
            },
            at(1, Family::Step, Kind::Step, "step 4"),
            at(1, Family::Choice, Kind::Choice, ""),
        ];
        let line = |at: u64, machine: u32, text: &str| LogLine {
            at: at * 1_000_000_000,
            machine: MachineId(machine),
            level: Level::Info,
            target: Some("shop".into()),
            text: text.to_owned(),
        };
        let harness = LogLine { target: None, ..line(4, 0, "starts again") };
        let up = ["up", "ready", "busy", "idle"].map(|text| line(4, 0, text));
        outcome.log = vec![line(2, 1, "asked"), harness, line(4, 1, "not about it")];
        outcome.log.extend(up);
        let before = Size { faults: 63, steps: 40, delays: 7, ..Size::default() };
        let after = Size { faults: 1, steps: 1, ..Size::default() };
        let shrinking =
            Shrinking { before: &before, after: &after, runs: 412, cut_short: None, repeats: true };
        assert_eq!(
            story(&outcome, &shrinking, Style::PLAIN),
            "  Shrunk to 1 fault and 1 step from 63 faults, 40 steps and 7 delays, by 412 runs.\n\
             \x20 It did the same in a process of its own.\n\n\
             \x20   1.        1.000 s  step 4\n\
             \x20   2.        1.000 s  the test chooses 5 of 0..7\n\
             \x20   3.        3.000 s  cl: cl loses its power\n\
             \x20             4.000 s    cl: starts again\n\
             \x20             4.000 s    cl: INFO shop: up\n\
             \x20             4.000 s    cl: INFO shop: ready\n\
             \x20                        … and 2 more lines\n\
             \x20 Besides these, as the seed has it: 1 latency.\n\n"
        );
        assert_eq!(size(&Size::default()), "nothing but the test itself");
    }
}

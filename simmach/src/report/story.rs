//! Formats a shrunk run as a story: its deviations in order, each with the log lines that belong to
//! it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::draws::family::Family;
use crate::engine::log::{Level, LogLine};
use crate::engine::record::deviations::{Deviation, DeviationKind, Size};
use crate::outcome::Outcome;
use crate::report::log::{first_line, name_of};
use crate::report::numbers::{count, moment, span, thousands};
use crate::report::style::{Ink, Style};

/// Maximum number of deviations that are listed.
const MAX_DEVIATIONS: usize = 40;
/// Maximum number of log lines for each deviation.
const MAX_LINES: usize = 3;

/// The result of shrinking a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shrinking<'a> {
    pub(crate) before: &'a Size,
    pub(crate) after: &'a Size,
    pub(crate) runs: u64,
    /// Why shrinking stopped early; `None` if it ended because no pass found a smaller run.
    pub(crate) cut_short: Option<&'a str>,
    /// Whether the run fails only with the plans themselves, and not with only the acts of the
    /// plans.
    pub(crate) needs_plans: bool,
    /// Whether the run repeated in a fresh process.
    pub(crate) repeats: bool,
}

/// Formats the sizes before and after, and the list of deviations.
pub(crate) fn story(outcome: &Outcome, shrinking: &Shrinking<'_>, style: Style) -> String {
    let Shrinking { before, after, runs, cut_short, needs_plans, repeats } = *shrinking;
    let (runs, why) = (count(runs, "run"), cut_short.map(|why| format!("; {why}")));
    let (small, large) = (size(after), size(before));
    let (head, tail) = match small == large {
        true => (
            format!("Not shrunk: {small}"),
            format!("; tried {runs}, found no smaller failing run"),
        ),
        false => (format!("Shrunk to {small}"), format!(" from {large}; tried {runs}")),
    };
    let mut text = format!("  {}{tail}", style.paint(Ink::Bold, head));
    let _ = writeln!(text, "{}.", why.unwrap_or_default());
    if needs_plans {
        text.push_str(
            "  The failure needs the plans: repeating only what the plans did to the cluster does not reproduce the \
             failure.\n",
        );
    }
    text.push_str(match repeats {
        true => "  Reproduced in a fresh OS process.\n\n",
        false => {
            "  NOT reproduced in a fresh OS process: the shrunk run took a different path there, so its token may \
             not repeat the failure.\n  Run the unshrunk seed instead (see below); `SIMMACH_CHECK=1` shows whether \
             the test is deterministic.\n\n"
        },
    });
    text.push_str(&list(outcome, style));
    text
}

/// Lists the deviations of a run in order.
pub(crate) fn list(outcome: &Outcome, style: Style) -> String {
    let mut listed: Vec<&Deviation> =
        outcome.deviations.iter().filter(|deviation| is_listed(deviation)).collect();
    listed.sort_by_key(|deviation| deviation.at);
    let mut text = String::new();
    for (nth, deviation) in (1..).zip(listed.iter().take(MAX_DEVIATIONS)) {
        let machine = deviation.machine.map(|machine| name_of(&outcome.machines, machine));
        let machine = machine.map(|name| format!("{name}: ")).unwrap_or_default();
        let repaired = repair_of(deviation, &outcome.deviations).unwrap_or_default();
        let what = format!("{}{repaired}", describe(deviation));
        let line = format!("{nth:>3}. {:>14}  {machine}{what}", moment(deviation.at));
        let ink = match deviation.kind {
            DeviationKind::Strike | DeviationKind::PacketFault | DeviationKind::DiskLoss => {
                Ink::Fault
            }
            DeviationKind::Field
            | DeviationKind::Repair
            | DeviationKind::Step
            | DeviationKind::Choice
            | DeviationKind::Order
            | DeviationKind::Delay => Ink::Bold,
        };
        let _ = writeln!(text, "  {}", style.paint(ink, line));
        let until = listed.get(nth).map_or(u64::MAX, |next| next.line);
        let lines: Vec<&LogLine> = about(&outcome.log, deviation, until).collect();
        for line in lines.iter().take(MAX_LINES) {
            let name = name_of(&outcome.machines, line.machine);
            let (at, text_of_line) = (moment(line.at), first_line(line, style));
            let _ = writeln!(text, "       {at:>14}    {name}: {text_of_line}");
        }
        if let Some(more) = lines.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            let _ =
                writeln!(text, "       {:>14}    … and {}", "", count(more as u64, "more line"));
        }
    }
    if let Some(more) = listed.len().checked_sub(MAX_DEVIATIONS).filter(|more| *more > 0) {
        let _ = writeln!(text, "    … and {} more", thousands(more as u64));
    }
    let rest = rest(&outcome.deviations);
    if !rest.is_empty() {
        let _ = writeln!(text, "  Also set by the seed, but not listed: {}.", rest.join(", "));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Formats a size: `2 faults and 3 steps`.
pub(crate) fn size(size: &Size) -> String {
    let Size { machines: _, faults, steps, reorderings, choices: _, delays, nanos: _ } = *size;
    let parts =
        [(faults, "fault"), (steps, "step"), (reorderings, "reordering"), (delays, "delay")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, one)| count(n, one)).collect();
    match parts.split_last() {
        None => "the test's body alone".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn is_listed(deviation: &Deviation) -> bool {
    match deviation.kind {
        // A decision of a plan is listed as the acts that it led to.
        DeviationKind::Strike => deviation.family == Family::Act,
        DeviationKind::PacketFault
        | DeviationKind::DiskLoss
        | DeviationKind::Step
        | DeviationKind::Choice => true,
        DeviationKind::Order => deviation.family == Family::Wake && !deviation.text.is_empty(),
        DeviationKind::Delay => deviation.family == Family::Boot,
        DeviationKind::Field | DeviationKind::Repair => false,
    }
}

fn describe(deviation: &Deviation) -> String {
    let Deviation { kind, value, of, text, .. } = deviation;
    match kind {
        DeviationKind::Choice if !text.is_empty() => text.clone(),
        DeviationKind::Choice if *of > 1 => format!("the test chooses {value} from 0..{of}"),
        DeviationKind::Choice => "the test chooses true".to_owned(),
        DeviationKind::Order => format!("{text} is polled after other ready tasks"),
        DeviationKind::Strike
        | DeviationKind::Repair
        | DeviationKind::PacketFault
        | DeviationKind::DiskLoss
        | DeviationKind::Step
        | DeviationKind::Field
        | DeviationKind::Delay => text.clone(),
    }
}

/// How an act is undone: `; started 1.5 s later`.
fn repair_of(act: &Deviation, all: &[Deviation]) -> Option<String> {
    let is_repair = |other: &&Deviation| {
        other.kind == DeviationKind::Repair
            && act.kind == DeviationKind::Strike
            && (other.family, other.address) == (act.family, act.address)
            && other.at >= act.at
    };
    let repair = all.iter().find(is_repair)?;
    let text = &repair.text;
    Some(match repair.at - act.at {
        0 => format!("; {text} immediately afterwards"),
        nanos => format!("; {text} {} later", span(nanos.into())),
    })
}

/// The log lines that belong to a deviation, before line `until`.
fn about<'a>(
    log: &'a [LogLine],
    deviation: &Deviation,
    until: u64,
) -> impl Iterator<Item = &'a LogLine> {
    let (machine, kind, from) = (deviation.machine, deviation.kind, deviation.line);
    let within = [from, until.max(from)].map(|line| log.len().min(line as usize));
    log[within[0]..within[1]].iter().filter(move |line| match kind {
        DeviationKind::Strike | DeviationKind::PacketFault => {
            machine.is_none_or(|machine| machine == line.machine) || line.level == Level::Fault
        }
        DeviationKind::DiskLoss => false,
        DeviationKind::Step => line.level != Level::Fault && line.level > Level::Debug,
        DeviationKind::Field
        | DeviationKind::Repair
        | DeviationKind::Choice
        | DeviationKind::Order
        | DeviationKind::Delay => false,
    })
}

/// Counts the deviations that are not listed one by one.
fn rest(deviations: &[Deviation]) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let delays = deviations.iter().filter(|deviation| deviation.kind == DeviationKind::Delay);
    for deviation in delays.filter(|deviation| !is_listed(deviation)) {
        let what = match deviation.family {
            Family::Latency => "latency",
            Family::Commit => "commit time",
            Family::Blocking => "duration of a blocking call",
            Family::FileCall => "duration of a call on a file",
            Family::Reorder => "packet delay",
            Family::Oscillator => "clock speed",
            _ => "time",
        };
        *counts.entry(what).or_default() += 1;
    }
    let words = |(what, n): (&str, u64)| match (what, n) {
        ("latency", n) if n > 1 => format!("{} latencies", thousands(n)),
        (what, n) if n > 1 && what.starts_with("duration of a ") => {
            let calls = what.trim_start_matches("duration of a ").replacen("call", "calls", 1);
            format!("{} durations of {calls}", thousands(n))
        }
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
    fn story_lists_deviations_in_order() {
        let mut outcome = Outcome::without_a_run(1, Verdict::Passed);
        outcome.machines = vec!["cl".to_owned(), "api".to_owned()];
        let at = |at: u64, family, kind, text: &str| Deviation {
            text: text.to_owned(),
            of: 7,
            ..Deviation::new(Address::new(family, [0; 3]), kind, 5, at * 1_000_000_000)
        };
        outcome.deviations = vec![
            at(9, Family::Latency, DeviationKind::Delay, ""),
            Deviation {
                machine: Some(MachineId(0)),
                line: 1,
                ..at(3, Family::Act, DeviationKind::Strike, "loses power")
            },
            at(4, Family::Act, DeviationKind::Repair, "started"),
            at(1, Family::Step, DeviationKind::Step, "step 4"),
            at(1, Family::Choice, DeviationKind::Choice, ""),
            at(0, Family::Oscillator, DeviationKind::Delay, ""),
            Deviation {
                machine: Some(MachineId(1)),
                ..at(
                    0,
                    Family::Boot,
                    DeviationKind::Delay,
                    "boots 7.2ms after the start of the run",
                )
            },
        ];
        let line = |at: u64, machine: u32, text: &str| LogLine {
            at: at * 1_000_000_000,
            machine: MachineId(machine),
            level: Level::Info,
            target: Some("shop".into()),
            text: text.to_owned(),
        };
        let harness = LogLine { target: None, ..line(4, 0, "service restarted") };
        let up = ["up", "ready", "busy", "idle"].map(|text| line(4, 0, text));
        outcome.log = vec![line(2, 1, "asked"), harness, line(4, 1, "not about it")];
        outcome.log.extend(up);
        let before = Size { faults: 63, steps: 40, delays: 7, ..Size::default() };
        let after = Size { faults: 1, steps: 1, ..Size::default() };
        let shrinking = Shrinking {
            before: &before,
            after: &after,
            runs: 412,
            cut_short: None,
            needs_plans: false,
            repeats: true,
        };
        assert_eq!(
            story(&outcome, &shrinking, Style::PLAIN),
            "  Shrunk to 1 fault and 1 step from 63 faults, 40 steps and 7 delays; tried 412 runs.\n\
             \x20 Reproduced in a fresh OS process.\n\n\
             \x20   1.        0.000 s  api: boots 7.2ms after the start of the run\n\
             \x20   2.        1.000 s  step 4\n\
             \x20   3.        1.000 s  the test chooses 5 from 0..7\n\
             \x20   4.        3.000 s  cl: loses power; started 1.0 s later\n\
             \x20             4.000 s    cl: service restarted\n\
             \x20             4.000 s    cl: INFO shop: up\n\
             \x20             4.000 s    cl: INFO shop: ready\n\
             \x20                        … and 2 more lines\n\
             \x20 Also set by the seed, but not listed: 1 clock speed, 1 latency.\n\n"
        );
        assert_eq!(size(&Size::default()), "the test's body alone");
    }
}

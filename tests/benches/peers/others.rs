//! The second table: simmach's time per simulated time, by number of machines, and with a second
//! job; its allocations and memory.

use std::process::Command;
use std::time::Instant;

use crate::ROLE;
use crate::programs::{Of, Programs, Taken};
use crate::report::{Spread, number, ratios};
use crate::sizes::{BULK, PASSES, ROUND_TRIPS, RUNS};

/// A line of the report.
#[derive(Debug)]
pub(crate) struct Line {
    pub name: String,
    pub what: String,
    pub value: Spread,
    pub unit: &'static str,
    /// The goal in words, and whether it is met.
    pub goal: Option<(String, bool)>,
}

const RUNS_IN_A_ROW: u64 = 10_000;
const MANY_MACHINES: u64 = 10_000;
/// Maximum number of rounds of sweeps, since a sweep takes seconds.
const MOST_SWEEPS: usize = 3;

pub(crate) fn all(
    programs: &Programs,
    taken: &Taken,
    rounds: usize,
    is_asked: &dyn Fn(&str) -> bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut section = |name: &str, measure: &dyn Fn(&mut Vec<Line>)| {
        if is_asked(name) {
            eprintln!("{name}");
            measure(&mut lines);
        }
    };
    section("f", &|lines| inventory(programs, taken, lines));
    section("g", &|lines| bulk(taken, lines));
    section("h", &|lines| machines(taken, lines));
    section("allocations", &|lines| allocations(programs, lines));
    section("memory", &|lines| memory(programs, lines));
    section("jobs", &|lines| jobs(programs, rounds.min(MOST_SWEEPS), lines));
    lines
}

fn inventory(programs: &Programs, taken: &Taken, lines: &mut Vec<Line>) {
    // The polls and the simulated time of a seed are the same in each round.
    let run = programs.run(Of::Simmach, &["f"]);
    let seconds = taken.named("f", 0, Of::Simmach);
    let millis: Vec<f64> = seconds.iter().map(|took| took * 1e3).collect();
    let times: Vec<f64> = seconds.iter().map(|took| run["simulated"] / took).collect();
    push(lines, "f", "the inventory over 3G, one run", &millis, "ms", None);
    push(lines, "f", "the same", &times, "× real time", Some(AtLeast(20_000.0)));
    push(lines, "f", "the same", &[run["polls"]], "polls", None);
}

fn bulk(taken: &Taken, lines: &mut Vec<Line>) {
    let what = format!("{} MiB over one connection", BULK >> 20);
    let seconds = taken.named("g", 0, Of::Simmach);
    push(lines, "g", &what, seconds, "s", Some(AtMost(0.25)));
}

/// The time of the messages alone: the ring's time less that of an empty ring.
fn machines(taken: &Taken, lines: &mut Vec<Line>) {
    for of in [Of::Simmach, Of::Madsim] {
        let passing = |machines| -> Vec<f64> {
            let whole = taken.named("h", machines, of);
            let empty = taken.named("h-empty", machines, of);
            whole.iter().zip(empty).map(|(whole, empty)| (whole - empty) * 1e3).collect()
        };
        for machines in [10, 100, 1_000, 10_000] {
            let what = format!("{}: {PASSES} messages among {machines} machines", of.name());
            push(lines, "h", &what, &passing(machines), "ms", None);
            let empty = taken.named("h-empty", machines, of).iter();
            let a_machine: Vec<f64> = empty.map(|took| took * 1e6 / machines as f64).collect();
            let what = format!("{}: set-up of {machines} machines in a ring", of.name());
            push(lines, "h", &what, &a_machine, "µs a machine", None);
        }
        let goal = (of == Of::Simmach).then_some(AtMost(3.0));
        let what = format!("{}: 10,000 machines, relative to 10", of.name());
        push(lines, "h", &what, &ratios(&passing(10_000), &passing(10)), "×", goal);
    }
}

fn allocations(programs: &Programs, lines: &mut Vec<Line>) {
    for of in Of::ALL {
        let count = |case| programs.run(of, &[case, "0", "--count"])["allocations"];
        let what = format!("{}: a round trip", of.name());
        push(lines, "allocations", &what, &[count("a") / ROUND_TRIPS as f64], "", None);
        let what = format!("{}: a run of d", of.name());
        push(lines, "allocations", &what, &[count("d") / RUNS as f64], "", None);
    }
}

fn memory(programs: &Programs, lines: &mut Vec<Line>) {
    let runs = programs.run(Of::Simmach, &["memory", &RUNS_IN_A_ROW.to_string()]);
    let (early, late) = (runs["early"] / 1024.0, runs["late"] / 1024.0);
    push(lines, "memory", "the process after 1,000 runs", &[early], "KiB", None);
    let flat = Some(AtMost(early * 1.05));
    push(lines, "memory", "the process after 10,000 runs", &[late], "KiB", flat);
    let heap = |machines: u64| {
        let number = machines.to_string();
        programs.run(Of::Simmach, &["b", &number, "--count"])["heap"]
    };
    let a_machine = (heap(MANY_MACHINES) - heap(10)) / (MANY_MACHINES - 10) as f64 / 1024.0;
    let what = "the most heap at once, of 10,000 idle machines";
    push(lines, "memory", what, &[a_machine], "KiB a machine", Some(AtMost(4.0)));
}

fn jobs(programs: &Programs, rounds: usize, lines: &mut Vec<Line>) {
    for test in ["c", "f"] {
        let (mut ones, mut twos) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ones.push(sweep(programs, test, 1));
            twos.push(sweep(programs, test, 2));
        }
        let what = format!("1,000 seeds of {test}, one job");
        push(lines, "jobs", &what, &ones, "s", None);
        let what = format!("1,000 seeds of {test}: speed-up of two jobs");
        push(lines, "jobs", &what, &ratios(&ones, &twos), "×", Some(AtLeast(1.8)));
    }
}

/// The time of a sweep, without the determinism check of one seed in twenty.
fn sweep(programs: &Programs, test: &str, jobs: u32) -> f64 {
    let mut command = Command::new(programs.own());
    command.args([&format!("sweep::{test}"), "--exact"]).env(ROLE, "sweep");
    command.env("SIMMACH_JOBS", jobs.to_string()).env("SIMMACH_CHECK", "0");
    command.env("SIMMACH_REGRESSIONS", "off");
    #[allow(clippy::disallowed_methods, reason = "real time is what is measured")]
    let began = Instant::now();
    let ran = command.output().expect("it was built");
    let took = began.elapsed().as_secs_f64();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && out.contains("1 passed"), "{out}");
    took
}

#[derive(Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}
use Goal::{AtLeast, AtMost};

fn push(
    lines: &mut Vec<Line>,
    name: &str,
    what: &str,
    values: &[f64],
    unit: &'static str,
    goal: Option<Goal>,
) {
    let value = Spread::of(values);
    let goal = goal.map(|goal| match goal {
        AtMost(most) => (format!("≤ {}", number(most)), value.median <= most),
        AtLeast(least) => (format!("≥ {}", number(least)), value.median >= least),
    });
    lines.push(Line { name: name.to_owned(), what: what.to_owned(), value, unit, goal });
}

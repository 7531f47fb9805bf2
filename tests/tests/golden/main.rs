//! Compares the trace hashes of about 180 runs with a file.
//!
//! Their machines have identical hardware, so that native processes make the same runs.
//!
//! A change that alters any of these runs fails this test, in a debug build and in a release build.
//! If the change is intended, overwrite this file and that of the test `same_seed` with
//! `GOLDEN=overwrite cargo test -p simmach-tests --test golden --test same_seed`, and add a line to
//! the changelog under *Changed*.

mod clocks;
mod faults;
mod network;
mod programs;
mod storage;
mod tasks;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use simmach::program::{Program, Spec};
use simmach_tests::planted;

/// A program, and the number of its seeds in the file of trace hashes.
struct Golden {
    name: &'static str,
    seeds: u64,
    spec: fn() -> Spec,
}

const PROGRAMS: &[&[Golden]] =
    &[programs::ALL, network::ALL, faults::ALL, clocks::ALL, storage::ALL, tasks::ALL];

/// Number of seeds of each program with a planted bug (`simmach_tests::planted`).
const PLANTED_SEEDS: u64 = 5;

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn golden_traces_are_unchanged() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/traces.txt");
    let mut traces = String::new();
    for program in PROGRAMS.iter().copied().flatten() {
        add_runs(&mut traces, program.name, &on_identical_hardware(program.spec), program.seeds);
    }
    for planted in planted::ALL {
        add_runs(&mut traces, planted.name, &on_identical_hardware(planted.spec), PLANTED_SEEDS);
    }
    if env::var_os("GOLDEN").is_some_and(|value| value == "overwrite") {
        fs::write(&path, &traces).expect("cannot write the golden file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<String> = different_lines(&golden, &traces);
    assert!(
        changed.is_empty(),
        "{} lines differ from the golden file:\n{}\nIf this is intended: GOLDEN=overwrite, and a line in the changelog.",
        changed.len(),
        changed.join("\n"),
    );
}

/// A process that only uses simmach's modules behaves the same with and without a tokio runtime, on identical hardware.
#[test]
fn native_processes_make_the_same_runs() {
    for program in PROGRAMS.iter().copied().flatten() {
        let spec = program.spec;
        let mut traces = [String::new(), String::new()];
        add_runs(&mut traces[0], program.name, &on_identical_hardware(spec), program.seeds);
        add_runs(
            &mut traces[1],
            program.name,
            &Program::new(move || spec().native()),
            program.seeds,
        );
        assert_eq!(traces[0], traces[1]);
    }
}

fn on_identical_hardware(spec: fn() -> Spec) -> Program {
    Program::new(move || spec().identical_hardware())
}

/// Adds a line for each run: its trace hash, its polls and how it ended.
fn add_runs(traces: &mut String, name: &str, program: &Program, seeds: u64) {
    let program = program.clone().log(false);
    for seed in 0..seeds {
        let report = program.run(seed);
        let (hash, polls) = (report.trace_hash(), report.polls());
        let end = if report.passed() { "passed" } else { "failed" };
        writeln!(traces, "{name}, seed {seed}: {hash:016x}, {polls} polls, {end}")
            .expect("writing to a string cannot fail");
    }
}

/// The lines that only one of the two texts has, with `-` or `+` as in a diff.
fn different_lines(golden: &str, traces: &str) -> Vec<String> {
    let only = |sign: char, these: &str, those: &str| -> Vec<String> {
        let missing = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        missing.map(|line| format!("{sign} {line}")).collect()
    };
    [only('-', golden, traces), only('+', traces, golden)].concat()
}

/// Programs that fail at once would test little: all but the planted and the buggy ones pass.
#[test]
fn programs_pass() {
    for program in PROGRAMS.iter().copied().flatten().filter(|program| !is_buggy(program.name)) {
        let report = Program::new(program.spec).run(0);
        assert!(report.passed(), "{}:\n{report}", program.name);
    }
}

/// Whether the program is the inventory's buggy version, whose runs may fail.
fn is_buggy(name: &str) -> bool {
    name.ends_with("as published")
}

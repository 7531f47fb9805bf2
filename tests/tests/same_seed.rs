//! Tests that the same seed produces the same run: the inventory cluster under `GracefulMonkey` and
//! `PowerOffs`, with each seed twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use inventory_cluster::Version::Fixed;
use inventory_cluster::scenario::{self, OVER_3G};
use simmach::prelude::*;
use simmach::program::{Program, Report, Scenario, Spec};

const SEEDS: u64 = 100;

fn program() -> Program {
    Program::new(spec)
}

fn spec() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Fixed))
        .client(scenario::BOT)
        .plan(scenario::monkey())
        .plan(PowerOffs::new())
        .body(|sim| scenario::walk(sim, Fixed, OVER_3G))
}

/// The second run of a seed comes after all other seeds and has a log. Neither may change the run.
#[test]
fn same_seed_makes_the_same_run() {
    let figures = |report: &Report| {
        (
            report.trace_hash(),
            report.polls(),
            report.simulated(),
            report.failure().map(str::to_owned),
        )
    };
    let quiet = program().log(false);
    let first: Vec<_> = (0..SEEDS).map(|seed| figures(&quiet.run(seed))).collect();
    for (seed, first) in (0..).zip(&first) {
        assert_eq!(*first, figures(&program().run(seed)), "seed {seed}");
    }
    let hashes: BTreeSet<u64> = first.iter().map(|(hash, ..)| *hash).collect();
    assert_eq!(hashes.len() as u64, SEEDS, "each seed produces a different run");
}

#[test]
fn same_seed_makes_the_same_report() {
    let text = || {
        let text = program().run(7).to_string();
        let same = text.lines().filter(|line| !line.starts_with("Took "));
        same.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = text();
    assert!(first.len() > 50, "it has a log: {first:#?}");
    assert_eq!(first, text());
}

/// The traces of three seeds, in debug and in release. A change that alters these runs fails here. If it is intended, write the
/// file anew with `GOLDEN=overwrite`, and add a line under *Changed* to the changelog.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn golden_traces_of_the_inventory() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inventory.txt");
    let program = Program::new(|| spec().identical_hardware()).log(false);
    let line = |seed| {
        let report = program.run(seed);
        format!("seed {seed}: {:016x}, {} polls\n", report.trace_hash(), report.polls())
    };
    let traces: String = [0, 7, 28].map(line).concat();
    if env::var_os("GOLDEN").is_some_and(|value| value == "overwrite") {
        fs::write(&path, &traces).expect("cannot write the golden file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        golden, traces,
        "if this is intended: GOLDEN=overwrite, and a line in the changelog"
    );
}

mod zoo {
    use super::*;

    /// Both plans, side by side.
    #[sim_test(
        seeds = 10_000,
        topology = scenario::cluster_over_3g(Fixed),
        chaos = [scenario::monkey(), PowerOffs::new()],
        client = "mover.botnet",
        time_limit = "30m",
    )]
    #[ignore = "for the tests below"]
    async fn the_inventory_under_all(sim: Sim) {
        scenario::walk(sim, Fixed, OVER_3G).await;
    }
}

/// Runs the seeds in a child process. Returns the number of seeds and the hash over all their traces.
fn sweep(jobs: &str, seeds: &str) -> (String, String) {
    let ran = Command::new(env::current_exe().expect("this test runs"))
        .args(["--include-ignored", "--exact", "zoo::the_inventory_under_all"])
        .env("SIMMACH_JOBS", jobs)
        .env("SIMMACH_SEEDS", seeds)
        .env("SIMMACH_CHECK", "1")
        .output()
        .expect("it can be run again");
    let text =
        [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(ran.status.success(), "{text}");
    println!("{jobs} jobs:\n{text}");
    let (_, line) = text.split_once("zoo::the_inventory_under_all: ").expect("it says so");
    let (passed, rest) = line.split_once(" passed").expect("it passed");
    let (_, hash) =
        rest.split_once("; every seed was run twice; trace hash ").expect("each was run twice");
    (passed.to_owned(), hash.split(',').next().unwrap_or_default().to_owned())
}

#[test]
fn seeds_repeat_at_one_job_and_at_eight() {
    let (passed, hash) = sweep("1", "40");
    assert_eq!(passed, "40 seeds");
    assert_eq!((passed, hash.clone()), sweep("8", "40"));
    assert_ne!(hash, sweep("8", "41").1);
}

/// Takes nine minutes: `cargo test --release -p simmach-tests --test same_seed ten_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "the proof: it takes nine minutes in release"]
fn ten_thousand_seeds_repeat_at_one_job_and_at_eight() {
    let one = sweep("1", "10000");
    assert_eq!(one.0, "10,000 seeds");
    assert_eq!(one, sweep("8", "10000"));
}

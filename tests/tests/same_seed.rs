//! The same seed makes the same run: the inventory cluster under a monkey and power-offs, each seed twice.

use std::collections::BTreeSet;

use inventory_cluster::Version;
use inventory_cluster::scenario::{self, OVER_3G};
use simmach::prelude::*;
use simmach::program::{Program, Report, Scenario};

const SEEDS: u64 = 100;

fn program() -> Program {
    Program::new(|| {
        Scenario::new()
            .topology(scenario::cluster_over_3g(Version::Fixed))
            .client(scenario::BOT)
            .plan(scenario::monkey())
            .plan(PowerOffs::new())
            .body(|sim| scenario::walk(sim, Version::Fixed, OVER_3G))
    })
}

/// The second time comes after all other seeds, and with a log, which must change nothing.
#[test]
fn the_same_seed_makes_the_same_run() {
    let figures = |report: &Report| {
        (
            report.trace_hash(),
            report.steps(),
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
    assert_eq!(hashes.len() as u64, SEEDS, "each seed makes a run of its own");
}

#[test]
fn the_same_seed_makes_the_same_report() {
    let text = || {
        let text = program().run(7).to_string();
        let same = text.lines().filter(|line| !line.starts_with("Took "));
        same.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = text();
    assert!(first.len() > 50, "it has a log: {first:#?}");
    assert_eq!(first, text());
}

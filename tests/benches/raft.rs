//! Measures what `Swarm` finds with default settings in a raft with planted bugs. Prints the table
//! in this folder's README.
//!
//! `cargo bench --bench raft` measures the correct program and all bugs. A word after `--` selects
//! the bugs whose names contain it, and shows their shrunk runs.

#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::time::Instant;

use simmach::Swarm;
use simmach::program::Program;
use simmach_tests::raft::{self, Bug};

const SERVERS: u64 = 5;
/// Number of seeds within which a bug should be found.
const SEEDS: u64 = 3_000;
/// Maximum number of runs of the shrinker. The default time limit of 60 s allows about as many.
const RUNS: u64 = 10_000;

fn main() {
    let part = std::env::args().skip(1).find(|word| word != "--bench");
    if part.is_none() {
        for servers in [3, SERVERS] {
            let began = Instant::now();
            let failed = raft::program(None, servers, Swarm::new).find(0..SEEDS);
            let took = began.elapsed().as_secs_f64();
            println!(
                "correct, {servers} servers: {SEEDS} seeds in {took:.1} s, failed: {failed:?}"
            );
        }
    }
    println!(
        "| bug | seeds | time | faults | steps | by hand | runs | time of shrinking | small |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if part.as_ref().is_none_or(|part| name.contains(part.as_str())) {
            let program = raft::program(Some(*bug), SERVERS, Swarm::new);
            println!("| `{name}` | {}", row(*bug, &program, part.is_some()));
        }
    }
}

fn row(bug: Bug, program: &Program, shows_story: bool) -> String {
    let began = Instant::now();
    let Some(seed) = program.find(0..SEEDS) else {
        let took = began.elapsed().as_secs_f64();
        return format!("none of {SEEDS} | {took:.1} s | | | | | | |");
    };
    let took = began.elapsed().as_secs_f64();
    let Some(smaller) = program.shrink(seed, RUNS) else {
        return format!("{} | {took:.1} s | does not fail again | | | | | |", seed + 1);
    };
    if shows_story {
        eprintln!("seed {seed}: {:?}\n{}", smaller.report().failure(), smaller.story());
    }
    let (before, after, by_hand) = (smaller.before(), smaller.after(), bug.by_hand());
    format!(
        "{} | {took:.1} s | {} → {} | {} → {} | {}, {} | {} | {:.1} s | {} |",
        seed + 1,
        before.faults,
        after.faults,
        before.steps,
        after.steps,
        by_hand.0,
        by_hand.1,
        smaller.runs(),
        smaller.took().as_secs_f64(),
        if bug.is_small(after) { "yes" } else { "**no**" },
    )
}

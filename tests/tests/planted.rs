//! Programs with a planted bug, over many base seeds each: the bug is found and shrunk to its known minimum, and to no other.

#[path = "planted/article.rs"]
mod article;

use std::time::Duration;

use simmach_tests::planted::{self, Planted};

use article::ARTICLE;

const BASES: u64 = 30;
/// Of these, so many must be minimal.
const MINIMAL: usize = 27;
const APART: u64 = 100_000;
const RUNS: u64 = 2_000;

#[track_caller]
fn shrinks_to_its_minimum(nth: usize) {
    let planted = &planted::ALL[nth];
    let found = is_shrunk(planted, BASES, BASES as usize - MINIMAL);
    let slowest = found.iter().map(|found| found.took).max().unwrap_or_default();
    assert!(slowest < Duration::from_secs(10), "{}: {slowest:?}", planted.name);
}

/// Over so many base seeds, of which so many need not be minimal.
#[track_caller]
fn is_shrunk(planted: &Planted, bases: u64, but: usize) -> Vec<Found> {
    let found: Vec<Found> = (0..bases).map(|base| find(planted, base)).collect();
    let large: Vec<&String> = found.iter().filter_map(|found| found.too_large.as_ref()).collect();
    assert!(large.len() <= but, "{}: {large:#?}", planted.name);
    found
}

struct Found {
    /// What is left, where that is more than need be.
    too_large: Option<String>,
    took: Duration,
}

fn find(planted: &Planted, base: u64) -> Found {
    let program = planted.program().log(false);
    let first = base * APART;
    let mut seeds = first..first + APART;
    let seed = loop {
        let seed = program.find(seeds.clone()).expect("the bug is found");
        if planted.fails_by(program.run(seed).failure_key()) {
            break seed;
        }
        seeds.start = seed + 1;
    };
    let smaller = program.shrink(seed, RUNS).expect("the same seed fails again");
    let report = smaller.report();
    let key = report.failure_key();
    assert!(planted.fails_by(key), "{}, seed {seed}: {key:?}", planted.name);
    assert!(smaller.runs() <= RUNS && smaller.after() <= smaller.before());
    let (after, minimum) = (smaller.after(), planted.minimum);
    let is_minimal = after.machines <= minimum.machines
        && after.faults <= minimum.faults
        && after.steps <= minimum.steps
        && after.reorderings <= minimum.reorderings;
    // Less than what is known to be needed would be a mistake in what is known, or in what is counted.
    let is_enough = (after.faults, after.steps) >= (minimum.faults, minimum.steps);
    assert!(is_enough, "{}, seed {seed}: {after:?}", planted.name);
    let too_large = || format!("seed {seed}: {after:?}\n{}", smaller.story());
    Found { too_large: (!is_minimal).then(too_large), took: smaller.took() }
}

#[test]
fn a_write_that_is_acknowledged_before_it_is_durable() {
    shrinks_to_its_minimum(0);
}

#[test]
fn a_retry_that_repeats_a_request() {
    shrinks_to_its_minimum(1);
}

#[test]
fn two_holders_of_a_lease() {
    shrinks_to_its_minimum(2);
}

#[test]
fn a_protocol_that_trusts_order() {
    shrinks_to_its_minimum(3);
}

#[test]
fn a_race_of_two_tasks() {
    shrinks_to_its_minimum(4);
}

#[test]
fn three_steps_among_forty() {
    shrinks_to_its_minimum(5);
}

#[test]
fn a_crash_in_the_middle_of_an_update() {
    shrinks_to_its_minimum(6);
}

#[test]
fn one_machine_among_seven() {
    shrinks_to_its_minimum(7);
}

#[test]
fn a_wait_without_a_time_out() {
    shrinks_to_its_minimum(8);
}

/// Its runs are longer than the others': one base where nothing is optimised.
const ARTICLES: u64 = if cfg!(debug_assertions) { 1 } else { BASES };

#[test]
fn the_articles_lost_item() {
    is_shrunk(&ARTICLE[0], ARTICLES, ARTICLES as usize / 10);
}

#[test]
fn the_articles_doubled_item() {
    is_shrunk(&ARTICLE[1], ARTICLES, ARTICLES as usize / 10);
}

/// Each is there once, and none is forgotten above.
#[test]
fn all_are_tried() {
    assert_eq!(planted::ALL.len(), 9);
}

/// The same seed is shrunk to the same run, each time.
#[test]
fn twice_is_the_same() {
    for planted in planted::ALL {
        let program = planted.program().log(false);
        let seed = program.find(0..APART).expect("the bug is found");
        let [one, two] = [1, 2].map(|_| program.shrink(seed, RUNS).expect("it fails"));
        assert_eq!(one.report().trace_hash(), two.report().trace_hash(), "{}", planted.name);
        assert_eq!((one.after(), one.runs()), (two.after(), two.runs()), "{}", planted.name);
    }
}

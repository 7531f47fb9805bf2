//! Tests programs with a planted bug, each with many base seeds. The bug must be found, and its run
//! must shrink to the known minimum.

#[path = "planted/anchors.rs"]
mod anchors;
#[path = "planted/by_hand.rs"]
mod by_hand;
#[path = "planted/inventory.rs"]
mod inventory;
#[path = "planted/numbered.rs"]
mod numbered;
#[path = "planted/user_plans.rs"]
mod user_plans;

use std::collections::BTreeSet;
use std::time::Duration;

use simmach_tests::planted::{self, Planted};

use inventory::{DOUBLED_ITEM, LOST_ITEM};

/// Number of base seeds for each program.
const BASES: u64 = 30;

/// Minimum number of base seeds for which the shrunk run must be minimal.
const MINIMAL: usize = 27;

/// Distance from one base seed to the next.
const SEEDS_PER_BASE: u64 = 100_000;

/// Maximum number of runs of the shrinker.
const RUNS: u64 = 2_000;

#[track_caller]
fn shrinks_to_its_minimum(planted: &Planted) {
    let found = shrink_all(planted, BASES, BASES as usize - MINIMAL);
    let slowest = found.iter().map(|found| found.took).max().unwrap_or_default();
    assert!(slowest < Duration::from_secs(10), "{}: {slowest:?}", planted.name);
}

/// Finds and shrinks the bug from each base seed. At most `exceptions` of the shrunk runs may be
/// larger than the minimum.
#[track_caller]
fn shrink_all(planted: &Planted, bases: u64, exceptions: usize) -> Vec<Found> {
    let found: Vec<Found> = (0..bases).map(|base| find(planted, base)).collect();
    // At least 95 % of the failures need only what plans did, not the plans.
    let by_plans = found.iter().filter(|found| found.needs_plans).count();
    assert!(by_plans as u64 <= bases / 20, "{}: {by_plans} of {bases}", planted.name);
    let large: Vec<&String> = found.iter().filter_map(|found| found.too_large.as_ref()).collect();
    assert!(large.len() <= exceptions, "{}: {large:#?}", planted.name);
    found
}

struct Found {
    /// The shrunk run, if it is larger than the minimum.
    too_large: Option<String>,
    needs_plans: bool,
    took: Duration,
}

fn find(planted: &Planted, base: u64) -> Found {
    let program = planted.program().log(false);
    let first = base * SEEDS_PER_BASE;
    let mut seeds = first..first + SEEDS_PER_BASE;
    let seed = loop {
        let seed = program.find(seeds.clone()).expect("no seed fails");
        if planted.is_bug(program.run(seed).failure_key()) {
            break seed;
        }
        seeds.start = seed + 1;
    };
    let smaller = program.shrink(seed, RUNS).expect("the seed does not fail again");
    let report = smaller.report();
    let key = report.failure_key();
    assert!(planted.is_bug(key), "{}, seed {seed}: {key:?}", planted.name);
    assert!(smaller.runs() <= RUNS && smaller.after() <= smaller.before());
    let (after, minimum) = (smaller.after(), planted.minimum);
    let is_minimal = after.machines <= minimum.machines
        && after.faults <= minimum.faults
        && after.steps <= minimum.steps
        && after.reorderings <= minimum.reorderings;
    // A run smaller than the minimum means that the minimum, or the count, is wrong.
    let is_enough = (after.faults, after.steps) >= (minimum.faults, minimum.steps);
    assert!(is_enough, "{}, seed {seed}: {after:?}", planted.name);
    let too_large = || format!("seed {seed}: {after:?}\n{}", smaller.story());
    let needs_plans = smaller.needs_plans();
    Found { too_large: (!is_minimal).then(too_large), needs_plans, took: smaller.took() }
}

/// Makes a test of each program with a planted bug, and a list of the programs that have one.
macro_rules! planted_tests {
    ($($test:ident: $program:ident,)*) => {
        $(#[test]
        fn $test() {
            shrinks_to_its_minimum(&planted::$program);
        })*

        const TESTED: &[Planted] = &[$(planted::$program),*];
    };
}

planted_tests! {
    lease_with_two_holders: LEASE,
    order_of_datagrams_is_trusted: ORDER,
    power_off_inside_an_update: TWO_PARTS,
    race_of_two_tasks: RACE,
    retry_repeats_a_request: RETRY,
    seven_machines_with_one_bug: SEVEN,
    steps_three_among_forty: THREE,
    wait_without_a_time_out: NO_TIMEOUT,
    write_acknowledged_before_it_is_durable: UNFLUSHED,
}

#[test]
fn every_planted_program_is_tested() {
    let names = |programs: &[Planted]| -> BTreeSet<&str> {
        programs.iter().map(|planted| planted.name).collect()
    };
    assert_eq!(names(TESTED), names(planted::ALL));
}

/// Number of base seeds of the inventory. Its runs are longer than the others': one base in a debug build.
const INVENTORY_BASES: u64 = if cfg!(debug_assertions) { 1 } else { BASES };

#[test]
fn inventory_lost_item() {
    shrink_all(&LOST_ITEM, INVENTORY_BASES, INVENTORY_BASES as usize / 10);
}

#[test]
fn inventory_doubled_item() {
    shrink_all(&DOUBLED_ITEM, INVENTORY_BASES, INVENTORY_BASES as usize / 10);
}

/// The same seed shrinks to the same run each time.
#[test]
fn shrinking_is_deterministic() {
    for planted in planted::ALL {
        let program = planted.program().log(false);
        let seed = program.find(0..SEEDS_PER_BASE).expect("no seed fails");
        let [one, two] =
            [1, 2].map(|_| program.shrink(seed, RUNS).expect("the seed does not fail again"));
        assert_eq!(one.report().trace_hash(), two.report().trace_hash(), "{}", planted.name);
        assert_eq!((one.after(), one.runs()), (two.after(), two.runs()), "{}", planted.name);
    }
}

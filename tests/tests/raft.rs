//! `Swarm` with default settings on a raft: the correct program passes, and planted bugs are found and shrunk.

use simmach::Swarm;
use simmach_tests::raft::{self, Bug};

/// Number of seeds of the correct program.
const CORRECT_SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 3_000 };

/// Number of seeds in which a bug is to be found.
const BUG_SEEDS: u64 = 300;

/// Maximum number of runs of the shrinker.
const RUNS: u64 = 1_000;

#[test]
fn correct_raft_passes() {
    for servers in [3, 5] {
        let failed = raft::program(None, servers, Swarm::new).find(0..CORRECT_SEEDS);
        assert_eq!(failed, None, "with {servers} servers");
    }
}

/// The bug is found with five servers, and its run shrinks to at most so many faults and steps.
#[track_caller]
fn is_found(bug: Bug, faults: u64, steps: u64) {
    let program = raft::program(Some(bug), 5, Swarm::new);
    let seed = program.find(0..BUG_SEEDS).expect("no seed fails");
    let smaller = program.shrink(seed, RUNS).expect("the seed does not fail again");
    let after = smaller.after();
    let is_small = after.faults <= faults && after.steps <= steps;
    assert!(is_small, "seed {seed}: {after:?}\n{}", smaller.story());
}

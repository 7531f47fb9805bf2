//! Tests `Swarm` with default settings on a raft: the correct program passes, and planted bugs are
//! found and shrunk.

use simmach::prelude::*;
use simmach::{Cadence, FaultPlan, Target, faults};
use simmach_tests::raft::{self, Bug};

/// Number of seeds for the correct program.
const CORRECT_SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 3_000 };

/// Number of servers in the programs with a bug.
const SERVERS: u64 = 5;

/// Number of seeds within which a bug must be found.
const BUG_SEEDS: u64 = 300;

/// Number of failing seeds that are shrunk until one becomes small.
const TRIES: u64 = 3;

/// Maximum number of runs of the shrinker.
const RUNS: u64 = 2_000;

#[test]
fn correct_raft_passes() {
    for servers in [3, SERVERS] {
        let failed = raft::program(None, servers, Swarm::new).find(0..CORRECT_SEEDS);
        assert_eq!(failed, None, "with {servers} servers");
    }
}

#[test]
fn two_votes_of_one_server_count_as_two() {
    is_found(Bug::DuplicateVotes, 1, 3);
}

#[test]
fn one_server_too_few_commits() {
    is_found(Bug::SmallQuorum, 2, 3);
}

#[test]
fn server_votes_for_a_log_that_is_behind() {
    is_found(Bug::VoteWithoutLogCheck, 3, 5);
}

#[test]
fn server_votes_twice() {
    is_found(Bug::TwoVotes, 0, 0);
}

#[test]
fn old_leader_is_followed() {
    is_found(Bug::OldLeaders, 3, 5);
}

/// These are found, but the shrunk runs are still large.
#[test]
fn other_bugs_are_found() {
    for bug in [Bug::TruncatesAlways, Bug::RetryCheckedAtArrival, Bug::ReadBeforeOwnEntry] {
        let failed = raft::program(Some(bug), SERVERS, Swarm::new).find(0..BUG_SEEDS);
        assert!(failed.is_some(), "{bug:?}");
    }
}

/// The bug is found, and one of the first failing runs shrinks to at most so many faults and steps.
/// How small a run becomes depends on its seed.
#[track_caller]
fn is_found(bug: Bug, faults: u64, steps: u64) {
    let program = raft::program(Some(bug), SERVERS, Swarm::new);
    let mut from = 0;
    let mut larger = String::new();
    for _ in 0..TRIES {
        let Some(seed) = program.find(from..BUG_SEEDS) else { break };
        from = seed + 1;
        let smaller = program.shrink(seed, RUNS).expect("the seed does not fail again");
        let after = smaller.after();
        if after.faults <= faults && after.steps <= steps {
            return;
        }
        larger = format!("seed {seed}: {after:?}\n{}", smaller.story());
    }
    assert!(!larger.is_empty(), "no seed fails");
    panic!("{larger}");
}

/// A leader that is cut off is where a stale read comes from: a plan that aims at the leader finds it in more of the seeds.
#[test]
fn stale_reads_are_found_sooner_at_the_leader() {
    let cut_off = |target: fn() -> Target| {
        move || {
            let plan = FaultPlan::new(faults::Isolate).on(target());
            let plan = plan.when(Cadence::every(300.millis()..1.secs()));
            plan.lasting(300.millis()..1500.millis())
        }
    };
    for bug in [Bug::UnconfirmedRead, Bug::LongLease] {
        let failing = |target| {
            let program = raft::program(Some(bug), SERVERS, cut_off(target));
            (0..100).filter(|seed| !program.run(*seed).passed()).count()
        };
        let leader = failing(|| Target::new().role("leader"));
        let any = failing(Target::new);
        assert!(leader >= 2 * any && leader >= 20, "{bug:?}: {leader} and {any} of 100 seeds");
    }
}

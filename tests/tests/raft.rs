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
    is_found(Bug::DuplicateVotes);
}

#[test]
fn vote_of_an_old_term_counts() {
    is_found(Bug::OldVotes);
}

#[test]
fn one_server_too_few_commits() {
    is_found(Bug::SmallQuorum);
}

#[test]
fn server_votes_for_a_log_that_is_behind() {
    is_found(Bug::VoteWithoutLogCheck);
}

#[test]
fn server_votes_twice() {
    is_found(Bug::TwoVotes);
}

#[test]
fn entry_that_was_not_compared_is_committed() {
    is_found(Bug::CommitsUncompared);
}

#[test]
fn old_leader_is_followed() {
    is_found(Bug::OldLeaders);
}

#[test]
fn retry_is_applied_again() {
    is_found(Bug::RetryCheckedAtArrival);
}

/// These are found, but their shrunk runs are large, or take many runs.
#[test]
fn other_bugs_are_found() {
    for bug in [Bug::TruncatesAlways, Bug::UnconfirmedRead, Bug::ReadBeforeOwnEntry] {
        let failed = raft::program(Some(bug), SERVERS, Swarm::new).find(0..BUG_SEEDS);
        assert!(failed.is_some(), "{bug:?}");
    }
}

/// The bug is found, and the first failing run becomes small: nearly as small as a person would write
/// it.
#[track_caller]
fn is_found(bug: Bug) {
    let program = raft::program(Some(bug), SERVERS, Swarm::new);
    let seed = program.find(0..BUG_SEEDS).expect("a seed fails");
    let smaller = program.shrink(seed, RUNS).expect("the seed fails again");
    assert!(
        bug.is_small(smaller.after()),
        "seed {seed}: {:?}\n{}",
        smaller.after(),
        smaller.story()
    );
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

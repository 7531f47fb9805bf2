//! What a sweep makes of the outcomes, in whatever order they come.

use crate::engine::failure::verdict::Failure;
use crate::harness::config::Config;
use crate::harness::seeds::check::{Plan, Rule};
use crate::harness::seeds::sweep::*;
use crate::harness::testing::{Scratch, local, named};
use crate::spec::Settings;

fn ran(index: u64, verdict: Verdict) -> Ran {
    let outcome = Outcome::without_a_run(index + 100, verdict);
    Ran { index, outcome, output: Vec::new() }
}

fn failed(kind: FailureKind, message: &str) -> Verdict {
    Verdict::Failed(Failure::new(kind, message))
}

#[test]
fn the_lowest_failing_seed_is_found_in_whatever_order_they_come() {
    let mut swept = Swept::default();
    assert_eq!(swept.take(ran(7, failed(FailureKind::Panic, "b")), Goal::Failure), Some(8));
    assert_eq!(swept.take(ran(9, failed(FailureKind::Panic, "c")), Goal::Failure), None);
    assert_eq!(swept.take(ran(3, failed(FailureKind::Stall, "a")), Goal::Failure), Some(4));
    assert_eq!(swept.take(ran(1, Verdict::Passed), Goal::Failure), None);
    assert_eq!(swept.find.map(|ran| ran.index), Some(3));
}

/// A failure was found below them: they were under way, and whether they came was a matter of real time.
#[test]
fn seeds_beyond_a_cut_are_not_compared() {
    let scratch = Scratch::new("beyond");
    let test = named("krate", "passes");
    // It has no fresh process for a second run: one that was begun would be a mismatch.
    let pool = local(&scratch, test);
    let checks = |cut: Option<u64>, index| {
        let mut checks = Checks::new(&pool, test, Plan::new(Rule::Some, Some(100)), 1);
        cut.into_iter().for_each(|cut| checks.cut(cut));
        checks.first(&mut ran(index, Verdict::Passed));
        let (compared, mismatch) = checks.end();
        assert_eq!(compared, 0);
        mismatch.map(|mismatch| mismatch.index)
    };
    assert_eq!(checks(None, 19), Some(19));
    assert_eq!(checks(Some(40), 19), Some(19));
    for cut in [0, 1, 18, 19] {
        assert_eq!(checks(Some(cut), 19), None);
        assert_eq!(checks(Some(cut), 39), None);
    }
    assert_eq!(checks(Some(20), 39), None);
}

#[test]
fn only_what_was_expected_counts_as_such() {
    let goal = Goal::Expected(Some("boom"));
    let mut swept = Swept::default();
    assert_eq!(swept.take(ran(0, failed(FailureKind::Panic, "other")), goal), None);
    assert_eq!(swept.take(ran(5, failed(FailureKind::Error, "a boom")), goal), Some(6));
    assert_eq!((swept.misses, swept.miss.map(|ran| ran.index)), (1, Some(0)));
}

/// Without a text a panic is meant: not a cluster that did not start, nor a run that went on without end.
#[test]
fn a_bare_expectation_means_a_panic_of_the_program_at_work() {
    let goal = Goal::Expected(None);
    let take = |verdict| Swept::default().take(ran(2, verdict), goal);
    for kind in [FailureKind::Panic, FailureKind::Error, FailureKind::Service] {
        let at_start = Failure { at_start: true, ..Failure::new(kind.clone(), "x") };
        assert_eq!(take(Verdict::Failed(at_start)), None, "{kind:?}");
        assert_eq!(take(failed(kind, "x")), Some(3));
    }
    assert_eq!(take(failed(FailureKind::Named("x".to_owned()), "x")), Some(3));
    for kind in [
        FailureKind::Deadlock,
        FailureKind::TimeLimit,
        FailureKind::StepLimit,
        FailureKind::Stall,
        FailureKind::Refused,
    ] {
        assert_eq!(take(failed(kind, "x")), None);
    }
    let stall = Goal::Expected(Some("no progress"));
    let verdict = failed(FailureKind::Stall, "no progress for 60s");
    assert_eq!(Swept::default().take(ran(2, verdict), stall), Some(3), "unless it is asked for");
}

/// What ends an expected failure's sweep without being one: the judge tells them apart.
#[test]
fn what_is_no_failure_of_the_program_ends_the_search() {
    let goal = Goal::Expected(Some("boom"));
    for verdict in [
        Verdict::Broken("boom".to_owned()),
        failed(FailureKind::Crashed, "x"),
        failed(FailureKind::Hung, "x"),
    ] {
        assert_eq!(Swept::default().take(ran(4, verdict), goal), Some(5));
    }
}

#[test]
fn all_failures_are_grouped_with_the_lowest_seed_of_each() {
    let mut swept = Swept::default();
    for (index, message) in [(9, "got 3"), (4, "got 17"), (6, "lost")] {
        let verdict = failed(FailureKind::Panic, message);
        assert_eq!(swept.take(ran(index, verdict), Goal::AllFailures), None);
    }
    let groups: Vec<_> =
        swept.groups.values().map(|kind| (kind.group.seed, kind.group.seeds)).collect();
    assert_eq!(groups, [(104, 2), (106, 1)]);
    assert_eq!((swept.failed(), swept.find.map(|ran| ran.index)), (3, Some(4)));
}

/// Time for one run at least; and no run more than there is time for.
#[test]
fn a_budget_ends_a_sweep_without_end() {
    let scratch = Scratch::new("budget");
    let test = named("krate", "takes_its_time");
    let pool = local(&scratch, test);
    let config = Config { budget: Some(GLANCE), ..Config::default() };
    for (budget, expected) in [(Duration::from_nanos(1), 1..=1), (GLANCE * 2, 2..=11)] {
        let seeds = Seeds::new(Settings::new(), &config).expect("they are fine");
        let checks = Checks::new(&pool, test, Plan::new(Rule::Off, None), 1);
        let swept = sweep(&pool, test, seeds, Some(budget), Goal::Failure, checks);
        assert!(expected.contains(&swept.tally.seeds), "{} seeds", swept.tally.seeds);
    }
}

/// Its second run, which can't be made, is told of a seed only if no lower one failed, whichever comes first.
#[test]
fn a_mismatch_above_a_failing_seed_does_not_count() {
    let scratch = Scratch::new("mismatch");
    let test = named("krate", "passes");
    let pool = local(&scratch, test);
    let found = |before: Option<u64>, behind: Option<u64>| {
        let mut checks = Checks::new(&pool, test, Plan::new(Rule::Some, Some(100)), 1);
        checks.first(&mut ran(19, Verdict::Passed));
        match before {
            Some(from) => checks.cut(from),
            None => while checks.look().is_none() {},
        }
        behind.into_iter().for_each(|from| checks.cut(from));
        checks.end().1.map(|mismatch| mismatch.index)
    };
    assert_eq!(found(None, None), Some(19));
    assert_eq!(found(None, Some(20)), Some(19), "what fails is above it");
    assert_eq!(found(Some(10), None), None, "before its second run is over");
    assert_eq!(found(None, Some(10)), None, "and behind");
}

//! Tests of sweeps whose outcomes arrive in any order.

use crate::engine::failure::verdict::Failure;
use crate::harness::config::Config;
use crate::harness::seeds::determinism::{CheckRate, CheckSelection};
use crate::harness::seeds::sweep::*;
use crate::harness::testing::{Scratch, in_process_pool, named};
use crate::sim::{Kinds, PlanActivity};
use crate::spec::Settings;

fn run(index: u64, verdict: Verdict) -> FinishedRun {
    let outcome = Outcome::without_a_run(index + 100, verdict);
    FinishedRun { index, outcome, output: Vec::new() }
}

fn failed(kind: FailureKind, message: &str) -> Verdict {
    Verdict::Failed(Failure::new(kind, message))
}

#[test]
fn lowest_failing_seed_is_found_in_any_order() {
    let mut result = SweepResult::default();
    assert_eq!(result.record(run(7, failed(FailureKind::Panic, "b")), Goal::Failure), Some(8));
    assert_eq!(result.record(run(9, failed(FailureKind::Panic, "c")), Goal::Failure), None);
    assert_eq!(result.record(run(3, failed(FailureKind::Stall, "a")), Goal::Failure), Some(4));
    assert_eq!(result.record(run(1, Verdict::Passed), Goal::Failure), None);
    assert_eq!(result.found.map(|run| run.index), Some(3));
}

/// Such seeds had begun before the failure below them was found. Whether their runs end in time
/// depends on real time.
#[test]
fn checks_ignore_seeds_beyond_a_cut() {
    let scratch = Scratch::new("beyond");
    let test = named("krate", "passes");
    // The pool has no fresh processes: a second run is a mismatch.
    let pool = in_process_pool(&scratch, test);
    let checks = |cut: Option<u64>, index| {
        let mut checks =
            Checks::new(&pool, test, CheckSelection::new(CheckRate::Some, Some(100)), 1);
        cut.into_iter().for_each(|cut| checks.cut(cut));
        checks.record_first_run(&mut run(index, Verdict::Passed));
        let (compared, mismatch) = checks.finish();
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
fn should_panic_with_text_needs_the_text() {
    let goal = Goal::Expected(Some("boom"));
    let mut result = SweepResult::default();
    assert_eq!(result.record(run(0, failed(FailureKind::Panic, "other")), goal), None);
    assert_eq!(result.record(run(5, failed(FailureKind::Error, "a boom")), goal), Some(6));
    assert_eq!((result.unexpected, result.lowest_unexpected.map(|run| run.index)), (1, Some(0)));
}

/// Neither a failure at the cluster's start nor a limit counts.
#[test]
fn should_panic_without_text_needs_a_panic_after_the_start() {
    let goal = Goal::Expected(None);
    let take = |verdict| SweepResult::default().record(run(2, verdict), goal);
    for kind in [FailureKind::Panic, FailureKind::Error, FailureKind::Service] {
        let at_start = Failure { at_start: true, ..Failure::new(kind.clone(), "x") };
        assert_eq!(take(Verdict::Failed(at_start)), None, "{kind:?}");
        assert_eq!(take(failed(kind, "x")), Some(3));
    }
    assert_eq!(take(failed(FailureKind::Named("x".to_owned()), "x")), Some(3));
    for kind in [
        FailureKind::Deadlock,
        FailureKind::TimeLimit,
        FailureKind::PollLimit,
        FailureKind::Stall,
        FailureKind::Refused,
    ] {
        assert_eq!(take(failed(kind, "x")), None);
    }
    let stall = Goal::Expected(Some("no progress"));
    let verdict = failed(FailureKind::Stall, "no progress for 60s");
    assert_eq!(
        SweepResult::default().record(run(2, verdict), stall),
        Some(3),
        "unless its text is expected"
    );
}

/// They end the sweep of a test that should panic, though they are not the expected failure.
#[test]
fn broken_and_dead_runs_end_the_sweep() {
    let goal = Goal::Expected(Some("boom"));
    for verdict in [
        Verdict::Broken("boom".to_owned()),
        failed(FailureKind::Crashed, "x"),
        failed(FailureKind::Hung, "x"),
    ] {
        assert_eq!(SweepResult::default().record(run(4, verdict), goal), Some(5));
    }
}

#[test]
fn failures_are_grouped_with_the_lowest_seed_of_each() {
    let mut result = SweepResult::default();
    for (index, message) in [(9, "got 3"), (4, "got 17"), (6, "lost")] {
        let verdict = failed(FailureKind::Panic, message);
        assert_eq!(result.record(run(index, verdict), Goal::AllFailures), None);
    }
    let groups: Vec<_> =
        result.groups.values().map(|kind| (kind.group.seed, kind.group.seeds)).collect();
    assert_eq!(groups, [(104, 2), (106, 1)]);
    assert_eq!((result.failed(), result.found.map(|run| run.index)), (3, Some(4)));
}

/// At least one run is executed.
#[test]
fn budget_ends_a_sweep() {
    let scratch = Scratch::new("budget");
    let test = named("krate", "takes_its_time");
    let pool = in_process_pool(&scratch, test);
    let config = Config { budget: Some(POLL_INTERVAL), ..Config::default() };
    for (budget, expected) in [(Duration::from_nanos(1), 1..=1), (POLL_INTERVAL * 2, 2..=11)] {
        let seeds = Seeds::new(Settings::new(), &config).expect("the seeds are valid");
        let checks = Checks::new(&pool, test, CheckSelection::new(CheckRate::Off, None), 1);
        let result = sweep(&pool, test, seeds, Some(budget), Goal::Failure, &[], checks);
        assert!(expected.contains(&result.totals.seeds), "{} seeds", result.totals.seeds);
    }
}

/// A mismatch is reported only if no lower seed failed, whichever is found first.
#[test]
fn mismatch_above_a_failing_seed_does_not_count() {
    let scratch = Scratch::new("mismatch");
    let test = named("krate", "passes");
    let pool = in_process_pool(&scratch, test);
    let found = |before: Option<u64>, behind: Option<u64>| {
        let mut checks =
            Checks::new(&pool, test, CheckSelection::new(CheckRate::Some, Some(100)), 1);
        checks.record_first_run(&mut run(19, Verdict::Passed));
        match before {
            Some(from) => checks.cut(from),
            None => while checks.compare_arrived().is_none() {},
        }
        behind.into_iter().for_each(|from| checks.cut(from));
        checks.finish().1.map(|mismatch| mismatch.index)
    };
    assert_eq!(found(None, None), Some(19));
    assert_eq!(found(None, Some(20)), Some(19), "the failure is above it");
    assert_eq!(found(Some(10), None), None, "cut before its second run is over");
    assert_eq!(found(None, Some(10)), None, "cut afterwards");
}

/// Each fifth seed has pauses, and fails for them, except the first. Each third has kills.
fn with_kinds(index: u64) -> FinishedRun {
    let verdict = match index {
        0 => Verdict::Passed,
        index if index % 5 == 0 => failed(FailureKind::Panic, "torn"),
        _ => Verdict::Passed,
    };
    let kinds =
        [("pauses", 5), ("kills", 3)].into_iter().filter(|(_, nth)| index.is_multiple_of(*nth));
    let drawn = kinds.map(|(kind, _)| kind.to_owned()).collect();
    let kinds = Kinds { drawn, ..Kinds::default() };
    let plan =
        PlanActivity { name: "Swarm".to_owned(), faults: 1, kinds, ..PlanActivity::default() };
    let outcome = Outcome { plans: vec![plan], ..Outcome::without_a_run(index, verdict) };
    FinishedRun { index, outcome, output: Vec::new() }
}

#[test]
fn correlation_of_a_group_is_with_the_kinds_of_all_seeds() {
    let mut result = SweepResult::default();
    // The lowest seed of the group comes last.
    (0..50).rev().for_each(|index| _ = result.record(with_kinds(index), Goal::AllFailures));
    let group = result.groups.values().next().expect("one group");
    assert_eq!((group.group.seeds, group.group.seed), (9, 5));
    assert_eq!(
        group.kinds.among(&result.kinds).as_deref(),
        Some("fails in 9 of 10 seeds with pauses, in 0 of 40 without")
    );
}

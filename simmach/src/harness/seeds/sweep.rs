//! Runs one test over its seeds and collects the outcomes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::progress::ProgressBar;
use crate::harness::seeds::Seeds;
use crate::harness::seeds::determinism::{Checks, Mismatch};
use crate::harness::workers::job::{FinishedRun, Job, NextRuns};
use crate::harness::workers::pool::Pool;
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Group, summarize};
use crate::report::correlation::KindCounts;
use crate::report::summary::RunTotals;
use crate::spec::SimTest;

/// Interval of progress updates.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What a sweep looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The lowest seed that does not pass.
    Failure,
    /// All seeds that do not pass, grouped by failure.
    AllFailures,
    /// The lowest seed that fails as `#[should_panic]` expects.
    Expected(Option<&'static str>),
}

/// Result of a sweep.
#[derive(Debug, Default)]
pub(crate) struct SweepResult {
    /// Totals of all runs except the found run. They include runs with higher seeds that had
    /// already begun.
    pub(crate) totals: RunTotals,
    /// The run with the lowest seed among those that the sweep looked for.
    pub(crate) found: Option<FinishedRun>,
    /// The kinds of faults of all runs.
    pub(crate) kinds: KindCounts,
    /// Number of failures of the kinds that are ignored.
    pub(crate) ignored: u64,
    /// Number of failures that `#[should_panic]` does not expect.
    pub(crate) unexpected: u64,
    /// The lowest of these.
    pub(crate) lowest_unexpected: Option<FinishedRun>,
    /// The lowest checked seed whose two runs differ.
    pub(crate) mismatch: Option<Mismatch>,
    /// Number of seeds that were run twice with the same outcome.
    pub(crate) compared: u64,
    /// With [`Goal::AllFailures`], the failures by fingerprint.
    pub(crate) groups: BTreeMap<String, FailureGroup>,
}

/// Failures with one fingerprint.
#[derive(Debug)]
pub(crate) struct FailureGroup {
    pub(crate) group: Group,
    /// Index of the lowest seed, and its outcome.
    pub(crate) index: u64,
    pub(crate) lowest: Outcome,
    /// The kinds of faults of its runs.
    pub(crate) kinds: KindCounts,
}

enum RunClass {
    Passed,
    Unexpected,
    Found,
}

/// Runs the seeds until the goal is reached, or seeds or budget are exhausted.
pub(crate) fn sweep(
    pool: &Pool,
    test: &'static SimTest,
    seeds: Seeds,
    budget: Option<Duration>,
    goal: Goal,
    ignore: &[String],
    mut checks: Checks<'_>,
) -> SweepResult {
    let selection = checks.selection();
    let mut bar = ProgressBar::new(test, seeds.how_many(), budget);
    let jobs = BudgetedSeeds { seeds, end: budget.map(|budget| now() + budget), begun: false };
    let mut runs = pool.runs((0..).zip(jobs).map(move |(index, seed)| Job {
        test,
        seed,
        overlay: Overlay::default(),
        keep: Keep { events: selection.contains(index), ..Keep::default() },
    }));
    let mut result = SweepResult::default();
    let is_ignored = |outcome: &Outcome| {
        let kind = outcome.failure().map(|failure| failure.kind.word());
        kind.is_some_and(|kind| ignore.iter().any(|ignored| ignored == kind))
    };
    loop {
        match runs.next(POLL_INTERVAL) {
            NextRuns::Finished(finished) => {
                for mut run in finished {
                    if is_ignored(&run.outcome) {
                        result.ignored += 1;
                        continue;
                    }
                    // The run that ends the sweep is repeated before it is reported, so the check need not repeat it.
                    let ends = goal != Goal::AllFailures
                        && matches!(classify(&run.outcome, goal), RunClass::Found);
                    if !ends {
                        checks.record_first_run(&mut run);
                    }
                    if let Some(cut) = result.record(run, goal) {
                        runs.cut(cut);
                        checks.cut(cut);
                    }
                }
            }
            NextRuns::Pending => {}
            NextRuns::End => break,
        }
        if let Some(cut) = checks.compare_arrived() {
            runs.cut(cut);
        }
        bar.show(result.totals.seeds, result.failed());
    }
    (result.compared, result.mismatch) = checks.finish();
    result
}

impl SweepResult {
    /// Records a run. Returns the index from which on runs are no longer needed.
    fn record(&mut self, run: FinishedRun, goal: Goal) -> Option<u64> {
        self.kinds.add(&run.outcome);
        match classify(&run.outcome, goal) {
            RunClass::Passed => self.totals.add(&run.outcome),
            RunClass::Unexpected => {
                self.totals.add(&run.outcome);
                self.unexpected += 1;
                keep_lowest(&mut self.lowest_unexpected, run);
            }
            RunClass::Found => {
                let index = run.index;
                if goal == Goal::AllFailures {
                    self.group(index, &run.outcome);
                    keep_lowest(&mut self.found, run);
                    return None;
                }
                if keep_lowest(&mut self.found, run) {
                    return Some(index + 1);
                }
            }
        }
        None
    }

    fn group(&mut self, index: u64, outcome: &Outcome) {
        let fingerprint = match &outcome.verdict {
            Verdict::Failed(failure) => failure.fingerprint(),
            Verdict::Broken(why) => format!("broken: {why}"),
            Verdict::Passed => return,
        };
        let group_of = |seeds| FailureGroup {
            group: Group { seed: outcome.seed, seeds, text: summarize(&outcome.verdict) },
            index,
            lowest: outcome.clone(),
            kinds: KindCounts::default(),
        };
        let group = self.groups.entry(fingerprint).or_insert_with(|| group_of(0));
        group.kinds.add(outcome);
        group.group.seeds += 1;
        if outcome.seed < group.group.seed {
            let kinds = std::mem::take(&mut group.kinds);
            *group = FailureGroup { kinds, ..group_of(group.group.seeds) };
        }
    }

    /// Returns the number of seeds that have not passed so far.
    pub(crate) fn failed(&self) -> u64 {
        match self.groups.is_empty() {
            true => self.unexpected + u64::from(self.found.is_some()),
            false => self.groups.values().map(|group| group.group.seeds).sum(),
        }
    }
}

fn keep_lowest(kept: &mut Option<FinishedRun>, run: FinishedRun) -> bool {
    let lower = kept.as_ref().is_none_or(|kept| run.index < kept.index);
    if lower {
        *kept = Some(run);
    }
    lower
}

/// Classifies an outcome. Under `#[should_panic]`, only a failure of the program is expected. A broken run and the death of
/// its process are not. Without an expected text, neither a failure at the cluster's start nor an exceeded limit is.
fn classify(outcome: &Outcome, goal: Goal) -> RunClass {
    let failure = match &outcome.verdict {
        Verdict::Passed => return RunClass::Passed,
        Verdict::Broken(_) => return RunClass::Found,
        Verdict::Failed(failure) => failure,
    };
    let expected = match goal {
        Goal::Failure | Goal::AllFailures => return RunClass::Found,
        Goal::Expected(expected) => expected,
    };
    let is_expected = match (&failure.kind, expected) {
        (FailureKind::Crashed | FailureKind::Hung, _) => return RunClass::Found,
        (_, Some(text)) => failure.message.contains(text),
        (
            FailureKind::Panic | FailureKind::Error | FailureKind::Named(_) | FailureKind::Service,
            None,
        ) => !failure.at_start,
        (
            FailureKind::Deadlock
            | FailureKind::TimeLimit
            | FailureKind::PollLimit
            | FailureKind::Stall
            | FailureKind::Refused,
            None,
        ) => false,
    };
    if is_expected { RunClass::Found } else { RunClass::Unexpected }
}

/// The seeds until the budget ends, but at least one.
struct BudgetedSeeds {
    seeds: Seeds,
    end: Option<Instant>,
    begun: bool,
}

impl Iterator for BudgetedSeeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.begun && self.end.is_some_and(|end| now() >= end) {
            return None;
        }
        self.begun = true;
        self.seeds.next()
    }

    /// Limits the number of workers to the number of seeds.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.seeds.how_many().and_then(|n| usize::try_from(n).ok());
        (0, most)
    }
}

#[expect(clippy::disallowed_methods, reason = "a budget is real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;

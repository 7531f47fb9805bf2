//! The determinism check: some runs of a sweep are repeated and compared.
//!
//! The second run takes place in a different process and after other seeds, to find state that
//! outlives a run. For one seed of each test, this process is fresh, and the seed is run there a
//! third time after a different seed. The second runs of other checked seeds follow in the same
//! process or, if every seed is checked, in one process per job.
//!
//! One seed is also run twice with everything calm except the test's own steps and choices. Most
//! shrunk runs are calm, and must be deterministic too.

use std::time::Duration;

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Rule, RuleAction};
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::workers::job::{FinishedRun, Job, NextRuns};
use crate::harness::workers::pool::{FreshProcesses, Pool, Runs};
use crate::outcome::{Keep, Outcome};
use crate::report::difference::RunContext;
use crate::spec::SimTest;

/// By default, one seed in this many is checked.
const DEFAULT_INTERVAL: u64 = 20;
/// Maximum number of first runs whose events are kept while the second run is pending.
const MAX_RECORDED: usize = 64;

/// How many seeds are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckRate {
    /// No seed.
    Off,
    /// One seed in twenty, and at least one.
    Some,
    /// Every seed.
    Every,
}

/// The second runs of one sweep.
#[derive(Debug)]
pub(crate) struct Checks<'a> {
    pool: &'a Pool,
    test: &'static SimTest,
    selection: CheckSelection,
    jobs: usize,
    /// The process that executes the first checked seed, for which it is fresh.
    fresh: Option<FreshProcesses<'a>>,
    /// Processes for the other seeds, if every seed is checked.
    others: Option<FreshProcesses<'a>>,
    pairs: Vec<Pair>,
    /// Runs from this index on are ignored.
    from: u64,
    /// Number of seeds whose comparison is complete.
    compared: u64,
    /// The seed that was run last.
    last: Option<u64>,
    found: Option<Mismatch>,
    /// Mismatch of the calm runs; reported only if no seed differs.
    found_calm: Option<Mismatch>,
}

/// Which runs of a sweep are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckSelection {
    rate: CheckRate,
    /// Number of seeds, if known.
    total: Option<u64>,
}

/// Two runs of a seed that differ. If the second run could not be executed, its verdict is [`Verdict::Broken`].
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Index in the sweep.
    pub(crate) index: u64,
    /// Overlay of both runs: empty, or calm.
    pub(crate) overlay: Overlay,
    pub(crate) one: (Outcome, RunContext),
    pub(crate) two: (Outcome, RunContext),
    /// A seed that was run in between.
    pub(crate) other: Option<u64>,
}

/// A first run, and the pending runs that it will be compared with.
#[derive(Debug)]
struct Pair {
    index: u64,
    seed: u64,
    overlay: Overlay,
    /// `None` before the first run is finished: of the calm runs, both are pending at first.
    first: Option<(Outcome, RunContext)>,
    /// The conditions of the next run.
    made: RunContext,
    /// Number of pending runs.
    missing: u64,
    other: Option<u64>,
    runs: Runs,
}

impl CheckSelection {
    pub(crate) fn new(rate: CheckRate, total: Option<u64>) -> Self {
        Self { rate, total }
    }

    /// Whether the run at this index is checked, and therefore records its events.
    pub(crate) fn contains(self, index: u64) -> bool {
        match self.rate {
            CheckRate::Off => false,
            CheckRate::Every => true,
            CheckRate::Some => {
                let is_last = self.total == Some(index + 1);
                // A budget may end the sweep before its twentieth run.
                let is_only = self.total.is_none() && index == 0;
                index % DEFAULT_INTERVAL == DEFAULT_INTERVAL - 1
                    || (is_last && index < DEFAULT_INTERVAL)
                    || is_only
            }
        }
    }

    /// Whether this is the first index that is checked.
    fn is_first(self, index: u64) -> bool {
        self.contains(index)
            && !(0..index.min(DEFAULT_INTERVAL)).any(|before| self.contains(before))
    }
}

impl<'a> Checks<'a> {
    pub(crate) fn new(
        pool: &'a Pool,
        test: &'static SimTest,
        selection: CheckSelection,
        jobs: usize,
    ) -> Self {
        let (fresh, others) = (None, None);
        Self {
            pool,
            test,
            selection,
            jobs,
            fresh,
            others,
            pairs: Vec::new(),
            from: u64::MAX,
            compared: 0,
            last: None,
            found: None,
            found_calm: None,
        }
    }

    pub(crate) fn selection(&self) -> CheckSelection {
        self.selection
    }

    /// Takes the first run of a seed, and starts the second run if the seed is checked.
    pub(crate) fn record_first_run(&mut self, run: &mut FinishedRun) {
        let seed = run.outcome.seed;
        let requested = (self.selection.rate == CheckRate::Every).then(|| seed.wrapping_add(1));
        let other = self.last.replace(seed).or(requested);
        // Runs beyond a cut may still arrive if they began before it.
        if run.index >= self.from {
            return;
        }
        if self.selection.contains(run.index) && !matches!(run.outcome.verdict, Verdict::Broken(_))
        {
            let (events, task_names) =
                (run.outcome.events.take(), std::mem::take(&mut run.outcome.task_names));
            let outcome = Outcome { events, task_names, ..run.outcome.clone() };
            self.start_second_run(run.index, outcome, other);
        }
    }

    fn start_second_run(&mut self, index: u64, mut first: Outcome, other: Option<u64>) {
        let seed = first.seed;
        if self.pairs.len() >= MAX_RECORDED {
            first.events = None;
        }
        let job = |seed, events| self.job(seed, Overlay::default(), events);
        let repeated = job(seed, first.events.is_some());
        let (made, missing, runs) = match &self.fresh {
            None => {
                let missing = if other.is_some() { 2 } else { 1 };
                let between = other.map(|seed| [job(seed, false), repeated.clone()]);
                let jobs: Vec<Job> =
                    std::iter::once(repeated).chain(between.into_iter().flatten()).collect();
                let fresh = self.fresh.insert(self.pool.fresh_processes(1));
                (RunContext::Fresh, missing, fresh.runs(jobs.into_iter()))
            }
            Some(fresh) => {
                let made = match self.selection.rate {
                    CheckRate::Every => {
                        let all = || self.pool.fresh_processes(self.jobs);
                        self.others.get_or_insert_with(all).runs(std::iter::once(repeated))
                    }
                    CheckRate::Some | CheckRate::Off => fresh.runs(std::iter::once(repeated)),
                };
                (RunContext::AfterOthers, 1, made)
            }
        };
        let (first, overlay) = (Some((first, RunContext::Sweep)), Overlay::default());
        self.pairs.push(Pair { index, seed, overlay, first, made, missing, other, runs });
    }

    /// Runs the first checked seed twice with everything calm, in the process that was fresh.
    fn start_calm_runs(&mut self, index: u64, seed: u64, other: Option<u64>) {
        let Some(fresh) = self.fresh.as_ref().filter(|_| self.selection.is_first(index)) else {
            return;
        };
        let overlay = calm_except_the_test();
        let job = self.job(seed, overlay.clone(), true);
        let runs = fresh.runs([job.clone(), job].into_iter());
        let (first, made, missing) = (None, RunContext::First, 2);
        self.pairs.push(Pair { index, seed, overlay, first, made, missing, other, runs });
    }

    fn job(&self, seed: u64, overlay: Overlay, events: bool) -> Job {
        Job { test: self.test, seed, overlay, keep: Keep { events, ..Keep::default() } }
    }

    /// Compares the runs that have arrived. Returns the index from which on runs are no longer needed.
    pub(crate) fn compare_arrived(&mut self) -> Option<u64> {
        self.compare(Duration::ZERO)
    }

    /// Ignores runs from this index on.
    pub(crate) fn cut(&mut self, from: u64) {
        self.from = self.from.min(from);
        self.pairs.retain(|pair| pair.index < from);
        self.found.take_if(|found| found.index >= from);
        self.found_calm.take_if(|found| found.index >= from);
    }

    /// Waits for all comparisons. Returns the number of seeds compared, and the lowest mismatch.
    pub(crate) fn finish(mut self) -> (u64, Option<Mismatch>) {
        while !self.pairs.is_empty() {
            self.compare(Duration::from_millis(20));
        }
        (self.compared, self.found.or(self.found_calm))
    }

    fn compare(&mut self, timeout: Duration) -> Option<u64> {
        let mut cut = None;
        for mut pair in std::mem::take(&mut self.pairs) {
            match pair.poll(timeout) {
                Comparison::Pending => self.pairs.push(pair),
                Comparison::Same if pair.is_calm() => {}
                Comparison::Same => {
                    self.compared += 1;
                    self.start_calm_runs(pair.index, pair.seed, pair.other);
                }
                Comparison::Different(mismatch) if pair.is_calm() => {
                    self.found_calm = Some(*mismatch)
                }
                Comparison::Different(mismatch) => {
                    let index = mismatch.index;
                    if self.found.as_ref().is_none_or(|found| index < found.index) {
                        self.found = Some(*mismatch);
                        cut = Some(index + 1);
                    }
                }
            }
        }
        if let Some(from) = cut {
            self.cut(from);
        }
        cut
    }
}

/// State of a comparison.
enum Comparison {
    /// Some runs are pending.
    Pending,
    Same,
    Different(Box<Mismatch>),
}

impl Pair {
    fn is_calm(&self) -> bool {
        self.overlay != Overlay::default()
    }

    fn poll(&mut self, timeout: Duration) -> Comparison {
        loop {
            let finished = match self.runs.next(timeout) {
                NextRuns::Finished(finished) => finished,
                NextRuns::Pending => return Comparison::Pending,
                NextRuns::End if self.missing == 0 => return Comparison::Same,
                NextRuns::End => return self.differs_from(FinishedRun::lost(self.seed).outcome),
            };
            for FinishedRun { outcome, .. } in finished {
                // The run of a different seed in between.
                if outcome.seed != self.seed {
                    continue;
                }
                self.missing = self.missing.saturating_sub(1);
                match &self.first {
                    Some((first, _)) if first.is_same_run(&outcome) => {
                        self.made = RunContext::AfterOthers
                    }
                    Some(_) => return self.differs_from(outcome),
                    // A calm run is not part of the sweep. It may hang or crash although the runs of all seeds end.
                    None if !ended_by_itself(&outcome) => return Comparison::Same,
                    None => {
                        self.first = Some((outcome, self.made));
                        self.made = RunContext::Second;
                    }
                }
            }
        }
    }

    fn differs_from(&mut self, second: Outcome) -> Comparison {
        let Some(one) = self.first.take() else { return Comparison::Same };
        Comparison::Different(Box::new(Mismatch {
            index: self.index,
            overlay: self.overlay.clone(),
            one,
            two: (second, self.made),
            other: self.other,
        }))
    }
}

/// An overlay that makes everything calm except the steps and choices of the test, without which the test would do nothing.
fn calm_except_the_test() -> Overlay {
    let mut overlay = Overlay::calm();
    for family in [Family::Step, Family::Choice] {
        overlay.push(Rule::all(Some(family), RuleAction::Seeded));
    }
    overlay
}

/// Whether a run ended by itself, so that its trace is known.
fn ended_by_itself(outcome: &Outcome) -> bool {
    match &outcome.verdict {
        Verdict::Passed => true,
        Verdict::Failed(failure) => {
            !matches!(failure.kind, FailureKind::Hung | FailureKind::Crashed)
        }
        Verdict::Broken(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(rate: CheckRate, total: Option<u64>, upto: u64) -> Vec<u64> {
        let selection = CheckSelection::new(rate, total);
        (0..upto).filter(|index| selection.contains(*index)).collect()
    }

    #[test]
    fn selection_of_one_in_twenty() {
        assert_eq!(checked(CheckRate::Some, Some(100), 100), [19, 39, 59, 79, 99]);
        assert_eq!(checked(CheckRate::Some, Some(110), 110), [19, 39, 59, 79, 99]);
        assert_eq!(checked(CheckRate::Some, Some(7), 7), [6]);
        assert_eq!(checked(CheckRate::Some, Some(1), 1), [0]);
        assert_eq!(checked(CheckRate::Some, None, 40), [0, 19, 39]);
        assert_eq!(checked(CheckRate::Every, None, 3), [0, 1, 2]);
        assert!(checked(CheckRate::Off, Some(100), 100).is_empty());
    }

    /// That seed is also run with everything calm.
    #[test]
    fn selection_has_one_first_index() {
        let first = |rate, total| {
            let selection = CheckSelection::new(rate, total);
            (0..200).filter(|index| selection.is_first(*index)).collect::<Vec<_>>()
        };
        assert_eq!(first(CheckRate::Some, Some(100)), [19]);
        assert_eq!(first(CheckRate::Some, Some(7)), [6]);
        assert_eq!(first(CheckRate::Some, None), [0]);
        assert_eq!(first(CheckRate::Every, Some(100)), [0]);
        assert!(first(CheckRate::Off, Some(100)).is_empty());
    }
}

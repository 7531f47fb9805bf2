//! The same seed, the same run: some runs of a sweep are made twice, and compared.
//!
//! The second time is in another process than the first, and after other seeds: so that state which outlives a run is
//! found too. One seed of each test is made in a fresh process, and once more there after another seed; the others that
//! are checked follow in the same process, or, where every seed is checked, in as many as there are jobs.
//!
//! One seed is also run twice with everything calm but what the test itself does: a shrunk run is mostly calm, and must
//! be a function of its seed and overlay too.

use std::time::Duration;

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Rule as Overruled, RuleAction};
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::workers::job::{Job, Next, Ran};
use crate::harness::workers::pool::{Alone, Pool, Runs};
use crate::outcome::{Keep, Outcome};
use crate::report::difference::RunContext;
use crate::spec::SimTest;

/// One seed in so many, where nothing else is said.
const ONE_IN: u64 = 20;
/// So many first runs may wait for their second with all that was recorded of them.
const MOST_RECORDED: usize = 64;

/// Which runs are made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// None.
    Off,
    /// One in twenty, and one at least.
    Some,
    /// All.
    Every,
}

/// The second runs of one sweep.
#[derive(Debug)]
pub(crate) struct Checks<'a> {
    pool: &'a Pool,
    test: &'static SimTest,
    plan: Plan,
    jobs: usize,
    /// In which one seed is run alone.
    fresh: Option<Alone<'a>>,
    /// For the others, where all are checked.
    others: Option<Alone<'a>>,
    open: Vec<Pair>,
    /// From this place on nothing is of interest.
    from: u64,
    /// How many seeds were compared, each as often as it was to be.
    compared: u64,
    /// A seed that was run before.
    last: Option<u64>,
    found: Option<Mismatch>,
    /// With everything calm: it is of interest only if no seed differs.
    found_calm: Option<Mismatch>,
}

/// Which places of a sweep are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rule: Rule,
    /// How many seeds there are, if that is known.
    total: Option<u64>,
}

/// A seed that made two runs, or whose second could not be made: then that is [`Verdict::Broken`].
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Its place in the sweep.
    pub(crate) index: u64,
    /// What overruled its draws: nothing, or all was calm.
    pub(crate) overlay: Overlay,
    pub(crate) one: (Outcome, RunContext),
    pub(crate) two: (Outcome, RunContext),
    /// A seed that was run beside.
    pub(crate) other: Option<u64>,
}

/// A first run, and its second that is being made.
#[derive(Debug)]
struct Pair {
    index: u64,
    seed: u64,
    overlay: Overlay,
    /// `None` until it has been made: where all is calm, both are still to be.
    first: Option<(Outcome, RunContext)>,
    /// How the next one is made.
    made: RunContext,
    /// How many more runs there must be.
    missing: u64,
    other: Option<u64>,
    runs: Runs,
}

impl Plan {
    pub(crate) fn new(rule: Rule, total: Option<u64>) -> Self {
        Self { rule, total }
    }

    /// Whether the run at this place is checked, and so records its events.
    pub(crate) fn has(self, index: u64) -> bool {
        match self.rule {
            Rule::Off => false,
            Rule::Every => true,
            Rule::Some => {
                let is_last = self.total == Some(index + 1);
                // A budget may end before there are twenty.
                let is_only = self.total.is_none() && index == 0;
                index % ONE_IN == ONE_IN - 1 || (is_last && index < ONE_IN) || is_only
            }
        }
    }

    /// Whether it is the first place that is checked.
    fn is_first(self, index: u64) -> bool {
        self.has(index) && !(0..index.min(ONE_IN)).any(|before| self.has(before))
    }
}

impl<'a> Checks<'a> {
    pub(crate) fn new(pool: &'a Pool, test: &'static SimTest, plan: Plan, jobs: usize) -> Self {
        let (fresh, others) = (None, None);
        Self {
            pool,
            test,
            plan,
            jobs,
            fresh,
            others,
            open: Vec::new(),
            from: u64::MAX,
            compared: 0,
            last: None,
            found: None,
            found_calm: None,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan
    }

    /// Takes the first run of a seed; if it is one that is checked, the second is begun.
    pub(crate) fn first(&mut self, ran: &mut Ran) {
        let seed = ran.outcome.seed;
        let asked = (self.plan.rule == Rule::Every).then(|| seed.wrapping_add(1));
        let other = self.last.replace(seed).or(asked);
        // Outcomes from beyond a cut still come: of runs that were begun before it.
        if ran.index >= self.from {
            return;
        }
        if self.plan.has(ran.index) && !matches!(ran.outcome.verdict, Verdict::Broken(_)) {
            let (events, task_names) =
                (ran.outcome.events.take(), std::mem::take(&mut ran.outcome.task_names));
            let outcome = Outcome { events, task_names, ..ran.outcome.clone() };
            self.begin(ran.index, outcome, other);
        }
    }

    fn begin(&mut self, index: u64, mut first: Outcome, other: Option<u64>) {
        let seed = first.seed;
        if self.open.len() >= MOST_RECORDED {
            first.events = None;
        }
        let job = |seed, events| self.job(seed, Overlay::default(), events);
        let again = job(seed, first.events.is_some());
        let (made, missing, runs) = match &self.fresh {
            None => {
                let missing = if other.is_some() { 2 } else { 1 };
                let between = other.map(|seed| [job(seed, false), again.clone()]);
                let jobs: Vec<Job> =
                    std::iter::once(again).chain(between.into_iter().flatten()).collect();
                let fresh = self.fresh.insert(self.pool.alone(1));
                (RunContext::Fresh, missing, fresh.runs(jobs.into_iter()))
            }
            Some(fresh) => {
                let made = match self.plan.rule {
                    Rule::Every => {
                        let all = || self.pool.alone(self.jobs);
                        self.others.get_or_insert_with(all).runs(std::iter::once(again))
                    }
                    Rule::Some | Rule::Off => fresh.runs(std::iter::once(again)),
                };
                (RunContext::AfterOthers, 1, made)
            }
        };
        let (first, overlay) = (Some((first, RunContext::Sweep)), Overlay::default());
        self.open.push(Pair { index, seed, overlay, first, made, missing, other, runs });
    }

    /// Has the first seed that is checked run twice with everything calm, in the process that was fresh.
    fn begin_calm(&mut self, index: u64, seed: u64, other: Option<u64>) {
        let Some(fresh) = self.fresh.as_ref().filter(|_| self.plan.is_first(index)) else { return };
        let overlay = calm_but_for_the_test();
        let job = self.job(seed, overlay.clone(), true);
        let runs = fresh.runs([job.clone(), job].into_iter());
        let (first, made, missing) = (None, RunContext::First, 2);
        self.open.push(Pair { index, seed, overlay, first, made, missing, other, runs });
    }

    fn job(&self, seed: u64, overlay: Overlay, events: bool) -> Job {
        Job { test: self.test, seed, overlay, keep: Keep { events, ..Keep::default() } }
    }

    /// Compares what has come; from the place that is returned on nothing is of interest any more.
    pub(crate) fn look(&mut self) -> Option<u64> {
        self.compare(Duration::ZERO)
    }

    /// Nothing from this place on is of interest.
    pub(crate) fn cut(&mut self, from: u64) {
        self.from = self.from.min(from);
        self.open.retain(|pair| pair.index < from);
        self.found.take_if(|found| found.index >= from);
        self.found_calm.take_if(|found| found.index >= from);
    }

    /// Waits for all that is under way. How many seeds were compared, and the lowest that differs, if one does.
    pub(crate) fn end(mut self) -> (u64, Option<Mismatch>) {
        while !self.open.is_empty() {
            self.compare(Duration::from_millis(20));
        }
        (self.compared, self.found.or(self.found_calm))
    }

    fn compare(&mut self, patience: Duration) -> Option<u64> {
        let mut cut = None;
        for mut pair in std::mem::take(&mut self.open) {
            match pair.next(patience) {
                Came::Nothing => self.open.push(pair),
                Came::Same if pair.is_calm() => {}
                Came::Same => {
                    self.compared += 1;
                    self.begin_calm(pair.index, pair.seed, pair.other);
                }
                Came::Other(mismatch) if pair.is_calm() => self.found_calm = Some(*mismatch),
                Came::Other(mismatch) => {
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

/// What became of a pair.
enum Came {
    /// It is not over yet.
    Nothing,
    Same,
    Other(Box<Mismatch>),
}

impl Pair {
    fn is_calm(&self) -> bool {
        self.overlay != Overlay::default()
    }

    fn next(&mut self, patience: Duration) -> Came {
        loop {
            let ran = match self.runs.next(patience) {
                Next::Ran(ran) => ran,
                Next::Nothing => return Came::Nothing,
                Next::End if self.missing == 0 => return Came::Same,
                Next::End => return self.differs_from(Ran::lost(self.seed).outcome),
            };
            for Ran { outcome, .. } in ran {
                // The run of another seed, between the two of this one.
                if outcome.seed != self.seed {
                    continue;
                }
                self.missing = self.missing.saturating_sub(1);
                match &self.first {
                    Some((first, _)) if first.is_same_run(&outcome) => {
                        self.made = RunContext::AfterOthers
                    }
                    Some(_) => return self.differs_from(outcome),
                    // No seed of the sweep made it: it may hang where none of them does.
                    None if !is_told(&outcome) => return Came::Same,
                    None => {
                        self.first = Some((outcome, self.made));
                        self.made = RunContext::Second;
                    }
                }
            }
        }
    }

    fn differs_from(&mut self, second: Outcome) -> Came {
        let Some(one) = self.first.take() else { return Came::Same };
        Came::Other(Box::new(Mismatch {
            index: self.index,
            overlay: self.overlay.clone(),
            one,
            two: (second, self.made),
            other: self.other,
        }))
    }
}

/// Everything calm, but for the steps and choices of the test: without these it would do nothing.
fn calm_but_for_the_test() -> Overlay {
    let mut overlay = Overlay::calm();
    for family in [Family::Step, Family::Choice] {
        overlay.push(Overruled::all(Some(family), RuleAction::Seeded));
    }
    overlay
}

/// Whether a run came to an end that says what it was.
fn is_told(outcome: &Outcome) -> bool {
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

    fn checked(rule: Rule, total: Option<u64>, upto: u64) -> Vec<u64> {
        let plan = Plan::new(rule, total);
        (0..upto).filter(|index| plan.has(*index)).collect()
    }

    #[test]
    fn one_in_twenty_and_one_at_least() {
        assert_eq!(checked(Rule::Some, Some(100), 100), [19, 39, 59, 79, 99]);
        assert_eq!(checked(Rule::Some, Some(110), 110), [19, 39, 59, 79, 99]);
        assert_eq!(checked(Rule::Some, Some(7), 7), [6]);
        assert_eq!(checked(Rule::Some, Some(1), 1), [0]);
        assert_eq!(checked(Rule::Some, None, 40), [0, 19, 39]);
        assert_eq!(checked(Rule::Every, None, 3), [0, 1, 2]);
        assert!(checked(Rule::Off, Some(100), 100).is_empty());
    }

    /// It is run with everything calm too, whichever is compared first.
    #[test]
    fn one_place_is_the_first() {
        let first = |rule, total| {
            let plan = Plan::new(rule, total);
            (0..200).filter(|index| plan.is_first(*index)).collect::<Vec<_>>()
        };
        assert_eq!(first(Rule::Some, Some(100)), [19]);
        assert_eq!(first(Rule::Some, Some(7)), [6]);
        assert_eq!(first(Rule::Some, None), [0]);
        assert_eq!(first(Rule::Every, Some(100)), [0]);
        assert!(first(Rule::Off, Some(100)).is_empty());
    }
}

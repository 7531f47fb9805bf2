//! The same seed, the same run: some runs of a sweep are made twice, and compared.
//!
//! The second time is in another process than the first, and after other seeds: so that state which outlives a run is
//! found too. One seed of each test is made in a fresh process, and once more there after another seed; the others that
//! are checked follow in the same process, or, where every seed is checked, in as many as there are jobs.

use std::time::Duration;

use super::job::{Job, Next, Ran};
use super::pool::{Alone, Pool, Runs};
use crate::engine::overlay::Overlay;
use crate::engine::verdict::Verdict;
use crate::outcome::{Keep, Outcome};
use crate::report::difference::Made;
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
    /// How many seeds were compared, each as often as it was to be.
    compared: u64,
    /// A seed that was run before.
    last: Option<u64>,
    found: Option<Mismatch>,
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
    pub(crate) one: (Outcome, Made),
    pub(crate) two: (Outcome, Made),
    /// A seed that was run beside.
    pub(crate) other: Option<u64>,
}

/// A first run, and its second that is being made.
#[derive(Debug)]
struct Pair {
    first: Ran,
    made: Made,
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
            compared: 0,
            last: None,
            found: None,
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
        if self.plan.has(ran.index) && !matches!(ran.outcome.verdict, Verdict::Broken(_)) {
            let (events, places) =
                (ran.outcome.events.take(), std::mem::take(&mut ran.outcome.places));
            let outcome = Outcome { events, places, ..ran.outcome.clone() };
            self.begin(Ran { index: ran.index, outcome, output: Vec::new() }, other);
        }
    }

    fn begin(&mut self, mut first: Ran, other: Option<u64>) {
        let job = |seed, events| Job {
            test: self.test,
            seed,
            overlay: Overlay::default(),
            keep: Keep { events, ..Keep::default() },
        };
        if self.open.len() >= MOST_RECORDED {
            first.outcome.events = None;
        }
        let again = job(first.outcome.seed, first.outcome.events.is_some());
        let (made, missing, runs) = match &self.fresh {
            None => {
                let fresh = self.fresh.insert(self.pool.alone(1));
                let missing = if other.is_some() { 2 } else { 1 };
                let between = other.map(|seed| [job(seed, false), again.clone()]);
                let jobs = std::iter::once(again).chain(between.into_iter().flatten());
                (Made::Fresh, missing, fresh.runs(jobs))
            }
            Some(fresh) => {
                let made = match self.plan.rule {
                    Rule::Every => {
                        let all = || self.pool.alone(self.jobs);
                        self.others.get_or_insert_with(all).runs(std::iter::once(again))
                    }
                    Rule::Some | Rule::Off => fresh.runs(std::iter::once(again)),
                };
                (Made::After, 1, made)
            }
        };
        self.open.push(Pair { first, made, missing, other, runs });
    }

    /// Compares what has come; from the place that is returned on nothing is of interest any more.
    pub(crate) fn look(&mut self) -> Option<u64> {
        self.compare(Duration::ZERO)
    }

    /// Nothing from this place on is of interest.
    pub(crate) fn cut(&mut self, from: u64) {
        self.open.retain(|pair| pair.first.index < from);
        self.found.take_if(|found| found.index >= from);
    }

    /// Waits for all that is under way. How many seeds were compared, and the lowest that differs, if one does.
    pub(crate) fn end(mut self) -> (u64, Option<Mismatch>) {
        while !self.open.is_empty() {
            self.compare(Duration::from_millis(20));
        }
        (self.compared, self.found)
    }

    fn compare(&mut self, patience: Duration) -> Option<u64> {
        let mut cut = None;
        for mut pair in std::mem::take(&mut self.open) {
            match pair.next(patience) {
                Came::Nothing => self.open.push(pair),
                Came::Same => self.compared += 1,
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
    fn next(&mut self, patience: Duration) -> Came {
        loop {
            let ran = match self.runs.next(patience) {
                Next::Ran(ran) => ran,
                Next::Nothing => return Came::Nothing,
                Next::End if self.missing == 0 => return Came::Same,
                Next::End => {
                    let lost = Ran::lost(self.first.outcome.seed);
                    return Came::Other(Box::new(self.mismatch(lost)));
                }
            };
            for ran in ran {
                // The run of another seed, between the two of this one.
                if ran.outcome.seed != self.first.outcome.seed {
                    continue;
                }
                self.missing = self.missing.saturating_sub(1);
                if !self.first.outcome.is_same_run(&ran.outcome) {
                    return Came::Other(Box::new(self.mismatch(ran)));
                }
                self.made = Made::After;
            }
        }
    }

    fn mismatch(&mut self, second: Ran) -> Mismatch {
        let nothing = Outcome::without_a_run(self.first.outcome.seed, Verdict::Passed);
        let first = std::mem::replace(&mut self.first.outcome, nothing);
        Mismatch {
            index: self.first.index,
            one: (first, Made::Sweep),
            two: (second.outcome, self.made),
            other: self.other,
        }
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
}

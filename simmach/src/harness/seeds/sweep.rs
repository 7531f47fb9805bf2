//! One test over its seeds: what was found, and what all that passed come to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::progress::Bar;
use crate::harness::seeds::Seeds;
use crate::harness::seeds::check::{Checks, Mismatch};
use crate::harness::workers::job::{Job, Next, Ran};
use crate::harness::workers::pool::Pool;
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Group, summarize};
use crate::report::summary::Tally;
use crate::spec::SimTest;

/// How often the progress is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// What a sweep is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The lowest seed that does not pass.
    Failure,
    /// All that do not, by kind.
    AllFailures,
    /// The lowest seed that fails as `#[should_panic]` expects it.
    Expected(Option<&'static str>),
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// The runs that were no find. Above a find there may be some, as many as were under way.
    pub(crate) tally: Tally,
    /// The lowest.
    pub(crate) find: Option<Ran>,
    /// Failures that are no find: how many, and the lowest.
    pub(crate) misses: u64,
    pub(crate) miss: Option<Ran>,
    /// The lowest seed that made two runs, among those that were checked.
    pub(crate) mismatch: Option<Mismatch>,
    /// How many seeds were run twice, and were the same run.
    pub(crate) compared: u64,
    /// Finds by kind, where all were asked for.
    pub(crate) groups: BTreeMap<String, Kind>,
}

/// Failures of one kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: Group,
    /// The lowest.
    pub(crate) lowest: Outcome,
}

enum Reading {
    Pass,
    Miss,
    Find,
}

/// Runs the seeds until the goal is reached, they are at an end, or the time is.
pub(crate) fn sweep(
    pool: &Pool,
    test: &'static SimTest,
    seeds: Seeds,
    budget: Option<Duration>,
    goal: Goal,
    mut checks: Checks<'_>,
) -> Swept {
    let plan = checks.plan();
    let mut bar = Bar::new(test, seeds.how_many(), budget);
    let jobs = Budgeted { seeds, end: budget.map(|budget| now() + budget), begun: false };
    let mut runs = pool.runs((0..).zip(jobs).map(move |(index, seed)| Job {
        test,
        seed,
        overlay: Overlay::default(),
        keep: Keep { events: plan.has(index), ..Keep::default() },
    }));
    let mut swept = Swept::default();
    loop {
        match runs.next(GLANCE) {
            Next::Ran(some) => {
                for mut ran in some {
                    // The run that ends a search is made again before it is reported.
                    let ends = goal != Goal::AllFailures
                        && matches!(read(&ran.outcome, goal), Reading::Find);
                    if !ends {
                        checks.first(&mut ran);
                    }
                    if let Some(cut) = swept.take(ran, goal) {
                        runs.cut(cut);
                        checks.cut(cut);
                    }
                }
            }
            Next::Nothing => {}
            Next::End => break,
        }
        if let Some(cut) = checks.look() {
            runs.cut(cut);
        }
        bar.show(swept.tally.seeds, swept.failed());
    }
    (swept.compared, swept.mismatch) = checks.end();
    swept
}

impl Swept {
    /// Takes a run in; from the place that is returned on nothing is of interest any more.
    fn take(&mut self, ran: Ran, goal: Goal) -> Option<u64> {
        match read(&ran.outcome, goal) {
            Reading::Pass => self.tally.add(&ran.outcome),
            Reading::Miss => {
                self.tally.add(&ran.outcome);
                self.misses += 1;
                keep_lowest(&mut self.miss, ran);
            }
            Reading::Find => {
                let index = ran.index;
                if goal == Goal::AllFailures {
                    self.group(&ran.outcome);
                    keep_lowest(&mut self.find, ran);
                    return None;
                }
                if keep_lowest(&mut self.find, ran) {
                    return Some(index + 1);
                }
            }
        }
        None
    }

    fn group(&mut self, outcome: &Outcome) {
        let kind = match &outcome.verdict {
            Verdict::Failed(failure) => failure.fingerprint(),
            Verdict::Broken(why) => format!("broken: {why}"),
            Verdict::Passed => return,
        };
        let of = |seeds| Kind {
            group: Group { seed: outcome.seed, seeds, text: summarize(&outcome.verdict) },
            lowest: outcome.clone(),
        };
        let kind = self.groups.entry(kind).or_insert_with(|| of(0));
        kind.group.seeds += 1;
        if outcome.seed < kind.group.seed {
            *kind = of(kind.group.seeds);
        }
    }

    /// How many seeds did not pass, so far.
    pub(crate) fn failed(&self) -> u64 {
        match self.groups.is_empty() {
            true => self.misses + u64::from(self.find.is_some()),
            false => self.groups.values().map(|kind| kind.group.seeds).sum(),
        }
    }
}

fn keep_lowest(kept: &mut Option<Ran>, ran: Ran) -> bool {
    let lower = kept.as_ref().is_none_or(|kept| ran.index < kept.index);
    if lower {
        *kept = Some(ran);
    }
    lower
}

/// Under `#[should_panic]` only a failure of the program counts: neither a run that was none, nor a process that died;
/// and without a text to expect neither a cluster that did not even start, nor one that went on without end.
fn read(outcome: &Outcome, goal: Goal) -> Reading {
    let failure = match &outcome.verdict {
        Verdict::Passed => return Reading::Pass,
        Verdict::Broken(_) => return Reading::Find,
        Verdict::Failed(failure) => failure,
    };
    let expected = match goal {
        Goal::Failure | Goal::AllFailures => return Reading::Find,
        Goal::Expected(expected) => expected,
    };
    let meant = match (&failure.kind, expected) {
        (FailureKind::Crashed | FailureKind::Hung, _) => return Reading::Find,
        (_, Some(text)) => failure.message.contains(text),
        (
            FailureKind::Panic | FailureKind::Error | FailureKind::Named(_) | FailureKind::Service,
            None,
        ) => !failure.at_start,
        (
            FailureKind::Deadlock
            | FailureKind::TimeLimit
            | FailureKind::StepLimit
            | FailureKind::Stall
            | FailureKind::Refused,
            None,
        ) => false,
    };
    if meant { Reading::Find } else { Reading::Miss }
}

/// The seeds, as long as there is time: the first in any case.
struct Budgeted {
    seeds: Seeds,
    end: Option<Instant>,
    begun: bool,
}

impl Iterator for Budgeted {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.begun && self.end.is_some_and(|end| now() >= end) {
            return None;
        }
        self.begun = true;
        self.seeds.next()
    }

    /// So that no more workers are started than there are seeds.
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

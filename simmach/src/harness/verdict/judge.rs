//! From a test to what is said of it: its seeds, the sweep, the failing run made again, the report.

use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::command;
use crate::harness::config::{self, Choice, Config};
use crate::harness::seeds::check::{Checks, Mismatch, Plan, Rule};
use crate::harness::seeds::diagnosis::diagnose;
use crate::harness::seeds::linked;
use crate::harness::seeds::sweep::{Goal, Kind, Swept, sweep};
use crate::harness::verdict::capture::Capture;
use crate::harness::verdict::judgement::{Judgement, unfit};
use crate::harness::verdict::replay;
use crate::harness::verdict::reporting::Before;
use crate::harness::verdict::trial::Trial;
use crate::harness::workers::job::{Job, Ran};
use crate::harness::workers::pool::Pool;
use crate::outcome::Keep;
use crate::report::console::{Group, Rerun, groups};
use crate::report::difference::{DifferingRuns, difference, likely_cause};
use crate::report::numbers::{count, thousands};
use crate::report::style::{Ink, Style};
use crate::report::summary::PassReport;
use crate::spec::SimTest;

/// So many kinds of failure are run again, where all are asked for.
const KINDS: usize = 20;

/// Runs a test and judges it.
pub(crate) fn judge(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    style: Style,
) -> Judgement {
    let judged = match &config.replay {
        Some(token) => replay::replay(pool, config, test, token, style),
        None => {
            let trial = Trial::new(pool, config, test, style);
            trial.and_then(|trial| trial.run_and_capture())
        }
    };
    judged.unwrap_or_else(|why| Judgement::Red(unfit(test, &why, style)))
}

impl Trial<'_> {
    /// Writes the packets of the one run too, where that is wanted.
    fn run_and_capture(self) -> Result<Judgement, String> {
        let (Some(path), Choice::One(seed)) = (&self.config.pcap, self.config.choice) else {
            return Ok(self.run());
        };
        let capture = Capture::open(path, self.test)?;
        let (pool, job) = (self.pool, self.job(seed));
        Ok(capture.add_to(self.run(), pool, job))
    }

    fn run(self) -> Judgement {
        if self.seeds.clone().next().is_none() {
            let which = self.which.as_deref().unwrap_or("there are none");
            return Judgement::Green(format!("{}: no seeds to run ({which})", self.path));
        }
        let goal = match self.test.should_panic {
            Some(should_panic) => Goal::Expected(should_panic.expected),
            None if self.config.keep_going => Goal::AllFailures,
            None => Goal::Failure,
        };
        let goal = if self.expect.is_some() { Goal::Failure } else { goal };
        let before = match goal {
            Goal::Failure | Goal::AllFailures if self.expect.is_none() => self.try_regressions(),
            Goal::Failure | Goal::AllFailures | Goal::Expected(_) => Before::default(),
        };
        if let Some(red) = before.red {
            return Judgement::Red(red);
        }
        let began = now();
        // A budget may end before there are so many.
        let total = self.seeds.how_many().filter(|_| self.config.budget.is_none());
        let plan = Plan::new(self.rule, total);
        let checks = Checks::new(self.pool, self.test, plan, self.config.jobs);
        let (seeds, budget) = (self.seeds.clone(), self.config.budget);
        let mut swept = sweep(self.pool, self.test, seeds, budget, goal, checks);
        let wall = began.elapsed();
        if let Some(mismatch) = swept.mismatch.take() {
            return self.judge_mismatch(&mismatch, swept.find);
        }
        if let Some(expect) = self.expect {
            return self.judge_expect_failure(swept, expect);
        }
        match goal {
            Goal::Failure | Goal::AllFailures => self.judge(swept, wall, before.notes),
            Goal::Expected(expected) => self.judge_expected(swept, expected),
        }
    }

    fn judge(&self, mut swept: Swept, wall: Duration, notes: Vec<String>) -> Judgement {
        let Some(find) = swept.find.take() else {
            let green = PassReport {
                test: &self.path,
                only: match self.config.choice {
                    Choice::One(seed) => Some(seed),
                    _ => None,
                },
                tally: &swept.tally,
                wall,
                twice: self.rule == Rule::Every && swept.compared == swept.tally.seeds,
                which: self.which.clone(),
            };
            let lines = notes.into_iter().chain([green.text()]);
            return Judgement::Green(lines.collect::<Vec<_>>().join("\n"));
        };
        let mut text = String::new();
        if self.config.keep_going {
            let mut kinds: Vec<Kind> = swept.groups.into_values().collect();
            kinds.sort_by_key(|kind| kind.group.seed);
            kinds.iter_mut().take(KINDS).for_each(|kind| self.prove(kind));
            let kinds: Vec<Group> = kinds.into_iter().map(|kind| kind.group).collect();
            let failed: u64 = kinds.iter().map(|group| group.seeds).sum();
            text = groups(&self.path, swept.tally.seeds + failed, &kinds, self.style);
        }
        text.push_str(&self.report(find));
        text.extend(notes.iter().map(|note| format!("  {note}\n")));
        Judgement::Red(text)
    }

    /// Makes a kind's lowest run again in a fresh process, and notes it if it does not repeat.
    fn prove(&self, kind: &mut Kind) {
        let second = self.pool.run_alone(self.job(kind.group.seed)).outcome;
        let note = match Rerun::compare(&kind.lowest, &second) {
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Same => return,
            Rerun::OtherTrace => {
                "In a fresh process it failed so by another way: the run is not a function of its seed.".to_owned()
            }
            Rerun::Passed => "NOT REPRODUCIBLE: in a fresh process it was: passed".to_owned(),
            Rerun::Other(became) => {
                format!("NOT REPRODUCIBLE: in a fresh process it was: {}", became.replace('\n', ", "))
            }
        };
        kind.group.text.push('\n');
        kind.group.text.push_str(&note);
    }

    /// The run of a seed, with its log.
    fn job(&self, seed: u64) -> Job {
        Job {
            test: self.test,
            seed,
            overlay: Overlay::default(),
            keep: Keep { log: true, ..Keep::default() },
        }
    }

    /// A test that is no function of its seed; what was found besides may or may not be true.
    fn judge_mismatch(&self, mismatch: &Mismatch, find: Option<Ran>) -> Judgement {
        let Mismatch { overlay, one, two, other, .. } = mismatch;
        let seed = one.0.seed;
        if let Verdict::Broken(why) = &two.0.verdict {
            let why = format!("seed {seed} could not be run a second time, to be compared:\n{why}");
            return Judgement::Red(unfit(self.test, &why, self.style));
        }
        let found = diagnose(self.pool, self.test, seed, overlay, *other);
        let two_runs = DifferingRuns {
            test: &self.path,
            one: (&one.0, one.1),
            two: (&two.0, two.1),
            is_calm: *overlay != Overlay::default(),
            cause: found.cause.refine(&one.0, &two.0),
            libraries: &linked::libraries(),
            command: &format!("{}=1 {}", config::CHECK, command::again(self.test, seed)),
        };
        let mut text = two_runs.text(self.style);
        if let Some(find) = find {
            text.push('\n');
            text.push_str(&self.report(find));
        }
        Judgement::Red(text)
    }

    fn judge_expected(&self, swept: Swept, expected: Option<&str>) -> Judgement {
        let text = expected.map(|text| format!(" with {text:?}")).unwrap_or_default();
        if let Some(find) = swept.find {
            let (index, seed) = (find.index, find.outcome.seed);
            let said = match &find.outcome.verdict {
                Verdict::Failed(failure)
                    if !matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung) =>
                {
                    failure.message.lines().next().unwrap_or_default().to_owned()
                }
                _ => return Judgement::Red(self.report(find)),
            };
            // What a fresh process does not repeat is no failure of the program, expected or not.
            let (ran, again) = self.again(find);
            if !matches!(again, Rerun::Same) {
                return Judgement::Red(self.report_again(index, &ran, again));
            }
            return Judgement::Green(format!(
                "{}: failed with seed {seed} as it should: {said}",
                self.path
            ));
        }
        let head = format!(
            "{}: #[should_panic], but none of {} failed{text}",
            self.path,
            count(swept.tally.seeds, "seed")
        );
        let mut red = format!("{}\n", self.style.paint(Ink::Alarm, head));
        if let Some(miss) = swept.miss {
            let counts = match expected {
                Some(_) => "",
                None => {
                    " (without a text to expect, a panic or an error counts once the test's body has begun, and no limit)"
                }
            };
            red.push_str(&format!(
                "\n{} failed otherwise{counts}, the lowest of these:\n\n{}",
                thousands(swept.misses),
                self.report(miss)
            ));
        }
        Judgement::Red(red)
    }

    /// Makes the run again, with its log and in a fresh process, and reports it.
    pub(crate) fn report(&self, find: Ran) -> String {
        let index = find.index;
        let (ran, again) = self.again(find);
        match again {
            Rerun::Same => self.report_smaller(index, ran),
            again => self.report_again(index, &ran, again),
        }
    }

    pub(crate) fn report_again(&self, passed: u64, ran: &Ran, again: Rerun) -> String {
        let doubt = match again {
            Rerun::OtherTrace | Rerun::Passed | Rerun::Other(_) => self.doubt(ran.outcome.seed),
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Same => String::new(),
        };
        self.red(ran, passed, again, doubt, None, ran.outcome.seed)
    }

    /// The run as it is reported, and what became of it in a fresh process.
    pub(crate) fn again(&self, find: Ran) -> (Ran, Rerun) {
        // One that was none has nothing to show.
        if matches!(find.outcome.verdict, Verdict::Broken(_)) {
            return (find, Rerun::NotTried);
        }
        let second = self.pool.run_alone(self.job(find.outcome.seed));
        match Rerun::compare(&find.outcome, &second.outcome) {
            again @ (Rerun::Same | Rerun::OtherTrace) => (second, again),
            again => (find, again),
        }
    }

    /// Why a failure does not repeat as it was.
    fn doubt(&self, seed: u64) -> String {
        let other = self.seeds.clone().find(|other| *other != seed);
        let found = diagnose(self.pool, self.test, seed, &Overlay::default(), other);
        let mut text = String::new();
        let mut cause = found.cause;
        if let Some([one, two]) = &found.versions {
            text = difference((&one.0, one.1), (&two.0, two.1));
            cause = cause.refine(&one.0, &two.0);
        }
        text.push_str(&likely_cause(cause, &linked::libraries(), self.style));
        text
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a sweep takes is real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::testing::{Scratch, local, named};

    /// Neither a pass, nor a test that is no function of its seed.
    #[test]
    fn a_second_run_that_can_not_be_made_is_told_as_such() {
        let scratch = Scratch::new("second");
        let test = named("krate", "passes");
        let pool = local(&scratch, test);
        let judged = |config| judge(&pool, &config, test, Style::PLAIN);
        let Judgement::Red(text) = judged(Config::default()) else {
            panic!("it was not compared");
        };
        assert!(text.contains("seed 19 could not be run a second time"), "{text}");
        assert!(text.contains("not in this test") && !text.contains("differ"), "{text}");
        let unchecked = Config { check: Some(false), ..Config::default() };
        assert!(matches!(judged(unchecked), Judgement::Green(_)));
    }
}

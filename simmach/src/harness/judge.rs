//! From a test to what is said of it: its seeds, the sweep, the failing run made again, the report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::command;
use super::config::{Choice, Config};
use super::job::{Job, Ran};
use super::pool::Pool;
use super::seeds::Seeds;
use super::sweep::{Goal, Swept, sweep};
use crate::engine::log::Level;
use crate::engine::overlay::Overlay;
use crate::engine::verdict::{FailureKind, Verdict};
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Again, Group, Red, brief, groups};
use crate::report::numbers::{count, span, thousands};
use crate::report::style::{Ink, Style};
use crate::report::summary::Green;
use crate::spec::SimTest;

/// What is said of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It passed: a line or two.
    Green(String),
    /// It failed: a report.
    Red(String),
}

/// Runs a test and judges it.
pub(crate) fn judge(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    style: Style,
) -> Judgement {
    match Trial::new(pool, config, test, style) {
        Ok(trial) => trial.run(),
        Err(why) => Judgement::Red(unfit(test, &why, style)),
    }
}

/// A test that can't be begun: neither pass nor failure of the program, so it fails and says why.
pub(crate) fn unfit(test: &SimTest, why: &str, style: Style) -> String {
    let head = format!("{} could not be run", test.path());
    format!("{}\n\n  {}\n", style.paint(Ink::Alarm, head), why.replace('\n', "\n  "))
}

struct Trial<'a> {
    pool: &'a Pool,
    config: &'a Config,
    test: &'static SimTest,
    path: String,
    seeds: Seeds,
    which: Option<String>,
    style: Style,
}

impl<'a> Trial<'a> {
    fn new(
        pool: &'a Pool,
        config: &'a Config,
        test: &'static SimTest,
        style: Style,
    ) -> Result<Self, String> {
        let settings = catch_unwind(AssertUnwindSafe(test.settings))
            .map_err(|_| "the attribute's `seeds` or `base_seed` panicked".to_owned())?;
        let seeds = Seeds::new(settings, config)?;
        let which = which(config, &seeds);
        Ok(Self { pool, config, test, path: test.path(), seeds, which, style })
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
        let began = now();
        let swept = sweep(self.pool, self.test, self.seeds.clone(), self.config.budget, goal);
        let wall = began.elapsed();
        match goal {
            Goal::Failure | Goal::AllFailures => self.judge(swept, wall),
            Goal::Expected(expected) => self.judge_expected(swept, expected),
        }
    }

    fn judge(&self, mut swept: Swept, wall: Duration) -> Judgement {
        let Some(find) = swept.find.take() else {
            let green = Green {
                test: &self.path,
                only: match self.config.choice {
                    Choice::One(seed) => Some(seed),
                    _ => None,
                },
                tally: &swept.tally,
                wall,
                which: self.which.clone(),
            };
            return Judgement::Green(green.text());
        };
        let mut text = String::new();
        if self.config.keep_going {
            let mut kinds: Vec<Group> = swept.groups.into_values().collect();
            kinds.sort_by_key(|group| group.seed);
            let failed: u64 = kinds.iter().map(|group| group.seeds).sum();
            text = groups(&self.path, swept.tally.seeds + failed, &kinds, self.style);
        }
        text.push_str(&self.report(find));
        Judgement::Red(text)
    }

    fn judge_expected(&self, swept: Swept, expected: Option<&str>) -> Judgement {
        let text = expected.map(|text| format!(" with {text:?}")).unwrap_or_default();
        if let Some(find) = swept.find {
            return match &find.outcome.verdict {
                Verdict::Failed(failure)
                    if !matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung) =>
                {
                    let said = failure.message.lines().next().unwrap_or_default();
                    Judgement::Green(format!(
                        "{}: failed with seed {} as it should: {said}",
                        self.path, find.outcome.seed
                    ))
                }
                _ => Judgement::Red(self.report(find)),
            };
        }
        let head = format!(
            "{}: #[should_panic], but none of {} failed{text}",
            self.path,
            count(swept.tally.seeds, "seed")
        );
        let mut red = format!("{}\n", self.style.paint(Ink::Alarm, head));
        if let Some(miss) = swept.miss {
            red.push_str(&format!(
                "\n{} failed otherwise, the lowest of these:\n\n{}",
                thousands(swept.misses),
                self.report(miss)
            ));
        }
        Judgement::Red(red)
    }

    /// Makes the run again, with its log and in a fresh process, and reports it.
    fn report(&self, find: Ran) -> String {
        let index = find.index;
        let (ran, again) = self.again(find);
        let red = Red {
            test: &self.path,
            outcome: &ran.outcome,
            passed: index,
            again,
            output: &ran.output,
            which: self.which.clone(),
            command: command::again(self.test, ran.outcome.seed),
        };
        red.text(self.style)
    }

    fn again(&self, find: Ran) -> (Ran, Again) {
        let hung = |outcome: &Outcome| {
            outcome.failure().is_some_and(|failure| failure.kind == FailureKind::Hung)
        };
        // A run that hangs would cost its limit again, and has no log; one that was none has nothing to show.
        if matches!(find.outcome.verdict, Verdict::Broken(_)) || hung(&find.outcome) {
            return (find, Again::NotTried);
        }
        let job = Job {
            test: self.test,
            seed: find.outcome.seed,
            overlay: Overlay::default(),
            keep: Keep { log: Some(Level::Debug), ..Keep::default() },
        };
        let second = self.pool.run_alone(job);
        match compare(&find.outcome, &second.outcome) {
            again @ (Again::Same | Again::OtherTrace) => (second, again),
            again => (find, again),
        }
    }
}

fn compare(first: &Outcome, second: &Outcome) -> Again {
    let (Some(one), Some(two)) = (first.failure(), second.failure()) else {
        return match &second.verdict {
            Verdict::Passed => Again::Passed,
            other => Again::Other(brief(other)),
        };
    };
    if one.fingerprint() != two.fingerprint() {
        return Again::Other(brief(&second.verdict));
    }
    if first.trace_hash == second.trace_hash && one == two {
        Again::Same
    } else {
        Again::OtherTrace
    }
}

/// Which seeds, where that is not what the attribute says.
fn which(config: &Config, seeds: &Seeds) -> Option<String> {
    let mut parts = Vec::new();
    if let (Choice::Random { .. }, Some((first, last))) = (config.choice, seeds.bounds()) {
        parts.push(format!("SIMMACH_SEEDS={first}..={last}"));
    }
    if let (Choice::Range { .. }, Some((first, last))) = (config.choice, seeds.bounds()) {
        parts.push(format!("{first}..={last}"));
    }
    if let Some(shard) = config.shard {
        parts.push(format!("shard {shard}"));
    }
    if let Some(budget) = config.budget {
        parts.push(format!("as many as fit into {}", span(budget.as_nanos())));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[expect(clippy::disallowed_methods, reason = "how long a sweep takes is real time")]
fn now() -> Instant {
    Instant::now()
}

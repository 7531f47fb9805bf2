//! Runs one test: regressions, the sweep, and the evaluation of its result.

use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::command;
use crate::harness::config::{self, Config, IGNORE, SeedSelection};
use crate::harness::evaluation::capture::PacketFile;
use crate::harness::evaluation::regression_runs::RegressionsResult;
use crate::harness::evaluation::replay;
use crate::harness::evaluation::{Evaluation, EvaluationError, TestResult, setup_error};
use crate::harness::seeds::determinism::{CheckRate, CheckSelection, Checks, Mismatch};
use crate::harness::seeds::diagnosis::diagnose;
use crate::harness::seeds::linked;
use crate::harness::seeds::sweep::{FailureGroup, Goal, SweepResult, sweep};
use crate::harness::workers::job::{FinishedRun, Job};
use crate::harness::workers::pool::Pool;
use crate::outcome::Keep;
use crate::report::console::{Group, Rerun, groups};
use crate::report::difference::DifferingRuns;
use crate::report::numbers;
use crate::report::style::Style;
use crate::report::summary::PassReport;
use crate::spec::SimTest;

/// Maximum number of failure groups whose lowest seed is rerun, shrunk and reported.
const MAX_VERIFIED_GROUPS: usize = 20;

/// Runs a test.
pub(crate) fn run_test(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    style: Style,
) -> TestResult {
    let result = match &config.replay {
        Some(token) => {
            replay::replay(pool, config, test, token, style).map_err(EvaluationError::from)
        }
        None => {
            let evaluation = Evaluation::new(pool, config, test, style);
            evaluation.and_then(|evaluation| evaluation.run_and_capture())
        }
    };
    result.unwrap_or_else(|error| TestResult::Failed(setup_error(test, &error, style)))
}

impl Evaluation<'_> {
    /// Runs the test and, if requested, writes the packets of its single run.
    fn run_and_capture(self) -> Result<TestResult, EvaluationError> {
        let (Some(path), SeedSelection::One(seed)) = (&self.config.pcap, self.config.selection)
        else {
            return Ok(self.run());
        };
        let capture = PacketFile::open(path, self.test)?;
        let (pool, job) = (self.pool, self.job(seed));
        Ok(capture.add_to(self.run(), pool, job))
    }

    fn run(self) -> TestResult {
        if self.seeds.clone().next().is_none() {
            let source = self.seed_source.as_ref().map(|source| format!(" ({source})"));
            let source = source.unwrap_or_default();
            return TestResult::Passed(format!(
                "{}: not run: no seeds are selected{source}",
                self.path
            ));
        }
        let goal = match self.test.should_panic {
            Some(should_panic) => Goal::Expected(should_panic.expected),
            None if self.config.keep_going => Goal::AllFailures,
            None => Goal::Failure,
        };
        let goal = if self.expect.is_some() { Goal::Failure } else { goal };
        let regressions = match goal {
            Goal::Failure | Goal::AllFailures if self.expect.is_none() => self.run_regressions(),
            Goal::Failure | Goal::AllFailures | Goal::Expected(_) => RegressionsResult::default(),
        };
        if let Some(report) = regressions.failure {
            return TestResult::Failed(report);
        }
        let began = now();
        // With a budget the sweep may end earlier.
        let total = self.seeds.how_many().filter(|_| self.config.budget.is_none());
        let selection = CheckSelection::new(self.rate, total);
        let checks = Checks::new(self.pool, self.test, selection, self.config.jobs);
        let (seeds, budget) = (self.seeds.clone(), self.config.budget);
        let ignore = &self.config.ignore;
        let mut result = sweep(self.pool, self.test, seeds, budget, goal, ignore, checks);
        let wall = began.elapsed();
        if let Some(mismatch) = result.mismatch.take() {
            return self.evaluate_mismatch(&mismatch, result.found);
        }
        if let Some(expect) = self.expect {
            return self.evaluate_expect_failure(result, expect);
        }
        let mut notes = regressions.notes;
        if result.ignored > 0 {
            let count = numbers::count(result.ignored, "seed");
            let kinds = self.config.ignore.join("`, `");
            notes.push(format!(
                "{}: {count} failed in ways that {IGNORE} ignores: `{kinds}`",
                self.path
            ));
        }
        match goal {
            Goal::Failure | Goal::AllFailures => self.evaluate(result, wall, notes),
            Goal::Expected(expected) => self.evaluate_should_panic(result, expected),
        }
    }

    fn evaluate(&self, mut result: SweepResult, wall: Duration, notes: Vec<String>) -> TestResult {
        let Some(failing) = result.found.take() else {
            let passed = PassReport {
                test: &self.path,
                only: match self.config.selection {
                    SeedSelection::One(seed) => Some(seed),
                    _ => None,
                },
                totals: &result.totals,
                wall,
                twice: self.rate == CheckRate::Every && result.compared == result.totals.seeds,
                seed_source: self.seed_source.clone(),
            };
            let lines = notes.into_iter().chain([passed.text()]);
            return TestResult::Passed(lines.collect::<Vec<_>>().join("\n"));
        };
        let mut text = String::new();
        if self.config.keep_going {
            let mut failure_groups: Vec<FailureGroup> = result.groups.into_values().collect();
            failure_groups.sort_by_key(|group| group.group.seed);
            failure_groups
                .iter_mut()
                .take(MAX_VERIFIED_GROUPS)
                .for_each(|group| self.verify_group(group));
            for group in &mut failure_groups {
                for line in group.kinds.among(&result.kinds).iter().flat_map(|text| text.lines()) {
                    group.group.text.push('\n');
                    group.group.text.push_str(line);
                }
            }
            let (all, others): (Vec<Group>, Vec<FinishedRun>) = failure_groups
                .into_iter()
                .map(|FailureGroup { group, index, lowest, .. }| {
                    (group, FinishedRun { index, outcome: lowest, output: Vec::new() })
                })
                .unzip();
            let failed: u64 = all.iter().map(|group| group.seeds).sum();
            text = groups(&self.path, result.totals.seeds + failed, &all, self.style);
            // The one that was found is reported last.
            let others = others.into_iter().filter(|other| other.index != failing.index);
            for other in others.take(MAX_VERIFIED_GROUPS) {
                text.push_str(&self.report(other));
                text.push('\n');
            }
        }
        text.push_str(&self.report(failing));
        text.extend(notes.iter().map(|note| format!("  {note}\n")));
        TestResult::Failed(text)
    }

    /// Repeats the lowest run of a group in a fresh process, and adds a note if the second run differs.
    fn verify_group(&self, group: &mut FailureGroup) {
        let second = self.pool.run_in_fresh_process(self.job(group.group.seed)).outcome;
        let note = match Rerun::compare(&group.lowest, &second) {
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Same => return,
            Rerun::OtherTrace => {
                "In a fresh OS process, this seed failed in the same way, but the trace differs: the test is not \
                 deterministic."
                    .to_owned()
            }
            Rerun::Passed => "NOT REPRODUCIBLE: in a fresh OS process, this seed passed".to_owned(),
            Rerun::Other(other) => {
                format!(
                    "NOT REPRODUCIBLE: in a fresh OS process, this seed ended differently: {}",
                    other.replace('\n', ", ")
                )
            }
        };
        group.group.text.push('\n');
        group.group.text.push_str(&note);
    }

    /// Returns the job for a seed, with a log.
    pub(crate) fn job(&self, seed: u64) -> Job {
        Job {
            test: self.test,
            seed,
            overlay: Overlay::default(),
            keep: Keep { log: true, ..Keep::default() },
        }
    }

    /// Returns the result of a nondeterministic test. A failure that was also found is reported too, but may not be
    /// reproducible.
    fn evaluate_mismatch(&self, mismatch: &Mismatch, failing: Option<FinishedRun>) -> TestResult {
        let Mismatch { overlay, one, two, other, .. } = mismatch;
        let seed = one.0.seed;
        if let Verdict::Broken(why) = &two.0.verdict {
            let why = format!(
                "the second run of seed {seed}, which checks that the test is deterministic, could not be \
                 executed:\n{why}"
            );
            return TestResult::Failed(setup_error(self.test, &why, self.style));
        }
        let diagnosis = diagnose(self.pool, self.test, seed, overlay, *other);
        let two_runs = DifferingRuns {
            test: &self.path,
            one: (&one.0, one.1),
            two: (&two.0, two.1),
            is_calm: *overlay != Overlay::default(),
            cause: diagnosis.cause.refine(&one.0, &two.0),
            libraries: &linked::libraries(),
            command: &format!("{}=1 {}", config::CHECK, command::run_seed(self.test, seed)),
        };
        let mut text = two_runs.text(self.style);
        if let Some(failing) = failing {
            text.push('\n');
            text.push_str(&self.report(failing));
        }
        TestResult::Failed(text)
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a sweep takes is real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::testing::{Scratch, in_process_pool, named};

    /// It is neither a pass nor a nondeterministic test.
    #[test]
    fn determinism_check_reports_a_broken_second_run() {
        let scratch = Scratch::new("second");
        let test = named("krate", "passes");
        let pool = in_process_pool(&scratch, test);
        let result = |config| run_test(&pool, &config, test, Style::PLAIN);
        let TestResult::Failed(text) = result(Config::default()) else {
            panic!("it was not compared");
        };
        assert!(text.contains("the second run of seed 19, which checks"), "{text}");
        assert!(text.contains("not in this test") && !text.contains("differ"), "{text}");
        let unchecked = Config { check: Some(false), ..Config::default() };
        assert!(matches!(result(unchecked), TestResult::Passed(_)));
    }
}

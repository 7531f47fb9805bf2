//! Tests that expect a failure: `expect_failure` with its bounds, and `#[should_panic]`.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::FailureKind;
use crate::harness::command;
use crate::harness::config::Shrink;
use crate::harness::evaluation::{Evaluation, TestResult};
use crate::harness::seeds::shrinking;
use crate::harness::seeds::sweep::SweepResult;
use crate::harness::workers::job::FinishedRun;
use crate::outcome::Outcome;
use crate::report::console::Rerun;
use crate::report::numbers::count;
use crate::report::story;
use crate::report::style::Ink;
use crate::spec::ExpectFailure;

impl Evaluation<'_> {
    /// Returns the result of a test with `expect_failure`. The test passes if a seed fails and the
    /// shrunk run of this seed is within the bounds.
    pub(crate) fn evaluate_expect_failure(
        &self,
        result: SweepResult,
        expect: ExpectFailure,
    ) -> TestResult {
        let Some(failing) = result.found else {
            let head = format!(
                "{}: none of {} failed, but `expect_failure` requires a failure: run more seeds, or remove the \
                 argument if the bug is fixed",
                self.path,
                count(result.totals.seeds, "seed")
            );
            return TestResult::Failed(format!("{}\n", self.style.paint(Ink::Alarm, head)));
        };
        let Some(failure) = failing.outcome.failure() else {
            return TestResult::Failed(self.report(failing));
        };
        let died = matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung);
        let passed = failing.index;
        let (found, rerun) = self.rerun(failing);
        if died || rerun != Rerun::Same {
            return TestResult::Failed(self.report_unshrunk(passed, &found, rerun));
        }
        self.evaluate_bounds(passed, &found, expect)
    }

    /// Shrinks a failing run that `expect_failure` expects, and checks its size.
    fn evaluate_bounds(
        &self,
        passed: u64,
        found: &FinishedRun,
        expect: ExpectFailure,
    ) -> TestResult {
        let seed = found.outcome.seed;
        let message = first_line(&found.outcome);
        let summary = format!("{}: failed with seed {seed} as expected", self.path);
        let failed = |head: String, report: String| {
            TestResult::Failed(format!("{}\n\n{report}", self.style.paint(Ink::Alarm, head)))
        };
        let smallest = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let Some(smallest) = smallest else {
            if self.config.shrink == Shrink::Off || !expect.has_bounds() {
                return TestResult::Passed(format!("{summary}, not shrunk: {message}"));
            }
            let head = format!(
                "{summary}, but the bounds of `expect_failure` were not checked: the failure did not occur again when \
                 simmach tried to shrink it"
            );
            let overlay = Overlay::default();
            let report =
                self.failure_text(found, passed, Rerun::Same, String::new(), None, &overlay);
            return failed(head, report);
        };
        let shrunk = &smallest.shrunk;
        let exceeded = expect.exceeded(&shrunk.size);
        if exceeded.is_empty() {
            let (size, runs) = (story::size(&shrunk.size), count(shrunk.runs, "run"));
            return TestResult::Passed(format!("{summary}, shrunk to {size} in {runs}: {message}"));
        }
        let head = format!(
            "{summary}, but its shrunk run exceeds the bounds of `expect_failure`: {}",
            exceeded.join(", ")
        );
        let story = self.story(&smallest);
        let replay = command::replay(self.test, &smallest.token.to_string());
        let (run, overlay) = (&smallest.run, &shrunk.overlay);
        let report = self.failure_text(run, passed, Rerun::Same, story, Some(replay), overlay);
        failed(head, report)
    }

    /// Returns the result of a test with `#[should_panic]`. It passes if a seed fails as expected.
    pub(crate) fn evaluate_should_panic(
        &self,
        result: SweepResult,
        expected: Option<&str>,
    ) -> TestResult {
        let Some(failing) = result.found else {
            return self.evaluate_missing_panic(result, expected);
        };
        let (index, seed) = (failing.index, failing.outcome.seed);
        let is_expected = failing.outcome.failure().is_some_and(|failure| {
            !matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung)
        });
        if !is_expected {
            return TestResult::Failed(self.report(failing));
        }
        let message = first_line(&failing.outcome).to_owned();
        // A failure that a fresh process does not repeat does not count as a failure of the program, expected or not.
        let (run, rerun) = self.rerun(failing);
        if rerun != Rerun::Same {
            return TestResult::Failed(self.report_unshrunk(index, &run, rerun));
        }
        TestResult::Passed(format!("{}: failed with seed {seed} as expected: {message}", self.path))
    }

    /// Returns the result of a test with `#[should_panic]` if no seed failed as expected.
    fn evaluate_missing_panic(&self, result: SweepResult, expected: Option<&str>) -> TestResult {
        let with = expected.map(|text| format!(" with {text:?}")).unwrap_or_default();
        let head = format!(
            "{}: none of {} failed{with} as `#[should_panic]` requires: run more seeds, or remove the attribute",
            self.path,
            count(result.totals.seeds, "seed")
        );
        let mut report = format!("{}\n", self.style.paint(Ink::Alarm, head));
        if let Some(lowest) = result.lowest_unexpected {
            let what_counts = match expected {
                Some(_) => "",
                None => {
                    " (without `expected = \"…\"`, only a panic or an error after the start of the test's body counts)"
                }
            };
            report.push_str(&format!(
                "\n{} failed in another way{what_counts}. The lowest of these seeds:\n\n{}",
                count(result.unexpected, "seed"),
                self.report(lowest)
            ));
        }
        TestResult::Failed(report)
    }
}

/// First line of the failure's message; empty if the run did not fail.
fn first_line(outcome: &Outcome) -> &str {
    let message = outcome.failure().map(|failure| failure.message.as_str());
    message.and_then(|message| message.lines().next()).unwrap_or_default()
}

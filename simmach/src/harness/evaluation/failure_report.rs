//! Reports of failing runs, with shrinking, tokens and regressions.
//!
//! A failing seed is rerun, shrunk, recorded in the regressions file and reported. Recorded regressions are run before
//! the sweep.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::command;
use crate::harness::config::{self, REGRESSIONS, Regressions, SeedSelection, Shrink};
use crate::harness::evaluation::replay;
use crate::harness::evaluation::{Evaluation, TestResult, setup_error};
use crate::harness::seeds::regressions::{self, RegressionEntry};
use crate::harness::seeds::shrinking::{self, ShrunkRun};
use crate::harness::seeds::sweep::SweepResult;
use crate::harness::workers::job::{FinishedRun, Job};
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Rerun, RunReport, summarize};
use crate::report::numbers::{count, moment};
use crate::report::story::{self, Shrinking};
use crate::report::style::Ink;
use crate::shrink::StopReason;
use crate::shrink::token::Token;
use crate::spec::ExpectFailure;

/// Maximum length of a token in a report; a longer one is replaced by the name of its file.
const MAX_SHOWN_TOKEN: usize = 200;
/// Maximum number of unexercised regressions that are listed.
const MAX_SHOWN_UNEXERCISED: usize = 5;

/// Result of running the recorded regressions.
#[derive(Default)]
pub(crate) struct RegressionsResult {
    /// Report of a regression that fails.
    pub(crate) failure: Option<String>,
    /// Notes for the test result.
    pub(crate) notes: Vec<String>,
}

/// Result of one recorded regression.
enum RegressionRun {
    Passed,
    /// It passed, but diverged from the recorded run at this virtual time, in nanoseconds, before that one failed.
    Unexercised(u64),
    /// Its report.
    Failed(String),
    /// Its token cannot be used, for this reason.
    Stale(String),
}

impl Evaluation<'_> {
    /// Runs the recorded regressions, unless the configuration selects seeds.
    pub(crate) fn run_regressions(&self) -> RegressionsResult {
        let mut result = RegressionsResult::default();
        let selects_seeds =
            matches!(self.config.selection, SeedSelection::One(_) | SeedSelection::Range { .. });
        if selects_seeds || self.config.regressions == Regressions::Off {
            return result;
        }
        let entries = match regressions::read(self.test) {
            Ok(entries) => entries,
            Err(error) => {
                result.failure = Some(setup_error(self.test, &error, self.style));
                return result;
            }
        };
        let mut unexercised = Vec::new();
        for entry in &entries {
            match self.run_regression(entry) {
                RegressionRun::Passed => {}
                RegressionRun::Unexercised(at) => {
                    let (line, seed) = (entry.line, entry.seed);
                    unexercised.push(format!("line {line}, seed {seed}, at {}", moment(at)));
                }
                RegressionRun::Failed(report) => {
                    result.failure = Some(report);
                    return result;
                }
                RegressionRun::Stale(why) => {
                    result.notes.push(self.stale_note(entry, &why));
                    let run = shrinking::run_one(self.pool, self.regression_job(entry, None));
                    if run.outcome.verdict != Verdict::Passed {
                        result.failure = Some(self.report(run));
                        return result;
                    }
                }
            }
        }
        if !entries.is_empty() {
            let count = count(entries.len() as u64, "regression");
            result.notes.push(format!("{}: {count} tried first", self.path));
        }
        if !unexercised.is_empty() {
            result.notes.push(self.unexercised_note(unexercised));
        }
        result
    }

    fn run_regression(&self, entry: &RegressionEntry) -> RegressionRun {
        let token = match &entry.token {
            Ok(token) => token,
            Err(error) => return RegressionRun::Stale(error.to_string()),
        };
        let run = shrinking::run_one(self.pool, self.regression_job(entry, Some(token)));
        if let Some(why) = replay::stale_reason(token, self.test, &run.outcome) {
            return RegressionRun::Stale(why.to_string());
        }
        if run.outcome.verdict != Verdict::Passed {
            return RegressionRun::Failed(self.report_regression(token, run));
        }
        match replay::divergence(token, &run.outcome) {
            Some(at) => RegressionRun::Unexercised(at),
            None => RegressionRun::Passed,
        }
    }

    /// Job for the token of an entry, or for its seed alone.
    fn regression_job(&self, entry: &RegressionEntry, token: Option<&Token>) -> Job {
        let overlay = token.map(|token| token.overlay.clone()).unwrap_or_default();
        let keep = Keep { early_checkpoints: true, ..Keep::default() };
        Job { test: self.test, seed: entry.seed, overlay, keep }
    }

    fn stale_note(&self, entry: &RegressionEntry, why: &str) -> String {
        format!(
            "{}: the token in {}, line {}, is stale: {why}. Its seed {} was run instead. Remove the line, or record the \
             failure again with {REGRESSIONS}=write",
            self.path,
            regressions::file(self.test).display(),
            entry.line,
            entry.seed
        )
    }

    fn unexercised_note(&self, mut unexercised: Vec<String>) -> String {
        let regressions = count(unexercised.len() as u64, "regression");
        let more = unexercised.len().saturating_sub(MAX_SHOWN_UNEXERCISED);
        unexercised.truncate(MAX_SHOWN_UNEXERCISED);
        if more > 0 {
            unexercised.push(format!("and {more} more"));
        }
        format!(
            "{}: {regressions} in {} no longer exercised: the run passes, but diverges from the recorded one before its \
             failure ({}). Remove the line, or reintroduce the bug and record it again with {REGRESSIONS}=write",
            self.path,
            regressions::file(self.test).display(),
            unexercised.join("; ")
        )
    }

    /// Shrinks a reproducible failure, records and reports it.
    pub(crate) fn report_shrunk(&self, passed: u64, found: FinishedRun) -> String {
        let smallest = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let seed = found.outcome.seed;
        let Some(smallest) = smallest else {
            let token = shrinking::token(self.test, &Overlay::default(), &found.outcome);
            let (replay, note) = self.record(&token, None, &found.outcome);
            let replay = shrinking::can_be_described(&found.outcome).then_some(replay);
            return self.failure_text(&found, passed, Rerun::Same, String::new(), replay, seed)
                + &note;
        };
        let (story, size) = (self.story(&smallest), story::size(&smallest.shrunk.size));
        let ShrunkRun { run, token, .. } = smallest;
        let (replay, note) = self.record(&token, Some(&size), &run.outcome);
        self.failure_text(&run, passed, Rerun::Same, story, Some(replay), seed) + &note
    }

    /// Result of a test with `expect_failure`: passed if a seed fails and shrinks to within the bounds.
    pub(crate) fn evaluate_expect_failure(
        &self,
        result: SweepResult,
        expect: ExpectFailure,
    ) -> TestResult {
        let Some(failing) = result.found else {
            let head = format!(
                "{}: none of {} failed, but `expect_failure` requires a failure: run more seeds, or remove the argument \
                 if the failure is fixed",
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
                "{summary}, but the bounds of `expect_failure` were not checked: the run did not fail again when it was \
                 shrunk"
            );
            let report = self.failure_text(found, passed, Rerun::Same, String::new(), None, seed);
            return failed(head, report);
        };
        let shrunk = &smallest.shrunk;
        let exceeded = expect.exceeded(&shrunk.size);
        if exceeded.is_empty() {
            let (size, runs) = (story::size(&shrunk.size), count(shrunk.runs, "run"));
            return TestResult::Passed(format!("{summary}, shrunk to {size} by {runs}: {message}"));
        }
        let head = format!(
            "{summary}, but its shrunk run exceeds the bounds of `expect_failure`: {}",
            exceeded.join(", ")
        );
        let story = self.story(&smallest);
        let replay = command::replay(self.test, &smallest.token.to_string());
        let report =
            self.failure_text(&smallest.run, passed, Rerun::Same, story, Some(replay), seed);
        failed(head, report)
    }

    /// Formats the report of a failing run. `passed` is the number of seeds that passed before `seed`; `replay` is the
    /// command that repeats the run, if running the seed does not.
    pub(crate) fn failure_text(
        &self,
        run: &FinishedRun,
        passed: u64,
        rerun: Rerun,
        notes: String,
        replay: Option<String>,
        seed: u64,
    ) -> String {
        let report = RunReport {
            test: &self.path,
            outcome: &run.outcome,
            passed,
            rerun,
            notes,
            output: &run.output,
            seed_source: self.seed_source.clone(),
            replay,
            log_lines: config::log_lines(),
            command: command::run_seed(self.test, seed),
        };
        report.text(self.style)
    }

    /// Report of a regression that fails; of its rerun in a fresh process if that reproduces it.
    fn report_regression(&self, token: &Token, first: FinishedRun) -> String {
        let file = regressions::file(self.test);
        let second = self.pool.run_in_fresh_process(replay::job(self.test, token));
        let rerun = Rerun::compare(&first.outcome, &second.outcome);
        let run = match rerun {
            Rerun::Same | Rerun::OtherTrace => second,
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Passed | Rerun::Other(_) => first,
        };
        let report = RunReport {
            test: &self.path,
            outcome: &run.outcome,
            passed: 0,
            rerun,
            notes: story::list(&run.outcome, self.style),
            output: &run.output,
            seed_source: Some(format!("recorded in {}", file.display())),
            replay: Some(command::replay(self.test, &token.to_string())),
            log_lines: config::log_lines(),
            command: command::run_seed(self.test, token.seed),
        };
        report.text(self.style)
    }

    fn story(&self, smallest: &ShrunkRun) -> String {
        let shrunk = &smallest.shrunk;
        let cut_short = match (shrunk.end, self.config.shrink) {
            (StopReason::Minimal, _) => None,
            (StopReason::Time, Shrink::Time(time)) => {
                Some(format!("the {time:?} limit of SIMMACH_SHRINK was reached"))
            }
            (StopReason::Budget | StopReason::Time, _) => {
                Some("the limit of SIMMACH_SHRINK was reached".to_owned())
            }
        };
        let shrinking = Shrinking {
            before: &shrunk.before,
            after: &shrunk.size,
            runs: shrunk.runs,
            cut_short: cut_short.as_deref(),
            repeats: smallest.repeats,
        };
        story::story(&smallest.run.outcome, &shrinking, self.style)
    }

    /// Records a token. Returns the command that replays it, and a note if it could not be recorded.
    fn record(&self, token: &Token, size: Option<&str>, outcome: &Outcome) -> (String, String) {
        let message = summarize(&outcome.verdict);
        let message = message.lines().next().unwrap_or_default();
        let size = size.map(|size| format!("{size}: ")).unwrap_or_default();
        let added = match self.config.regressions {
            Regressions::Write => regressions::add(self.test, token, &format!("{size}{message}")),
            Regressions::Off | Regressions::Read => Ok(None),
        };
        let (file, note) = match added {
            Ok(file) => (file, String::new()),
            Err(error) => {
                let error = error.to_string().replace('\n', "\n    ");
                (
                    None,
                    format!("  The failure could not be recorded as a regression:\n    {error}\n"),
                )
            }
        };
        let text = token.to_string();
        let command = match file {
            // Replaying a file replays its last token, which is this one.
            Some(file) if text.len() > MAX_SHOWN_TOKEN => {
                command::replay(self.test, &format!("@{}", file.display()))
            }
            _ => command::replay(self.test, &text),
        };
        (command, note)
    }
}

/// First line of the failure's message; empty if the run did not fail.
pub(crate) fn first_line(outcome: &Outcome) -> &str {
    let message = outcome.failure().map(|failure| failure.message.as_str());
    message.and_then(|message| message.lines().next()).unwrap_or_default()
}

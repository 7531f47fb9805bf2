//! Reports of failing runs, with shrinking, tokens and regressions.
//!
//! A failing seed is run again, shrunk, recorded in the regressions file and reported. Recorded regressions are run before
//! the sweep.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::command;
use crate::harness::config::{self, REGRESSIONS, Regressions, SeedSelection, Shrink};
use crate::harness::evaluation::replay;
use crate::harness::evaluation::{Evaluation, TestResult, setup_error};
use crate::harness::seeds::regressions;
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
            Err(why) => {
                result.failure = Some(setup_error(self.test, &why, self.style));
                return result;
            }
        };
        let file = regressions::file(self.test);
        let mut unexercised = Vec::new();
        for entry in &entries {
            let keep = Keep { early_checkpoints: true, ..Keep::default() };
            let job = |overlay| Job { test: self.test, seed: entry.seed, overlay, keep };
            let token = entry.token.as_ref();
            let run = token.map(|token| shrinking::run_one(self.pool, job(token.overlay.clone())));
            let fits = |(token, run): &(&Token, FinishedRun)| {
                replay::stale_reason(token, self.test, &run.outcome).is_none()
            };
            match token.zip(run).filter(fits) {
                Some((token, run)) if run.outcome.verdict == Verdict::Passed => {
                    let divergence = replay::divergence(token, &run.outcome);
                    unexercised.extend(
                        divergence.map(|at| format!("seed {} at {}", token.seed, moment(at))),
                    );
                }
                Some((token, first)) => {
                    result.failure = Some(self.report_regression(token, first));
                    return result;
                }
                None => {
                    result.notes.push(format!(
                        "{}: a token in {} is stale; seed {} was run instead: remove the line, or record the failure \
                         again",
                        self.path,
                        file.display(),
                        entry.seed
                    ));
                    let run = shrinking::run_one(self.pool, job(Overlay::default()));
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
            let more = unexercised.len().saturating_sub(MAX_SHOWN_UNEXERCISED);
            let count = count(unexercised.len() as u64, "regression");
            unexercised.truncate(MAX_SHOWN_UNEXERCISED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            result.notes.push(format!(
                "{}: {count} no longer exercised: the run passes, but diverges from the recorded one ({}{more}). Remove the \
                 line from {}, or reintroduce the bug and record it again with {REGRESSIONS}=write",
                self.path,
                unexercised.join("; "),
                file.display()
            ));
        }
        result
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
        let path = &self.path;
        let Some(failing) = result.found else {
            let seeds = count(result.tally.seeds, "seed");
            let head = format!("{path}: expect_failure, but none of {seeds} failed");
            return TestResult::Failed(format!("{}\n", self.style.paint(Ink::Alarm, head)));
        };
        let Some(failure) = failing.outcome.failure().cloned() else {
            return TestResult::Failed(self.report(failing));
        };
        let (passed, seed) = (failing.index, failing.outcome.seed);
        let (found, again) = self.run_again(failing);
        let died = matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung);
        if died || !matches!(again, Rerun::Same) {
            return TestResult::Failed(self.report_again(passed, &found, again));
        }
        let message = failure.message.lines().next().unwrap_or_default();
        let summary = format!("{path}: failed with seed {seed} as expected");
        let smallest = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let Some(smallest) = smallest else {
            if self.config.shrink == Shrink::Off || !expect.has_bounds() {
                return TestResult::Passed(format!("{summary}, not shrunk: {message}"));
            }
            let head = format!(
                "{summary}, but its bounds were not checked: the run did not fail again when it was shrunk"
            );
            let report = self.failure_text(&found, passed, Rerun::Same, String::new(), None, seed);
            return TestResult::Failed(format!(
                "{}\n\n{report}",
                self.style.paint(Ink::Alarm, head)
            ));
        };
        let shrunk = &smallest.shrunk;
        let over = expect.exceeded(&shrunk.size);
        if over.is_empty() {
            let (size, runs) = (story::size(&shrunk.size), count(shrunk.runs, "run"));
            return TestResult::Passed(format!("{summary}, shrunk to {size} by {runs}: {message}"));
        }
        let head = format!("{path}: expect_failure({})", over.join("; "));
        let story = self.story(&smallest);
        let replay = command::replay(self.test, &smallest.token.to_string());
        let report =
            self.failure_text(&smallest.run, passed, Rerun::Same, story, Some(replay), seed);
        TestResult::Failed(format!("{}\n\n{report}", self.style.paint(Ink::Alarm, head)))
    }

    pub(crate) fn failure_text(
        &self,
        run: &FinishedRun,
        passed: u64,
        again: Rerun,
        doubt: String,
        replay: Option<String>,
        seed: u64,
    ) -> String {
        let report = RunReport {
            test: &self.path,
            outcome: &run.outcome,
            passed,
            rerun: again,
            notes: doubt,
            output: &run.output,
            which: self.which.clone(),
            replay,
            log_lines: config::log_lines(),
            command: command::run_seed(self.test, seed),
        };
        report.text(self.style)
    }

    /// Report of a regression that fails again; of its second run in a fresh process if that repeats it.
    fn report_regression(&self, token: &Token, first: FinishedRun) -> String {
        let file = regressions::file(self.test);
        let second = self.pool.run_in_fresh_process(replay::job(self.test, token));
        let again = Rerun::compare(&first.outcome, &second.outcome);
        let run = match again {
            Rerun::Same | Rerun::OtherTrace => second,
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Passed | Rerun::Other(_) => first,
        };
        let report = RunReport {
            test: &self.path,
            outcome: &run.outcome,
            passed: 0,
            rerun: again,
            notes: story::list(&run.outcome, self.style),
            output: &run.output,
            which: Some(format!("recorded in {}", file.display())),
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
            Err(why) => {
                let why = why.replace('\n', "\n    ");
                (None, format!("  The failure could not be recorded as a regression:\n    {why}\n"))
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

//! Runs the recorded regressions of a test, before its sweep.

use crate::engine::failure::verdict::Verdict;
use crate::harness::command;
use crate::harness::config::{self, REGRESSIONS, Regressions, SeedSelection};
use crate::harness::evaluation::replay;
use crate::harness::evaluation::{Evaluation, setup_error};
use crate::harness::seeds::regressions::{self, RegressionEntry};
use crate::harness::seeds::shrinking;
use crate::harness::workers::job::{FinishedRun, Job};
use crate::outcome::Keep;
use crate::report::console::{Rerun, RunReport};
use crate::report::numbers::{count, moment};
use crate::report::story;
use crate::shrink::token::Token;

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

/// A recorded run that no longer tests its bug.
struct UnexercisedRun {
    /// The line of the token in the file.
    line: usize,
    seed: u64,
    /// Virtual time at which the run diverged from the recorded run, in nanoseconds.
    at: u64,
}

/// Result of one recorded regression.
enum RegressionRun {
    Passed,
    /// The run passed, but diverged from the recorded run before the recorded run failed. The
    /// number is the virtual time of the divergence, in nanoseconds.
    Unexercised(u64),
    /// It failed. Contains its report.
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
                    unexercised.push(UnexercisedRun { line, seed, at });
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
            let count = count(entries.len() as u64, "recorded failure");
            result.notes.push(format!("{}: ran {count} before the seeds", self.path));
        }
        if !unexercised.is_empty() {
            result.notes.push(self.unexercised_note(&unexercised));
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

    fn unexercised_note(&self, unexercised: &[UnexercisedRun]) -> String {
        let (path, file) = (&self.path, regressions::file(self.test));
        let file = file.display();
        if let [UnexercisedRun { line, seed, at }] = unexercised {
            return format!(
                "{path}: {file}, line {line} (seed {seed}): this recorded run no longer tests its bug: it passes, but took \
                 a different path at {}, before the recorded failure. Remove the line, or reintroduce the bug and record it \
                 again with {REGRESSIONS}=write",
                moment(*at)
            );
        }
        let shown = unexercised.iter().take(MAX_SHOWN_UNEXERCISED);
        let mut shown: Vec<String> = shown
            .map(|run| format!("line {}, seed {}, at {}", run.line, run.seed, moment(run.at)))
            .collect();
        let more = unexercised.len() - shown.len();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        format!(
            "{path}: {file}: {} no longer test their bugs: they pass, but took different paths before the recorded failures \
             ({}). Remove the lines, or reintroduce the bugs and record them again with {REGRESSIONS}=write",
            count(unexercised.len() as u64, "recorded run"),
            shown.join("; ")
        )
    }

    /// Returns the report of a regression that fails, or of its rerun in a fresh process if the failure is reproduced there.
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
}

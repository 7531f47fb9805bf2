//! Reports of failing runs. A failing seed is rerun in a fresh process, shrunk, and recorded in the
//! regressions file.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::command;
use crate::harness::config::{self, Regressions, Shrink};
use crate::harness::evaluation::{Evaluation, kept_disks};
use crate::harness::seeds::diagnosis::diagnose;
use crate::harness::seeds::linked;
use crate::harness::seeds::regressions;
use crate::harness::seeds::shrinking::{self, ShrunkRun};
use crate::harness::workers::job::{FinishedRun, Job};
use crate::outcome::Outcome;
use crate::report::console::{Rerun, RunReport, summarize};
use crate::report::difference::{difference, likely_cause};
use crate::report::story::{self, Shrinking};
use crate::shrink::token::Token;
use crate::shrink::{ActsAlone, StopReason};

/// Maximum length of a token in a report, in bytes; a longer token is replaced by the name of its
/// file.
const MAX_SHOWN_TOKEN: usize = 200;

impl Evaluation<'_> {
    /// Repeats a failing run with its log in a fresh process, and reports it.
    pub(crate) fn report(&self, failing: FinishedRun) -> String {
        let index = failing.index;
        match self.rerun(failing) {
            (run, Rerun::Same) => self.report_shrunk(index, run),
            (run, rerun) => self.report_unshrunk(index, &run, rerun),
        }
    }

    /// Reports a failing run that is not shrunk. If the failure was not reproduced, the report says
    /// why two runs of its seed differ.
    pub(crate) fn report_unshrunk(&self, passed: u64, run: &FinishedRun, rerun: Rerun) -> String {
        let notes = match rerun {
            Rerun::OtherTrace | Rerun::Passed | Rerun::Other(_) => {
                self.explain_difference(run.outcome.seed)
            }
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Same => String::new(),
        };
        self.failure_text(run, passed, rerun, notes, None, &Overlay::default())
    }

    /// Repeats the run in a fresh process. Returns the run to report, and how the second run compares to the first.
    pub(crate) fn rerun(&self, failing: FinishedRun) -> (FinishedRun, Rerun) {
        // A second run of a broken run would show nothing new.
        if matches!(failing.outcome.verdict, Verdict::Broken(_)) {
            return (failing, Rerun::NotTried);
        }
        let second = self.pool.run_in_fresh_process(self.job(failing.outcome.seed));
        match Rerun::compare(&failing.outcome, &second.outcome) {
            rerun @ (Rerun::Same | Rerun::OtherTrace) => (second, rerun),
            rerun => (failing, rerun),
        }
    }

    /// Describes how two runs of a seed differ, and the likely cause.
    fn explain_difference(&self, seed: u64) -> String {
        let other = self.seeds.clone().find(|other| *other != seed);
        let diagnosis = diagnose(self.pool, self.test, seed, &Overlay::default(), other);
        let mut text = String::new();
        let mut cause = diagnosis.cause;
        if let Some([one, two]) = &diagnosis.versions {
            text = difference((&one.0, one.1), (&two.0, two.1));
            cause = cause.refine(&one.0, &two.0);
        }
        text.push_str(&likely_cause(cause, &linked::libraries(), self.style));
        text
    }

    /// Shrinks a reproducible failure, records and reports it.
    pub(crate) fn report_shrunk(&self, passed: u64, found: FinishedRun) -> String {
        let smallest = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let Some(smallest) = smallest else {
            let token = shrinking::token(self.test, &Overlay::default(), &found.outcome);
            let (replay, note) = self.record(&token, None, &found.outcome);
            let replay = shrinking::can_be_described(&found.outcome).then_some(replay);
            let overlay = Overlay::default();
            return self.failure_text(&found, passed, Rerun::Same, String::new(), replay, &overlay)
                + &note;
        };
        let (story, size) = (self.story(&smallest), story::size(&smallest.shrunk.size));
        let ShrunkRun { run, token, shrunk, .. } = smallest;
        let (replay, note) = self.record(&token, Some(&size), &run.outcome);
        self.failure_text(&run, passed, Rerun::Same, story, Some(replay), &shrunk.overlay) + &note
    }

    /// Formats the report of a failing run. `passed` is the number of seeds that passed before its seed; `replay` is the
    /// command that repeats the run, if running the seed does not; `overlay` is that of the run.
    pub(crate) fn failure_text(
        &self,
        run: &FinishedRun,
        passed: u64,
        rerun: Rerun,
        notes: String,
        replay: Option<String>,
        overlay: &Overlay,
    ) -> String {
        let seed = run.outcome.seed;
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
        report.text(self.style) + &self.keep_disks(run, overlay)
    }

    /// Writes the disks of a failed run to a folder, if that is requested. Returns lines for the report.
    fn keep_disks(&self, run: &FinishedRun, overlay: &Overlay) -> String {
        match (&self.config.kept_disks, &run.outcome.verdict) {
            (Some(root), Verdict::Failed(_)) => {
                let job = Job { overlay: overlay.clone(), ..self.job(run.outcome.seed) };
                kept_disks::keep(self.pool, root, job)
            }
            (_, Verdict::Failed(_) | Verdict::Passed | Verdict::Broken(_)) => String::new(),
        }
    }

    pub(crate) fn story(&self, smallest: &ShrunkRun) -> String {
        let shrunk = &smallest.shrunk;
        let cut_short = match (shrunk.end, self.config.shrink) {
            (StopReason::Minimal, _) => None,
            (StopReason::Time, Shrink::Time(time)) => {
                Some(format!("shrinking ended at the limit of {time:?} in SIMMACH_SHRINK"))
            }
            (StopReason::Time, Shrink::Usual) => Some(
                "shrinking ended at its default time limit; set SIMMACH_SHRINK to a longer time, such as `10m`"
                    .to_owned(),
            ),
            (StopReason::Budget | StopReason::Time, _) => {
                Some("shrinking ended at the limit in SIMMACH_SHRINK".to_owned())
            }
        };
        let shrinking = Shrinking {
            before: &shrunk.before,
            after: &shrunk.size,
            runs: shrunk.runs,
            cut_short: cut_short.as_deref(),
            needs_plans: shrunk.acts == ActsAlone::Pass,
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
            // Replaying a file replays its last token, which is the token just added.
            Some(file) if text.len() > MAX_SHOWN_TOKEN => {
                command::replay(self.test, &format!("@{}", file.display()))
            }
            _ => command::replay(self.test, &text),
        };
        (command, note)
    }
}

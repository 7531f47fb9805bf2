//! What becomes of a seed that failed: it is made again, made smaller, written down and reported; and what failed before is
//! tried first.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::harness::command;
use crate::harness::config::{self, Choice, REGRESSIONS, Regressions, Shrink};
use crate::harness::seeds::regressions;
use crate::harness::seeds::shrinking::{self, Minimal};
use crate::harness::seeds::sweep::Swept;
use crate::harness::verdict::judgement::{Judgement, unfit};
use crate::harness::verdict::replay;
use crate::harness::verdict::trial::Trial;
use crate::harness::workers::job::{Job, Ran};
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Rerun, RunReport, summarize};
use crate::report::numbers::{count, moment};
use crate::report::story::{self, Shrinking};
use crate::report::style::Ink;
use crate::shrink::End;
use crate::shrink::token::Token;
use crate::spec::ExpectFailure;

/// A longer token is shown by the file that it is in.
const LONGEST_SHOWN: usize = 200;
/// Regressions that are no longer exercised are named up to this number.
const IDLE_SHOWN: usize = 5;

/// What trying the regressions came to.
#[derive(Default)]
pub(crate) struct Before {
    /// One fails again: its report.
    pub(crate) red: Option<String>,
    /// What a green line has above it.
    pub(crate) notes: Vec<String>,
}

impl Trial<'_> {
    /// Tries what failed before, unless other seeds are asked for.
    pub(crate) fn try_regressions(&self) -> Before {
        let mut before = Before::default();
        let asked = matches!(self.config.choice, Choice::One(_) | Choice::Range { .. });
        if asked || self.config.regressions == Regressions::Off {
            return before;
        }
        let entries = match regressions::read(self.test) {
            Ok(entries) => entries,
            Err(why) => {
                before.red = Some(unfit(self.test, &why, self.style));
                return before;
            }
        };
        let file = regressions::file(self.test);
        let mut idle = Vec::new();
        for entry in &entries {
            let keep = Keep { early_checkpoints: true, ..Keep::default() };
            let job = |overlay| Job { test: self.test, seed: entry.seed, overlay, keep };
            let token = entry.token.as_ref();
            let ran = token.map(|token| shrinking::one(self.pool, job(token.overlay.clone())));
            let fits = |(token, ran): &(&Token, Ran)| {
                replay::misfit(token, self.test, &ran.outcome).is_none()
            };
            match token.zip(ran).filter(fits) {
                Some((token, ran)) if ran.outcome.verdict == Verdict::Passed => {
                    let departure = replay::departure(token, &ran.outcome);
                    idle.extend(departure.map(|at| format!("seed {}, {}", token.seed, moment(at))));
                }
                Some((token, first)) => {
                    before.red = Some(self.report_token(token, first));
                    return before;
                }
                None => {
                    before.notes.push(format!(
                        "{}: a token in {} is stale; its seed {} is run instead: remove the line, or replace it by one \
                         that is recorded anew",
                        self.path,
                        file.display(),
                        entry.seed
                    ));
                    let ran = shrinking::one(self.pool, job(Overlay::default()));
                    if ran.outcome.verdict != Verdict::Passed {
                        before.red = Some(self.report(ran));
                        return before;
                    }
                }
            }
        }
        if !entries.is_empty() {
            let count = count(entries.len() as u64, "regression");
            before.notes.push(format!("{}: {count} tried first", self.path));
        }
        if !idle.is_empty() {
            let more = idle.len().saturating_sub(IDLE_SHOWN);
            let count = count(idle.len() as u64, "regression");
            idle.truncate(IDLE_SHOWN);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            before.notes.push(format!(
                "{}: {count} no longer exercised: the run passes, but parts from the recorded one ({}{more}). Remove the \
                 line from {}, or, to keep the case, put the bug back and record it anew with {REGRESSIONS}=write",
                self.path,
                idle.join("; "),
                file.display()
            ));
        }
        before
    }

    /// Makes a run that repeats smaller, writes it down and reports it.
    pub(crate) fn report_smaller(&self, passed: u64, found: Ran) -> String {
        let minimal = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let seed = found.outcome.seed;
        let Some(minimal) = minimal else {
            let token = shrinking::token(self.test, &Overlay::default(), &found.outcome);
            let (replay, note) = self.keep(&token, None, &found.outcome);
            let replay = shrinking::is_told(&found.outcome).then_some(replay);
            return self.red(&found, passed, Rerun::Same, String::new(), replay, seed) + &note;
        };
        let (story, size) = (self.story(&minimal), story::size(&minimal.shrunk.size));
        let Minimal { ran, token, .. } = minimal;
        let (replay, note) = self.keep(&token, Some(&size), &ran.outcome);
        self.red(&ran, passed, Rerun::Same, story, Some(replay), seed) + &note
    }

    /// A test that is to fail: it passes when it does, and shrinks to no more than is said.
    pub(crate) fn judge_expect_failure(&self, swept: Swept, expect: ExpectFailure) -> Judgement {
        let path = &self.path;
        let Some(find) = swept.find else {
            let seeds = count(swept.tally.seeds, "seed");
            let head = format!("{path}: expect_failure, but none of {seeds} failed");
            return Judgement::Red(format!("{}\n", self.style.paint(Ink::Alarm, head)));
        };
        let Some(failure) = find.outcome.failure().cloned() else {
            return Judgement::Red(self.report(find));
        };
        let (passed, seed) = (find.index, find.outcome.seed);
        let (found, again) = self.again(find);
        let died = matches!(failure.kind, FailureKind::Crashed | FailureKind::Hung);
        if died || !matches!(again, Rerun::Same) {
            return Judgement::Red(self.report_again(passed, &found, again));
        }
        let said = failure.message.lines().next().unwrap_or_default();
        let green = format!("{path}: failed with seed {seed} as it should");
        let minimal = shrinking::shrink(self.pool, self.config, self.test, &found.outcome);
        let Some(minimal) = minimal else {
            if self.config.shrink == Shrink::Off || !expect.has_bounds() {
                return Judgement::Green(format!("{green}, not shrunk: {said}"));
            }
            let head = format!(
                "{green}, but its bounds were not looked at: made to be shrunk, the run did not fail"
            );
            let red = self.red(&found, passed, Rerun::Same, String::new(), None, seed);
            return Judgement::Red(format!("{}\n\n{red}", self.style.paint(Ink::Alarm, head)));
        };
        let shrunk = &minimal.shrunk;
        let over = expect.exceeded(&shrunk.size);
        if over.is_empty() {
            let (size, runs) = (story::size(&shrunk.size), count(shrunk.runs, "run"));
            return Judgement::Green(format!("{green}, shrunk to {size} by {runs}: {said}"));
        }
        let head = format!("{path}: expect_failure({})", over.join("; "));
        let story = self.story(&minimal);
        let replay = command::replay(self.test, &minimal.token.to_string());
        let red = self.red(&minimal.ran, passed, Rerun::Same, story, Some(replay), seed);
        Judgement::Red(format!("{}\n\n{red}", self.style.paint(Ink::Alarm, head)))
    }

    pub(crate) fn red(
        &self,
        ran: &Ran,
        passed: u64,
        again: Rerun,
        doubt: String,
        replay: Option<String>,
        seed: u64,
    ) -> String {
        let red = RunReport {
            test: &self.path,
            outcome: &ran.outcome,
            passed,
            rerun: again,
            notes: doubt,
            output: &ran.output,
            which: self.which.clone(),
            replay,
            log_lines: config::log_lines(),
            command: command::again(self.test, seed),
        };
        red.text(self.style)
    }

    /// A run that failed before and does again; if a fresh process repeats it, as that made it.
    fn report_token(&self, token: &Token, first: Ran) -> String {
        let file = regressions::file(self.test);
        let second = self.pool.run_alone(replay::job(self.test, token));
        let again = Rerun::compare(&first.outcome, &second.outcome);
        let ran = match again {
            Rerun::Same | Rerun::OtherTrace => second,
            Rerun::NotTried | Rerun::Broken(_) | Rerun::Passed | Rerun::Other(_) => first,
        };
        let red = RunReport {
            test: &self.path,
            outcome: &ran.outcome,
            passed: 0,
            rerun: again,
            notes: story::list(&ran.outcome, self.style),
            output: &ran.output,
            which: Some(format!("it failed before, says {}", file.display())),
            replay: Some(command::replay(self.test, &token.to_string())),
            log_lines: config::log_lines(),
            command: command::again(self.test, token.seed),
        };
        red.text(self.style)
    }

    fn story(&self, minimal: &Minimal) -> String {
        let shrunk = &minimal.shrunk;
        let cut_short = match (shrunk.end, self.config.shrink) {
            (End::Minimal, _) => None,
            (End::Time, Shrink::Time(time)) => {
                Some(format!("the {time:?} of SIMMACH_SHRINK were used up"))
            }
            (End::Budget | End::Time, _) => Some("all of SIMMACH_SHRINK were used up".to_owned()),
        };
        let shrinking = Shrinking {
            before: &shrunk.before,
            after: &shrunk.size,
            runs: shrunk.runs,
            cut_short: cut_short.as_deref(),
            repeats: minimal.repeats,
        };
        story::story(&minimal.ran.outcome, &shrinking, self.style)
    }

    /// Writes a token down; the command that makes its run again, and a note if it could not be written.
    fn keep(&self, token: &Token, size: Option<&str>, outcome: &Outcome) -> (String, String) {
        let words = summarize(&outcome.verdict);
        let words = words.lines().next().unwrap_or_default();
        let size = size.map(|size| format!("{size}: ")).unwrap_or_default();
        let added = match self.config.regressions {
            Regressions::Write => regressions::add(self.test, token, &format!("{size}{words}")),
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
            // A file's last token is its token.
            Some(file) if text.len() > LONGEST_SHOWN => {
                command::replay(self.test, &format!("@{}", file.display()))
            }
            _ => command::replay(self.test, &text),
        };
        (command, note)
    }
}

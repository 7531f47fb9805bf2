//! Replays a token, and compares the run with the failure that the token was made from.

use std::path::PathBuf;
use std::{fs, io};

use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::Verdict;
use crate::engine::record::deviations::RecordLevel;
use crate::engine::record::trace::{Checkpoint, stride};
use crate::harness::config::{self, Config, REPLAY};
use crate::harness::evaluation::capture::{CaptureError, PacketFile};
use crate::harness::evaluation::{TestResult, kept_disks};
use crate::harness::seeds::regressions::{self, LineError, LineMistake};
use crate::harness::seeds::shrinking;
use crate::harness::workers::job::{FinishedRun, Job};
use crate::harness::workers::pool::Pool;
use crate::harness::{command, registry};
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Rerun, RunReport};
use crate::report::numbers::{moment, span};
use crate::report::story;
use crate::report::style::Style;
use crate::shrink::token::{Token, TokenError, TraceSummary, short_hash, test_hash};
use crate::spec::SimTest;

/// How a replayed run compares with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReplayResult {
    /// The same failure and the same trace.
    Identical,
    /// The same failure, but a different trace. Contains the range of virtual time in which the traces diverge.
    OtherTrace(String),
    /// The run passes.
    Passes,
    /// A different failure, or a broken run.
    OtherFailure,
}

/// Why a token cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The text is not a token.
    #[error(
        "{REPLAY}={given}: {error}; copy the whole token from the report, or run the seed that the report names"
    )]
    Token { given: String, error: TokenError },
    /// The file of `@file` cannot be read.
    #[error("{REPLAY}=@{}: the file cannot be read: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    /// The file has no token.
    #[error("{REPLAY}=@{}: the file contains no token; tokens start with `sm2.`", file.display())]
    NoToken { file: PathBuf },
    /// The last token of the file is invalid.
    #[error("{REPLAY}: {0}; restore the line from version control, or remove it")]
    Line(#[from] LineError),
    /// No test of this binary has this token.
    #[error(
        "the test of the token in {REPLAY} is not in this binary: the test was renamed or moved, or is in another \
         package or target. Run the seed that the report names, and use the token of the new report"
    )]
    UnknownTest,
    /// The token no longer fits its test.
    #[error("the token is stale: {why}. Run the seed of the token instead:\n  {command}")]
    Stale { why: StaleReason, command: String },
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// Why a token is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StaleReason {
    #[error("the token belongs to a different test")]
    OtherTest,
    #[error(
        "the test's machines, links or limits have changed since the token was made, or the settings of its plans, if the \
         token runs the plans"
    )]
    Shape,
    #[error(
        "the test's steps, or the ranges of its choices, have changed since the token was made"
    )]
    Steps,
}

/// Replays a token or token file, if it belongs to this test. An error says why it cannot be replayed.
pub(crate) fn replay(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    given: &str,
    style: Style,
) -> Result<TestResult, ReplayError> {
    let token = read(given)?;
    if token.test != test_hash(&test.key()) {
        let owner = registry::all().iter().find(|other| test_hash(&other.key()) == token.test);
        let Some(owner) = owner else {
            return Err(ReplayError::UnknownTest);
        };
        return Ok(TestResult::Passed(format!(
            "{}: skipped because {REPLAY} is a token of {}",
            test.path(),
            owner.path()
        )));
    }
    let capture = config.pcap.as_deref().map(|path| PacketFile::open(path, test));
    let capture = capture.transpose()?;
    let run = shrinking::run_one(pool, job(test, &token));
    if let Some(why) = stale_reason(&token, test, &run.outcome) {
        return Err(ReplayError::Stale { why, command: command::run_seed(test, token.seed) });
    }
    let mut result = evaluate(test, given, &token, &run, style);
    if let (Some(root), TestResult::Failed(text)) = (&config.kept_disks, &mut result)
        && run.outcome.failure().is_some()
    {
        text.push_str(&kept_disks::keep(pool, root, job(test, &token)));
    }
    Ok(match capture {
        Some(capture) => capture.add_to(result, pool, job(test, &token)),
        None => result,
    })
}

/// Test result for the run of a token.
fn evaluate(
    test: &'static SimTest,
    given: &str,
    token: &Token,
    run: &FinishedRun,
    style: Style,
) -> TestResult {
    let outcome = &run.outcome;
    let note = match compare(token, outcome) {
        ReplayResult::Passes => {
            return TestResult::Passed(format!(
                "{}: passes now: the run of the token (seed {}) no longer fails; the run ended after {} of virtual time",
                test.path(),
                token.seed,
                span(outcome.virtual_nanos.into())
            ));
        }
        ReplayResult::Identical => "Reproduced exactly.".to_owned(),
        ReplayResult::OtherTrace(range) => format!(
            "Reproduced, but the trace differs {range}: the program or simmach has changed since the token was made."
        ),
        ReplayResult::OtherFailure => {
            "Failed in a different way than the run of the token: the program or simmach has changed since the \
             token was made."
                .to_owned()
        }
    };
    let report = RunReport {
        test: &test.path(),
        outcome,
        passed: 0,
        rerun: Rerun::Same,
        notes: format!("  {note}\n\n{}", story::list(outcome, style)),
        output: &run.output,
        seed_source: Some("from its token".to_owned()),
        replay: Some(command::replay(test, given)),
        log_lines: config::log_lines(),
        command: command::run_seed(test, token.seed),
    };
    TestResult::Failed(report.text(style))
}

/// Returns the job for a token, with a log.
pub(crate) fn job(test: &'static SimTest, token: &Token) -> Job {
    let keep = Keep { log: true, deviations: RecordLevel::All, ..Keep::default() };
    Job { test, seed: token.seed, overlay: token.overlay.clone(), keep }
}

/// Returns why a token does not fit the test of this run; `None` if it may fit.
pub(crate) fn stale_reason(
    token: &Token,
    test: &SimTest,
    outcome: &Outcome,
) -> Option<StaleReason> {
    if token.test != test_hash(&test.key()) {
        return Some(StaleReason::OtherTest);
    }
    // Broken runs have no shape. Neither do tokens of runs that hung or ended their process.
    if outcome.shape != 0 && token.shape != 0 && outcome.shape as u32 != token.shape {
        return Some(StaleReason::Shape);
    }
    let is_like = |sequence: &StepSequence| {
        let mut same = outcome.sequences.iter().filter(|other| other.id == sequence.id).peekable();
        match same.peek() {
            Some(_) => same.any(|other| sequence.is_like(other)),
            // A run that passes has begun all of its step sequences. A run that fails may have ended before.
            None => outcome.verdict != Verdict::Passed,
        }
    };
    (outcome.shape != 0 && !token.sequences.iter().all(is_like)).then_some(StaleReason::Steps)
}

/// Parses a token, or reads the last token of a file.
fn read(given: &str) -> Result<Token, ReplayError> {
    let Some(file) = given.strip_prefix('@').map(PathBuf::from) else {
        return given.parse().map_err(|error| ReplayError::Token { given: shorten(given), error });
    };
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) => return Err(ReplayError::Unreadable { file, error }),
    };
    // A regressions file may contain several tokens; the last one is used.
    match regressions::last_token(&file, &bytes)? {
        None => Err(ReplayError::NoToken { file }),
        Some((number, word)) => word.parse().map_err(|error| {
            let mistake = LineMistake::Token(error);
            ReplayError::Line(LineError { file, number, mistake })
        }),
    }
}

/// Returns the virtual time at which a passing run diverges from the run that its token was made from. A run that diverges
/// says nothing about the failure. `None` if both runs are the same up to the failure, as far as is known.
///
/// Only the first three quarters of the events count, since a failing run unwinds at its end, while a passing run goes on.
pub(crate) fn divergence(token: &Token, outcome: &Outcome) -> Option<u64> {
    let trace = &token.trace;
    let stride = stride(trace.events);
    let end = trace.events.saturating_mul(3) / 4;
    let mut last = 0;
    for (nth, hash) in (1..).zip(&trace.checkpoints) {
        let count = nth * stride;
        if count > end {
            break;
        }
        if count > outcome.trace_events {
            return Some(outcome.virtual_nanos);
        }
        let Some(checkpoint) = checkpoint_after(outcome, count) else { continue };
        if checkpoint.hash as u8 != *hash {
            return Some(last);
        }
        last = checkpoint.at;
    }
    None
}

/// The checkpoint after `count` events, if there is one.
fn checkpoint_after(outcome: &Outcome, count: u64) -> Option<&Checkpoint> {
    let stride = stride(outcome.trace_events);
    let even =
        count.is_multiple_of(stride).then(|| outcome.checkpoints.get(to_index(count / stride)?));
    let early = || {
        let is_early = count.is_power_of_two();
        is_early.then(|| outcome.early_checkpoints.get(usize::try_from(count.ilog2()).ok()?))
    };
    even.flatten().or_else(|| early().flatten())
}

fn to_index(nth: u64) -> Option<usize> {
    usize::try_from(nth).ok()?.checked_sub(1)
}

/// Compares an outcome with its token.
fn compare(token: &Token, outcome: &Outcome) -> ReplayResult {
    let same = match &outcome.verdict {
        Verdict::Passed => return ReplayResult::Passes,
        Verdict::Broken(_) => false,
        // The source location may have been unknown when the token was made.
        Verdict::Failed(failure) => {
            [failure.fingerprint(), failure.without_location().fingerprint()]
                .iter()
                .any(|fingerprint| short_hash(fingerprint) == token.failure)
        }
    };
    match same {
        false => ReplayResult::OtherFailure,
        true if token.trace.events == 0 => ReplayResult::Identical,
        true => match difference(&token.trace, outcome) {
            None => ReplayResult::Identical,
            Some(range) => ReplayResult::OtherTrace(range),
        },
    }
}

/// The range of virtual time in which the traces diverge; `None` if they are the same.
fn difference(trace: &TraceSummary, outcome: &Outcome) -> Option<String> {
    if (trace.events, trace.hash) == (outcome.trace_events, outcome.trace_hash as u32) {
        return None;
    }
    // Checkpoints of a longer trace are further apart.
    let (theirs, own) = (stride(trace.events), stride(outcome.trace_events));
    let common = theirs.max(own);
    let at = |stride: u64, nth: u64| usize::try_from(nth * common / stride).ok()?.checked_sub(1);
    let mut last = 0;
    for nth in 1.. {
        let (Some(their), Some(own)) = (
            at(theirs, nth).and_then(|at| trace.checkpoints.get(at)),
            at(own, nth).and_then(|at| outcome.checkpoints.get(at)),
        ) else {
            break;
        };
        if *their != own.hash as u8 {
            return Some(format!("between {} and {}", moment(last), moment(own.at)));
        }
        last = own.at;
    }
    Some(format!("after {}", moment(last)))
}

/// Shortens a long text.
fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    match text.chars().count() {
        count if count <= MOST => text.to_owned(),
        _ => format!("{}…", text.chars().take(MOST).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draws::overlay::Overlay;
    use crate::engine::failure::verdict::{Failure, FailureKind};

    fn outcome(message: &str, checkpoints: &[u64], events: u64) -> Outcome {
        let failure = Failure::new(FailureKind::Panic, message);
        let mut outcome = Outcome::without_a_run(3, Verdict::Failed(failure));
        outcome.trace_events = events;
        outcome.trace_hash = checkpoints.iter().sum();
        outcome.checkpoints = (1..)
            .zip(checkpoints)
            .map(|(at, hash)| Checkpoint { at: at * 1_000_000_000, hash: *hash })
            .collect();
        outcome
    }

    fn token(outcome: &Outcome) -> Token {
        let test = crate::harness::testing::named("krate", "a");
        shrinking::token(test, &Overlay::calm(), outcome)
    }

    #[test]
    fn replay_is_compared_with_its_token() {
        let found = outcome("boom 1", &[1, 2, 3, 4, 5], 5);
        let token = token(&found);
        assert_eq!(compare(&token, &found), ReplayResult::Identical);
        // Numbers in the message do not distinguish failures.
        let differs = |text: &str| ReplayResult::OtherTrace(text.to_owned());
        let late = outcome("boom 2", &[1, 2, 9, 9, 9], 5);
        assert_eq!(compare(&token, &late), differs("between 2.000 s and 3.000 s"));
        let longer = outcome("boom 1", &[1, 2, 3, 4, 5, 6], 6);
        assert_eq!(compare(&token, &longer), differs("after 5.000 s"));
        // Sixteen events have a checkpoint at every fourth.
        let twice = outcome("boom 1", &[4, 7, 7, 7], 16);
        assert_eq!(compare(&token, &twice), differs("after 1.000 s"));
        let passes = Outcome::without_a_run(3, Verdict::Passed);
        assert_eq!(compare(&token, &passes), ReplayResult::Passes);
        assert_eq!(
            compare(&token, &outcome("bang", &[1, 2, 3, 4, 5], 5)),
            ReplayResult::OtherFailure
        );
        let broken = Outcome::without_a_run(3, Verdict::Broken("no disk".to_owned()));
        assert_eq!(
            compare(&token, &broken),
            ReplayResult::OtherFailure,
            "neither a pass nor the failure"
        );
    }

    /// A passing run is the same up to the failure, or diverges: at its start, later, or because it ends sooner.
    #[test]
    fn divergence_of_a_passing_run_has_a_time() {
        let found = outcome("boom", &[1, 2, 3, 4, 5, 6, 7], 7);
        let token = token(&found);
        let passes = |checkpoints: &[u64], events| {
            let passed = Outcome { verdict: Verdict::Passed, ..outcome("", checkpoints, events) };
            divergence(&token, &passed)
        };
        let secs = |secs: u64| Some(secs * 1_000_000_000);
        assert_eq!(passes(&[1, 2, 3, 4, 5, 6, 7], 7), None);
        assert_eq!(passes(&[1, 2, 3, 4, 5, 9, 9], 7), None, "it passes instead of failing");
        assert_eq!(passes(&[9, 9, 9, 9, 9, 9, 9], 7), Some(0));
        assert_eq!(passes(&[1, 2, 3, 9, 9, 9, 9], 7), secs(3));
        // Twice as long: every other event has a checkpoint.
        assert_eq!(passes(&[2, 4, 6, 7], 14), None);
        assert_eq!(passes(&[2, 9, 9, 9], 14), secs(1));
        let short = Outcome { virtual_nanos: 5, ..Outcome::without_a_run(3, Verdict::Passed) };
        assert_eq!(divergence(&token, &short), Some(5));
        let unknown = Token { trace: TraceSummary::default(), ..token.clone() };
        assert_eq!(divergence(&unknown, &short), None);
    }

    /// Early checkpoints find it even if the passing run is much longer than the failing one.
    #[test]
    fn divergence_of_a_long_run_is_found_by_early_checkpoints() {
        let token = token(&outcome("boom", &[1, 2, 3, 4, 5, 6, 7], 7));
        let long = |early: &[u64]| {
            let mut long = Outcome { verdict: Verdict::Passed, ..outcome("", &[], 1 << 20) };
            long.early_checkpoints = outcome("", early, 0).checkpoints;
            divergence(&token, &long)
        };
        assert_eq!(long(&[1, 2, 4, 9, 9]), None);
        assert_eq!(long(&[1, 2, 9, 9, 9]), Some(2_000_000_000));
        assert_eq!(long(&[9]), Some(0));
    }

    /// A run that hung or ended its process has no shape: it is another failure, and makes no token stale. Nor is the token
    /// of such a run made stale by a run that has a shape.
    #[test]
    fn stale_token_needs_a_run_with_a_shape() {
        let test = crate::harness::testing::named("krate", "a");
        let shaped = |shape| Outcome { shape, ..outcome("boom", &[1], 1) };
        let died = |kind| Outcome::without_a_run(3, Verdict::Failed(Failure::new(kind, "it died")));
        let token_of = |outcome: &Outcome| token(outcome);
        let found = token_of(&shaped(9));
        assert!(stale_reason(&found, test, &shaped(8)).is_some(), "another cluster");
        for kind in [FailureKind::Hung, FailureKind::Crashed] {
            let gone = died(kind);
            assert_eq!(stale_reason(&found, test, &gone), None);
            assert_eq!(compare(&found, &gone), ReplayResult::OtherFailure);
            let of_it = token_of(&gone);
            assert_eq!(stale_reason(&of_it, test, &shaped(9)), None);
            assert_eq!(compare(&of_it, &shaped(9)), ReplayResult::OtherFailure);
            assert_eq!(
                (stale_reason(&of_it, test, &gone), compare(&of_it, &gone)),
                (None, ReplayResult::Identical)
            );
        }
    }

    /// Changed steps make a token stale; steps that were not reached, or choose from a varying number, do not.
    #[test]
    fn stale_token_has_other_steps() {
        let test = crate::harness::testing::named("krate", "a");
        let sequence =
            |steps, choices: &[u64]| StepSequence { id: 7, steps, choices: choices.to_vec() };
        let of = |sequences: &[StepSequence], verdict: Verdict| {
            let mut outcome = Outcome { verdict, ..outcome("boom", &[1], 1) };
            (outcome.shape, outcome.sequences) = (9, sequences.to_vec());
            outcome
        };
        let failed = outcome("boom", &[], 0).verdict;
        let token = token(&of(&[sequence(30, &[7, 7, StepSequence::VARIES])], failed.clone()));
        let fits = |sequences: &[StepSequence], verdict: &Verdict| {
            stale_reason(&token, test, &of(sequences, verdict.clone())).is_none()
        };
        let passed = Verdict::Passed;
        for alike in [&[7, 7, 3][..], &[7], &[], &[7, 7, 9, 2]] {
            assert!(fits(&[sequence(30, alike)], &passed), "{alike:?}");
        }
        assert!(!fits(&[sequence(31, &[7, 7])], &passed), "another number of steps");
        assert!(!fits(&[sequence(30, &[7, 8])], &failed), "another choice");
        assert!(!fits(&[sequence(30, &[StepSequence::FLAG])], &failed), "another kind of choice");
        assert!(!fits(&[], &passed), "no such steps");
        assert!(fits(&[], &failed), "it did not come so far");
    }
}

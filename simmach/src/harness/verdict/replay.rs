//! One run made again from its token, and what that says: the same, nearly the same, no failure any more, or another.

use std::fs;
use std::path::Path;

use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::Verdict;
use crate::engine::record::deviations::RecordLevel;
use crate::engine::record::trace::{Checkpoint, stride};
use crate::harness::config::{self, Config, REPLAY};
use crate::harness::seeds::{regressions, shrinking};
use crate::harness::verdict::capture::Capture;
use crate::harness::verdict::judgement::Judgement;
use crate::harness::workers::job::{Job, Ran};
use crate::harness::workers::pool::Pool;
use crate::harness::{command, registry};
use crate::outcome::{Keep, Outcome};
use crate::report::console::{Rerun, RunReport};
use crate::report::numbers::{moment, span};
use crate::report::story;
use crate::report::style::Style;
use crate::shrink::token::{Token, TraceMarks, short, test_number};
use crate::spec::SimTest;

/// What replaying a token came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// The same failure by the same trace.
    Exactly,
    /// The same failure; the trace differs, and where.
    Differs(String),
    /// No failure.
    Passes,
    /// Another one.
    Other,
}

/// Replays the token that was asked for, if it is one of this test.
///
/// # Errors
///
/// Why it can't be, in words.
pub(crate) fn replay(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    given: &str,
    style: Style,
) -> Result<Judgement, String> {
    let token: Token = read(given).map_err(|why| format!("{REPLAY}={}: {why}", shown(given)))?;
    if token.test != test_number(&test.key()) {
        let owner = registry::all().iter().find(|other| test_number(&other.key()) == token.test);
        let Some(owner) = owner else {
            return Err(format!(
                "{REPLAY} is a token of a test that is not in this binary: it was renamed or moved, or it is in another \
                 package or target"
            ));
        };
        return Ok(Judgement::Green(format!(
            "{}: skipped, since {REPLAY} is a token of {}",
            test.path(),
            owner.path()
        )));
    }
    let capture = config.pcap.as_deref().map(|path| Capture::open(path, test));
    let capture = capture.transpose()?;
    let ran = shrinking::one(pool, job(test, &token));
    if let Some(why) = misfit(&token, test, &ran.outcome) {
        return Err(format!("the token is stale: {why}"));
    }
    let judged = judge(test, given, &token, &ran, style);
    Ok(match capture {
        Some(capture) => capture.add_to(judged, pool, job(test, &token)),
        None => judged,
    })
}

/// What is said of a token's run.
fn judge(test: &'static SimTest, given: &str, token: &Token, ran: &Ran, style: Style) -> Judgement {
    let outcome = &ran.outcome;
    let answer = answer(token, outcome);
    let (note, again) = match &answer {
        Answer::Passes => {
            return Judgement::Green(format!(
                "{}: passes now: the run of the token (seed {}) ended well after {}",
                test.path(),
                token.seed,
                span(outcome.virtual_nanos.into())
            ));
        }
        Answer::Exactly => ("Reproduced exactly.".to_owned(), Rerun::Same),
        Answer::Differs(place) => (
            format!(
                "Reproduced, but the trace differs {place}: program or simmach are not what they were."
            ),
            Rerun::Same,
        ),
        Answer::Other => (
            "Another failure than the token's: program or simmach are not what they were."
                .to_owned(),
            Rerun::Same,
        ),
    };
    let mut text = format!("  {note}\n\n");
    text.push_str(&story::list(outcome, style));
    let red = RunReport {
        test: &test.path(),
        outcome,
        passed: 0,
        rerun: again,
        notes: text,
        output: &ran.output,
        which: Some("from its token".to_owned()),
        replay: Some(command::replay(test, given)),
        log_lines: config::log_lines(),
        command: command::again(test, token.seed),
    };
    Judgement::Red(red.text(style))
}

/// The run of a token, with its log.
pub(crate) fn job(test: &'static SimTest, token: &Token) -> Job {
    let keep = Keep { log: true, deviations: RecordLevel::All, ..Keep::default() };
    Job { test, seed: token.seed, overlay: token.overlay.clone(), keep }
}

/// Why a token is none of this test as it is now, of which this run was made; `None` if it may be.
pub(crate) fn misfit(token: &Token, test: &SimTest, outcome: &Outcome) -> Option<&'static str> {
    if token.test != test_number(&test.key()) {
        return Some("it is of another test");
    }
    // A run that was none has no shape, nor has a token of one that hung or took its process with it.
    if outcome.shape != 0 && token.shape != 0 && outcome.shape as u32 != token.shape {
        return Some(
            "the test's machines, links, limits or plans are not what they were when it was made",
        );
    }
    let is_like = |walk: &StepSequence| {
        let mut same = outcome.sequences.iter().filter(|other| other.id == walk.id).peekable();
        match same.peek() {
            Some(_) => same.any(|other| walk.is_like(other)),
            // A run that ends well has begun its walks; another may not have come so far.
            None => outcome.verdict != Verdict::Passed,
        }
    };
    let steps =
        "the test's steps, or what they choose from, are not what they were when it was made";
    (outcome.shape != 0 && !token.walks.iter().all(is_like)).then_some(steps)
}

/// The token that was given, or that is in the file that was.
fn read(given: &str) -> Result<Token, String> {
    let Some(file) = given.strip_prefix('@') else {
        return given.parse().map_err(|error| format!("{error}"));
    };
    let file = Path::new(file);
    let bytes = fs::read(file).map_err(|error| format!("it can't be read: {error}"))?;
    // Of a file of regressions, the last.
    let (number, word) = regressions::last_word(file, &bytes)?
        .ok_or_else(|| "there is no token in it".to_owned())?;
    word.parse().map_err(|error| regressions::bad_line(file, number, &format!("{error}")))
}

/// When a run that passes parts from the one that its token was made of, so that it shows nothing about the failure.
/// `None` if it did the same up to the failure, or as far as is known.
///
/// What led to the failure counts, not its end: there a run that fails also unwinds, and one that passes goes on.
pub(crate) fn departure(token: &Token, outcome: &Outcome) -> Option<u64> {
    let trace = &token.trace;
    let stride = stride(trace.events);
    let end = trace.events.saturating_mul(3) / 4;
    let mut last = 0;
    for (nth, hash) in (1..).zip(&trace.marks) {
        let count = nth * stride;
        if count > end {
            break;
        }
        if count > outcome.trace_events {
            return Some(outcome.virtual_nanos);
        }
        let Some(mark) = mark_after(outcome, count) else { continue };
        if mark.hash as u8 != *hash {
            return Some(last);
        }
        last = mark.at;
    }
    None
}

/// The mark after so many events, if there is one.
fn mark_after(outcome: &Outcome, count: u64) -> Option<&Checkpoint> {
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

/// What an outcome is to its token.
fn answer(token: &Token, outcome: &Outcome) -> Answer {
    let same = match &outcome.verdict {
        Verdict::Passed => return Answer::Passes,
        Verdict::Broken(_) => false,
        // When the token was made its place may have been unknown.
        Verdict::Failed(failure) => {
            [failure.fingerprint(), failure.without_location().fingerprint()]
                .iter()
                .any(|fingerprint| short(fingerprint) == token.failure)
        }
    };
    match same {
        false => Answer::Other,
        true if token.trace.events == 0 => Answer::Exactly,
        true => match difference(&token.trace, outcome) {
            None => Answer::Exactly,
            Some(place) => Answer::Differs(place),
        },
    }
}

/// Where the traces part; `None` if they do not.
fn difference(trace: &TraceMarks, outcome: &Outcome) -> Option<String> {
    if (trace.events, trace.hash) == (outcome.trace_events, outcome.trace_hash as u32) {
        return None;
    }
    // One may be longer: its marks are further apart.
    let (theirs, own) = (stride(trace.events), stride(outcome.trace_events));
    let common = theirs.max(own);
    let at = |stride: u64, nth: u64| usize::try_from(nth * common / stride).ok()?.checked_sub(1);
    let mut last = 0;
    for nth in 1.. {
        let (Some(their), Some(own)) = (
            at(theirs, nth).and_then(|at| trace.marks.get(at)),
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

/// The beginning of a long text.
fn shown(text: &str) -> String {
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

    fn outcome(message: &str, marks: &[u64], events: u64) -> Outcome {
        let failure = Failure::new(FailureKind::Panic, message);
        let mut outcome = Outcome::without_a_run(3, Verdict::Failed(failure));
        outcome.trace_events = events;
        outcome.trace_hash = marks.iter().sum();
        outcome.checkpoints = (1..)
            .zip(marks)
            .map(|(at, hash)| Checkpoint { at: at * 1_000_000_000, hash: *hash })
            .collect();
        outcome
    }

    fn token(outcome: &Outcome) -> Token {
        let test = crate::harness::testing::named("krate", "a");
        shrinking::token(test, &Overlay::calm(), outcome)
    }

    #[test]
    fn the_four_answers() {
        let found = outcome("boom 1", &[1, 2, 3, 4, 5], 5);
        let token = token(&found);
        assert_eq!(answer(&token, &found), Answer::Exactly);
        // A number in the words is no other failure.
        let differs = |text: &str| Answer::Differs(text.to_owned());
        let late = outcome("boom 2", &[1, 2, 9, 9, 9], 5);
        assert_eq!(answer(&token, &late), differs("between 2.000 s and 3.000 s"));
        let longer = outcome("boom 1", &[1, 2, 3, 4, 5, 6], 6);
        assert_eq!(answer(&token, &longer), differs("after 5.000 s"));
        // Sixteen events have a mark at every fourth.
        let twice = outcome("boom 1", &[4, 7, 7, 7], 16);
        assert_eq!(answer(&token, &twice), differs("after 1.000 s"));
        let passes = Outcome::without_a_run(3, Verdict::Passed);
        assert_eq!(answer(&token, &passes), Answer::Passes);
        assert_eq!(answer(&token, &outcome("bang", &[1, 2, 3, 4, 5], 5)), Answer::Other);
        let broken = Outcome::without_a_run(3, Verdict::Broken("no disk".to_owned()));
        assert_eq!(answer(&token, &broken), Answer::Other, "neither a pass nor the failure");
    }

    /// A run that passes did the same as far as the failure, or it exercises something else: at its start, on its way,
    /// or because it ends sooner.
    #[test]
    fn departure_of_a_run_that_passes() {
        let found = outcome("boom", &[1, 2, 3, 4, 5, 6, 7], 7);
        let token = token(&found);
        let passes = |marks: &[u64], events| {
            let passed = Outcome { verdict: Verdict::Passed, ..outcome("", marks, events) };
            departure(&token, &passed)
        };
        let secs = |secs: u64| Some(secs * 1_000_000_000);
        assert_eq!(passes(&[1, 2, 3, 4, 5, 6, 7], 7), None);
        assert_eq!(passes(&[1, 2, 3, 4, 5, 9, 9], 7), None, "it passes instead of failing");
        assert_eq!(passes(&[9, 9, 9, 9, 9, 9, 9], 7), Some(0));
        assert_eq!(passes(&[1, 2, 3, 9, 9, 9, 9], 7), secs(3));
        // Twice as long: every other event has a mark.
        assert_eq!(passes(&[2, 4, 6, 7], 14), None);
        assert_eq!(passes(&[2, 9, 9, 9], 14), secs(1));
        let short = Outcome { virtual_nanos: 5, ..Outcome::without_a_run(3, Verdict::Passed) };
        assert_eq!(departure(&token, &short), Some(5));
        let unknown = Token { trace: TraceMarks::default(), ..token.clone() };
        assert_eq!(departure(&unknown, &short), None);
    }

    /// However long the run that passes is, and however short the one that failed.
    #[test]
    fn departure_of_a_long_run_is_seen_by_early_marks() {
        let token = token(&outcome("boom", &[1, 2, 3, 4, 5, 6, 7], 7));
        let long = |early: &[u64]| {
            let mut long = Outcome { verdict: Verdict::Passed, ..outcome("", &[], 1 << 20) };
            long.early_checkpoints = outcome("", early, 0).checkpoints;
            departure(&token, &long)
        };
        assert_eq!(long(&[1, 2, 4, 9, 9]), None);
        assert_eq!(long(&[1, 2, 9, 9, 9]), Some(2_000_000_000));
        assert_eq!(long(&[9]), Some(0));
    }

    /// A run that hung, or took its process with it, has no shape: it is another failure, and no token is stale by it; nor
    /// is the token of such a run by one that has a shape.
    #[test]
    fn a_run_that_was_none_makes_no_token_stale() {
        let test = crate::harness::testing::named("krate", "a");
        let shaped = |shape| Outcome { shape, ..outcome("boom", &[1], 1) };
        let died = |kind| Outcome::without_a_run(3, Verdict::Failed(Failure::new(kind, "it died")));
        let token_of = |outcome: &Outcome| token(outcome);
        let found = token_of(&shaped(9));
        assert!(misfit(&found, test, &shaped(8)).is_some(), "another cluster");
        for kind in [FailureKind::Hung, FailureKind::Crashed] {
            let gone = died(kind);
            assert_eq!(misfit(&found, test, &gone), None);
            assert_eq!(answer(&found, &gone), Answer::Other);
            let of_it = token_of(&gone);
            assert_eq!(misfit(&of_it, test, &shaped(9)), None);
            assert_eq!(answer(&of_it, &shaped(9)), Answer::Other);
            assert_eq!(
                (misfit(&of_it, test, &gone), answer(&of_it, &gone)),
                (None, Answer::Exactly)
            );
        }
    }

    /// Steps that are others make a token stale; steps that were not reached, or choose from what is there, do not.
    #[test]
    fn steps_are_part_of_the_shape() {
        let test = crate::harness::testing::named("krate", "a");
        let walk =
            |steps, choices: &[u64]| StepSequence { id: 7, steps, choices: choices.to_vec() };
        let of = |walks: &[StepSequence], verdict: Verdict| {
            let mut outcome = Outcome { verdict, ..outcome("boom", &[1], 1) };
            (outcome.shape, outcome.sequences) = (9, walks.to_vec());
            outcome
        };
        let failed = outcome("boom", &[], 0).verdict;
        let token = token(&of(&[walk(30, &[7, 7, StepSequence::VARIES])], failed.clone()));
        let fits = |walks: &[StepSequence], verdict: &Verdict| {
            misfit(&token, test, &of(walks, verdict.clone())).is_none()
        };
        let passed = Verdict::Passed;
        for alike in [&[7, 7, 3][..], &[7], &[], &[7, 7, 9, 2]] {
            assert!(fits(&[walk(30, alike)], &passed), "{alike:?}");
        }
        assert!(!fits(&[walk(31, &[7, 7])], &passed), "another number of steps");
        assert!(!fits(&[walk(30, &[7, 8])], &failed), "another choice");
        assert!(!fits(&[walk(30, &[StepSequence::FLAG])], &failed), "another kind of choice");
        assert!(!fits(&[], &passed), "no such steps");
        assert!(fits(&[], &failed), "it did not come so far");
    }
}

//! How a run ended.

use serde::{Deserialize, Serialize};

use crate::engine::failure::backtrace::Origin;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The body ended well.
    Passed,
    /// The program under test, or its test, failed.
    Failed(Failure),
    /// The run could not be made: a spec that makes no sense, a full memory disk. Neither a pass nor a found bug.
    Broken(String),
}

impl Verdict {
    /// Whether both are equal, but for a place that is not known in one of them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed(one), Self::Failed(two)) => one.is_same(two),
            _ => self == other,
        }
    }
}

/// What failed, where and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// In words.
    pub message: String,
    /// What was asked in the call whose error the message shows, where that says more: the host of a refused connect.
    pub cause: Option<String>,
    /// The machine, by name; `None` for the harness's own code, such as a plan.
    pub machine: Option<String>,
    /// The task, as a report names it; `None` for the test's body.
    pub task: Option<String>,
    /// Where in the source, `file:line:column`.
    pub location: Option<String>,
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// Before the test's body began: a service that can't start.
    pub at_start: bool,
    /// Who waits for what, where that is the question.
    pub waiting: Vec<String>,
    /// What the test's body waits for, where the run has no end of its own.
    pub body_wait: Option<BodyWait>,
    /// Where it came from, for the report only.
    pub origin: Box<Origin>,
}

/// What a body waits for that does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyWait {
    /// This, for ever.
    Indefinite(String),
    /// It waits for a while, and goes on: what it waits for depends on when one looks.
    Temporary,
}

/// The kinds of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// The body returned an error.
    Error,
    /// A panic, in the body or anywhere else.
    Panic,
    /// `sim.fail(key, …)`.
    Named(String),
    /// A service ended with an error, or panicked, on a machine that must not.
    Service,
    /// Nothing is left that could happen.
    Deadlock,
    /// The limit of virtual time.
    TimeLimit,
    /// The limit of steps.
    StepLimit,
    /// No progress for the stall limit.
    Stall,
    /// A task did not yield for ten seconds of real time.
    Hung,
    /// The code under test asked for what a run refuses: a thread, a process, a sleep in real time.
    Refused,
    /// The worker process died: an abort, a stack overflow, a signal.
    Crashed,
}

/// A panic: what it said and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct PanicNote {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) origin: Origin,
}

impl FailureKind {
    /// One word for a report and for the fingerprint.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Named(key) => key,
            Self::Service => "service",
            Self::Deadlock => "deadlock",
            Self::TimeLimit => "time limit",
            Self::StepLimit => "step limit",
            Self::Stall => "stall",
            Self::Hung => "hung",
            Self::Refused => "refused",
            Self::Crashed => "crashed",
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
            machine: None,
            task: None,
            location: None,
            at: 0,
            at_start: false,
            waiting: Vec::new(),
            body_wait: None,
            origin: Box::default(),
        }
    }

    pub(crate) fn of_panic(note: PanicNote) -> Self {
        let PanicNote { message, location, origin } = note;
        let origin = Box::new(origin);
        Self { location, origin, ..Self::new(FailureKind::Panic, message) }
    }

    /// Whether both are the same kind of failure. A place that is not known, since another hook than simmach's was called,
    /// is no other place.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Some(_), None) => self.without_location().fingerprint() == other.fingerprint(),
            (None, Some(_)) => self.fingerprint() == other.without_location().fingerprint(),
            _ => self.fingerprint() == other.fingerprint(),
        }
    }

    /// Whether both are equal, but for a place that is not known in one of them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match self.location.is_some() == other.location.is_some() {
            true => self == other,
            false => self.without_location() == other.without_location(),
        }
    }

    pub(crate) fn without_location(&self) -> Self {
        Self { location: None, ..self.clone() }
    }

    /// What tells this failure from another: kind, place, and the message with its digits replaced; of a run without an
    /// end, what the test's body waits for. By which limit it was ended depends on what else goes on meanwhile.
    pub(crate) fn fingerprint(&self) -> String {
        let kind = self.kind.word();
        match (&self.kind, &self.body_wait) {
            (FailureKind::Named(_), _) => kind.to_owned(),
            (_, Some(BodyWait::Indefinite(what))) => {
                format!("no end: waits for {}", without_digits(what))
            }
            (_, Some(BodyWait::Temporary)) => "no end".to_owned(),
            (_, None) => {
                let location = self.location.as_deref().unwrap_or("");
                format!("{kind} at {location}: {}", without_digits(&self.message))
            }
        }
    }
}

fn without_digits(text: &str) -> String {
    let mut without = String::new();
    for c in text.chars() {
        match (c.is_ascii_digit(), without.ends_with('#')) {
            (true, true) => {}
            (true, false) => without.push('#'),
            (false, _) => without.push(c),
        }
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shrinker that keeps the fingerprint must not slip to another bug, nor be thrown by a number that varies.
    #[test]
    fn a_fingerprint_forgets_numbers_only() {
        let failure = |message: &str| Failure::new(FailureKind::Panic, message).fingerprint();
        assert_eq!(failure("expected 1 but got 20"), failure("expected 13 but got 0"));
        assert_ne!(failure("expected 1 but got 0"), failure("expected 1 but got none"));
    }

    /// Another hook than simmach's may have been called for one of two panics.
    #[test]
    fn an_unknown_place_is_no_other_place() {
        let panic = |message: &str, location: Option<&str>| Failure {
            location: location.map(str::to_owned),
            ..Failure::new(FailureKind::Panic, message)
        };
        let known = panic("boom 1", Some("a.rs:1:1"));
        for (other, is_like, is_same) in [
            (panic("boom 1", None), true, true),
            (panic("boom 2", None), true, false),
            (panic("bang 1", None), false, false),
            (panic("boom 1", Some("a.rs:1:1")), true, true),
            (panic("boom 1", Some("b.rs:1:1")), false, false),
        ] {
            assert_eq!((known.is_like(&other), other.is_like(&known)), (is_like, is_like));
            assert_eq!((known.is_same(&other), other.is_same(&known)), (is_same, is_same));
        }
        let error = Failure { kind: FailureKind::Error, ..panic("boom 1", None) };
        assert!(!known.is_like(&error));
    }

    /// What else goes on says by which limit a run without an end is ended, and leaves it the same failure.
    #[test]
    fn a_run_without_an_end_is_told_by_what_its_body_waits_for() {
        let of =
            |kind, body_wait| Failure { body_wait, ..Failure::new(kind, "text") }.fingerprint();
        let data = |port: u16| Some(BodyWait::Indefinite(format!("data from 10.0.0.2:{port}")));
        let limit = of(FailureKind::TimeLimit, data(4711));
        for kind in [FailureKind::StepLimit, FailureKind::Stall, FailureKind::Deadlock] {
            assert_eq!(of(kind.clone(), data(80)), limit);
            let other = Some(BodyWait::Indefinite("another task's end".to_owned()));
            assert_ne!(of(kind.clone(), other), limit);
            assert_ne!(of(kind.clone(), Some(BodyWait::Temporary)), limit);
            assert_ne!(of(kind, None), limit, "one that is not known to wait");
        }
    }
}

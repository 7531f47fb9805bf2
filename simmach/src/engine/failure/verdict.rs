//! The verdict of a run, and its failure if it failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::failure::backtrace::Origin;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The test's body ended without an error, and nothing else failed the run.
    Passed,
    /// The program under test, or its test, failed.
    Failed(Failure),
    /// The run could not be executed. The text is the reason, such as an invalid topology or a full
    /// memory disk. This is neither a pass nor a failure of the program under test.
    Broken(String),
}

impl Verdict {
    /// Whether both verdicts are equal, ignoring a location that is unknown in one of them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed(one), Self::Failed(two)) => one.is_same(two),
            _ => self == other,
        }
    }
}

/// A failure: what failed, where and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The message of the panic, the error or the limit.
    pub message: String,
    /// The failed call whose error the message shows, such as a connect, with its peer. `None` if
    /// the call is unknown, or if its description adds nothing.
    pub cause: Option<String>,
    /// The name of the machine; `None` for code that runs on none, such as a plan.
    pub machine: Option<String>,
    /// The name of the task; `None` for the test's body.
    pub task: Option<String>,
    /// The source location, `file:line:column`, if known.
    pub location: Option<String>,
    /// Virtual nanoseconds since the run began.
    pub(crate) at: u64,
    /// Whether it failed before the test's body began.
    pub at_start: bool,
    /// The blocked tasks and what each waits for, if the run ended by a deadlock, a limit or a stall.
    pub waiting: Vec<String>,
    /// What the test's body waits for, if the run did not end by itself.
    pub(crate) body_wait: Option<BodyWait>,
    /// The backtrace, for the report only.
    pub(crate) origin: Box<Origin>,
}

/// What the test's body waited for when a deadlock, a limit or a stall ended the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyWait {
    /// The body waits for this, without a timeout.
    Indefinite(String),
    /// The body waits with a timeout, or is ready to run: what it waits for changes over time.
    Temporary,
}

/// The kinds of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// The body returned an error.
    Error,
    /// A panic, in the body or anywhere else.
    Panic,
    /// [`Sim::fail`](crate::Sim::fail) was called, with this key.
    Named(String),
    /// A service returned an error or panicked on a machine where that fails the run.
    Service,
    /// No task is ready and no timer is pending.
    Deadlock,
    /// The virtual time limit was exceeded.
    TimeLimit,
    /// The poll limit was exceeded.
    PollLimit,
    /// No progress was made for the stall limit.
    Stall,
    /// A task did not yield for the watchdog's limit of real time.
    Hung,
    /// The code under test made a call that runs refuse: it started a thread or a process, or slept in real time.
    Refused,
    /// The worker process died, by an abort, a stack overflow or a signal.
    Crashed,
}

/// A panic: its message, location and backtrace.
#[derive(Clone, Debug, Default)]
pub(crate) struct PanicNote {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) origin: Origin,
}

impl FailureKind {
    /// The kind in a report and in the fingerprint.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Named(key) => key,
            Self::Service => "service",
            Self::Deadlock => "deadlock",
            Self::TimeLimit => "time limit",
            Self::PollLimit => "poll limit",
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

    /// Virtual time since the run began.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.at)
    }

    pub(crate) fn of_panic(note: PanicNote) -> Self {
        let PanicNote { message, location, origin } = note;
        let origin = Box::new(origin);
        Self { location, origin, ..Self::new(FailureKind::Panic, message) }
    }

    /// Whether both have the same fingerprint. A location that is unknown in one of them is ignored, since a panic hook
    /// other than simmach's may have been called.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Some(_), None) => self.without_location().fingerprint() == other.fingerprint(),
            (None, Some(_)) => self.fingerprint() == other.without_location().fingerprint(),
            _ => self.fingerprint() == other.fingerprint(),
        }
    }

    /// Whether both are equal, ignoring a location that is unknown in one of them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match self.location.is_some() == other.location.is_some() {
            true => self == other,
            false => self.without_location() == other.without_location(),
        }
    }

    pub(crate) fn without_location(&self) -> Self {
        Self { location: None, ..self.clone() }
    }

    /// Returns a text that identifies the failure: its kind, location and message, in which `#` replaces each sequence of
    /// digits. For a run that does not end, the text says what the test's body waits for instead, since it depends on the
    /// other tasks which limit ended the run.
    pub(crate) fn fingerprint(&self) -> String {
        let kind = self.kind.word();
        match (&self.kind, &self.body_wait) {
            (FailureKind::Named(_), _) => kind.to_owned(),
            (_, Some(BodyWait::Indefinite(what))) => {
                format!("no end: {}", without_digits(what))
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

    /// Shrinking must not slip to another bug, nor stop at a number that varies.
    #[test]
    fn fingerprint_ignores_only_numbers() {
        let failure = |message: &str| Failure::new(FailureKind::Panic, message).fingerprint();
        assert_eq!(failure("expected 1 but got 20"), failure("expected 13 but got 0"));
        assert_ne!(failure("expected 1 but got 0"), failure("expected 1 but got none"));
    }

    /// Another panic hook than simmach's may have been called for one of two panics.
    #[test]
    fn fingerprint_ignores_an_unknown_location() {
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

    /// The limit that ends a run depends on the other tasks; it does not change the fingerprint.
    #[test]
    fn fingerprint_of_an_unfinished_run_is_its_bodys_wait() {
        let of =
            |kind, body_wait| Failure { body_wait, ..Failure::new(kind, "text") }.fingerprint();
        let data =
            |port: u16| Some(BodyWait::Indefinite(format!("waits for data from 10.0.0.2:{port}")));
        let limit = of(FailureKind::TimeLimit, data(4711));
        for kind in [FailureKind::PollLimit, FailureKind::Stall, FailureKind::Deadlock] {
            assert_eq!(of(kind.clone(), data(80)), limit);
            let other = Some(BodyWait::Indefinite("waits for a task to end".to_owned()));
            assert_ne!(of(kind.clone(), other), limit);
            assert_ne!(of(kind.clone(), Some(BodyWait::Temporary)), limit);
            assert_ne!(of(kind, None), limit, "one that is not known to wait");
        }
    }
}

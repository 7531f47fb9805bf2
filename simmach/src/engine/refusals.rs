//! What a run refuses to the code in it: marked where it happened, and made a failure after the poll.
//!
//! Where a refusal is noticed nothing may allocate, lock or unwind, and a signal handler may be what runs; so the mark is
//! a plain cell, and its words are found later.

use std::cell::Cell;
use std::panic::Location;

use super::ids::Scope;

/// What was asked for that a run has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another thread.
    Thread,
    /// To sleep in real time.
    Sleep,
}

/// The marks of one run, and what it allows after all.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    first: Cell<Option<Mark>>,
    allowed: Cell<u32>,
    threads: Cell<bool>,
}

/// Something refused: who asked for it, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) what: Refused,
    pub(crate) scope: Scope,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) at: u64,
}

impl Refused {
    /// What to do instead, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Thread => {
                "a thread was started inside the run, and refused: a run has one thread, and what another does is not \
                 the seed's. Use simmach::task::spawn, or simmach::task::spawn_blocking for code that blocks; \
                 simmach::interpose::allow_threads lets through what can't be seen by the run"
            }
            Self::Sleep => {
                "std::thread::sleep was called inside the run, and refused: it would stop the whole cluster, in real \
                 time. Use simmach::time::sleep(..).await"
            }
        }
    }
}

impl Refusals {
    /// Runs `f` with threads and sleeping allowed.
    pub(crate) fn allow<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Allowed<'a>(&'a Cell<u32>);
        impl Drop for Allowed<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.allowed.set(self.allowed.get() + 1);
        let _allowed = Allowed(&self.allowed);
        f()
    }

    /// Only the first is kept.
    pub(crate) fn mark(&self, mark: Mark) {
        if self.first.get().is_none() {
            self.first.set(Some(mark));
        }
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.first.get().is_some()
    }

    pub(crate) fn take(&self) -> Option<Mark> {
        self.first.take()
    }

    pub(crate) fn are_off(&self) -> bool {
        self.allowed.get() > 0
    }

    /// A thread was let through: from here on something outside the run may wake it.
    pub(crate) fn let_thread_through(&self) {
        self.threads.set(true);
    }

    /// True if something outside the run may wake it.
    pub(crate) fn has_threads(&self) -> bool {
        self.threads.get()
    }
}

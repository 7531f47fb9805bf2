//! What a run refuses to the code in it: marked where it happened, and made a failure after the poll.
//!
//! Where a refusal is noticed nothing may allocate, lock or unwind, and a signal handler may be what runs; so the mark is
//! a plain cell, and its words are found later.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::executor::identity::Identity;
use crate::engine::failure::backtrace::RawBacktrace;
use crate::engine::ids::Scope;

/// What was asked for that a run has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForbiddenCall {
    /// Another thread.
    Thread,
    /// To sleep in real time.
    Sleep,
    /// Another process, or another program in this one.
    Process,
}

/// How many threads are alive that runs of this process let through, or that such threads started. They may outlive their run.
static LIVE_THREADS: AtomicUsize = AtomicUsize::new(0);

/// The marks of one run, and what it allows after all.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    first: Cell<Option<Refusal>>,
    /// Where the first was asked for.
    captured: Cell<RawBacktrace>,
    allowed: Cell<u32>,
    processes_allowed: Cell<u32>,
    threads: Cell<bool>,
}

/// Something refused: who asked for it, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) what: ForbiddenCall,
    pub(crate) scope: Scope,
    pub(crate) task: Option<Identity>,
    pub(crate) at: u64,
}

impl ForbiddenCall {
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
            Self::Process => {
                "a process was started inside the run (std::process::Command, fork, exec), and refused: a real process is \
                 outside the simulation, and what it does is not the seed's. Start it before the run, or replace it by a \
                 task or a machine of its own; simmach::interpose::allow_processes lets through what can't be seen by the \
                 run"
            }
        }
    }
}

impl Refusals {
    /// Runs `f` with threads and sleeping allowed.
    pub(crate) fn allow_threads<R>(&self, f: impl FnOnce() -> R) -> R {
        allow(&self.allowed, f)
    }

    /// Runs `f` with processes allowed.
    pub(crate) fn allow_processes<R>(&self, f: impl FnOnce() -> R) -> R {
        allow(&self.processes_allowed, f)
    }

    /// Only the first is kept.
    pub(crate) fn mark(&self, mark: Refusal) {
        if self.first.get().is_none() {
            self.first.set(Some(mark));
            self.captured.set(RawBacktrace::here());
        }
    }

    /// Where the first mark was made.
    pub(crate) fn captured(&self) -> RawBacktrace {
        self.captured.get()
    }

    pub(crate) fn is_any_recorded(&self) -> bool {
        self.first.get().is_some()
    }

    pub(crate) fn take(&self) -> Option<Refusal> {
        self.first.take()
    }

    /// Whether the code that runs may start threads and sleep.
    pub(crate) fn are_threads_allowed(&self) -> bool {
        self.allowed.get() > 0
    }

    /// Whether the code that runs may do this.
    pub(crate) fn allows(&self, what: ForbiddenCall) -> bool {
        match what {
            ForbiddenCall::Thread | ForbiddenCall::Sleep => self.are_threads_allowed(),
            ForbiddenCall::Process => self.processes_allowed.get() > 0,
        }
    }

    /// A thread was let through: until it ends, something outside the run may wake it.
    pub(crate) fn record_thread(&self) {
        self.threads.set(true);
    }

    /// Whether only the run's own thread, or the harness, could end a wait of that thread.
    pub(crate) fn is_only_thread(&self) -> bool {
        !self.are_threads_allowed() && !has_live_threads()
    }

    /// Whether the run let a thread through.
    pub(crate) fn has_started_threads(&self) -> bool {
        self.threads.get()
    }

    /// Whether a thread that the run let through may be alive.
    pub(crate) fn can_other_thread_wake(&self) -> bool {
        self.are_threads_allowed() || self.has_started_threads() && has_live_threads()
    }
}

/// A thread that a run let through, or one that such a thread starts, begins.
pub(crate) fn count_thread_start() {
    LIVE_THREADS.fetch_add(1, Ordering::SeqCst);
}

/// A thread that began has ended.
pub(crate) fn count_thread_end() {
    LIVE_THREADS.fetch_sub(1, Ordering::SeqCst);
}

fn has_live_threads() -> bool {
    LIVE_THREADS.load(Ordering::SeqCst) > 0
}

fn allow<R>(allowed: &Cell<u32>, f: impl FnOnce() -> R) -> R {
    struct Allowed<'a>(&'a Cell<u32>);
    impl Drop for Allowed<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    allowed.set(allowed.get() + 1);
    let _allowed = Allowed(allowed);
    f()
}

//! Calls that a run refuses: starting threads or processes, and sleeping in real time.
//!
//! A refused call fails, and the run fails after the poll. The call may come from an allocator or a signal handler, where
//! nothing may allocate, lock or unwind. So the refusal is recorded in plain cells and described later.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::failure::backtrace::RawBacktrace;
use crate::engine::ids::Scope;
use crate::engine::tasks::identity::Identity;

/// A kind of call that a run refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForbiddenCall {
    /// Starting a thread.
    Thread,
    /// Sleeping in real time.
    Sleep,
    /// Starting a process, or replacing this process by another program.
    Process,
    /// Blocking the run's own thread to wait for what the text names.
    Block(&'static str),
}

/// Number of living threads that runs of this process allowed, including the threads that those
/// threads started. Threads may outlive their run.
static LIVE_THREADS: AtomicUsize = AtomicUsize::new(0);

/// The first refusal of a run, and what the functions of `interpose` currently allow.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    first: Cell<Option<Refusal>>,
    /// Backtrace of the first refusal.
    backtrace: Cell<RawBacktrace>,
    threads_allowed: Cell<u32>,
    processes_allowed: Cell<u32>,
    files_allowed: Cell<u32>,
    has_started_threads: Cell<bool>,
}

/// A refused call: who made it, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) call: ForbiddenCall,
    pub(crate) scope: Scope,
    pub(crate) task: Option<Identity>,
    pub(crate) at: u64,
}

impl ForbiddenCall {
    /// The message of the failure: what was called, why it is refused, what to use instead.
    pub(crate) fn message(self) -> Cow<'static, str> {
        let message = match self {
            Self::Block(what) => {
                return format!(
                    "blocking call in an async function: the call would wait for {what} and stop the whole cluster. Use \
                     the async form of the call, or make the call inside tokio::task::spawn_blocking or \
                     std::thread::spawn"
                )
                .into();
            }
            Self::Thread => {
                "a thread cannot be started here: this code runs in a native process or in a plan. For a service or \
                 the test's body, remove `runtime = native` or `Topology::native`: processes with a tokio runtime \
                 can start threads. In a plan, use simmach::task::spawn, or simmach::task::spawn_blocking for synchronous \
                 code that does not wait. If the result of the thread does not depend on timing, wrap the call in \
                 simmach::interpose::allow_threads"
            }
            Self::Sleep => {
                "std::thread::sleep would block the whole cluster, and would take real time. In a process with a tokio runtime, \
                 use tokio::time::sleep(..).await; in a native process or a plan, use \
                 simmach::time::sleep(..).await. std::thread::sleep works on threads that a process with a tokio \
                 runtime starts"
            }
            Self::Process => {
                "an OS process cannot be started in a run (by std::process::Command, fork or exec): the OS \
                 process would be outside the simulation, and its result would not depend on the seed. Start the OS process before \
                 the run, or replace it with a task or a machine. If its result is always the same, wrap the call \
                 in simmach::interpose::allow_processes"
            }
        };
        message.into()
    }
}

impl Refusals {
    /// Calls `f` with starting threads and sleeping allowed.
    pub(crate) fn allow_threads<R>(&self, f: impl FnOnce() -> R) -> R {
        allow(&self.threads_allowed, f)
    }

    /// Calls `f` with starting processes allowed.
    pub(crate) fn allow_processes<R>(&self, f: impl FnOnce() -> R) -> R {
        allow(&self.processes_allowed, f)
    }

    /// Calls `f` with the host's files.
    pub(crate) fn allow_files<R>(&self, f: impl FnOnce() -> R) -> R {
        allow(&self.files_allowed, f)
    }

    /// Whether the running code uses the host's files.
    pub(crate) fn are_files_allowed(&self) -> bool {
        self.files_allowed.get() > 0
    }

    /// Records a refusal; only the first is kept.
    pub(crate) fn record(&self, refusal: Refusal) {
        if self.first.get().is_none() {
            self.first.set(Some(refusal));
            self.backtrace.set(RawBacktrace::here());
        }
    }

    /// The backtrace of the first refusal.
    pub(crate) fn backtrace(&self) -> RawBacktrace {
        self.backtrace.get()
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.first.get().is_some()
    }

    pub(crate) fn take(&self) -> Option<Refusal> {
        self.first.take()
    }

    /// Whether the running code may start threads and sleep.
    pub(crate) fn are_threads_allowed(&self) -> bool {
        self.threads_allowed.get() > 0
    }

    /// Whether the running code may make this call.
    pub(crate) fn allows(&self, call: ForbiddenCall) -> bool {
        match call {
            ForbiddenCall::Thread | ForbiddenCall::Sleep => self.are_threads_allowed(),
            ForbiddenCall::Process => self.processes_allowed.get() > 0,
            ForbiddenCall::Block(_) => false,
        }
    }

    /// Records that the run allowed a thread. Until that thread ends, it may wake the run's thread.
    pub(crate) fn record_thread(&self) {
        self.has_started_threads.set(true);
    }

    /// Whether no thread but the run's own, or the harness's, could end a wait of the run's thread.
    pub(crate) fn is_only_thread(&self) -> bool {
        !self.are_threads_allowed() && !has_live_threads()
    }

    /// Whether the run allowed a thread.
    pub(crate) fn has_started_threads(&self) -> bool {
        self.has_started_threads.get()
    }

    /// Whether a thread that the run allowed may be alive.
    pub(crate) fn can_other_thread_wake(&self) -> bool {
        self.are_threads_allowed() || self.has_started_threads() && has_live_threads()
    }
}

/// Counts the start of a thread that a run allowed, or that such a thread starts.
pub(crate) fn count_thread_start() {
    LIVE_THREADS.fetch_add(1, Ordering::SeqCst);
}

/// Counts the end of a thread that was counted at its start.
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

//! The status of a run that other threads may read: data for the watchdog, and a count of dropped
//! wakes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;

use crate::engine::failure::backtrace::RawBacktrace;
use crate::engine::ids::MachineId;
use crate::engine::names::ReportNames;
use crate::engine::tasks::identity::Identity;

/// The status of a run, shared with the watchdog and with wakers that may outlive the run.
#[derive(Debug, Default)]
pub(crate) struct RunStatus {
    polls: AtomicU64,
    polling: AtomicBool,
    machine: AtomicU32,
    at: AtomicU64,
    foreign_wakes: AtomicU64,
    pub(crate) names: ReportNames,
    /// The watchdog's thread.
    watcher: OnceLock<Thread>,
    /// The run's thread id in the operating system; 0 before the run begins.
    thread: AtomicU32,
    stuck: OnceLock<StuckReport>,
}

/// Where a run is stuck.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StuckReport {
    /// Whether the run waits for something that only its own thread could do, and so waits forever.
    pub(crate) blocked: bool,
    pub(crate) captured: RawBacktrace,
    pub(crate) machine: MachineId,
    /// The running task, if any.
    pub(crate) task: Option<Identity>,
    /// The virtual time in nanoseconds.
    pub(crate) at: u64,
}

/// A snapshot of a run's status, for the watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusSnapshot {
    /// Number of polls that have begun.
    pub polls: u64,
    /// Whether a task is being polled. Only then can a run hang.
    pub polling: bool,
    /// The machine of the task that is or was last polled.
    pub machine: MachineId,
    /// Virtual nanoseconds.
    pub at: u64,
}

impl RunStatus {
    /// Returns the current status.
    pub(crate) fn snapshot(&self) -> StatusSnapshot {
        StatusSnapshot {
            polls: self.polls.load(Ordering::Relaxed),
            polling: self.polling.load(Ordering::Relaxed),
            machine: MachineId(self.machine.load(Ordering::Relaxed)),
            at: self.at.load(Ordering::Relaxed),
        }
    }

    /// Sets the thread that is unparked when the run gets stuck.
    pub(crate) fn set_watcher(&self, watcher: Thread) {
        let _ = self.watcher.set(watcher);
    }

    /// Sets the run's thread id in the operating system.
    pub(crate) fn set_thread(&self, thread: u32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The run's thread id in the operating system.
    pub(crate) fn thread(&self) -> Option<u32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0)
    }

    /// Reports where the run is stuck; only the first call counts. Neither allocates nor blocks.
    pub(crate) fn report_stuck(&self, stuck: StuckReport) {
        let _ = self.stuck.set(stuck);
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    /// Where the run is stuck, if it was reported.
    pub(crate) fn stuck(&self) -> Option<&StuckReport> {
        self.stuck.get()
    }

    /// Number of wakes that were dropped because they came after the run or from another thread.
    pub(crate) fn foreign_wakes(&self) -> u64 {
        self.foreign_wakes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_foreign_wake(&self) {
        self.foreign_wakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn begin_poll(&self, machine: MachineId, at: u64) {
        self.polls.store(self.polls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.machine.store(machine.0, Ordering::Relaxed);
        self.at.store(at, Ordering::Relaxed);
        self.polling.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end_poll(&self) {
        self.polling.store(false, Ordering::Relaxed);
    }
}

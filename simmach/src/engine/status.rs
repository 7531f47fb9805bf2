//! What other threads may see of a run: its pulse for a watchdog, and a count of wakes that came from them in vain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crate::engine::executor::identity::Identity;
use crate::engine::failure::backtrace::RawBacktrace;
use crate::engine::ids::MachineId;
use crate::engine::name::Name;

/// What a watchdog on another thread may read of a run, and a late waker may count.
#[derive(Debug, Default)]
pub(crate) struct RunStatus {
    polls: AtomicU64,
    polling: AtomicBool,
    machine: AtomicU32,
    at: AtomicU64,
    foreign_wakes: AtomicU64,
    names: OnceLock<Vec<Name>>,
    /// What some tasks are called, by their paths.
    titles: Mutex<BTreeMap<u64, String>>,
    /// The thread that watches the run.
    watcher: OnceLock<Thread>,
    /// The run's thread, by the system's number; 0 before it begins.
    thread: AtomicU32,
    stuck: OnceLock<StuckReport>,
}

/// Where a run is that does not go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StuckReport {
    /// It waits for what only its own thread could do.
    pub(crate) blocked: bool,
    pub(crate) captured: RawBacktrace,
    pub(crate) machine: MachineId,
    /// Its task, if one was running.
    pub(crate) task: Option<Identity>,
    /// Virtual nanoseconds.
    pub(crate) at: u64,
}

/// A moment of a run, as a watchdog sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusSnapshot {
    /// How many polls began.
    pub polls: u64,
    /// True inside a poll: only then can a run be hung.
    pub polling: bool,
    /// The machine whose task is polled.
    pub machine: MachineId,
    /// Virtual nanoseconds.
    pub at: u64,
}

impl RunStatus {
    /// What a watchdog sees now.
    pub(crate) fn snapshot(&self) -> StatusSnapshot {
        StatusSnapshot {
            polls: self.polls.load(Ordering::Relaxed),
            polling: self.polling.load(Ordering::Relaxed),
            machine: MachineId(self.machine.load(Ordering::Relaxed)),
            at: self.at.load(Ordering::Relaxed),
        }
    }

    /// The name of a machine, once the run has its machines.
    pub(crate) fn name(&self, machine: MachineId) -> Option<&str> {
        self.names.get()?.get(machine.0 as usize).map(|name| &**name)
    }

    /// Sets the names of the machines, in the order of their numbers. Only the first call has an effect.
    pub(crate) fn set_names(&self, names: Vec<Name>) {
        let _ = self.names.set(names);
    }

    /// Names a task: a plan, or a service where a machine has several.
    pub(crate) fn set_task_title(&self, path: u64, title: String) {
        self.titles().insert(path, title);
    }

    pub(super) fn task_title(&self, path: u64) -> Option<String> {
        self.titles().get(&path).cloned()
    }

    fn titles(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.titles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread is woken when the run is stuck.
    pub(crate) fn set_watcher(&self, watcher: Thread) {
        let _ = self.watcher.set(watcher);
    }

    /// Tells which thread is the run's.
    pub(crate) fn set_thread(&self, thread: u32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The run's thread, by the system's number.
    pub(crate) fn thread(&self) -> Option<u32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0)
    }

    /// Tells where the run is stuck: the first time counts. Neither allocates nor blocks.
    pub(crate) fn report_stuck(&self, stuck: StuckReport) {
        let _ = self.stuck.set(stuck);
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    /// Where the run is stuck, once it is known.
    pub(crate) fn stuck(&self) -> Option<&StuckReport> {
        self.stuck.get()
    }

    /// How many wakes came late or from another thread, and were dropped.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_the_names_they_were_given() {
        let shared = RunStatus::default();
        assert_eq!(shared.name(MachineId(0)), None);
        shared.set_names(["a", "bc.d", "é"].map(Name::from).to_vec());
        let names: Vec<_> = (0..4).map(|number| shared.name(MachineId(number))).collect();
        assert_eq!(names, [Some("a"), Some("bc.d"), Some("é"), None]);
    }
}

//! Processes: the incarnations of services, and clients.
//!
//! A process is running, stopping, or ended. An ended process never runs again; the next incarnation of its service is a new
//! process.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::engine::{MachineId, ProcessId};

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// The process is running.
    Running,
    /// The process has received the stop signal and is in its grace period.
    Stopping,
    /// The process has ended.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) machine: MachineId,
    /// The index of the machine's service; `None` for the body and other clients.
    pub(crate) service: Option<usize>,
    pub(crate) state: ProcessState,
    on_stop: WakerList,
    on_end: WakerList,
}

impl Process {
    pub(crate) fn new(machine: MachineId, service: Option<usize>) -> Self {
        Self {
            machine,
            service,
            state: ProcessState::Running,
            on_stop: WakerList::default(),
            on_end: WakerList::default(),
        }
    }

    /// Wakers to wake at the stop signal.
    pub(crate) fn on_stop(&mut self) -> &mut WakerList {
        &mut self.on_stop
    }

    /// Wakers to wake at the end of the process.
    pub(crate) fn on_end(&mut self) -> &mut WakerList {
        &mut self.on_end
    }
}

/// The processes of a run. Ids start at 1, since 0 is the harness.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: Vec<Process>,
}

impl Processes {
    /// Reserves memory for `more` processes.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
    }

    pub(crate) fn add(&mut self, process: Process) -> ProcessId {
        self.all.push(process);
        ProcessId(self.all.len() as u32)
    }

    /// The processes that have not ended and for which `which` returns true, in the order of their start.
    pub(crate) fn alive(&self, which: impl Fn(&Process) -> bool) -> Vec<ProcessId> {
        let numbered = (1..).zip(&self.all);
        let found =
            numbered.filter(|(_, process)| process.state != ProcessState::Ended && which(process));
        found.map(|(number, _)| ProcessId(number)).collect()
    }

    pub(crate) fn find(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.all.get_mut((id.0 as usize).checked_sub(1)?)
    }
}

/// Wakers that wait for the same event, in the order of registration.
#[derive(Debug, Default)]
pub(crate) struct WakerList {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl WakerList {
    /// Registers a waker under `key`, or under a new key. Returns the key, and the replaced waker for the caller to drop when
    /// nothing is borrowed.
    pub(crate) fn register(&mut self, key: Option<u64>, waker: Waker) -> (u64, Option<Waker>) {
        let key = key.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        (key, self.wakers.insert(key, waker))
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<Waker> {
        self.wakers.remove(&key)
    }

    /// Removes all wakers, for the caller to wake when nothing is borrowed.
    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

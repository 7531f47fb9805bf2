//! One incarnation of a service: from its start to its end, however it ends.
//!
//! The states of a process are those of its slot in [`Processes`]: running, told to stop, over. A process that is over is
//! never heard of again; the next incarnation is another process.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::engine::{MachineId, ProcessId};

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It was told to stop and has its grace.
    Stopping,
    /// It is no more.
    Over,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) machine: MachineId,
    /// Which of the machine's services; `None` for the body and other clients.
    pub(crate) service: Option<usize>,
    pub(crate) state: State,
    on_stop: Waiters,
    on_end: Waiters,
}

impl Process {
    pub(crate) fn new(machine: MachineId, service: Option<usize>) -> Self {
        Self {
            machine,
            service,
            state: State::Running,
            on_stop: Waiters::default(),
            on_end: Waiters::default(),
        }
    }

    /// Who must hear that it shall stop.
    pub(crate) fn on_stop(&mut self) -> &mut Waiters {
        &mut self.on_stop
    }

    /// Who must hear that it ended.
    pub(crate) fn on_end(&mut self) -> &mut Waiters {
        &mut self.on_end
    }
}

/// The processes of a run. Number 0 is the harness, and no process.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: Vec<Process>,
}

impl Processes {
    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
    }

    pub(crate) fn add(&mut self, process: Process) -> ProcessId {
        self.all.push(process);
        ProcessId(self.all.len() as u32)
    }

    /// Those that are not over and of which `which` is true, in the order in which they began.
    pub(crate) fn alive(&self, which: impl Fn(&Process) -> bool) -> Vec<ProcessId> {
        let numbered = (1..).zip(&self.all);
        let found = numbered.filter(|(_, process)| process.state != State::Over && which(process));
        found.map(|(number, _)| ProcessId(number)).collect()
    }

    pub(crate) fn find(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.all.get_mut((id.0 as usize).checked_sub(1)?)
    }
}

/// Those who wait for one thing, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    /// Puts `waker` under `name`, or under a new one. The old waker comes back, to be dropped outside.
    pub(crate) fn wait(&mut self, name: Option<u64>, waker: Waker) -> (u64, Option<Waker>) {
        let name = name.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        (name, self.wakers.insert(name, waker))
    }

    pub(crate) fn forget(&mut self, name: u64) -> Option<Waker> {
        self.wakers.remove(&name)
    }

    /// All of them, to be woken outside.
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

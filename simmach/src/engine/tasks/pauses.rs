//! Paused processes, whose tasks are not polled until the processes resume.
//!
//! A paused process is like a process that the kernel has stopped: its sockets stay open, its
//! kernel acknowledges data that arrives, and time passes. When the process resumes, its tasks
//! notice all wakes that happened during the pause.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::engine::ids::ProcessId;
use crate::engine::tasks::ready_queue::ReadyTask;

/// The paused processes of a run, each with its ready tasks in the order in which they would have run.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Whether any process is paused. In most runs this is false, which makes the check cheap.
    is_any: Cell<bool>,
    held: RefCell<BTreeMap<ProcessId, Vec<ReadyTask>>>,
}

impl Pauses {
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.get()
    }

    pub(crate) fn is_paused(&self, process: ProcessId) -> bool {
        self.is_any.get() && self.held.borrow().contains_key(&process)
    }

    /// Pauses a process. Returns false if it is paused already.
    pub(crate) fn pause(&self, process: ProcessId) -> bool {
        self.is_any.set(true);
        let mut is_new = false;
        self.held.borrow_mut().entry(process).or_insert_with(|| {
            is_new = true;
            Vec::new()
        });
        is_new
    }

    /// Holds a ready task of a paused process. Returns false if the process is not paused.
    pub(crate) fn hold(&self, process: ProcessId, ready: ReadyTask) -> bool {
        let mut held = self.held.borrow_mut();
        let Some(tasks) = held.get_mut(&process) else { return false };
        tasks.push(ready);
        true
    }

    /// Lets a process go on, or forgets one that has ended. Returns its ready tasks; `None` if it was not paused.
    pub(crate) fn resume(&self, process: ProcessId) -> Option<Vec<ReadyTask>> {
        let mut held = self.held.borrow_mut();
        let tasks = held.remove(&process);
        self.is_any.set(!held.is_empty());
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_held_in_order_until_the_process_goes_on() {
        let (pauses, process) = (Pauses::default(), ProcessId(7));
        let ready = |slot| ReadyTask { slot, generation: 0, path: 0, wake: 1 };
        assert!(!pauses.hold(process, ready(1)) && !pauses.is_any());
        assert!(pauses.pause(process) && !pauses.pause(process));
        assert!(pauses.hold(process, ready(1)) && pauses.hold(process, ready(2)));
        assert!(!pauses.hold(ProcessId(8), ready(3)));
        let slots = |tasks: Vec<ReadyTask>| tasks.into_iter().map(|ready| ready.slot);
        assert_eq!(pauses.resume(process).map(|tasks| slots(tasks).collect()), Some(vec![1, 2]));
        assert!(pauses.resume(process).is_none() && !pauses.is_any());
    }
}

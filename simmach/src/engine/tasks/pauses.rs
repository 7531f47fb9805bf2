//! Paused processes, whose tasks are not polled until the processes resume.
//!
//! A paused process is like a process that the kernel has stopped: its sockets stay open, its
//! kernel acknowledges data that arrives, and time passes. When the process resumes, its tasks
//! notice all wakes that happened during the pause.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::engine::ids::ProcessId;
use crate::engine::tasks::ready_queue::ReadyTask;

/// Why a process is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseReason {
    /// Its machine's processes were paused.
    Stopped,
    /// Its calls on files take time.
    Disk,
    /// Its machine's disk is stalled.
    StalledDisk,
}

/// A paused process: for which reasons, by their numbers, and its ready tasks in the order in which they would have run.
#[derive(Debug, Default)]
struct Paused {
    reasons: [bool; 3],
    tasks: Vec<ReadyTask>,
}

/// The paused processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Whether any process is paused. In most runs this is false, which makes the check cheap.
    is_any: Cell<bool>,
    held: RefCell<BTreeMap<ProcessId, Paused>>,
}

impl Pauses {
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.get()
    }

    pub(crate) fn is_paused(&self, process: ProcessId, reason: PauseReason) -> bool {
        self.is_any.get()
            && self.held.borrow().get(&process).is_some_and(|held| held.reasons[reason as usize])
    }

    /// Pauses a process. Returns false if it is paused for this reason already.
    pub(crate) fn pause(&self, process: ProcessId, reason: PauseReason) -> bool {
        self.is_any.set(true);
        let mut held = self.held.borrow_mut();
        let paused = held.entry(process).or_default();
        !std::mem::replace(&mut paused.reasons[reason as usize], true)
    }

    /// Holds a ready task of a paused process. Returns false if the process is not paused.
    pub(crate) fn hold(&self, process: ProcessId, ready: ReadyTask) -> bool {
        let mut held = self.held.borrow_mut();
        let Some(paused) = held.get_mut(&process) else { return false };
        paused.tasks.push(ready);
        true
    }

    /// Ends a pause. Returns `None` if the process was not paused for this reason, and otherwise its ready tasks, if it goes on
    /// now: there may be another reason.
    pub(crate) fn resume(&self, process: ProcessId, reason: PauseReason) -> Option<Vec<ReadyTask>> {
        let mut held = self.held.borrow_mut();
        let paused = held.get_mut(&process)?;
        if !std::mem::replace(&mut paused.reasons[reason as usize], false) {
            return None;
        }
        if paused.reasons.contains(&true) {
            return Some(Vec::new());
        }
        let tasks = held.remove(&process).map(|paused| paused.tasks);
        self.is_any.set(!held.is_empty());
        tasks
    }

    /// Forgets a process that has ended.
    pub(crate) fn forget(&self, process: ProcessId) {
        let mut held = self.held.borrow_mut();
        held.remove(&process);
        self.is_any.set(!held.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::PauseReason::{Disk, Stopped};
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ready(slot: u32) -> ReadyTask {
        ReadyTask { slot, generation: 0, path: 0, wake: 1 }
    }

    fn slots(tasks: Option<Vec<ReadyTask>>) -> Option<Vec<u32>> {
        tasks.map(|tasks| tasks.iter().map(|ready| ready.slot).collect())
    }

    #[test]
    fn tasks_are_held_in_order_until_the_process_goes_on() {
        let (pauses, process) = (Pauses::default(), ProcessId(7));
        assert!(!pauses.hold(process, ready(1)) && !pauses.is_any());
        assert!(pauses.pause(process, Stopped) && !pauses.pause(process, Stopped));
        assert!(pauses.hold(process, ready(1)) && pauses.hold(process, ready(2)));
        assert!(!pauses.hold(ProcessId(8), ready(3)));
        assert_eq!(slots(pauses.resume(process, Stopped)), Some(vec![1, 2]));
        assert!(pauses.resume(process, Stopped).is_none() && !pauses.is_any());
    }

    #[test]
    fn tasks_are_held_while_there_is_any_reason() {
        let (pauses, process) = (Pauses::default(), ProcessId(7));
        assert!(pauses.pause(process, Stopped) && pauses.pause(process, Disk));
        assert!(pauses.hold(process, ready(1)));
        assert_eq!(slots(pauses.resume(process, Stopped)), Some(vec![]));
        assert!(!pauses.is_paused(process, Stopped) && pauses.is_paused(process, Disk));
        assert!(pauses.resume(process, Stopped).is_none());
        assert_eq!(slots(pauses.resume(process, Disk)), Some(vec![1]));
        assert!(pauses.pause(process, Disk));
        pauses.forget(process);
        assert!(!pauses.is_any());
    }

    proptest! {
        /// Pauses for several reasons, against a set of the reasons of each process.
        #[test]
        fn process_goes_on_when_its_last_reason_ends(
            acts in prop::collection::vec((0..4u8, 0..3u32, 0..3usize), 0..60),
        ) {
            let reasons = [Stopped, Disk, PauseReason::StalledDisk];
            let pauses = Pauses::default();
            let mut model: BTreeMap<u32, (BTreeSet<usize>, Vec<u32>)> = BTreeMap::new();
            for (slot, (act, process, reason)) in (0..).zip(acts) {
                let (id, why) = (ProcessId(process), reasons[reason]);
                match act {
                    0 => {
                        let is_new = model.entry(process).or_default().0.insert(reason);
                        prop_assert_eq!(pauses.pause(id, why), is_new);
                    }
                    1 => {
                        let held = model.get_mut(&process).map(|(_, tasks)| tasks.push(slot));
                        prop_assert_eq!(pauses.hold(id, ready(slot)), held.is_some());
                    }
                    2 => {
                        let ended = model.get_mut(&process).map(|(why, _)| why.remove(&reason));
                        let goes_on = model.get(&process).is_some_and(|(why, _)| why.is_empty());
                        let tasks = goes_on.then(|| model.remove(&process)).flatten();
                        let expected = match ended {
                            Some(true) => Some(tasks.map_or(Vec::new(), |(_, tasks)| tasks)),
                            Some(false) | None => None,
                        };
                        prop_assert_eq!(slots(pauses.resume(id, why)), expected);
                    }
                    _ => {
                        model.remove(&process);
                        pauses.forget(id);
                    }
                }
                prop_assert_eq!(pauses.is_any(), !model.is_empty());
                for (number, reason) in reasons.into_iter().enumerate() {
                    let is_paused = model.get(&process).is_some_and(|(why, _)| why.contains(&number));
                    prop_assert_eq!(pauses.is_paused(id, reason), is_paused);
                }
            }
        }
    }
}

//! Paused processes, whose tasks are not polled until the processes resume.
//!
//! The processes of a machine with a slow CPU are paused for a part of each period, as by a quota of
//! CPU time. Such a pause begins when one of their tasks would be polled, so an idle process costs
//! nothing.
//!
//! A paused process is like a process that the kernel has stopped: its sockets stay open, its
//! kernel acknowledges data that arrives, and time passes. When the process resumes, its tasks
//! notice all wakes that happened during the pause.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::engine::ids::{MachineId, ProcessId, Scope};
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
    /// Its machine's CPU is slow, and the process has used up its time in this period.
    SlowCpu,
}

/// How slow the CPU of a machine is: in each period, its processes run only for the quota, at the
/// beginning. In nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuQuota {
    pub(crate) quota: u64,
    pub(crate) period: u64,
}

/// A machine with a slow CPU.
#[derive(Clone, Copy, Debug)]
struct SlowCpu {
    /// When the first period began.
    since: u64,
    quota: CpuQuota,
    /// A process that is not slowed down: that of the test's body.
    except: Option<ProcessId>,
}

impl SlowCpu {
    /// Returns when the next period begins, if the processes are paused `now`.
    fn paused_until(self, now: u64) -> Option<u64> {
        let CpuQuota { quota, period } = self.quota;
        let within = now.saturating_sub(self.since) % period.max(1);
        (within >= quota.max(1)).then(|| now.saturating_add(period - within))
    }
}

/// A paused process: for which reasons, by their numbers, and its ready tasks in the order in which they would have run.
#[derive(Debug, Default)]
struct Paused {
    reasons: [bool; 4],
    tasks: Vec<ReadyTask>,
}

/// The paused processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Whether any process is paused, or may be because of a slow CPU. In most runs this is false,
    /// which makes the check cheap.
    is_any: Cell<bool>,
    held: RefCell<BTreeMap<ProcessId, Paused>>,
    slow: RefCell<BTreeMap<MachineId, SlowCpu>>,
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
        self.is_any.set(!held.is_empty() || !self.slow.borrow().is_empty());
        tasks
    }

    /// Makes the CPU of a machine slow from `now` on, or as fast as usual with `None`. `except` is a
    /// process that is not slowed down. Pauses that have begun end at their time.
    pub(crate) fn set_cpu(
        &self,
        machine: MachineId,
        now: u64,
        quota: Option<CpuQuota>,
        except: Option<ProcessId>,
    ) {
        let mut slow = self.slow.borrow_mut();
        match quota {
            Some(quota) => slow.insert(machine, SlowCpu { since: now, quota, except }),
            None => slow.remove(&machine),
        };
        self.is_any.set(!self.held.borrow().is_empty() || !slow.is_empty());
    }

    /// How slow the CPU of a machine is; `None` if it is as fast as usual.
    pub(crate) fn cpu(&self, machine: MachineId) -> Option<CpuQuota> {
        self.slow.borrow().get(&machine).map(|slow| slow.quota)
    }

    /// Pauses the process of this scope if its machine's CPU is slow and its time in this period is
    /// used up. Returns when the next period begins if this pause is new.
    pub(crate) fn pause_if_slow(&self, scope: Scope, now: u64) -> Option<u64> {
        let slow = self.slow.borrow().get(&scope.machine).copied()?;
        let until = slow.paused_until(now).filter(|_| slow.except != Some(scope.process))?;
        self.pause(scope.process, PauseReason::SlowCpu).then_some(until)
    }

    /// Forgets a process that has ended.
    pub(crate) fn forget(&self, process: ProcessId) {
        let mut held = self.held.borrow_mut();
        held.remove(&process);
        self.is_any.set(!held.is_empty() || !self.slow.borrow().is_empty());
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

    #[test]
    fn process_with_a_quota_runs_at_the_beginning_of_each_period() {
        let pauses = Pauses::default();
        let scope = |machine, process| Scope {
            machine: MachineId(machine),
            process: ProcessId(process),
            ..Scope::HARNESS
        };
        let quota = CpuQuota { quota: 3, period: 10 };
        pauses.set_cpu(MachineId(1), 100, Some(quota), Some(ProcessId(9)));
        assert!(pauses.is_any() && pauses.cpu(MachineId(1)) == Some(quota));
        let pause = |now| {
            let until = pauses.pause_if_slow(scope(1, 7), now);
            pauses.forget(ProcessId(7));
            until
        };
        let untils: Vec<_> = (100..112).map(pause).collect();
        let paused = [Some(110); 7];
        assert_eq!(untils, [&[None; 3][..], &paused, &[None; 2]].concat());
        assert_eq!(pauses.pause_if_slow(scope(1, 9), 105), None);
        assert_eq!(pauses.pause_if_slow(scope(2, 8), 105), None);
        assert_eq!(pauses.pause_if_slow(scope(1, 7), 105), Some(110));
        assert_eq!(pauses.pause_if_slow(scope(1, 7), 106), None, "it is paused already");
        pauses.set_cpu(MachineId(1), 107, None, None);
        assert!(pauses.is_any() && pauses.cpu(MachineId(1)).is_none());
        assert_eq!(slots(pauses.resume(ProcessId(7), PauseReason::SlowCpu)), Some(vec![]));
        assert!(!pauses.is_any() && pause(105).is_none());
    }

    proptest! {
        /// Pauses for several reasons, against a set of the reasons of each process.
        #[test]
        fn process_goes_on_when_its_last_reason_ends(
            acts in prop::collection::vec((0..4u8, 0..3u32, 0..4usize), 0..60),
        ) {
            let reasons = [Stopped, Disk, PauseReason::StalledDisk, PauseReason::SlowCpu];
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

//! Processes whose calls on files take time: they are not polled before this time is over.
//!
//! A native process, and the main thread of a guest, cannot wait within a call, since they share the thread of the run. What
//! their calls in one poll take adds up, and delays their next poll.

use std::collections::BTreeMap;

use crate::disk::machines::with;
use crate::engine::tasks::pauses::PauseReason;
use crate::engine::{self, Action, ProcessId, TimerKey, context};

/// The processes that wait, until when, and their timers.
#[derive(Debug, Default)]
pub(super) struct Delays(BTreeMap<ProcessId, (u64, TimerKey)>);

impl Delays {
    /// Forgets a process that has ended.
    pub(super) fn forget(&mut self, process: ProcessId) {
        if let Some((_, timer)) = self.0.remove(&process) {
            drop(engine::cancel(timer));
        }
    }
}

/// Delays the next poll of a process by this many nanoseconds more.
pub(crate) fn delay(process: ProcessId, nanos: u64) {
    let _ = with(|disks| {
        let before = disks.delays.0.get(&process).map_or(0, |(until, _)| *until);
        let until = before.max(engine::now()).saturating_add(nanos);
        disks.delays.forget(process);
        let timer = engine::arm(until, Action::Call(end, u64::from(process.0), 0));
        disks.delays.0.insert(process, (until, timer));
        Ok(())
    });
    context::try_with(|engine| engine.pause_process(process, PauseReason::Disk));
}

/// The timer of a process that waits.
fn end(process: u64, _: u64) {
    let process = ProcessId(process as u32);
    let _ = with(|disks| Ok(disks.delays.0.remove(&process)));
    context::try_with(|engine| engine.resume_process(process, PauseReason::Disk));
}

//! Pauses the processes of a machine, as when the host of a virtual machine is busy, or a debugger
//! or a signal stops them.

use crate::engine::tasks::pauses::PauseReason;
use crate::engine::{self, Event, MachineId, ProcessId, context};
use crate::machine::with;

/// Pauses all processes of a machine except the test's body.
pub(crate) fn pause(machine: MachineId) {
    for process in pausable(machine) {
        context::try_with(|engine| engine.pause_process(process, PauseReason::Stopped));
    }
    engine::trace(Event::MachinePaused { machine });
}

/// Resumes the paused processes of a machine. Returns false if there are none.
pub(crate) fn resume(machine: MachineId) -> bool {
    let paused = pausable(machine).into_iter().filter(|process| {
        context::try_with(|engine| engine.resume_process(*process, PauseReason::Stopped))
            .unwrap_or(false)
    });
    let any = paused.count() > 0;
    if any {
        engine::trace(Event::MachineResumed { machine });
    }
    any
}

/// Whether a machine has a process that can be paused and is not paused.
pub(crate) fn can_pause(machine: MachineId) -> bool {
    pausable(machine).into_iter().any(|process| !is_process_paused(process))
}

/// Whether a process of a machine is paused.
pub(crate) fn is_paused(machine: MachineId) -> bool {
    pausable(machine).into_iter().any(is_process_paused)
}

fn is_process_paused(process: ProcessId) -> bool {
    context::try_with(|engine| engine.pauses.is_paused(process, PauseReason::Stopped))
        .unwrap_or(false)
}

fn pausable(machine: MachineId) -> Vec<ProcessId> {
    with(|machines| {
        let mut running = machines.processes.alive(|process| process.machine == machine);
        running.retain(|process| Some(*process) != machines.body);
        running
    })
    .unwrap_or_default()
}

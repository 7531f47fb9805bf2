//! Pauses the processes of a machine, as when the host of a virtual machine is busy, or a debugger
//! or a signal stops them. A slow CPU pauses them for a part of the time.

use crate::engine::tasks::pauses::{CpuQuota, PauseReason};
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

/// Makes the CPU of a machine slow, for all its processes except the test's body.
pub(crate) fn slow_cpu(machine: MachineId, quota: CpuQuota) {
    set_cpu(machine, Some(quota));
    engine::trace(Event::CpuSlowed { machine });
}

/// Makes the CPU of a machine as fast as usual. Returns false if it is.
pub(crate) fn restore_cpu(machine: MachineId) -> bool {
    if cpu(machine).is_none() {
        return false;
    }
    set_cpu(machine, None);
    for process in pausable(machine) {
        context::try_with(|engine| engine.resume_process(process, PauseReason::SlowCpu));
    }
    engine::trace(Event::CpuRestored { machine });
    true
}

/// How slow the CPU of a machine is; `None` if it is as fast as usual.
pub(crate) fn cpu(machine: MachineId) -> Option<CpuQuota> {
    context::try_with(|engine| engine.pauses.cpu(machine)).flatten()
}

fn set_cpu(machine: MachineId, quota: Option<CpuQuota>) {
    let body = with(|machines| machines.body).flatten();
    context::try_with(|engine| engine.pauses.set_cpu(machine, engine.clock.now(), quota, body));
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

//! Records which plan took a service down. A plan of the library restarts only the services that it
//! took down itself.
//!
//! A service that a plan takes down is marked with that plan until the service is started. If the
//! test or a user's plan takes the service down, it stays down: the mark is removed, and a pending
//! restart is cancelled.

use crate::engine::{self, MachineId, ProcessId};
use crate::machine::process::ProcessState;
use crate::machine::{ServiceId, with};

/// Marks services as taken down. `plan` is the plan of the library that does this, if any. Returns
/// the services' processes, which the caller must end.
pub(crate) fn mark_down(services: &[ServiceId], plan: Option<u64>) -> Vec<ProcessId> {
    let mut restarts = Vec::new();
    let running = with(|machines| {
        let mut running = Vec::new();
        for id in services {
            let installed = &mut machines.all[id.machine.0 as usize].services[id.service];
            let restart = installed.restart.take();
            let process = installed.running.and_then(|running| machines.processes.find(running));
            // A stopping service is already being taken down by other code.
            let runs = process.is_some_and(|process| process.state == ProcessState::Running);
            if plan.is_none() || runs || restart.is_some() {
                installed.down_by = plan;
            }
            running.extend(installed.running);
            restarts.extend(restart);
        }
        running
    });
    restarts.into_iter().for_each(|restart| drop(engine::cancel(restart)));
    running.unwrap_or_default()
}

/// Returns whether a restart after a crash is pending on a machine.
pub(crate) fn awaits_restart(machine: MachineId) -> bool {
    with(|machines| {
        let services = &machines.all[machine.0 as usize].services;
        services.iter().any(|installed| installed.restart.is_some())
    })
    .unwrap_or(false)
}

/// Cancels pending restarts after crashes on a machine.
pub(crate) fn cancel_restarts(machine: MachineId) {
    let restarts = with(|machines| {
        let services = machines.all[machine.0 as usize].services.iter_mut();
        services.filter_map(|installed| installed.restart.take()).collect::<Vec<_>>()
    });
    restarts.into_iter().flatten().for_each(|restart| drop(engine::cancel(restart)));
}

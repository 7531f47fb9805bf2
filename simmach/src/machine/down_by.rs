//! Which plan took a service down. A plan of the library restarts only the services that it took down itself.
//!
//! A service that a plan takes down is marked with the plan until it is started. If the test or a plan of the user takes it down,
//! the service stays down: the mark is removed, and a pending restart is cancelled.

use crate::engine::{self, MachineId, ProcessId};
use crate::machine::process::ProcessState;
use crate::machine::start::{power_on, start};
use crate::machine::{ServiceId, cut_power, has_power, select, services_of, with};

/// Marks services as taken down, by `plan` if it is one of the library. Returns their processes, which the caller must end.
pub(crate) fn mark_down(services: &[ServiceId], plan: Option<u64>) -> Vec<ProcessId> {
    let mut restarts = Vec::new();
    let running = with(|machines| {
        let mut running = Vec::new();
        for id in services {
            let installed = &mut machines.all[id.machine.0 as usize].services[id.service];
            let restart = installed.restart.take();
            let process = installed.running.and_then(|running| machines.processes.find(running));
            // A stopping service is already being taken down by someone else.
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

/// Powers off a machine, on behalf of `plan` if it is one of the library.
pub(crate) fn power_off(machine: MachineId, plan: Option<u64>) {
    mark_down(&services_of(machine), plan);
    if has_power(machine) {
        cut_power(machine);
    } else if plan.is_some() {
        return;
    }
    with(|machines| machines.all[machine.0 as usize].power_off_by = plan);
}

/// Restores the power of the machines that a plan powered off, and starts the services that it took down.
pub(crate) fn restore(plan: u64) {
    let services =
        select(|_, installed| installed.down_by == Some(plan) && installed.running.is_none());
    services.into_iter().for_each(start);
    let powered_off = with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let powered_off =
            numbered.filter(|(_, machine)| !machine.powered && machine.power_off_by == Some(plan));
        powered_off.map(|(number, _)| MachineId(number)).collect::<Vec<_>>()
    });
    for machine in powered_off.unwrap_or_default() {
        power_on(machine);
    }
}

//! Who took a service down: a plan of the library starts again what it took down itself, and nothing else.
//!
//! A plan's mark is on a service from when it took it down until someone starts it. Whoever takes it down without being such
//! a plan (the test, a plan of the user's own) means it to stay down: the mark goes, and with it the restart that is due
//! after a crash.

use crate::engine::{self, MachineId, ProcessId};
use crate::machine::process::State;
use crate::machine::start::{power_on, start};
use crate::machine::{ServiceId, cut_power, has_power, select, services_of, with};

/// These services are to go down, by a plan of the library or by another. Answers their processes, yet to be ended.
pub(crate) fn take(services: &[ServiceId], plan: Option<u64>) -> Vec<ProcessId> {
    let mut restarts = Vec::new();
    let running = with(|machines| {
        let mut running = Vec::new();
        for id in services {
            let installed = &mut machines.all[id.machine.0 as usize].services[id.service];
            let restart = installed.restart.take();
            let process = installed.running.and_then(|running| machines.processes.find(running));
            // One that was told to stop is on its way down already, by somebody else's will.
            let runs = process.is_some_and(|process| process.state == State::Running);
            if plan.is_none() || runs || restart.is_some() {
                installed.taken = plan;
            }
            running.extend(installed.running);
            restarts.extend(restart);
        }
        running
    });
    restarts.into_iter().for_each(|restart| drop(engine::cancel(restart)));
    running.unwrap_or_default()
}

/// Whether a service that crashed on a machine is to be started again.
pub(crate) fn awaits_restart(machine: MachineId) -> bool {
    with(|machines| {
        let services = &machines.all[machine.0 as usize].services;
        services.iter().any(|installed| installed.restart.is_some())
    })
    .unwrap_or(false)
}

/// What crashed on a machine stays down, unless a plan had taken it.
pub(crate) fn cancel_restarts(machine: MachineId) {
    let restarts = with(|machines| {
        let services = machines.all[machine.0 as usize].services.iter_mut();
        services.filter_map(|installed| installed.restart.take()).collect::<Vec<_>>()
    });
    restarts.into_iter().flatten().for_each(|restart| drop(engine::cancel(restart)));
}

/// Takes a machine's power, if it has any, and its services with it.
pub(crate) fn take_power(machine: MachineId, plan: Option<u64>) {
    take(&services_of(machine), plan);
    if has_power(machine) {
        cut_power(machine);
    } else if plan.is_some() {
        return;
    }
    with(|machines| machines.all[machine.0 as usize].power_taken = plan);
}

/// Gives a plan's machines their power back, and starts what the plan took down, unless someone else has.
pub(crate) fn give_back(plan: u64) {
    let taken = select(|_, installed| installed.taken == Some(plan) && installed.running.is_none());
    taken.into_iter().for_each(start);
    let dark = with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let dark =
            numbered.filter(|(_, machine)| !machine.powered && machine.power_taken == Some(plan));
        dark.map(|(number, _)| MachineId(number)).collect::<Vec<_>>()
    });
    for machine in dark.unwrap_or_default() {
        power_on(machine);
    }
}

//! The power of machines: its loss and its return.
//!
//! A machine that loses power loses its processes, its network state, and the data that is not durable on its disk.

use crate::engine::record::event::ProcessExit;
use crate::engine::{self, Effect, Event, MachineId};
use crate::machine::down_by::mark_down;
use crate::machine::end::end_process;
use crate::machine::start::start;
use crate::machine::{has_power, select, services_of, with};
use crate::{net, storage};

/// Powers off a machine, on behalf of `plan` if a plan of the library does it.
pub(crate) fn power_off(machine: MachineId, plan: Option<u64>) {
    mark_down(&services_of(machine), plan);
    if has_power(machine) {
        lose_power(machine);
    } else if plan.is_some() {
        return;
    }
    with(|machines| machines.all[machine.0 as usize].power_off_by = plan);
}

/// Powers off a machine: ends its processes, removes its network state, and takes its disk back to the last durable point.
pub(crate) fn lose_power(machine: MachineId) {
    let running = with(|machines| {
        machines.all[machine.0 as usize].powered = false;
        machines.processes.alive(|process| process.machine == machine)
    });
    net::control::erase_machine(machine);
    net::control::set_power(machine, false);
    for process in running.into_iter().flatten() {
        end_process(process, ProcessExit::PowerLost);
    }
    let lost = storage::power_off(machine);
    engine::record_fault(Effect::PowerOff, Some(machine), || match lost {
        0 => "loses power".to_owned(),
        1 => "loses power; 1 commit that was not durable is lost".to_owned(),
        lost => format!("loses power; {lost} commits that were not durable are lost"),
    });
    engine::trace(Event::PowerLost { machine, commits: lost });
}

/// Gives a machine power, without starting its services. Returns false if it already has power.
pub(crate) fn power_on(machine: MachineId) -> bool {
    let had =
        with(|machines| std::mem::replace(&mut machines.all[machine.0 as usize].powered, true));
    if had == Some(false) {
        net::control::set_power(machine, true);
        engine::trace(Event::PowerRestored { machine });
        engine::note_progress();
    }
    had == Some(false)
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

/// Gives power to all machines, and starts all services that are down, except those that returned by themselves. Returns false
/// if there is nothing to do.
pub(crate) fn start_remaining() -> bool {
    let down = select(|_, installed| !installed.returned && installed.running.is_none());
    let mut changed = !down.is_empty();
    down.into_iter().for_each(start);
    let all = with(|machines| machines.all.len()).unwrap_or(0);
    for machine in (0u32..).map(MachineId).take(all) {
        changed |= power_on(machine);
    }
    changed
}

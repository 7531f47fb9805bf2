//! The power of machines: how a machine loses it and gets it back.
//!
//! A machine that loses power loses its processes, its network state, and the data that is not durable on its disk.

use crate::engine::record::event::ProcessExit;
use crate::engine::{self, Effect, Event, MachineId, Scope, context};
use crate::machine::disk_faults::cancel_power_off_at_call;
use crate::machine::disks::{self, LostData};
use crate::machine::down_by::mark_down;
use crate::machine::end::end_process;
use crate::machine::hardware::cancel_boot;
use crate::machine::start::start;
use crate::machine::{ServiceId, has_power, select, services_of, with};
use crate::net;

/// Powers off a machine. `plan` is the plan of the library that does this, if any.
pub(crate) fn power_off(machine: MachineId, plan: Option<u64>) {
    cancel_boot(machine);
    mark_down(&services_of(machine), plan);
    if has_power(machine) {
        lose_power(machine);
    } else if plan.is_some() {
        return;
    }
    with(|machines| machines.all[machine.0 as usize].power_off_by = plan);
}

/// Powers off a machine: ends its processes, removes its network state, and reverts its disk to the
/// last durable point.
pub(crate) fn lose_power(machine: MachineId) {
    cancel_power_off_at_call(machine);
    let running = with(|machines| {
        machines.all[machine.0 as usize].powered = false;
        machines.processes.alive(|process| process.machine == machine)
    });
    net::control::erase_machine(machine);
    net::control::set_power(machine, false);
    for process in running.into_iter().flatten() {
        context::try_with(|engine| engine.record_own_end(process));
        disks::files::keep_disk(machine, process);
        end_process(process, ProcessExit::PowerLost);
    }
    as_survivor(|| {
        let lost = disks::power_off(machine);
        engine::record_fault(Effect::PowerOff, Some(machine), || describe(lost));
        engine::count_effect(Effect::WriteLost, lost.changes);
        engine::trace(Event::PowerLost { machine, commits: lost.commits + lost.changes });
    });
}

/// Calls `f` in a scope that is alive: code that took its own machine's power, or in whose call it failed, is dead, and would
/// draw nothing.
fn as_survivor(f: impl FnOnce()) {
    match engine::live_scope() {
        Some(_) => f(),
        None => _ = context::try_with(|engine| engine.as_scope(Scope::HARNESS, f)),
    }
}

fn describe(LostData { commits, changes }: LostData) -> String {
    let commits = match commits {
        0 => None,
        1 => Some("1 commit that was not durable is lost".to_owned()),
        lost => Some(format!("{lost} commits that were not durable are lost")),
    };
    let changes = match changes {
        0 => None,
        1 => Some("1 change of files that was not synced is lost".to_owned()),
        lost => Some(format!("{lost} changes of files that were not synced are lost")),
    };
    let parts = std::iter::once("loses power".to_owned()).chain(commits).chain(changes);
    parts.collect::<Vec<_>>().join("; ")
}

/// Gives a machine power, without starting its services. Returns false if it already has power.
pub(crate) fn power_on(machine: MachineId) -> bool {
    let had =
        with(|machines| std::mem::replace(&mut machines.all[machine.0 as usize].powered, true));
    if had == Some(false) {
        net::control::set_power(machine, true);
        disks::files::forget_orphans(machine);
        engine::trace(Event::PowerRestored { machine });
        engine::note_progress();
    }
    had == Some(false)
}

/// The machines that a plan of the library powered off, or whose services it took down, and that are still down.
pub(crate) fn taken_down_by(plan: u64) -> Vec<MachineId> {
    let all = with(|machines| machines.all.len()).unwrap_or(0);
    let mut machines: Vec<_> = (0u32..).map(MachineId).take(all).collect();
    machines.retain(|machine| can_bring_up(*machine, &services_of(*machine), Some(plan)));
    machines
}

/// Whether [`bring_up`] would change anything.
pub(crate) fn can_bring_up(machine: MachineId, services: &[ServiceId], owner: Option<u64>) -> bool {
    may_power_on(machine, owner) || services.iter().any(|id| may_start(*id, owner))
}

/// Gives a machine power, and starts services on it that are down. On behalf of a plan of the library, if `owner` is one: only
/// what the plan took down itself.
pub(crate) fn bring_up(machine: MachineId, services: &[ServiceId], owner: Option<u64>) {
    let powers_on = may_power_on(machine, owner);
    services.iter().copied().filter(|id| may_start(*id, owner)).for_each(start);
    if powers_on {
        power_on(machine);
    }
}

fn may_power_on(machine: MachineId, owner: Option<u64>) -> bool {
    with(|machines| {
        let machine = &machines.all[machine.0 as usize];
        !machine.powered && (owner.is_none() || machine.power_off_by == owner)
    })
    .unwrap_or(false)
}

fn may_start(id: ServiceId, owner: Option<u64>) -> bool {
    with(|machines| {
        let installed = &machines.all[id.machine.0 as usize].services[id.service];
        installed.running.is_none() && (owner.is_none() || installed.down_by == owner)
    })
    .unwrap_or(false)
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

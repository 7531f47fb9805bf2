//! Carries out acts. Acts of plans are recorded; acts of a script replace the plans.
//!
//! The methods of [`Sim`](crate::Sim) and the plans of the library create acts and pass them to
//! this module. So an act has the same effect regardless of its origin.

use std::time::Duration;

use crate::engine::acts::{
    Act, Anchor, AnchorEvent, DueAct, Impairment, LinkPaths, PointFault, Processes,
};
use crate::engine::log::{self, Level};
use crate::engine::points::Pass;
use crate::engine::record::event::LinkChange;
use crate::engine::tasks::pauses::CpuQuota;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{
    self, Effect, Event, MachineId, ProcessId, RunId, Scope, context, mix, mix_text,
};
use crate::machine::{self, ServiceId};
use crate::net::control::Paths;
use crate::net::{self, Choice, LinkState, NetworkProfile, PacketFate};
use crate::sim::links::link_changed;
use crate::sim::machines::{
    changes_clock, check_unused, freeze_clock, is_clock_stuck, name_of, set_clock,
};
use crate::sim::world::with;
use crate::sim::{ControlError, disks, own_faults, repair_everything};

/// Carries out an act of a script. An act that finds nothing to do has no effect.
pub(crate) fn carry_out(due: DueAct) {
    let DueAct { owner, when, act, .. } = due;
    if changes(owner, &act) {
        let anchor = when.and_then(|when| Some(describe_anchor(when.anchor?, when.offset)));
        perform(owner, &act, || {
            format!("{}{}", describe(&act), anchor.clone().unwrap_or_default())
        });
    }
}

/// Returns all services of a machine, for an act.
pub(crate) fn services_on(machine: MachineId) -> Processes {
    let services = machine::services_of(machine).iter().map(|id| id.service as u32).collect();
    Processes { machine, services, clients: false }
}

/// Performs an act, which `text` describes. The act is recorded if it belongs to a plan or a
/// script. `owner` is the plan of the library that performs the act, if any.
pub(crate) fn perform(owner: Option<u64>, act: &Act, text: impl Fn() -> String) {
    engine::record_act(owner, act, &text);
    match act {
        // The stop ends by another act, of the script or of the plan that waits for it.
        Act::Stop { who, .. } => _ = machine::tell_to_stop(&take_down(owner, who)),
        Act::EndStop { machine } => {
            machine::stopping(|other| other == *machine).into_iter().for_each(machine::kill);
        }
        Act::Kill { who } => take_down(owner, who).into_iter().for_each(machine::kill),
        Act::PowerOff { machine } => machine::power_off(*machine, owner),
        Act::Start { machine, services } => {
            machine::bring_up(*machine, &service_ids(*machine, services), owner);
        }
        Act::Pause { machine } => {
            machine::pause(*machine);
            engine::record_fault(Effect::Pause, Some(*machine), text);
        }
        Act::Resume { machine } => {
            machine::resume(*machine);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::Wipe { machine } => {
            machine::cancel_restarts(*machine);
            if let Err(error) = machine::wipe(*machine) {
                let name = name_of(*machine).unwrap_or_default();
                machine::break_run(format!("cannot wipe the disk of `{name}`: {error}"));
            }
        }
        Act::Partition { from, to, both_ways } => {
            each_way(from, to, *both_ways, |from, to| {
                net::control::partition(owner, from, to);
                link_changed(LinkChange::Partition, from, to);
            });
            engine::record_fault(Effect::Partition, None, text);
        }
        Act::Heal { from, to, both_ways } => {
            each_way(from, to, *both_ways, |from, to| {
                net::control::heal(owner, from, to);
                link_changed(LinkChange::Healed, from, to);
            });
            log_line(text);
        }
        Act::HealAll => {
            net::control::heal_all();
            link_changed(LinkChange::AllHealed, &[], &[]);
            log_line(text);
        }
        Act::Clog { from, to } => {
            net::control::clog(from, to);
            link_changed(LinkChange::Clogged, from, to);
            engine::record_fault(Effect::Clog, None, text);
        }
        Act::Unclog { from, to } => {
            net::control::unclog(from, to);
            link_changed(LinkChange::Unclogged, from, to);
            log_line(text);
        }
        Act::Link { paths, profile, .. } => {
            if let Some(profile) = NetworkProfile::from_bytes(profile) {
                set_links(paths, profile);
                log_line(text);
            }
        }
        Act::Clock { machine, offset, drift } => {
            set_clock(*machine, ClockSkew { offset: *offset, drift: *drift });
        }
        Act::Filter { number, from, to, verdicts } => {
            let fate = |delay: Option<u64>| {
                delay.map_or(PacketFate::Drop, |by| PacketFate::Delay(Duration::from_nanos(by)))
            };
            let fates =
                verdicts.iter().map(|verdict| ((verdict.packet, verdict.nth), fate(verdict.delay)));
            let choice = Choice::Recorded(fates.collect());
            let filter = net::control::add_filter(from, to, choice, end_filter);
            with(|world| world.filters.extend(filter.map(|filter| (*number, filter))));
        }
        Act::EndFilter { number } => drop(with(|world| world.filters.remove(number))),
        Act::Impair { number, from, to, impairment } => {
            net::control::impair(*number, from, to, *impairment);
            link_changed(LinkChange::Impaired, from, to);
            engine::record_fault(Effect::Impairment, None, text);
        }
        Act::EndImpairment { number } => {
            // The text names the machines, so it must be written before.
            let text = text();
            net::control::end_impairment(*number);
            link_changed(LinkChange::ImpairmentEnded, &[], &[]);
            log_line(|| text.clone());
        }
        Act::SlowCpu { machine, quota, period } => {
            machine::slow_cpu(*machine, CpuQuota { quota: *quota, period: *period });
            engine::record_fault(Effect::SlowCpu, Some(*machine), text);
        }
        Act::RestoreCpu { machine } => {
            machine::restore_cpu(*machine);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::FreezeClock { machine } => freeze_clock(*machine, text),
        Act::Settle => repair_everything(),
        Act::BreakDisk { machine, fault } => machine::break_disk(*machine, *fault),
        Act::RepairDisk { machine } => {
            machine::repair_disk(*machine);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::EndDiskFault { machine, fault } => {
            machine::end_disk_fault(*machine, *fault);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::PowerOffAtCall { machine, calls } => {
            machine::power_off_at_call(*machine, *calls, owner);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::CancelPowerOff { machine } => {
            machine::cancel_power_off_at_call(*machine);
            log::write_line(Level::Fault, *machine, text);
        }
        Act::Snapshot { machine, number } => {
            break_on_error(disks::take_snapshot(*machine, *number));
        }
        Act::Restore { machine, number } => break_on_error(disks::restore(*machine, *number)),
        Act::Own { .. } => own_faults::begin_again(act),
        Act::EndOwn { number } => {
            if let Err(error) = own_faults::undo(*number) {
                engine::break_run(error.to_string());
            }
        }
        Act::Point { machine, point, fault } => {
            let pass = Pass { machine: *machine, point: *point };
            context::try_with(|engine| engine.points.set_fault(pass, *fault));
            engine::record_fault(Effect::PointFault, Some(*machine), text);
        }
    }
}

fn break_on_error(done: Result<(), ControlError>) {
    if let Err(error) = done {
        machine::break_run(error.to_string());
    }
}

/// Whether an act would change anything.
fn changes(owner: Option<u64>, act: &Act) -> bool {
    match act {
        Act::Stop { who, .. } | Act::Kill { who } => has_something_to_end(who),
        Act::EndStop { machine } => !machine::stopping(|other| other == *machine).is_empty(),
        Act::PowerOff { machine } => machine::has_power(*machine),
        Act::Start { machine, services } => {
            machine::can_bring_up(*machine, &service_ids(*machine, services), owner)
        }
        Act::Pause { machine } => machine::can_pause(*machine),
        Act::Resume { machine } => machine::is_paused(*machine),
        Act::Wipe { machine } => {
            check_unused(&[*machine]).is_ok() && !machine::is_disk_empty(*machine)
        }
        Act::Restore { machine, number } => {
            let is_there = with(|world| world.disks.contains_key(number)) == Some(true);
            is_there && check_unused(&[*machine]).is_ok()
        }
        Act::BreakDisk { machine, fault } => !machine::has_disk_fault(*machine, Some(*fault)),
        Act::RepairDisk { machine } => machine::has_disk_fault(*machine, None),
        Act::EndDiskFault { machine, fault } => machine::has_disk_fault(*machine, Some(*fault)),
        Act::PowerOffAtCall { machine, .. } => machine::has_power(*machine),
        Act::CancelPowerOff { machine } => machine::awaits_power_off_by(*machine, owner),
        Act::Partition { from, to, both_ways } => {
            let would = |from, to| net::control::would_partition(owner, from, to, true);
            would(from, to) || *both_ways && would(to, from)
        }
        Act::Heal { from, to, both_ways } => {
            let would = |from, to| net::control::would_partition(owner, from, to, false);
            would(from, to) || *both_ways && would(to, from)
        }
        Act::Clog { from, to } => net::control::would_clog(from, to, true),
        Act::Unclog { from, to } => net::control::would_clog(from, to, false),
        Act::Link { paths, profile, .. } => {
            let paths = match paths {
                LinkPaths::Zones { from, to } => Paths::Zones(from, to),
                LinkPaths::Machines { from, to } => Paths::Machines(from, to),
            };
            NetworkProfile::from_bytes(profile)
                .is_some_and(|profile| !net::control::has_profile(paths, LinkState::Now, &profile))
        }
        Act::Clock { machine, offset, drift } => {
            changes_clock(*machine, ClockSkew { offset: *offset, drift: *drift })
        }
        Act::EndFilter { number } => {
            with(|world| world.filters.contains_key(number)).unwrap_or(false)
        }
        Act::EndImpairment { number } => net::control::has_impairment(*number),
        Act::SlowCpu { machine, quota, period } => {
            machine::cpu(*machine) != Some(CpuQuota { quota: *quota, period: *period })
        }
        Act::RestoreCpu { machine } => machine::cpu(*machine).is_some(),
        Act::FreezeClock { machine } => !is_clock_stuck(*machine),
        Act::HealAll => net::control::is_any_partitioned(),
        Act::EndOwn { number } => own_faults::has_begun(*number),
        Act::Filter { .. }
        | Act::Impair { .. }
        | Act::Settle
        | Act::Snapshot { .. }
        | Act::Point { .. }
        | Act::Own { .. } => true,
    }
}

/// Tells processes to stop, and waits until they have ended. What has not ended after `grace` is killed, which belongs to the
/// act that told them.
pub(crate) async fn stop(owner: Option<u64>, processes: Vec<ProcessId>, grace: Duration) {
    let unaware = machine::tell_to_stop(&processes);
    if machine::have_ended(&processes, grace).await {
        return;
    }
    let mut machines: Vec<_> =
        processes.iter().filter_map(|one| machine::machine_of(*one)).collect();
    machines.sort_unstable();
    machines.dedup();
    for machine in machines {
        let act = Act::EndStop { machine };
        engine::record_act(owner, &act, || describe(&act));
    }
    machine::kill_stopping(&processes, &unaware);
}

/// Whether any of these processes runs, or waits for its restart after a crash.
pub(super) fn has_something_to_end(who: &Processes) -> bool {
    let mut services = service_ids(who.machine, &who.services).into_iter();
    machine::awaits_restart(who.machine)
        || services.any(|service| machine::process_of(service).is_some())
        || who.clients && !machine::clients_of(who.machine).is_empty()
}

/// Marks the services to stay down, and returns all processes that the caller must end.
fn take_down(owner: Option<u64>, who: &Processes) -> Vec<ProcessId> {
    let mut running = machine::mark_down(&service_ids(who.machine, &who.services), owner);
    if who.clients {
        running.extend(machine::clients_of(who.machine));
    }
    running
}

/// Returns the services of a machine with these numbers, as far as they exist.
fn service_ids(machine: MachineId, services: &[u32]) -> Vec<ServiceId> {
    let mut all = machine::services_of(machine);
    all.retain(|id| services.contains(&(id.service as u32)));
    all
}

/// Sets the profile of links.
pub(super) fn set_links(paths: &LinkPaths, profile: NetworkProfile) {
    match paths {
        LinkPaths::Zones { from, to } => {
            // A token may name a zone that no longer exists.
            if net::control::set_profile(from, to, profile).is_ok() {
                let zones = mix(mix_text(from), mix_text(to));
                engine::trace(Event::ZoneLinkChanged { zones });
            }
        }
        LinkPaths::Machines { from, to } => {
            net::control::set_pair_profile(from, to, &profile);
            link_changed(LinkChange::Profile, from, to);
        }
    }
}

/// Removes a packet filter whose guard was dropped. This may be an act of a plan.
pub(super) fn end_filter(run: RunId, number: u64) {
    if net::control::remove_filter(run, number) {
        let act = Act::EndFilter { number };
        engine::record_act(None, &act, || describe(&act));
    }
}

fn each_way(
    from: &[MachineId],
    to: &[MachineId],
    both_ways: bool,
    mut each: impl FnMut(&[MachineId], &[MachineId]),
) {
    each(from, to);
    if both_ways {
        each(to, from);
    }
}

fn log_line(text: impl Fn() -> String) {
    log::write_line(Level::Fault, Scope::HARNESS.machine, text);
}

/// The event that an act was bound to in words: `, 1.2ms after commit 2 on db`.
fn describe_anchor(anchor: Anchor, offset: u64) -> String {
    let Anchor { event, nth } = anchor;
    let name = |machine| name_of(machine).unwrap_or_default();
    let what = match event {
        AnchorEvent::Commit { machine } => format!("commit {nth} on {}", name(machine)),
        AnchorEvent::Packet { from, to, port } => {
            format!("{} sends packet {nth} to {} (service port {port})", name(from), name(to))
        }
        AnchorEvent::Point { machine, point } => {
            let point = name_of_point(point);
            return match offset {
                0 => format!(" at pass {nth} of {point} on {}", name(machine)),
                _ => {
                    let offset = Duration::from_nanos(offset);
                    format!(", {offset:?} after pass {nth} of {point} on {}", name(machine))
                }
            };
        }
    };
    match offset {
        0 => format!(", immediately after {what}"),
        nanos => format!(", {:?} after {what}", Duration::from_nanos(nanos)),
    }
}

/// The name of a fault point in backticks. The name is known once code has passed the point.
fn name_of_point(point: u64) -> String {
    match context::try_with(|engine| engine.points.name(point)).flatten() {
        Some(name) => format!("`{name}`"),
        None => "an unknown fault point".to_owned(),
    }
}

/// Describes an act in words. If the act concerns one machine, the text does not name it.
pub(crate) fn describe(act: &Act) -> String {
    let names = |machines: &[MachineId]| -> String {
        let names: Vec<_> = machines.iter().map(|one| name_of(*one).unwrap_or_default()).collect();
        format!("[{}]", names.join(", "))
    };
    match act {
        Act::Stop { .. } => "told to stop".to_owned(),
        Act::Kill { .. } | Act::EndStop { .. } => "killed".to_owned(),
        Act::PowerOff { .. } => "loses power".to_owned(),
        Act::Start { .. } => "started".to_owned(),
        Act::Pause { .. } => "paused".to_owned(),
        Act::Resume { .. } => "continues after a pause".to_owned(),
        Act::Wipe { .. } => "disk wiped".to_owned(),
        Act::Partition { from, to, both_ways: true } => {
            format!("partitioned: {} | {}", names(from), names(to))
        }
        Act::Partition { from, to, both_ways: false } => {
            format!("partitioned: {} -> {}", names(from), names(to))
        }
        Act::Heal { from, to, both_ways: true } => {
            format!("healed: {} | {}", names(from), names(to))
        }
        Act::Heal { from, to, both_ways: false } => {
            format!("healed: {} -> {}", names(from), names(to))
        }
        Act::HealAll => "healed: all partitions".to_owned(),
        Act::Clog { from, to } => format!("clogged: {} -> {}", names(from), names(to)),
        Act::Unclog { from, to } => format!("unclogged: {} -> {}", names(from), names(to)),
        Act::Link { paths: LinkPaths::Machines { from, to }, .. } => {
            format!("link profile changed: {} -> {}", names(from), names(to))
        }
        Act::Link { paths: LinkPaths::Zones { from, to }, .. } => {
            format!("link profile changed: [{from}] -> [{to}]")
        }
        Act::Clock { offset: 0, drift: 0, .. } => "clocks reset".to_owned(),
        Act::Clock { .. } => "clocks changed".to_owned(),
        Act::Filter { from, to, .. } => {
            format!("packet filter added: {} -> {}", names(from), names(to))
        }
        Act::EndFilter { .. } => "packet filter removed".to_owned(),
        Act::Impair { from, to, impairment, .. } => {
            let what = match impairment {
                Impairment::Duplicate { .. } => "packets arrive twice".to_owned(),
                Impairment::Reorder { .. } => "packets overtake each other".to_owned(),
                Impairment::Throttle { bytes_per_second, .. } => {
                    format!("bandwidth limited to {bytes_per_second} bytes per second")
                }
                Impairment::Delay { nanos } => {
                    format!("packets delayed by {:?}", Duration::from_nanos(*nanos))
                }
                Impairment::Lose { per_million } => {
                    format!("{} % of packets lost", f64::from(*per_million) / 10_000.0)
                }
            };
            format!("{what}: {} -> {}", names(from), names(to))
        }
        Act::EndImpairment { number } => match net::control::impairment_sides(*number) {
            Some([from, to]) => format!("impairment ended: {} -> {}", names(&from), names(&to)),
            None => "impairment ended".to_owned(),
        },
        Act::SlowCpu { quota, period, .. } => {
            let [quota, period] = [quota, period].map(|nanos| Duration::from_nanos(*nanos));
            format!("CPU slowed: runs for {quota:?} out of every {period:?}")
        }
        Act::RestoreCpu { .. } => "CPU at full speed again".to_owned(),
        Act::FreezeClock { .. } => "wall clock stands still".to_owned(),
        Act::Settle => "cluster settled".to_owned(),
        Act::BreakDisk { fault, .. } => machine::describe_fault(*fault).to_owned(),
        Act::RepairDisk { .. } => "disk repaired".to_owned(),
        Act::EndDiskFault { fault, .. } => {
            format!("disk fault ended: {}", machine::describe_end(*fault))
        }
        Act::PowerOffAtCall { calls: 1, .. } => {
            "will lose power in its next call that changes or syncs files or commits to a store"
                .to_owned()
        }
        Act::PowerOffAtCall { calls, .. } => {
            format!(
                "will lose power in call {calls} from now (counting calls that change or sync files, \
                 or commit to a store)"
            )
        }
        Act::CancelPowerOff { .. } => "pending power-off cancelled".to_owned(),
        Act::Snapshot { .. } => "disk copied".to_owned(),
        Act::Restore { .. } => "disk replaced by a snapshot".to_owned(),
        Act::Own { name, victims, .. } => format!("{name}: {}", names(victims)),
        Act::EndOwn { number } => match own_faults::name_of(*number) {
            Some(name) => format!("ended: {name}"),
            None => "a fault defined by the test ended".to_owned(),
        },
        Act::Point { point, fault: PointFault::Delay(nanos), .. } => {
            let delay = Duration::from_nanos(*nanos);
            format!("code delayed by {delay:?} at {}", name_of_point(*point))
        }
        Act::Point { point, .. } => format!("code fails at {}", name_of_point(*point)),
    }
}

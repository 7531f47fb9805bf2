//! Machines, and the processes on them: starting, stopping, killing, and powering off.
//!
//! - *Stop*: the process gets the stop signal and a grace period, after which it is killed.
//! - *Kill*: the process ends at once. The kernel of the machine closes its sockets.
//! - *Power off*: all processes end, nothing more is sent, and data that is not durable is lost.
//!
//! A machine without running processes still has a kernel, which answers with RST. A machine
//! without power does not answer. At the start of a run, guests' machines boot at different times (`hardware.rs`); later,
//! a machine boots at once. Processes on one machine
//! share only its disk and its addresses.

mod disk_faults;
mod disks;
mod down_by;
mod end;
pub(crate) mod hardware;
pub(crate) mod names;
mod pause;
mod policy;
mod power;
mod process;
mod service;
pub(crate) mod signal;
mod start;

use std::any::TypeId;
use std::panic::Location;

use smallvec::SmallVec;

use crate::engine::context::{self, Policy, Slot};
use crate::engine::failure::verdict::Verdict;
use crate::engine::{MachineId, Name, ProcessId, TimerKey};
use crate::guest::Runtime;

pub(crate) use crate::machine::disk_faults::{
    DiskCopy, awaits_power_off, awaits_power_off_by, break_disk, cancel_power_off_at_call,
    copy_disk, describe_end, describe_fault, end_disk_fault, has_disk_fault, power_off_at_call,
    repair_disk, restore_disk,
};
pub(crate) use crate::machine::disks::{disk_images, has_files, is_disk_empty};
pub(crate) use crate::machine::down_by::{awaits_restart, cancel_restarts, mark_down};
pub(crate) use crate::machine::end::{
    end_stopping, have_ended, kill, kill_stopping, stopping, tell_to_stop, wipe,
};
pub use crate::machine::names::Selector;
pub(crate) use crate::machine::pause::{
    can_pause, cpu, is_paused, pause, restore_cpu, resume, slow_cpu,
};
pub(crate) use crate::machine::power::{
    bring_up, can_bring_up, power_off, start_remaining, taken_down_by,
};
use crate::machine::process::{ProcessState, Processes};
pub use crate::machine::service::{OnExit, Termination};
pub(crate) use crate::machine::service::{Service, ServiceLaunch};
pub(crate) use crate::machine::start::{run_body, run_client, start_all};

thread_local! {
    pub(crate) static MACHINES: Slot<Machines> = const { Slot::new() };
}

/// The machines of a run.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) all: Vec<MachineState>,
    processes: Processes,
    /// The process of the test's body.
    body: Option<ProcessId>,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct MachineState {
    pub(crate) name: Name,
    pub(crate) on_exit: OnExit,
    /// The runtime of its processes.
    pub(crate) runtime: Runtime,
    pub(crate) services: SmallVec<[InstalledService; 1]>,
    /// Whether its boot and its oscillator vary from seed to seed.
    pub(crate) is_varied: bool,
    /// The timer of its boot, until it has booted.
    boot: Option<TimerKey>,
    powered: bool,
    /// The plan that powered it off.
    power_off_by: Option<u64>,
}

/// A service on a machine.
#[derive(Debug)]
pub(crate) struct InstalledService {
    /// `None` if the service was declared with only the name of the machine.
    pub(crate) name: Option<String>,
    service: Service,
    at: &'static Location<'static>,
    incarnation: u64,
    running: Option<ProcessId>,
    /// The timer of a pending restart after a crash.
    restart: Option<TimerKey>,
    /// The plan that took the service down, and may start it again.
    down_by: Option<u64>,
    /// Whether the service returned by itself, so that nothing needs to start it again.
    returned: bool,
}

/// Identifies a service on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceId {
    pub(crate) machine: MachineId,
    pub(crate) service: usize,
}

impl MachineState {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            on_exit: OnExit::Fail,
            runtime: Runtime::default(),
            services: SmallVec::new(),
            is_varied: false,
            boot: None,
            powered: true,
            power_off_by: None,
        }
    }

    pub(crate) fn install(
        &mut self,
        name: Option<String>,
        service: Service,
        at: &'static Location<'static>,
    ) {
        self.services.push(InstalledService {
            name,
            service,
            at,
            incarnation: 0,
            running: None,
            restart: None,
            down_by: None,
            returned: false,
        });
    }
}

/// Installs the machines of this thread's run.
pub(crate) fn install(machines: Vec<MachineState>) {
    MACHINES.with(|slot| {
        slot.install(Machines { all: machines, processes: Processes::default(), body: None });
    });
    let policy =
        Policy { on_failure: policy::on_failure, is_crash_tolerated: policy::is_crash_tolerated };
    context::try_with(|engine| {
        engine.set_policy(policy);
        engine.add_timer_info(policy::TIMER_INFO);
        engine.add_timer_info(hardware::TIMER_INFO);
    });
}

/// Removes the machines of this thread's run.
pub(crate) fn remove() {
    drop(MACHINES.with(Slot::remove));
}

/// Runs `f` on the machines of this thread's run; `None` outside a run.
pub(crate) fn with<R>(f: impl FnOnce(&mut Machines) -> R) -> Option<R> {
    MACHINES.try_with(|slot| slot.with(f)).ok().flatten()
}

/// The services that a selector matches, in the order of the topology.
pub(crate) fn services(selector: &Selector) -> Vec<ServiceId> {
    select(|machine, installed| selector.matches_service(&machine.name, installed.name.as_deref()))
}

/// The machines that a selector matches.
pub(crate) fn machines(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let matching = numbered.filter(|(_, machine)| selector.matches(&machine.name));
        matching.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The machines whose zone a selector matches.
pub(crate) fn in_zone(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let matching = numbered.filter(|(_, machine)| selector.matches(names::zone(&machine.name)));
        matching.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The machines that a selector matches as a whole, not only by one of their services.
pub(crate) fn whole_machines(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let matching = numbered.filter(|(_, machine)| selector.matches_whole(&machine.name));
        matching.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The machines that have services, except the machine of the body.
pub(crate) fn with_services() -> Vec<MachineId> {
    let body = body_machine();
    with(|machines| {
        let numbered = (0u32..).map(MachineId).zip(&machines.all);
        let serving = numbered
            .filter(|(number, machine)| !machine.services.is_empty() && body != Some(*number));
        serving.map(|(number, _)| number).collect()
    })
    .unwrap_or_default()
}

/// The services of one machine.
pub(crate) fn services_of(machine: MachineId) -> Vec<ServiceId> {
    let count = with(|machines| machines.all[machine.0 as usize].services.len()).unwrap_or(0);
    (0..count).map(|service| ServiceId { machine, service }).collect()
}

/// The machine of the test's body.
pub(crate) fn body_machine() -> Option<MachineId> {
    with(|machines| Some(machines.processes.find(machines.body?)?.machine)).flatten()
}

/// The running clients on a machine, except the test's body.
pub(crate) fn clients_of(machine: MachineId) -> Vec<ProcessId> {
    with(|machines| {
        let mut clients = machines
            .processes
            .alive(|process| process.machine == machine && process.service.is_none());
        clients.retain(|client| Some(*client) != machines.body);
        clients
    })
    .unwrap_or_default()
}

/// What tells the services of a machine from others: the types of their functions.
pub(crate) fn kinds_of_services(machine: MachineId) -> Vec<TypeId> {
    with(|machines| {
        let services = &machines.all[machine.0 as usize].services;
        services.iter().map(|installed| installed.service.kind()).collect()
    })
    .unwrap_or_default()
}

/// The process of a service, if it is running.
pub(crate) fn process_of(id: ServiceId) -> Option<ProcessId> {
    with(|machines| machines.all[id.machine.0 as usize].services[id.service].running).flatten()
}

/// Whether a service returned by itself, so that nothing needs to start it again.
pub(crate) fn has_returned(id: ServiceId) -> bool {
    with(|machines| machines.all[id.machine.0 as usize].services[id.service].returned)
        .unwrap_or(false)
}

/// Replaces a service by another version, which its next start runs. The machine still counts as one that runs the service.
pub(crate) fn set_version(id: ServiceId, version: &Service, at: &'static Location<'static>) {
    let before = with(|machines| {
        let installed = &mut machines.all[id.machine.0 as usize].services[id.service];
        installed.at = at;
        let version = version.as_version_of(&installed.service);
        std::mem::replace(&mut installed.service, version)
    });
    drop(before);
}

/// Returns whether the machine has power.
pub(crate) fn has_power(machine: MachineId) -> bool {
    with(|machines| machines.all[machine.0 as usize].powered).unwrap_or(false)
}

/// Returns whether any service of the machine is running.
pub(crate) fn has_running_service(machine: MachineId) -> bool {
    with(|machines| {
        let services = &machines.all[machine.0 as usize].services;
        services.iter().any(|installed| installed.running.is_some())
    })
    .unwrap_or(false)
}

/// `machine`, or `machine/service`.
pub(crate) fn name_of(id: ServiceId) -> String {
    with(|machines| {
        let machine = &machines.all[id.machine.0 as usize];
        match &machine.services[id.service].name {
            Some(service) => format!("{}/{service}", machine.name),
            None => machine.name.to_string(),
        }
    })
    .unwrap_or_default()
}

/// `service`, or `service NAME`: for log lines, which have the machine in front.
fn label_of(id: ServiceId) -> String {
    let name = with(|machines| {
        machines.all[id.machine.0 as usize].services[id.service]
            .name
            .as_ref()
            .map(ToString::to_string)
    });
    name.flatten().map_or_else(|| "service".to_owned(), |name| format!("service {name}"))
}

fn incarnation_of(id: ServiceId) -> u64 {
    with(|machines| machines.all[id.machine.0 as usize].services[id.service].incarnation)
        .unwrap_or(0)
}

fn state_of(process: ProcessId) -> ProcessState {
    with(|machines| machines.processes.find(process).map(|process| process.state))
        .flatten()
        .unwrap_or(ProcessState::Ended)
}

/// The machine of a process that has not ended.
pub(crate) fn machine_of(process: ProcessId) -> Option<MachineId> {
    let found = with(|machines| {
        let process = machines.processes.find(process)?;
        (process.state != ProcessState::Ended).then_some(process.machine)
    });
    found.flatten()
}

/// The machine of a process, and the name to show for the process.
fn machine_and_name(process: ProcessId) -> (Option<MachineId>, String) {
    let found = with(|machines| {
        let process = machines.processes.find(process)?;
        Some((process.machine, process.service))
    });
    match found.flatten() {
        Some((machine, Some(service))) => (Some(machine), label_of(ServiceId { machine, service })),
        Some((machine, None)) => (Some(machine), "client".to_owned()),
        None => (None, String::new()),
    }
}

fn select(which: impl Fn(&MachineState, &InstalledService) -> bool) -> Vec<ServiceId> {
    with(|machines| {
        let mut found = Vec::new();
        for (number, machine) in (0u32..).zip(&machines.all) {
            for (service, installed) in machine.services.iter().enumerate() {
                if which(machine, installed) {
                    found.push(ServiceId { machine: MachineId(number), service });
                }
            }
        }
        found
    })
    .unwrap_or_default()
}

/// Ends the run as broken because the test used the library incorrectly.
pub(crate) fn break_run(message: String) {
    context::try_with(|engine| engine.end(Verdict::Broken(message)));
}

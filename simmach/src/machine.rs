//! Machines and the processes on them: starting, and the three ways to go down.
//!
//! *Stop*: the process is told, has its grace, and is then killed. *Kill*: it ends now; its kernel closes its sockets.
//! *Power off*: the machine's future is erased; nothing is sent, and what was not durable is lost. A machine whose
//! processes are all down still has its kernel, which answers RST; one without power answers nothing. Not modelled: the
//! time that a boot takes, and what processes of one machine share but its disk and its addresses.

mod end;
pub(crate) mod names;
mod policy;
mod process;
mod service;
pub(crate) mod signal;
mod start;
mod taken;

use std::panic::Location;

use smallvec::SmallVec;

use crate::engine::context::{self, Policy, Slot};
use crate::engine::failure::verdict::Verdict;
use crate::engine::{MachineId, Name, ProcessId, TimerKey};

use crate::machine::end::cut_power;
pub(crate) use crate::machine::end::{end_stopping, kill, stop, wipe};
pub use crate::machine::names::Selector;
use crate::machine::process::{Processes, State};
pub use crate::machine::service::{Ending, OnExit};
pub(crate) use crate::machine::service::{Launch, Service};
pub(crate) use crate::machine::start::{
    power_on, run_body, run_client, start, start_all, start_rest,
};
pub(crate) use crate::machine::taken::{
    awaits_restart, cancel_restarts, give_back, take, take_power,
};

thread_local! {
    static MACHINES: Slot<Machines> = const { Slot::new() };
}

/// The machines of a run.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) all: Vec<Machine>,
    processes: Processes,
    /// The process of the test's body.
    body: Option<ProcessId>,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: Name,
    pub(crate) on_exit: OnExit,
    pub(crate) services: SmallVec<[Installed; 1]>,
    powered: bool,
    /// The plan that took its power.
    power_taken: Option<u64>,
}

/// A service on a machine.
#[derive(Debug)]
pub(crate) struct Installed {
    /// `None` where the machine has only one.
    pub(crate) name: Option<String>,
    service: Service,
    at: &'static Location<'static>,
    incarnation: u64,
    running: Option<ProcessId>,
    /// The restart that is due after a crash.
    restart: Option<TimerKey>,
    /// The plan that took it down, and may start it again.
    taken: Option<u64>,
    /// It returned by itself: its work is done.
    returned: bool,
}

/// One service of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceId {
    pub(crate) machine: MachineId,
    pub(crate) service: usize,
}

impl Machine {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            on_exit: OnExit::Fail,
            services: SmallVec::new(),
            powered: true,
            power_taken: None,
        }
    }

    pub(crate) fn install(
        &mut self,
        name: Option<String>,
        service: Service,
        at: &'static Location<'static>,
    ) {
        self.services.push(Installed {
            name,
            service,
            at,
            incarnation: 0,
            running: None,
            restart: None,
            taken: None,
            returned: false,
        });
    }
}

/// Fills this run's machines.
pub(crate) fn install(machines: Vec<Machine>) {
    MACHINES.with(|slot| {
        slot.install(Machines { all: machines, processes: Processes::default(), body: None });
    });
    let policy =
        Policy { on_failure: policy::on_failure, is_crash_tolerated: policy::is_crash_tolerated };
    context::try_with(|engine| {
        engine.set_policy(policy);
        engine.add_timer_info(policy::TIMER_INFO);
    });
}

/// Empties them.
pub(crate) fn remove() {
    drop(MACHINES.with(Slot::remove));
}

/// Reads or changes this run's machines; `None` outside a run.
pub(crate) fn with<R>(f: impl FnOnce(&mut Machines) -> R) -> Option<R> {
    MACHINES.try_with(|slot| slot.with(f)).ok().flatten()
}

/// The services that a selector means, in the order of the topology.
pub(crate) fn services(selector: &Selector) -> Vec<ServiceId> {
    select(|machine, installed| selector.matches_service(&machine.name, installed.name.as_deref()))
}

/// The machines that a selector means.
pub(crate) fn machines(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let meant = numbered.filter(|(_, machine)| selector.matches(&machine.name));
        meant.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The machines whose zone a selector means.
pub(crate) fn in_zone(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let meant = numbered.filter(|(_, machine)| selector.matches(names::zone(&machine.name)));
        meant.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The machines that a selector means as a whole, and not by a service of theirs alone.
pub(crate) fn whole_machines(selector: &Selector) -> Vec<MachineId> {
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let meant = numbered.filter(|(_, machine)| selector.matches_whole(&machine.name));
        meant.map(|(number, _)| MachineId(number)).collect()
    })
    .unwrap_or_default()
}

/// The names of the machines that have services: all but the clients, of which the body's is one whatever else it runs.
pub(crate) fn with_services() -> Vec<String> {
    let body = body();
    with(|machines| {
        let numbered = (0u32..).zip(&machines.all);
        let serving = numbered.filter(|(number, machine)| {
            !machine.services.is_empty() && body != Some(MachineId(*number))
        });
        serving.map(|(_, machine)| machine.name.to_string()).collect()
    })
    .unwrap_or_default()
}

/// The services of one machine.
pub(crate) fn services_of(machine: MachineId) -> Vec<ServiceId> {
    let count = with(|machines| machines.all[machine.0 as usize].services.len()).unwrap_or(0);
    (0..count).map(|service| ServiceId { machine, service }).collect()
}

/// The machine that the test's body runs on.
pub(crate) fn body() -> Option<MachineId> {
    with(|machines| Some(machines.processes.find(machines.body?)?.machine)).flatten()
}

/// The clients that run on a machine beside its services; the test's body is none of them.
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

/// The process of a service, if it runs.
pub(crate) fn process_of(id: ServiceId) -> Option<ProcessId> {
    with(|machines| machines.all[id.machine.0 as usize].services[id.service].running).flatten()
}

/// True if the machine has power.
pub(crate) fn has_power(machine: MachineId) -> bool {
    with(|machines| machines.all[machine.0 as usize].powered).unwrap_or(false)
}

/// True if the machine has services that run.
pub(crate) fn serves(machine: MachineId) -> bool {
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

fn state_of(process: ProcessId) -> State {
    with(|machines| machines.processes.find(process).map(|process| process.state))
        .flatten()
        .unwrap_or(State::Over)
}

fn place_of(process: ProcessId) -> (Option<MachineId>, String) {
    let place = with(|machines| {
        let process = machines.processes.find(process)?;
        Some((process.machine, process.service))
    });
    match place.flatten() {
        Some((machine, Some(service))) => (Some(machine), label_of(ServiceId { machine, service })),
        Some((machine, None)) => (Some(machine), "client".to_owned()),
        None => (None, String::new()),
    }
}

fn select(which: impl Fn(&Machine, &Installed) -> bool) -> Vec<ServiceId> {
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

/// Ends the run because the test asks for something that makes no sense.
pub(crate) fn misuse(message: String) {
    context::try_with(|engine| engine.end(Verdict::Broken(message)));
}

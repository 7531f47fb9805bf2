//! Machines and the processes on them: starting, and the three ways to go down.
//!
//! *Stop*: the process is told, has its grace, and is then killed. *Kill*: it ends now; its kernel closes its sockets.
//! *Power off*: the machine's future is erased; nothing is sent, and what was not durable is lost. A machine whose
//! processes are all down still has its kernel, which answers RST; one without power answers nothing. Not modelled: the
//! time that a boot takes, and what processes of one machine share but its disk and its addresses.

pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod service;
pub mod signal;

use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::FutureExt;

use crate::engine::context::{self, Slot};
use crate::engine::log::{self, Level};
use crate::engine::verdict::{Failure, FailureKind, Verdict};
use crate::engine::{
    self, Action, Effect, Family, MachineId, ProcessId, Scope, TraceKind, Wait, mix, mix_text,
};
use crate::task::{JoinHandle, spawn_as};
use crate::time::{nanos, timeout};
use crate::{net, storage};

pub use names::Selector;
use process::{Exit, Process, Processes, State};
pub use service::{Ending, OnExit, Service};

thread_local! {
    static MACHINES: Slot<Machines> = const { Slot::new() };
}

/// The machines of a run.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) all: Vec<Machine>,
    processes: Processes,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) on_exit: OnExit,
    pub(crate) services: Vec<Installed>,
    powered: bool,
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
}

/// One service of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceId {
    pub(crate) machine: MachineId,
    pub(crate) service: usize,
}

impl Machine {
    pub(crate) fn new(name: String) -> Self {
        Self { name, on_exit: OnExit::Fail, services: Vec::new(), powered: true }
    }

    pub(crate) fn install(
        &mut self,
        name: Option<String>,
        service: Service,
        at: &'static Location<'static>,
    ) {
        self.services.push(Installed { name, service, at, incarnation: 0, running: None });
    }
}

/// Fills this run's machines.
pub(crate) fn install(machines: Vec<Machine>) {
    MACHINES.with(|slot| {
        slot.install(Machines { all: machines, processes: Processes::default() });
    });
    context::try_with(|engine| engine.set_policy(on_failure));
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

/// The names of the machines that have services: all but the clients.
pub(crate) fn with_services() -> Vec<String> {
    with(|machines| {
        let serving = machines.all.iter().filter(|machine| !machine.services.is_empty());
        serving.map(|machine| machine.name.clone()).collect()
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

/// True if the machine has processes that run.
pub(crate) fn is_busy(machine: MachineId) -> bool {
    with(|machines| {
        let services = &machines.all[machine.0 as usize].services;
        services.iter().any(|installed| installed.running.is_some())
    })
    .unwrap_or(false)
}

/// All services that are down are started, in the seed's order, as at time 0.
pub(crate) fn start_all() {
    let mut all = select(|_, installed| installed.running.is_none());
    all.sort_by_cached_key(|id| {
        let name = mix_text(&name_of(*id));
        (engine::word(Family::Start, name, 0, 0).unwrap_or(0), *id)
    });
    all.into_iter().for_each(start);
}

/// Starts a service that is down; gives its machine power if it has none.
pub(crate) fn start(id: ServiceId) {
    let name = name_of(id);
    let launched = with(|machines| {
        let machine = &mut machines.all[id.machine.0 as usize];
        let installed = &mut machine.services[id.service];
        if installed.running.is_some() {
            return None;
        }
        let on = !std::mem::replace(&mut machine.powered, true);
        let process = machines.processes.add(Process::new(id.machine, Some(id.service)));
        installed.running = Some(process);
        installed.incarnation += 1;
        Some((process, installed.incarnation, installed.service.clone(), installed.at, on))
    });
    let Some((process, incarnation, service, at, on)) = launched.flatten() else { return };
    if on {
        net::set_up(id.machine, true);
    }
    storage::name_process(process, names::split(&name).1.unwrap_or_default());
    if incarnation > 1 {
        engine::fault(Effect::Restart, Some(id.machine), || format!("{name} starts again"));
    }
    engine::trace(TraceKind::Machine, u64::from(id.machine.0), 1, &[]);
    engine::progress();
    let scope = Scope {
        machine: id.machine,
        process,
        task: mix(mix_text(&name), incarnation),
        alive: true,
    };
    let run = async move {
        let ended = std::panic::AssertUnwindSafe(service.run()).catch_unwind().await;
        match ended {
            Ok(Ok(())) => end(process, Exit::Returned),
            Ok(Err(words)) => {
                let message = format!("the service {name} ended with an error: {words}");
                failed(process, Failure::new(FailureKind::Service, message));
            }
            Err(panic) => {
                failed(process, Failure::of_panic(engine::panics::note(panic.as_ref())));
            }
        }
    };
    drop(spawn_as(scope, at, run));
}

/// Runs `future` as a process of its own on a machine, beside its services.
pub(crate) fn run_on<F>(
    machine: MachineId,
    nth: u64,
    at: &'static Location<'static>,
    future: F,
) -> (Option<engine::executor::TaskKey>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let process = with(|machines| machines.processes.add(Process::new(machine, None)));
    let name = with(|machines| mix_text(&machines.all[machine.0 as usize].name)).unwrap_or(0);
    let scope = Scope {
        machine,
        process: process.unwrap_or(ProcessId::HARNESS),
        task: mix(mix(name, CLIENTS), nth),
        alive: process.is_some(),
    };
    spawn_as(scope, at, future)
}

/// Keeps the clients of a machine apart from its services in addresses.
const CLIENTS: u64 = 0xc11e;

/// Tells processes to stop, waits until all are over or `grace` has passed, and kills what is left.
pub(crate) async fn stop(processes: Vec<ProcessId>, grace: Duration) {
    for process in &processes {
        let wakers = with(|machines| {
            let process = machines.processes.find(*process)?;
            match process.state {
                State::Running => {
                    process.state = State::Stopping;
                    Some(process.on_stop().take())
                }
                State::Stopping | State::Over => None,
            }
        });
        wakers.flatten().into_iter().flatten().for_each(Waker::wake);
    }
    let all = futures::future::join_all(processes.iter().map(|process| ended(*process)));
    let in_time = timeout(grace, all).await.is_ok();
    for process in processes {
        let (machine, name) = place_of(process);
        if !in_time && state_of(process) != State::Over {
            kill(process);
        } else {
            engine::fault(Effect::Stop, machine, || format!("{name} stopped"));
        }
    }
}

/// Ends a process now; its kernel closes its sockets.
pub(crate) fn kill(process: ProcessId) {
    if state_of(process) == State::Over {
        return;
    }
    let (machine, name) = place_of(process);
    engine::fault(Effect::Kill, machine, || format!("{name} is killed"));
    end(process, Exit::Killed);
}

/// Ends what was told to stop and has not yet: whoever would have killed it may be gone.
pub(crate) fn end_stopping() {
    let stopping = with(|machines| machines.processes.in_state(State::Stopping));
    stopping.into_iter().flatten().for_each(kill);
}

/// Takes a machine's power: its future is erased.
pub(crate) fn power_off(machine: MachineId) {
    let running = with(|machines| {
        let off = &mut machines.all[machine.0 as usize];
        off.powered = false;
        let services = off.services.iter_mut();
        services.filter_map(|installed| installed.running.take()).collect::<Vec<_>>()
    });
    net::erase_machine(machine);
    net::set_up(machine, false);
    for process in running.into_iter().flatten() {
        end(process, Exit::PowerLost);
    }
    let lost = storage::power_off(machine);
    let name = with(|machines| machines.all[machine.0 as usize].name.clone()).unwrap_or_default();
    engine::fault(Effect::PowerOff, Some(machine), || match lost {
        0 => format!("{name} loses its power"),
        1 => format!("{name} loses its power, and 1 commit"),
        lost => format!("{name} loses its power, and {lost} commits"),
    });
    engine::trace(TraceKind::Machine, u64::from(machine.0), 3, &lost.to_le_bytes());
}

/// Deletes what a machine's disk holds. Its processes must be down.
pub(crate) fn wipe(machine: MachineId) -> std::io::Result<()> {
    storage::wipe(machine)?;
    let name = with(|machines| machines.all[machine.0 as usize].name.clone()).unwrap_or_default();
    engine::fault(Effect::Wipe, Some(machine), || format!("the disk of {name} is wiped"));
    engine::trace(TraceKind::Machine, u64::from(machine.0), 4, &[]);
    Ok(())
}

/// Waits until a process is over.
async fn ended(process: ProcessId) {
    let mut waiter = None;
    let ended = std::future::poll_fn(|cx| {
        let old = with(|machines| {
            let process = machines.processes.find(process)?;
            match process.state {
                State::Over => None,
                State::Running | State::Stopping => {
                    Some(process.on_end().wait(waiter, cx.waker().clone()))
                }
            }
        });
        engine::waits(Wait::Named("a process to end"));
        match old.flatten() {
            Some((name, _old)) => {
                waiter = Some(name);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    });
    pin!(ended).await;
}

/// The end of a process, however it comes.
fn end(process: ProcessId, exit: Exit) {
    let waiting = with(|machines| {
        let over = machines.processes.find(process)?;
        if over.state == State::Over {
            return None;
        }
        over.state = State::Over;
        let (on_stop, mut on_end) = (over.on_stop().take(), over.on_end().take());
        on_end.extend(on_stop);
        let (machine, service) = (over.machine, over.service);
        if let Some(service) = service {
            machines.all[machine.0 as usize].services[service]
                .running
                .take_if(|running| *running == process);
        }
        Some(on_end)
    });
    let Some(waiting) = waiting.flatten() else { return };
    context::try_with(|engine| engine.end_process(process));
    match exit {
        // The sockets went with the machine.
        Exit::PowerLost => {}
        Exit::Returned | Exit::Crashed | Exit::Killed => net::close_process(process),
    }
    storage::close_process(process);
    engine::trace(TraceKind::Machine, u64::from(process.0), 2, &[exit as u8]);
    engine::progress();
    waiting.into_iter().for_each(Waker::wake);
}

/// A process's main function failed.
fn failed(process: ProcessId, failure: Failure) {
    context::try_with(|engine| engine.fail(failure));
    end(process, Exit::Crashed);
}

/// The engine's question: is this failure the run's? A crash of the process and no more gives nothing back.
fn on_failure(process: ProcessId, failure: Failure) -> Option<Failure> {
    let found = with(|machines| {
        let process = machines.processes.find(process)?;
        let service = process.service?;
        let machine = &machines.all[process.machine.0 as usize];
        Some((ServiceId { machine: process.machine, service }, machine.on_exit))
    });
    let Some((id, on_exit)) = found.flatten() else { return Some(failure) };
    let name = name_of(id);
    let crash = || {
        log::say(Level::Error, id.machine, || format!("{name} crashed: {}", failure.message));
        end(process, Exit::Crashed);
    };
    match on_exit {
        OnExit::Fail => return Some(failure),
        OnExit::StayDown => crash(),
        OnExit::Restart(after) => {
            crash();
            let at = engine::now().saturating_add(nanos(after));
            let word = (u64::from(id.machine.0) << 32) | id.service as u64;
            engine::arm(at, Action::Call(restart, word, incarnation_of(id)));
        }
    }
    None
}

/// The time of a restart has come: unless someone else started it, or the machine has no power.
fn restart(word: u64, incarnation: u64) {
    let id = ServiceId { machine: MachineId((word >> 32) as u32), service: word as u32 as usize };
    if has_power(id.machine) && incarnation_of(id) == incarnation {
        start(id);
    }
}

/// `machine`, or `machine/service`.
pub(crate) fn name_of(id: ServiceId) -> String {
    with(|machines| {
        let machine = &machines.all[id.machine.0 as usize];
        match &machine.services[id.service].name {
            Some(service) => format!("{}/{service}", machine.name),
            None => machine.name.clone(),
        }
    })
    .unwrap_or_default()
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
        Some((machine, Some(service))) => (Some(machine), name_of(ServiceId { machine, service })),
        Some((machine, None)) => (Some(machine), "a client".to_owned()),
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

/// True once a process was told to stop, or is over.
pub(crate) fn is_told_to_stop(process: ProcessId) -> bool {
    with(|machines| machines.processes.find(process).map(|process| process.state))
        .flatten()
        .is_some_and(|state| match state {
            State::Running => false,
            State::Stopping | State::Over => true,
        })
}

/// Wakes `waker` when the process is told to stop; answers the name under which it waits.
pub(crate) fn wait_for_stop(process: ProcessId, name: Option<u64>, waker: Waker) -> Option<u64> {
    let waits =
        with(|machines| Some(machines.processes.find(process)?.on_stop().wait(name, waker)));
    waits.flatten().map(|(name, _old)| name)
}

/// It waits no longer.
pub(crate) fn forget_waiter(process: ProcessId, name: u64) {
    drop(with(|machines| machines.processes.find(process)?.on_stop().forget(name)));
}

/// Ends the run because the test asks for something that makes no sense.
pub(crate) fn misuse(message: String) {
    context::try_with(|engine| engine.end(Verdict::Broken(message)));
}

//! Starts services and clients.

use std::future::Future;
use std::panic::Location;
use std::thread;

use crate::engine::context::Engine;
use crate::engine::draws::address::Address;
use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::panics;
use crate::engine::record::event::ProcessExit;
use crate::engine::tasks::table::TaskKey;
use crate::engine::{
    self, Effect, Event, MachineId, ProcessId, Role, Scope, context, mix, mix_text,
};
use crate::guest::{Main, Runtime};
use crate::machine::end::{end_process, fail_process};
use crate::machine::process::Process;
use crate::machine::{Machines, ServiceId, ServiceLaunch, disks, label_of, name_of, select, with};
use crate::task::{JoinHandle, spawn_as};
use crate::{net, storage};

/// Starts the services of all machines that boot at once, in an order drawn from the seed. This
/// happens at the beginning of a run.
pub(crate) fn start_all() {
    let all = select(|machine, _| machine.boot.is_none());
    context::try_with(|engine| engine.reserve_tasks(all.len() + 1));
    with(|machines| machines.processes.reserve(all.len() + 1));
    start_in_order(all);
}

/// Starts those of these services that are down, in an order drawn from the seed.
pub(super) fn start_in_order(mut services: Vec<ServiceId>) {
    services.sort_by_cached_key(|id| {
        let name = with(|machines| address(machines, *id)).unwrap_or(0);
        (engine::word(Address::start(name)).unwrap_or(0), *id)
    });
    services.into_iter().for_each(start);
}

/// Starts a service if it is down, and restores its machine's power.
pub(crate) fn start(id: ServiceId) {
    let launched = with(|machines| {
        let name = address(machines, id);
        let machine = &mut machines.all[id.machine.0 as usize];
        let installed = &mut machine.services[id.service];
        if installed.running.is_some() {
            return None;
        }
        let on = !std::mem::replace(&mut machine.powered, true);
        let restart = installed.restart.take();
        (installed.down_by, installed.returned) = (None, false);
        let process = machines.processes.add(Process::new(id.machine, Some(id.service)));
        installed.running = Some(process);
        installed.incarnation += 1;
        if let Some(service) = &installed.name {
            storage::name_process(process, service);
        }
        let (service, at, runtime) = (installed.service.clone(), installed.at, machine.runtime);
        let launched = (process, installed.incarnation, service, at, runtime);
        Some((name, launched, installed.name.is_some(), on, restart))
    });
    let Some((name, launched, is_named, on, restart)) = launched.flatten() else { return };
    let (process, incarnation, service, at, runtime) = launched;
    drop(restart.and_then(engine::cancel));
    if on {
        net::control::set_power(id.machine, true);
        disks::files::forget_orphans(id.machine);
    }
    if incarnation > 1 {
        engine::record_fault(Effect::Restart, Some(id.machine), || {
            format!("{} restarted", label_of(id))
        });
    }
    engine::trace(Event::ServiceStarted { machine: id.machine });
    engine::note_process_change();
    let scope = Scope { machine: id.machine, process, task: mix(name, incarnation), alive: true };
    if is_named {
        context::try_with(|engine| engine.status.names.set_task_title(scope.task, name_of(id)));
    }
    service.launch(ServiceLaunch { id, scope, at, runtime });
}

/// Ends the process of a service whose main function has returned or panicked.
pub(super) fn finish_main(
    id: ServiceId,
    process: ProcessId,
    result: thread::Result<Result<(), String>>,
) {
    if context::try_with(Engine::has_ended_itself) == Some(true) {
        return;
    }
    match result {
        Ok(Ok(())) => end_process(process, ProcessExit::Returned),
        Ok(Err(error)) => {
            let message = format!("the service {} ended with an error: {error}", name_of(id));
            fail_process(process, Failure::new(FailureKind::Service, message));
        }
        Err(panic) => fail_process(process, Failure::of_panic(panics::note(panic.as_ref()))),
    }
}

/// The hash of a service's name (`machine` or `machine/service`), for the addresses of draws and tasks.
fn address(machines: &Machines, id: ServiceId) -> u64 {
    let machine = &machines.all[id.machine.0 as usize];
    match &machine.services[id.service].name {
        Some(service) => mix_text(&format!("{}/{service}", machine.name)),
        None => machine.name.word(),
    }
}

/// Runs the test's body as a process of its own on a machine. The run ends when the body ends.
pub(crate) fn run_body<F>(
    machine: MachineId,
    at: &'static Location<'static>,
    body: F,
) -> (Option<TaskKey>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let scope = add_client(Some(machine), 0, 0);
    with(|machines| machines.body = Some(scope.process));
    spawn_as(Role::Body, scope, at, Main::new(runtime_of(machine), body))
}

/// Runs `future` as a client on a machine: the `nth` of a step with this word, or the `nth` outside of steps if it is 0.
/// Without a machine the future is dropped, and the handle reports cancellation.
pub(crate) fn run_client<F>(
    machine: Option<MachineId>,
    (step, nth): (u64, u64),
    at: &'static Location<'static>,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let scope = add_client(machine, step, nth);
    let guard = ClientGuard { process: scope.process, exit: ProcessExit::Killed };
    let run = async move {
        let mut guard = guard;
        let output = future.await;
        guard.exit = ProcessExit::Returned;
        output
    };
    let runtime = machine.map_or(Runtime::Native, runtime_of);
    spawn_as(Role::Spawned, scope, at, Main::new(runtime, run)).1
}

/// Returns the runtime of a machine's processes.
pub(super) fn runtime_of(machine: MachineId) -> Runtime {
    with(|machines| machines.all[machine.0 as usize].runtime).unwrap_or(Runtime::Native)
}

fn add_client(machine: Option<MachineId>, step: u64, nth: u64) -> Scope {
    let launched = machine.and_then(|machine| {
        with(|machines| {
            let name = machines.all.get(machine.0 as usize)?.name.word();
            let process = machines.processes.add(Process::new(machine, None));
            engine::add_client(process);
            let clients = mix(name, CLIENTS);
            let source = if step == 0 { clients } else { mix(clients, step) };
            Some(Scope { machine, process, task: mix(source, nth), alive: true })
        })
        .flatten()
    });
    launched.unwrap_or(Scope { alive: false, ..Scope::HARNESS })
}

/// Ends the process of a client when its main task ends, whether it returned, panicked or was aborted.
struct ClientGuard {
    process: ProcessId,
    exit: ProcessExit,
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        if engine::live_scope().is_some() {
            end_process(self.process, self.exit);
        }
    }
}

/// Separates the addresses of clients from those of services.
const CLIENTS: u64 = 0xc11e;

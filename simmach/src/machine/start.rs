//! Starting services, and clients beside them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location};

use futures::FutureExt;

use super::end::{end, failed};
use super::process::{Exit, Process};
use super::{ServiceId, name_of, names, select, with};
use crate::engine::tasks::TaskKey;
use crate::engine::verdict::{Failure, FailureKind};
use crate::engine::{self, Effect, Family, MachineId, Scope, TraceKind, mix, mix_text, panics};
use crate::task::{JoinHandle, spawn_as};
use crate::{net, storage};

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
    engine::sign_of_life();
    let scope = Scope {
        machine: id.machine,
        process,
        task: mix(mix_text(&name), incarnation),
        alive: true,
    };
    let run = async move {
        let ended = AssertUnwindSafe(service.run()).catch_unwind().await;
        match ended {
            Ok(Ok(())) => end(process, Exit::Returned),
            Ok(Err(words)) => {
                let message = format!("the service {name} ended with an error: {words}");
                failed(process, Failure::new(FailureKind::Service, message));
            }
            Err(panic) => {
                failed(process, Failure::of_panic(panics::note(panic.as_ref())));
            }
        }
    };
    drop(spawn_as(scope, at, run));
}

/// Runs `future` as a process of its own on a machine, beside its services; on none it is dropped, as cancelled.
pub(crate) fn run_on<F>(
    machine: Option<MachineId>,
    nth: u64,
    at: &'static Location<'static>,
    future: F,
) -> (Option<TaskKey>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let launched = machine.and_then(|machine| {
        with(|machines| {
            let name = mix_text(&machines.all.get(machine.0 as usize)?.name);
            let process = machines.processes.add(Process::new(machine, None));
            engine::add_client(process);
            Some(Scope { machine, process, task: mix(mix(name, CLIENTS), nth), alive: true })
        })
        .flatten()
    });
    spawn_as(launched.unwrap_or(Scope { alive: false, ..Scope::HARNESS }), at, future)
}

/// Keeps the clients of a machine apart from its services in addresses.
const CLIENTS: u64 = 0xc11e;

//! Installs the layers' state for a run and starts the machines, plans and body.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location};
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;

use crate::chaos::{self, Plan};
use crate::disk_profile::DiskProfile;
use crate::engine::context::{self, Engine};
use crate::engine::executor::drive::Limits;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::engine::{MachineId, Name, ProcessId, Role, Scope, mix, mix_text};
use crate::guest::Runtime;
use crate::machine::{self, MachineState, OnExit, Selector, names};
use crate::net::{self, Host, NetSpec, NetworkProfile};
use crate::run::guest_support;
use crate::sim::{self, A_PLAN, Sim};
use crate::spec::{Body, DeclaredService, Spec};
use crate::storage::{self, RunFolder, StorageSpec};
use crate::task::{JoinHandle, spawn_as};

/// Installs the state of the network, storage and machines that `spec` describes.
pub(super) fn install(spec: &Spec, machines: &[Name], client: MachineId, folder: RunFolder) {
    let topology = &spec.topology;
    let numbered = || (0..).map(MachineId).zip(machines);
    let mut zone: Arc<str> = "".into();
    net::install(NetSpec {
        hosts: numbered()
            .map(|(machine, name)| Host {
                machine,
                name: name.clone(),
                zone: {
                    // Adjacent machines in the list are usually in the same zone, and then share
                    // its name.
                    let own = names::zone(name);
                    if *zone != *own {
                        zone = own.into();
                    }
                    Arc::clone(&zone)
                },
                routes_to_all: machine == client && spec.client.is_none(),
                tcp: topology
                    .tcp_of
                    .iter()
                    .rev()
                    .find(|(selector, _)| selector.matches(name))
                    .map(|(_, tcp)| tcp.clone()),
            })
            .collect(),
        links: topology
            .links
            .iter()
            .map(|link| net::Link {
                from_zone: link.from.clone(),
                to_zone: link.to.clone(),
                profile: link.profile.clone(),
            })
            .collect(),
        tcp: topology.tcp.clone(),
        default_profile: topology.links.is_empty().then(NetworkProfile::lan),
        pairs: topology
            .pairs
            .iter()
            .flat_map(|(from, to, profile)| {
                let named = |selector: &Selector| -> Vec<MachineId> {
                    numbered()
                        .filter(|(_, name)| selector.matches(name))
                        .map(|(id, _)| id)
                        .collect()
                };
                let (from, to) = (named(from), named(to));
                let pairs =
                    from.into_iter().flat_map(move |a| to.clone().into_iter().map(move |b| (a, b)));
                pairs.filter(|(a, b)| a != b).map(|(a, b)| (a, b, profile.clone()))
            })
            .collect(),
        dual_stack: topology.dual_stack,
    });
    let last =
        |name: &str| topology.disks.iter().rev().find(|(selector, _)| selector.matches(name));
    let disks: BTreeMap<MachineId, DiskProfile> =
        numbered().filter_map(|(machine, name)| Some((machine, last(name)?.1.clone()))).collect();
    guest_support::set_disks(&disks);
    storage::install(StorageSpec { folder, disk: DiskProfile::default(), disks });
    let mut all: Vec<MachineState> = machines.iter().cloned().map(MachineState::new).collect();
    for machine in &mut all {
        let rule =
            topology.on_exit.iter().rev().find(|(selector, _)| selector.matches(&machine.name));
        machine.on_exit = rule.map_or(OnExit::default(), |(_, on_exit)| *on_exit);
        let is_native = topology.native.iter().any(|selector| selector.matches(&machine.name));
        machine.runtime = if is_native { Runtime::Native } else { spec.runtime };
        machine.is_varied = machine.runtime.is_guest() && !spec.is_hardware_identical;
    }
    for (machine, services) in all.iter_mut().zip(topology.machines.values()) {
        for DeclaredService { name, service, at } in services {
            machine.install(name.clone(), service.clone(), at);
        }
    }
    machine::install(all);
}

/// Starts the machines, and, when all have booted, the plans and the body.
pub(super) fn begin(
    engine: &Rc<Engine>,
    plans: Vec<Box<dyn Plan>>,
    body: Body,
    sim: Sim,
    client: MachineId,
    limits: &Limits,
) -> JoinHandle<()> {
    machine::hardware::vary(client);
    machine::start_all();
    engine.run_ready(MAX_START_POLLS);
    if machine::hardware::is_any_booting() {
        engine.drive_while(limits, machine::hardware::is_any_booting);
        engine.run_ready(MAX_START_POLLS);
    }
    plans.iter().for_each(|plan| register_faults(sim, &**plan));
    // A script stands in for plans.
    let plans = if engine.acts.has_script() { Vec::new() } else { plans };
    engine.acts.begin_body(engine, sim::acts::carry_out);
    for (number, plan) in (0..).zip(plans) {
        let scope = Scope {
            task: mix(mix_text("plan"), number),
            process: ProcessId::HARNESS,
            ..Scope::HARNESS
        };
        let name = plan.name();
        name_parts(engine, &*plan, scope.task);
        let plan = async move {
            if let Err(words) = plan.run(sim).await {
                let message = format!("{name} ended with an error: {words}");
                context::try_with(|engine| engine.fail(Failure::new(FailureKind::Error, message)));
            }
        };
        drop(spawn_as(Role::Plan, scope, Location::caller(), plan));
    }
    let (task, handle) = machine::run_body(client, Location::caller(), async move {
        let ended = AssertUnwindSafe(async move { body(sim).await }).catch_unwind().await;
        context::try_with(|engine| match ended {
            Ok(Ok(())) => engine.end(Verdict::Passed),
            Ok(Err(words)) => engine.fail(Failure::new(FailureKind::Error, words)),
            Err(panic) => engine.user_panicked(panic),
        });
    });
    if let Some(task) = task {
        engine.set_body(task);
    }
    handle
}

/// Registers the faults that a plan brings with it.
fn register_faults(sim: Sim, plan: &dyn Plan) {
    plan.faults().iter().for_each(|fault| chaos::register(sim, fault));
    plan.parts().into_iter().for_each(|part| register_faults(sim, part));
}

/// Registers the names of a plan and of its parts, which run as tasks of their own.
fn name_parts(engine: &Engine, plan: &dyn Plan, task: u64) {
    engine.status.names.set_task_title(task, title_of_plan(plan.name()));
    sim::add_plan(task, plan.name());
    for (number, part) in (0..).zip(plan.parts()) {
        name_parts(engine, part, sim::part_of_plan(task, number));
    }
}

fn title_of_plan(name: &str) -> String {
    if name == A_PLAN { name.to_owned() } else { format!("the plan {name}") }
}

/// Maximum number of polls before the body's first one. Reached only by a service that never waits.
const MAX_START_POLLS: u32 = 100_000;

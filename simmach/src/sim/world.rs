//! What the control keeps for a run beside the machines, and what the overlay leaves of what plans do.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::engine::context::Slot;
use crate::engine::draws::address::Address;
use crate::engine::record::deviations::{Deviation, Kind};
use crate::engine::{self, MachineId, ProcessId};
use crate::sim::{A_PLAN, Sim};

thread_local! {
    static WORLD: Slot<World> = const { Slot::new() };
}

/// What the control keeps for a run beside the machines.
pub(crate) struct World {
    pub(super) seed: u64,
    pub(super) body: MachineId,
    /// The plans of the library.
    pub(super) named: Vec<Named>,
    pub(super) clients: BTreeMap<MachineId, u64>,
    pub(super) memory: BTreeMap<TypeId, Rc<dyn Any>>,
    /// By task, how many walks of steps it has begun.
    pub(super) walks: BTreeMap<u64, u64>,
    /// By plan of the user's own, how much it has done.
    pub(super) acts: BTreeMap<u64, u64>,
    /// What a plan would have taken down, had the overlay not left it out: to start it again is nothing to do.
    pub(super) spared: BTreeSet<MachineId>,
}

/// A plan, and how often it did something.
pub(super) struct Named {
    task: u64,
    name: &'static str,
    acts: u64,
    idle: Option<Idle>,
}

/// A plan of the library in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanActs {
    /// Its name.
    pub name: String,
    /// How often it did something to the cluster.
    pub acts: u64,
    /// Why it did nothing, where it did nothing and knows why.
    pub idle: Option<Idle>,
}

/// Why a plan did nothing in a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Idle {
    /// There are too few machines that it may touch; in words.
    TooFew(String),
    /// The run was over, or had settled, before its first strike was due: at this virtual nanosecond.
    NotDue(u64),
    /// All machines that it may hit were down whenever it was to strike.
    AllDown,
    /// All machines fell on one side whenever it was to cut them in two.
    OneSide,
}

pub(crate) fn install(seed: u64, body: MachineId) -> Sim {
    let (clients, memory) = (BTreeMap::new(), BTreeMap::new());
    let (walks, acts, spared) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let world = World { seed, body, named: Vec::new(), clients, memory, walks, acts, spared };
    WORLD.with(|slot| slot.install(world));
    Sim { seed }
}

/// Dropped outside of the slot: it holds what is the user's.
pub(crate) fn remove() {
    drop(WORLD.with(Slot::remove));
}

/// A plan that has a name is told apart by it.
pub(crate) fn add_plan(task: u64, name: &'static str) {
    if name != A_PLAN {
        with(|world| world.named.push(Named { task, name, acts: 0, idle: None }));
    }
}

/// The name of the plan that this task is.
pub(super) fn plan_name(task: u64) -> &'static str {
    let name =
        |world: &mut World| world.named.iter().find(|plan| plan.task == task).map(|plan| plan.name);
    with(name).flatten().unwrap_or(A_PLAN)
}

/// The plans that have names, and how often each did something to the cluster.
pub(crate) fn acts() -> Vec<PlanActs> {
    let acts = |world: &mut World| {
        let acts = world.named.drain(..).map(|plan| PlanActs {
            name: plan.name.to_owned(),
            acts: plan.acts,
            idle: plan.idle.filter(|_| plan.acts == 0),
        });
        acts.collect()
    };
    with(acts).unwrap_or_default()
}

/// The plan whose code runs says why it has done nothing so far. That it can't do anything stays true.
pub(crate) fn note_idle(idle: Idle) {
    let Some(scope) = engine::scope() else { return };
    with(|world| {
        let plan = world.named.iter_mut().find(|plan| plan.task == scope.task);
        if let Some(plan) = plan.filter(|plan| !matches!(plan.idle, Some(Idle::TooFew(_)))) {
            plan.idle = Some(idle);
        }
    });
}

/// Something is to be done to the cluster. If a plan does it, it is not idle; if it is a plan of the user's own, the overlay
/// may leave it out: then false.
///
/// What `changes` nothing is counted as well, since the address of an act must not depend on what was left out before it;
/// but it is neither recorded nor left out.
pub(crate) fn may_act(changes: bool, machines: &[MachineId], text: impl Fn() -> String) -> bool {
    let Some(scope) = engine::scope() else { return true };
    let of_a_plan = with(|world| {
        if let Some(plan) = world.named.iter_mut().find(|plan| plan.task == scope.task) {
            plan.acts += u64::from(changes);
            return None;
        }
        // The test's body and its clients do what they do: what varies there is what they choose.
        (scope.process == ProcessId::HARNESS).then(|| {
            let nth = world.acts.entry(scope.task).or_default();
            *nth += 1;
            *nth
        })
    });
    let Some(nth) = of_a_plan.flatten().filter(|_| changes) else { return true };
    if !engine::is_active(Address::act(scope.task, nth)) {
        return false;
    }
    engine::record_deviation(|| Deviation {
        machine: machines.first().copied(),
        text: text(),
        ..Deviation::new(Address::act(scope.task, nth), Kind::Strike, 1, engine::now())
    });
    machines.iter().copied().for_each(engine::mark_affected);
    true
}

pub(super) fn spare(machines: Vec<MachineId>) {
    with(|world| world.spared.extend(machines));
}

/// Whether one of them would be down, had the overlay not spared it. From now on none would.
pub(super) fn unspare(machines: &[MachineId]) -> bool {
    let unspare = |world: &mut World| {
        machines.iter().filter(|machine| world.spared.remove(machine)).count() > 0
    };
    with(unspare).unwrap_or(false)
}

pub(super) fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.try_with(|slot| slot.with(f)).ok().flatten()
}

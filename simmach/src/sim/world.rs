//! The state that [`Sim`] keeps for a run, and the decision whether the overlay leaves out a fault.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::engine::context::{self, Engine, Slot};
use crate::engine::draws::address::Address;
use crate::engine::points::Points;
use crate::engine::record::deviations::{Deviation, DeviationKind};
use crate::engine::{self, MachineId, ProcessId, mix, mix_text};
use crate::machine::DiskCopy;
use crate::net::PacketFilter;
use crate::sim::own_faults::{BeginFault, BegunFault};
use crate::sim::{A_PLAN, Sim};

thread_local! {
    pub(crate) static WORLD: Slot<World> = const { Slot::new() };
}

/// The state that [`Sim`] keeps for a run.
pub(crate) struct World {
    pub(super) seed: u64,
    pub(super) body: MachineId,
    /// The plans of the library.
    pub(super) plans: Vec<NamedPlan>,
    /// What plans without a name and the test's body need of the program.
    wants: Vec<Want>,
    /// Number of clients started so far, by machine and the word of the step that started them. The
    /// word is 0 outside of steps.
    pub(super) clients: BTreeMap<(MachineId, u64), u64>,
    /// The values of [`Sim::state`], by type.
    pub(super) memory: BTreeMap<TypeId, Rc<dyn Any>>,
    /// Number of step sequences begun so far, by a word for the body or another task. The word also
    /// identifies the step that the task is in.
    pub(super) sequences: BTreeMap<u64, u64>,
    /// Number of faults requested so far, by the task of a user's plan.
    pub(super) faults: BTreeMap<u64, u64>,
    /// Machines that would be down if the overlay had not left out a fault. Starting these machines
    /// again is not an error.
    pub(super) spared: BTreeSet<MachineId>,
    /// The packet filters of a script, by their numbers in the script.
    pub(super) filters: BTreeMap<u64, PacketFilter>,
    /// Number of impairments so far.
    pub(super) impairments: u64,
    /// Copies of disks, by the numbers of their snapshots.
    pub(super) disks: BTreeMap<u64, Rc<DiskCopy>>,
    /// Number of snapshots so far that the test took, and that plans took.
    pub(super) snapshots: u64,
    pub(super) snapshots_of_plans: u64,
    /// The test's own faults, by name.
    pub(super) own_faults: BTreeMap<String, BeginFault>,
    /// The test's own faults that have begun, by the number of their act.
    pub(super) begun_faults: BTreeMap<u64, BegunFault>,
    /// Number of strikes that hit each machine at present, as budgets count them.
    hits: BTreeMap<MachineId, u32>,
}

/// A plan of the library in a run.
pub(super) struct NamedPlan {
    task: u64,
    name: &'static str,
    faults: u64,
    idle: Option<Idle>,
    wants: Vec<Want>,
    kinds: Kinds,
}

/// What a plan of the library did in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanActivity {
    /// The name of the plan.
    pub name: String,
    /// Number of faults that the plan caused.
    pub faults: u64,
    /// Why the plan caused no fault, if that is the case and the reason is known.
    pub idle: Option<Idle>,
    /// What the plan needs of the program and did not occur in the run.
    pub unmet: Vec<Want>,
    /// The kinds of faults of the plan, if the run draws them.
    pub kinds: Kinds,
}

/// The kinds of faults of a plan of which each run draws some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kinds {
    pub drawn: Vec<String>,
    /// Those that the run could have drawn, and did not.
    pub undrawn: Vec<String>,
    /// Those that the test must claim to survive before a run can draw them.
    pub unclaimed: Vec<String>,
}

/// What a plan needs of the program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Want {
    /// A machine has this role.
    Role(String),
    /// This fault point is passed.
    Point(String),
}

impl Want {
    /// Whether it has occurred in this run.
    fn is_met(&self, engine: &Engine) -> bool {
        match self {
            Self::Role(role) => engine.roles.names().contains(role),
            Self::Point(point) => engine.points.name(Points::number(point)).is_some(),
        }
    }
}

/// Why a plan caused no fault in a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Idle {
    /// Too few machines match the plan's targets; the text says which and how many it needs.
    TooFew(String),
    /// The run ended or settled before the first strike, which was due at this virtual time in
    /// nanoseconds.
    NotDue(u64),
    /// The run was drawn to have none of the plan's faults.
    Spared,
    /// All machines that the plan may hit were down whenever a strike was due.
    AllDown,
    /// All machines were drawn to the same side whenever a partition was due.
    OneSide,
    /// Too many machines were down already whenever a strike was due: the budget left no room.
    NoRoom,
    /// Another plan was drawn in its place.
    NotDrawn,
    /// An event that a strike waits for did not occur, or its condition did not hold. The text is the
    /// reason, and says what to do.
    NoEvent(String),
    /// No machine that ran had this role whenever a strike was due.
    NoRole(String),
}

pub(crate) fn install(seed: u64, body: MachineId) -> Sim {
    let world = World {
        seed,
        body,
        plans: Vec::new(),
        wants: Vec::new(),
        clients: BTreeMap::new(),
        memory: BTreeMap::new(),
        sequences: BTreeMap::new(),
        faults: BTreeMap::new(),
        spared: BTreeSet::new(),
        filters: BTreeMap::new(),
        impairments: 0,
        disks: BTreeMap::new(),
        snapshots: 0,
        snapshots_of_plans: 0,
        own_faults: BTreeMap::new(),
        begun_faults: BTreeMap::new(),
        hits: BTreeMap::new(),
    };
    WORLD.with(|slot| slot.install(world));
    Sim { seed }
}

/// Drops the state outside of the slot, because destructors of user values may call `Sim`.
pub(crate) fn remove() {
    drop(WORLD.with(Slot::remove));
}

/// Registers the task of a plan that has a name.
pub(crate) fn add_plan(task: u64, name: &'static str) {
    if name != A_PLAN {
        with(|world| {
            world.plans.push(NamedPlan {
                task,
                name,
                faults: 0,
                idle: None,
                wants: Vec::new(),
                kinds: Kinds::default(),
            })
        });
    }
}

/// The task of a part of a plan, by the plan's task and the number of the part.
pub(crate) fn part_of_plan(task: u64, number: u64) -> u64 {
    mix(mix(task, mix_text("part")), number)
}

/// The name of the plan that runs as this task.
pub(super) fn plan_name(task: u64) -> &'static str {
    let name =
        |world: &mut World| world.plans.iter().find(|plan| plan.task == task).map(|plan| plan.name);
    with(name).flatten().unwrap_or(A_PLAN)
}

/// Takes what each plan of the library did, for the outcome. The last entry, if any, is for unmet
/// needs of other plans and the test's body.
pub(crate) fn take_plan_activity() -> Vec<PlanActivity> {
    let unmet = |wants: Vec<Want>| {
        let is_met = |want: &Want| context::try_with(|engine| want.is_met(engine)) == Some(true);
        wants.into_iter().filter(|want| !is_met(want)).collect()
    };
    let take = |world: &mut World| {
        let plans = world.plans.drain(..).map(|plan| PlanActivity {
            name: plan.name.to_owned(),
            faults: plan.faults,
            idle: plan.idle.filter(|_| plan.faults == 0),
            unmet: unmet(plan.wants),
            kinds: plan.kinds,
        });
        let unmet = unmet(std::mem::take(&mut world.wants));
        let others = PlanActivity { name: A_PLAN.to_owned(), unmet, ..PlanActivity::default() };
        plans.chain((!others.unmet.is_empty()).then_some(others)).collect()
    };
    with(take).unwrap_or_default()
}

/// Records why the running plan has caused no fault so far. [`Idle::TooFew`] is final: later reasons
/// do not replace it.
pub(crate) fn record_idle(idle: Idle) {
    if let Some(scope) = engine::scope() {
        record_idle_of(scope.task, idle);
    }
}

/// Like [`record_idle`], for the plan that runs as another task.
pub(crate) fn record_idle_of(task: u64, idle: Idle) {
    with(|world| {
        let plan = world.plans.iter_mut().find(|plan| plan.task == task);
        if let Some(plan) = plan.filter(|plan| !matches!(plan.idle, Some(Idle::TooFew(_)))) {
            plan.idle = Some(idle);
        }
    });
}

/// Records what the running plan needs of the program.
pub(crate) fn record_want(want: Want) {
    let Some(scope) = engine::scope() else { return };
    with(|world| {
        let plan = world.plans.iter_mut().find(|plan| plan.task == scope.task);
        let wants = plan.map_or(&mut world.wants, |plan| &mut plan.wants);
        if !wants.contains(&want) {
            wants.push(want);
        }
    });
}

/// Records the kinds of faults of the running plan.
pub(crate) fn record_kinds(kinds: Kinds) {
    let Some(scope) = engine::scope() else { return };
    with(|world| {
        if let Some(plan) = world.plans.iter_mut().find(|plan| plan.task == scope.task) {
            plan.kinds = kinds;
        }
    });
}

/// Whether a strike hits a machine at present.
pub(crate) fn is_hit(machine: MachineId) -> bool {
    with(|world| world.hits.contains_key(&machine)).unwrap_or(false)
}

/// Counts a strike that hits these machines.
pub(crate) fn take_hits(machines: &[MachineId]) {
    with(|world| {
        for machine in machines {
            *world.hits.entry(*machine).or_default() += 1;
        }
    });
}

/// Ends the count of a strike that hit these machines.
pub(crate) fn release_hits(machines: &[MachineId]) {
    with(|world| {
        for machine in machines {
            if let Some(strikes) = world.hits.get_mut(machine) {
                *strikes -= 1;
                if *strikes == 0 {
                    world.hits.remove(machine);
                }
            }
        }
    });
}

/// Requests a fault on behalf of the running code. Returns false if the overlay leaves the fault out.
///
/// Faults of the library's plans are only counted; those of the user's plans are drawn, and recorded
/// as deviations. Faults of the test's body and its clients always take place, since only their
/// choices vary.
///
/// A fault that changes nothing (`changes` is false) still takes a number, so that addresses of later
/// faults do not depend on what was left out before. It is neither recorded nor left out.
pub(crate) fn request_fault(
    changes: bool,
    machines: &[MachineId],
    text: impl Fn() -> String,
) -> bool {
    let Some(scope) = engine::scope() else { return true };
    let number = with(|world| {
        if let Some(plan) = world.plans.iter_mut().find(|plan| plan.task == scope.task) {
            plan.faults += u64::from(changes);
            return None;
        }
        (scope.process == ProcessId::HARNESS).then(|| {
            let nth = world.faults.entry(scope.task).or_default();
            *nth += 1;
            *nth
        })
    });
    let Some(nth) = number.flatten().filter(|_| changes) else { return true };
    if !engine::is_active(Address::fault(scope.task, nth)) {
        return false;
    }
    engine::record_deviation(|| Deviation {
        machine: machines.first().copied(),
        text: text(),
        ..Deviation::new(Address::fault(scope.task, nth), DeviationKind::Strike, 1, engine::now())
    });
    machines.iter().copied().for_each(engine::mark_affected);
    true
}

/// Records that these machines would be down if the overlay had not left a fault out.
pub(super) fn record_spared(machines: Vec<MachineId>) {
    with(|world| world.spared.extend(machines));
}

/// Clears the record made by [`record_spared`]. Returns whether there was one for any of these machines.
pub(super) fn clear_spared(machines: &[MachineId]) -> bool {
    let clear_spared = |world: &mut World| {
        machines.iter().filter(|machine| world.spared.remove(machine)).count() > 0
    };
    with(clear_spared).unwrap_or(false)
}

pub(super) fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.try_with(|slot| slot.with(f)).ok().flatten()
}

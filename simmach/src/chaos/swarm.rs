//! [`Swarm`]: a plan that mixes faults of many kinds, with a new mix in each run.

mod budget;
mod fault;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, try_join_all};

use crate::chaos::pace::{Strike, Strikes};
use crate::chaos::swarm::budget::Budget;
use crate::chaos::swarm::fault::Fault;
use crate::chaos::{Needs, Plan, candidates, note_too_few};
use crate::engine::draws::address::Address;
use crate::engine::{self, MachineId};
use crate::machine::{self, Selector};
use crate::sim::{self, Idle, Sim};
use crate::time::sleep;

/// A plan that mixes faults of many kinds. Try this plan first.
///
/// Each run draws which kinds of faults it has, from none to all, and how often they occur. It
/// also draws how long the faults of each kind last: a few milliseconds in some runs, most of a
/// minute in others. So the default settings fit both short and long tests. They find bugs that
/// need many quick faults and bugs that need a single long one.
///
/// These are the kinds of faults:
///
/// - Services are stopped or killed.
/// - One machine loses power, or several at once, for a moment or for a long time.
/// - Processes are paused.
/// - Machines are isolated, separated into two groups, or cut off in one direction.
/// - The packets of a machine are held back, delayed or lost.
/// - Clocks drift by up to 500 ppm.
///
/// A majority of the machines that run the same service is spared: fewer than half of them are
/// down, paused or hit by network faults at a time. If only one or two machines run a service, at
/// most one of them is hit at a time. The machine of the test's body is hit only if it is named.
///
/// Faults that a correct program need not survive are off. A test enables them with
/// [`survives`](Self::survives).
///
/// ```
/// use simmach::prelude::*;
///
/// let plan = Swarm::new();
/// let plan = Swarm::new().machines("kv*").survives(Hardship::Blackout);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Swarm {
    machines: Option<Selector>,
    survives: BTreeSet<Hardship>,
    at_once: Option<usize>,
}

/// What a program need not survive to be correct, and what a test can say that its program survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hardship {
    /// All machines with services lose power at the same time. Writes that are durable are still there afterwards.
    Blackout,
    /// A machine's disk is wiped while it is down. Until the end of the run the machine counts as one that is down.
    Wipe,
    /// Wall clocks are set forward or back, by up to an hour.
    ClockSteps,
}

impl Swarm {
    /// A plan that hits all machines with services, except the machine of the test's body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the machines that it hits.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = Some(machines.into());
        self
    }

    /// Adds a hardship that the program survives, which this plan may then bring about.
    #[must_use]
    pub fn survives(mut self, hardship: Hardship) -> Self {
        self.survives.insert(hardship);
        self
    }

    /// Sets how many machines that run the same service may be down, paused or troubled by the network at a time. The default
    /// leaves a majority of them.
    #[must_use]
    pub fn at_once(mut self, machines: usize) -> Self {
        self.at_once = Some(machines);
        self
    }

    /// The kinds of faults that a run may have.
    fn kinds(&self) -> Vec<Fault> {
        let claimed = |fault: &Fault| match fault.hardship() {
            Some(hardship) => self.survives.contains(&hardship),
            None => true,
        };
        Fault::ALL.iter().copied().filter(claimed).collect()
    }
}

impl Plan for Swarm {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            note_too_few(sim, self.machines.as_ref(), Needs::Victim { body: true });
            let plan = engine::scope().map_or(0, |scope| scope.task);
            let machines = candidates(sim, self.machines.as_ref());
            let mask = Mask::drawn(plan);
            let mut kinds = self.kinds();
            kinds.retain(|kind| mask.has(*kind));
            if kinds.is_empty() {
                sim::record_idle(Idle::Spared);
            }
            let budget = RefCell::new(Budget::new(&numbers(&machines), self.at_once));
            let run = Rc::new(Run { sim, plan: *self, budget });
            let parts = kinds.len();
            try_join_all(kinds.into_iter().map(|kind| Rc::clone(&run).strikes(kind, parts)))
                .await?;
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let mut mistakes = super::mistakes(&[], self.machines.as_ref(), machines);
        if self.at_once == Some(0) {
            mistakes.push(
                "`at_once` must be at least 1: with 0, the plan never injects a fault".to_owned(),
            );
        }
        mistakes
    }

    fn name(&self) -> &'static str {
        "Swarm"
    }

    fn settings(&self) -> String {
        format!("{self:?}")
    }
}

/// Which kinds of faults a run has.
#[derive(Clone, Copy, Debug)]
enum Mask {
    None,
    All,
    /// Those whose bits are set.
    Some(u64),
}

impl Mask {
    /// One run in sixteen has no faults, and one in four has faults of every kind. The others have each kind or not.
    fn drawn(plan: u64) -> Self {
        let below = |field, n| engine::setting_below(Address::plan_setting(plan, field), n);
        match below(MASK, 16) {
            0 => Self::None,
            1..=4 => Self::All,
            _ => Self::Some(below(MASK + 1, 1 << Fault::ALL.len())),
        }
    }

    fn has(self, kind: Fault) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(bits) => bits >> kind as u64 & 1 == 1,
        }
    }
}

/// The field of a plan's settings at which its mask is drawn. Those before are its tempo.
const MASK: u64 = 64;

/// One run of the plan.
struct Run {
    sim: Sim,
    plan: Swarm,
    budget: RefCell<Budget>,
}

impl Run {
    /// Strikes with faults of one kind, again and again.
    async fn strikes(self: Rc<Self>, kind: Fault, parts: usize) -> Result<(), String> {
        let mut strikes = Strikes::of_part(kind as u64 + 1, parts);
        let lasting = strikes.down(None, fault::USUAL);
        while let Some(strike) = strikes.next().await {
            let victims = self.choose(kind, strike);
            if victims.is_empty() {
                continue;
            }
            let counts = !kind.sets_clocks();
            if counts {
                self.budget.borrow_mut().take(&victims);
            }
            let lasting = kind.lasting(strike, lasting);
            let undo = kind.strike(self.sim, strike, &victims, &self.others(&victims)).await?;
            sleep(lasting).await;
            undo.undo(self.sim, strike)?;
            // A wiped machine counts as down to the end of the run.
            if counts && kind != Fault::Wipe {
                self.budget.borrow_mut().release(&victims);
            }
        }
        Ok(())
    }

    /// The machines that a strike hits: those that run, as far as the budget has room for them.
    fn choose(&self, kind: Fault, strike: Strike) -> Vec<MachineId> {
        let names = candidates(self.sim, self.plan.machines.as_ref());
        let mut running: Vec<MachineId> = numbers(&names);
        running.retain(|machine| machine::has_running_service(*machine) && kind.can_hit(*machine));
        if running.is_empty() {
            sim::record_idle(Idle::AllDown);
            return running;
        }
        if kind == Fault::Blackout {
            return running;
        }
        let mut victims = Vec::new();
        let most = if kind.hits_several() { 1 + strike.below(fault::SIZE, 4) as usize } else { 1 };
        for nth in 0..running.len() as u64 {
            let chosen = strike.below(fault::VICTIMS + nth, running.len() as u64) as usize;
            let machine = running.swap_remove(chosen);
            victims.push(machine);
            if !kind.sets_clocks() && !self.budget.borrow().has_room(&victims) {
                victims.pop();
            }
            if victims.len() == most {
                break;
            }
        }
        victims
    }

    /// The other machines that the plan may hit.
    fn others(&self, victims: &[MachineId]) -> Vec<MachineId> {
        let mut others = numbers(&candidates(self.sim, self.plan.machines.as_ref()));
        others.retain(|machine| !victims.contains(machine));
        others
    }
}

fn numbers(names: &[String]) -> Vec<MachineId> {
    let number = |name: &String| machine::machines(&Selector::from(name)).first().copied();
    names.iter().filter_map(number).collect()
}

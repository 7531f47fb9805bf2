//! [`Swarm`]: a plan that mixes faults of many kinds, with a new mix in each run.

mod aim;
mod fault;
mod mask;
mod moments;
mod run;

use std::collections::BTreeSet;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, try_join_all};

use crate::chaos::budget::Budget;
use crate::chaos::swarm::aim::Aim;
use crate::chaos::swarm::fault::Kind;
use crate::chaos::swarm::mask::Mask;
use crate::chaos::swarm::moments::Moments;
use crate::chaos::swarm::run::Run;
use crate::chaos::target::Target;
use crate::chaos::{Needs, Plan, note_needs};
use crate::engine;
use crate::machine::Selector;
use crate::sim::{self, Idle, Sim};

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
/// One run in three strikes not at times, but at events of the program: the machine is hit that has just sent a packet, committed
/// a transaction or passed a fault point. One strike in four has a second fault on the same machine.
///
/// If the program or the test says who has a role, such as the leader ([`role::enter`](crate::role::enter), [`Sim::role`]), half
/// of the runs aim at a machine that has it: all strikes of some runs, and every other strike of others. A plan with
/// [`role`](Self::role) or [`prefer_role`](Self::prefer_role) always aims at that role.
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
    machines: Target,
    survives: BTreeSet<Hardship>,
    at_once: Option<usize>,
    budget: Option<Budget>,
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
        self.machines = self.machines.machines(machines);
        self
    }

    /// Sets the role at which the plan aims: only machines that have it at the time of a strike are hit. The program says who
    /// has it with [`role::enter`](crate::role::enter), the test with [`Sim::role`].
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.machines = self.machines.role(role);
        self
    }

    /// As [`role`](Self::role), but all machines may be hit while none has the role.
    #[must_use]
    pub fn prefer_role(mut self, role: impl Into<String>) -> Self {
        self.machines = self.machines.prefer_role(role);
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

    /// Sets how many machines may be down or hit at a time, for groups of machines. It replaces the default, and
    /// [`at_once`](Self::at_once).
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::Budget;
    ///
    /// let shards = Budget::minority_of("shard1-*").and(Budget::minority_of("shard2-*"));
    /// let plan = Swarm::new().budget(shards);
    /// ```
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The kinds of faults that a run may have.
    fn kinds(&self) -> Vec<Kind> {
        let claimed = |kind: &Kind| match kind.hardship() {
            Some(hardship) => self.survives.contains(&hardship),
            None => true,
        };
        Kind::ALL.iter().copied().filter(claimed).collect()
    }
}

impl Plan for Swarm {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            note_needs(&self.machines, Needs::Victim { body: true });
            let plan = engine::scope().map_or(0, |scope| scope.task);
            let kinds = Mask::drawn(plan).of(self.kinds());
            sim::record_kinds(kinds.iter().map(|kind| kind.name()).collect());
            if kinds.is_empty() {
                sim::record_idle(Idle::Spared);
            }
            let budget = self.budget.clone().unwrap_or_else(|| match self.at_once {
                Some(most) => Budget::at_most_of_a_service(most),
                None => Budget::minority(),
            });
            let groups = budget.groups(&self.machines.candidates());
            let (aim, moments) = (Aim::drawn(plan), Moments::drawn(plan));
            let run = Run { sim, plan: *self, groups, aim, moments, kinds: kinds.clone() };
            let run = Rc::new(run);
            let parts = kinds.len();
            try_join_all(kinds.into_iter().map(|kind| Rc::clone(&run).strikes(kind, parts)))
                .await?;
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let mut mistakes = self.machines.mistakes(machines);
        if self.at_once == Some(0) {
            mistakes.push(
                "`at_once` must be at least 1: with 0, the plan never injects a fault".to_owned(),
            );
        }
        mistakes.extend(self.budget.iter().flat_map(|budget| budget.mistakes(machines)));
        mistakes
    }

    fn name(&self) -> &'static str {
        "Swarm"
    }

    fn ends(&self) -> bool {
        false
    }

    fn settings(&self) -> String {
        format!("{self:?}")
    }
}

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
use crate::chaos::target::{Target, target_methods};
use crate::chaos::{Needs, Plan, note_needs};
use crate::engine;
use crate::sim::{self, Idle, Kinds, Sim};

/// A plan that mixes faults of many kinds. Try this plan first.
///
/// Each run draws which kinds of faults it has, from none to all, and how often they occur: every
/// 20 ms to 41 s on average. It also draws how long the faults of each kind last: a few milliseconds
/// in some runs, many minutes in others. So the default settings fit both short and long tests. They find bugs that
/// need many quick faults and bugs that need a single long one.
///
/// These are the kinds of faults:
///
/// - Services are stopped or killed.
/// - One machine loses power, or several at once, for a moment or for a long time.
/// - Processes are paused, or run for a part of the time only.
/// - Machines are isolated, once or again and again, separated into two groups, with or without a
///   machine that reaches both, or cut off in one direction.
/// - The packets of a machine are held back, delayed, lost, duplicated or overtaken, or its bandwidth
///   is small. One of several TCP connections is cut.
/// - Clocks drift by up to 500 ppm.
/// - Disks stall, and the power fails in the middle of a call on a file.
///
/// If the program has nothing that a fault could affect, such as a file or a connection, a fault of
/// another kind takes its place.
///
/// A majority of the machines that run the same service is spared: fewer than half of them are
/// down, paused, slow or hit by faults of the network or of disks at a time. If only one or two machines run a service, at
/// most one of them is hit at a time. The machine of the test's body is hit only if it is named.
///
/// In one run of three, faults occur at events of the program instead of times: a fault hits a
/// machine that is just sending a packet, committing a transaction or passing a fault point. One
/// strike in four has a second fault on the same machine.
///
/// Half of the runs aim at machines that have a role, such as the leader, if the program or the
/// test declares roles ([`role::enter`](crate::role::enter), [`Sim::role`]). Some of these runs aim
/// all strikes, the others every other strike on average. A plan with [`role`](Self::role) or
/// [`prefer_role`](Self::prefer_role) always aims at that role.
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

/// A kind of fault that a correct program need not survive.
///
/// [`Swarm`] has these faults only if the test claims that its program survives them, with
/// [`Swarm::survives`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hardship {
    /// All machines with services lose power at the same time. They lose writes that are not
    /// durable.
    Blackout,
    /// A machine's disk is wiped while it is down. The budget counts the machine as down until the
    /// end of the run.
    Wipe,
    /// Wall clocks are set forward or back, by 1 ms to 1 h, or stand still.
    ClockSteps,
    /// Reads, writes and syncs of files fail with `EIO` on some machines, as
    /// [`Sim::fail_reads`](crate::Sim::fail_reads) and its siblings do.
    DiskErrors,
    /// The disks of some machines are full: writes fail with `ENOSPC`.
    FullDisk,
}

impl Swarm {
    /// A plan that hits all machines with services, except the machine of the test's body.
    pub fn new() -> Self {
        Self::default()
    }

    target_methods!();

    /// Claims that the program survives a hardship. The plan may then cause it.
    #[must_use]
    pub fn survives(mut self, hardship: Hardship) -> Self {
        self.survives.insert(hardship);
        self
    }

    /// Sets how many machines that run the same service may be down, paused, slow or hit by faults
    /// of the network or of disks at a time. It must be at least 1. By default, a majority of them is spared.
    #[must_use]
    pub fn at_once(mut self, machines: usize) -> Self {
        self.at_once = Some(machines);
        self
    }

    /// Sets how many machines of each group may be down or hit at a time.
    ///
    /// This replaces the default and [`at_once`](Self::at_once).
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

    /// The names of the kinds that a run has drawn, and of the others.
    fn names_of_kinds(&self, drawn: &[Kind]) -> Kinds {
        let possible = self.kinds();
        let names = |which: &dyn Fn(&Kind) -> bool| {
            let kinds = Kind::ALL.iter().filter(|kind| which(kind));
            kinds.map(|kind| kind.name().to_owned()).collect()
        };
        Kinds {
            drawn: names(&|kind| drawn.contains(kind)),
            undrawn: names(&|kind| possible.contains(kind) && !drawn.contains(kind)),
            unclaimed: names(&|kind| !possible.contains(kind)),
        }
    }
}

impl Plan for Swarm {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            note_needs(&self.machines, Needs::Victim { body: true });
            let plan = engine::scope().map_or(0, |scope| scope.task);
            let kinds = Mask::drawn(plan).of(self.kinds());
            sim::record_kinds(self.names_of_kinds(&kinds));
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

//! Plans of plans: side by side, one after the other, one of several.

use std::fmt;
use std::panic::Location;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, try_join_all};

use crate::chaos::Plan;
use crate::engine::draws::address::Address;
use crate::engine::{self, ProcessId, Role, Scope};
use crate::sim::{self, Idle, Sim, part_of_plan};
use crate::task::spawn_as;

/// Plans that run at the same time.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::SideBySide;
///
/// let plan = SideBySide::new().plan(PowerOffs::new()).plan(Partitions::new());
/// ```
#[derive(Default)]
pub struct SideBySide(Parts);

/// Plans that run one after the other: each begins when the one before it has ended.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::{Cadence, FaultPlan, InSequence, faults};
///
/// let cut = FaultPlan::new(faults::Isolate).when(Cadence::once(1.secs()..5.secs()));
/// let plan = InSequence::new().plan(cut).plan(PowerOffs::new());
/// ```
#[derive(Default)]
pub struct InSequence(Parts);

/// Plans of which each run draws one.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::OneOf;
///
/// let plan = OneOf::new().plan(PowerOffs::new()).plan(Partitions::new());
/// ```
#[derive(Default)]
pub struct OneOf(Parts);

#[derive(Default)]
struct Parts(Vec<Box<dyn Plan>>);

/// The field of a plan's settings that says which of its parts is drawn.
const WHICH: u64 = 80;

impl Parts {
    fn mistakes(&self, of: &str, machines: &[&str]) -> Vec<String> {
        let none = self.0.is_empty().then(|| format!("`{of}` has no plans and can never strike"));
        let parts = self.0.iter().flat_map(|plan| {
            let name = plan.name();
            plan.mistakes(machines).into_iter().map(move |mistake| format!("{name}: {mistake}"))
        });
        none.into_iter().chain(parts).collect()
    }

    fn settings(&self, of: &str) -> String {
        let settings = self.0.iter().map(|plan| format!("{} {}", plan.name(), plan.settings()));
        format!("{of}[{}]", settings.collect::<Vec<_>>().join(", "))
    }

    fn all(&self) -> Vec<&dyn Plan> {
        self.0.iter().map(|plan| &**plan).collect()
    }
}

/// Runs the part of a plan with this number as a task of its own, so that its draws and its faults are its own.
async fn run_part(sim: Sim, number: u64, plan: Box<dyn Plan>) -> Result<(), String> {
    let parent = engine::scope().map_or(0, |scope| scope.task);
    let task = part_of_plan(parent, number);
    let scope = Scope { task, process: ProcessId::HARNESS, ..Scope::HARNESS };
    let (_, ran) = spawn_as(Role::Plan, scope, Location::caller(), plan.run(sim));
    // A part that is ended by `settle` has not failed.
    ran.await.unwrap_or(Ok(()))
}

impl SideBySide {
    /// No plans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plan.
    #[must_use]
    pub fn plan(mut self, plan: impl Plan) -> Self {
        self.0.0.push(Box::new(plan));
        self
    }
}

impl InSequence {
    /// No plans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plan. All but the last must end by themselves.
    #[must_use]
    pub fn plan(mut self, plan: impl Plan) -> Self {
        self.0.0.push(Box::new(plan));
        self
    }
}

impl OneOf {
    /// No plans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plan.
    #[must_use]
    pub fn plan(mut self, plan: impl Plan) -> Self {
        self.0.0.push(Box::new(plan));
        self
    }
}

impl Plan for SideBySide {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        let parts = (0..).zip(self.0.0);
        async move {
            try_join_all(parts.map(|(number, plan)| run_part(sim, number, plan))).await.map(drop)
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        self.0.mistakes("SideBySide", machines)
    }

    fn settings(&self) -> String {
        self.0.settings("SideBySide")
    }

    fn ends(&self) -> bool {
        self.0.0.iter().all(|plan| plan.ends())
    }

    fn parts(&self) -> Vec<&dyn Plan> {
        self.0.all()
    }
}

impl Plan for InSequence {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            for (number, plan) in (0..).zip(self.0.0) {
                run_part(sim, number, plan).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let mut mistakes = self.0.mistakes("InSequence", machines);
        let but_last = self.0.0.len().saturating_sub(1);
        let endless = self.0.0.iter().take(but_last).filter(|plan| !plan.ends());
        mistakes.extend(endless.map(|plan| {
            format!(
                "`InSequence`: {} does not end by itself, so that the plans after it can never strike: put it last, or \
                 give it `Cadence::within` or `Cadence::times`",
                plan.name()
            )
        }));
        mistakes
    }

    fn settings(&self) -> String {
        self.0.settings("InSequence")
    }

    fn ends(&self) -> bool {
        self.0.0.iter().all(|plan| plan.ends())
    }

    fn parts(&self) -> Vec<&dyn Plan> {
        self.0.all()
    }
}

impl Plan for OneOf {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            let plan = engine::scope().map_or(0, |scope| scope.task);
            let parts = self.0.0.len() as u64;
            let drawn = engine::setting_below(Address::plan_setting(plan, WHICH), parts);
            let mut chosen = None;
            for (number, part) in (0..).zip(self.0.0) {
                match number == drawn {
                    true => chosen = Some((number, part)),
                    false => sim::record_idle_of(part_of_plan(plan, number), Idle::NotDrawn),
                }
            }
            match chosen {
                Some((number, part)) => run_part(sim, number, part).await,
                None => Ok(()),
            }
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        self.0.mistakes("OneOf", machines)
    }

    fn settings(&self) -> String {
        self.0.settings("OneOf")
    }

    fn ends(&self) -> bool {
        self.0.0.iter().all(|plan| plan.ends())
    }

    fn parts(&self) -> Vec<&dyn Plan> {
        self.0.all()
    }
}

macro_rules! debug {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.settings())
            }
        }
    )*};
}

debug!(SideBySide InSequence OneOf);

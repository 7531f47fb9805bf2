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

/// The plans that a plan consists of.
#[derive(Default)]
struct Parts(Vec<Box<dyn Plan>>);

/// The field of a plan's settings that selects the part of [`OneOf`].
const CHOSEN_PART: u64 = 80;

impl Parts {
    /// Returns the mistakes of the parts. `of` is the name of the plan that consists of them.
    fn mistakes(&self, of: &str, machines: &[&str]) -> Vec<String> {
        let none = self
            .0
            .is_empty()
            .then(|| format!("`{of}` has no plans: add at least one with `.plan(…)`"));
        let parts = self.0.iter().flat_map(|plan| {
            let name = plan.name();
            plan.mistakes(machines).into_iter().map(move |mistake| format!("{name}: {mistake}"))
        });
        none.into_iter().chain(parts).collect()
    }

    /// Returns a mistake for each part before the last that does not end by itself.
    fn endless_before_last(&self) -> Vec<String> {
        let before_last = self.0.iter().take(self.0.len().saturating_sub(1));
        let endless = before_last.filter(|plan| !plan.ends()).map(|plan| {
            format!(
                "`InSequence`: {} does not end by itself, so the plans after it can never inject a \
                 fault: put it last, or use a `FaultPlan` whose cadence ends (`Cadence::once`, `within` or `times`)",
                plan.name()
            )
        });
        endless.collect()
    }

    fn settings(&self, of: &str) -> String {
        let settings = self.0.iter().map(|plan| format!("{} {}", plan.name(), plan.settings()));
        format!("{of}[{}]", settings.collect::<Vec<_>>().join(", "))
    }

    async fn run_side_by_side(self, sim: Sim) -> Result<(), String> {
        let parts = (0..).zip(self.0).map(|(number, plan)| run_part(sim, number, plan));
        try_join_all(parts).await.map(drop)
    }

    async fn run_in_sequence(self, sim: Sim) -> Result<(), String> {
        for (number, plan) in (0..).zip(self.0) {
            run_part(sim, number, plan).await?;
        }
        Ok(())
    }

    async fn run_one(self, sim: Sim) -> Result<(), String> {
        let plan = engine::scope().map_or(0, |scope| scope.task);
        let parts = self.0.len() as u64;
        let drawn = engine::setting_below(Address::plan_setting(plan, CHOSEN_PART), parts);
        let mut chosen = None;
        for (number, part) in (0..).zip(self.0) {
            match number == drawn {
                true => chosen = Some(part),
                false => sim::record_idle_of(part_of_plan(plan, number), Idle::NotDrawn),
            }
        }
        match chosen {
            Some(part) => run_part(sim, drawn, part).await,
            None => Ok(()),
        }
    }
}

/// Runs a part of a plan as a task of its own. Its draws and its faults belong to this task.
async fn run_part(sim: Sim, number: u64, plan: Box<dyn Plan>) -> Result<(), String> {
    let parent = engine::scope().map_or(0, |scope| scope.task);
    let task = part_of_plan(parent, number);
    let scope = Scope { task, process: ProcessId::HARNESS, ..Scope::HARNESS };
    let (_, ran) = spawn_as(Role::Plan, scope, Location::caller(), plan.run(sim));
    // A part that `Sim::settle` ends has not failed.
    ran.await.unwrap_or(Ok(()))
}

/// Defines a plan that consists of plans: `run` runs its parts, and `mistakes` returns mistakes
/// beyond those of the parts.
macro_rules! plan_of_plans {
    ($(#[$doc:meta])* $name:ident, run: $run:path, mistakes: $mistakes:expr) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name(Parts);

        impl $name {
            /// Creates a combination that has no plans yet. [`plan`](Self::plan) adds plans.
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

        impl Plan for $name {
            fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
                $run(self.0, sim).boxed_local()
            }

            fn mistakes(&self, machines: &[&str]) -> Vec<String> {
                let own: fn(&Parts) -> Vec<String> = $mistakes;
                let mut mistakes = self.0.mistakes(stringify!($name), machines);
                mistakes.extend(own(&self.0));
                mistakes
            }

            fn settings(&self) -> String {
                self.0.settings(stringify!($name))
            }

            fn ends(&self) -> bool {
                self.0.0.iter().all(|plan| plan.ends())
            }

            fn parts(&self) -> Vec<&dyn Plan> {
                self.0.0.iter().map(|plan| &**plan).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.settings())
            }
        }
    };
}

plan_of_plans!(
    /// Runs several plans at the same time.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::SideBySide;
    ///
    /// let plan = SideBySide::new().plan(PowerOffs::new()).plan(Partitions::new());
    /// ```
    SideBySide,
    run: Parts::run_side_by_side,
    mistakes: |_| Vec::new()
);

plan_of_plans!(
    /// Runs several plans one after the other.
    ///
    /// Each plan begins when the plan before it has ended. All plans but the last must end by
    /// themselves; otherwise, the test is not run.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::{Cadence, FaultPlan, InSequence, faults};
    ///
    /// let cut = FaultPlan::new(faults::Isolate).when(Cadence::once(1.secs()..5.secs()));
    /// let plan = InSequence::new().plan(cut).plan(PowerOffs::new());
    /// ```
    InSequence,
    run: Parts::run_in_sequence,
    mistakes: Parts::endless_before_last
);

plan_of_plans!(
    /// Runs one of several plans. Each run draws which one; all are equally likely.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::OneOf;
    ///
    /// let plan = OneOf::new().plan(PowerOffs::new()).plan(Partitions::new());
    /// ```
    OneOf,
    run: Parts::run_one,
    mistakes: |_| Vec::new()
);

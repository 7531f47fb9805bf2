//! A plan that partitions the network.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::pace::{DurationRange, Strikes};
use crate::chaos::target::{Target, selector};
use crate::chaos::{Needs, Plan};
use crate::engine::{self, MachineId};
use crate::machine::{self, Selector};
use crate::sim::{self, Idle, Sim};
use crate::time::sleep;

/// The duration of a partition if only `every` is set.
const LASTING: DurationRange = DurationRange::new(Duration::from_secs(1), Duration::from_secs(15));

/// Repeatedly partitions the machines into two sides and heals the partition.
///
/// For each fault, the plan waits, assigns every machine to one of two sides at random, and
/// separates the sides for a while. If one side is empty, nothing happens. Healing does not remove
/// partitions that the test itself has made.
///
/// By default, each run draws its own tempo from logarithmic scales:
///
/// - a mean time between faults, from 20 ms to 41 s;
/// - a mean duration, from 20 ms to 41 s, but at most four times the mean time between faults.
///
/// The times of each fault vary from 0.5 to 1.5 times the mean. The time to the next fault is at
/// least 1/200 of the elapsed time, so long runs have fewer faults. If [`every`](Self::every) is
/// set, partitions last 1 to 15 s by default.
///
/// ```
/// use simmach::prelude::*;
/// let plan = Partitions::new().machines(["api*", "cl*"]).lasting(5.secs());
/// ```
#[derive(Clone, Debug)]
pub struct Partitions {
    machines: Target,
    every: Option<DurationRange>,
    lasting: Option<DurationRange>,
}

impl Partitions {
    /// A plan that separates all machines with services, except the machine of the test's body.
    pub fn new() -> Self {
        Self { machines: Target::default(), every: None, lasting: None }
    }

    /// Sets the machines that the plan separates. All others can reach both sides.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = self.machines.machines(machines);
        self
    }

    /// Sets the time between partitions. By default, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// Sets how long a partition lasts.
    #[must_use]
    pub fn lasting(mut self, lasting: impl Into<DurationRange>) -> Self {
        self.lasting = Some(lasting.into());
        self
    }
}

impl Default for Partitions {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan for Partitions {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            super::note_needs(&self.machines, Needs::TwoSides);
            let mut strikes = Strikes::of_this_plan(self.every);
            let lasting = strikes.down(self.lasting, LASTING);
            while let Some(strike) = strikes.next().await {
                let numbered = (2..).zip(self.machines.candidates());
                let (left, right): (Vec<_>, Vec<_>) =
                    numbered.partition(|(field, _)| strike.below(*field, 2) == 0);
                if left.is_empty() || right.is_empty() {
                    sim::record_idle(Idle::OneSide);
                } else {
                    let side = |half: Vec<(u64, MachineId)>| {
                        selector(half.into_iter().map(|(_, machine)| machine))
                    };
                    let (left, right) = (side(left), side(right));
                    strike.strikes(None, || sim::partitioned(&left, &right));
                    machine::machines(&right).into_iter().for_each(engine::mark_affected);
                    let say = |error: crate::ControlError| error.to_string();
                    sim.partition_for(strike.owner(), &left, &right).map_err(say)?;
                    sleep(strike.duration(1, lasting)).await;
                    sim.heal_for(strike.owner(), &left, &right).map_err(say)?;
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("lasting", self.lasting)];
        super::mistakes(&ranges, &self.machines, machines)
    }

    fn name(&self) -> &'static str {
        "Partitions"
    }

    fn ends(&self) -> bool {
        false
    }

    fn settings(&self) -> String {
        /// The setting as it is written in a token, if the tempo is set.
        #[derive(Debug)]
        #[expect(dead_code, reason = "its text is read")]
        struct Partitions<'a> {
            machines: &'a Target,
            every: DurationRange,
            lasting: DurationRange,
        }
        match self.every {
            Some(every) => {
                let lasting = self.lasting.unwrap_or(LASTING);
                format!("{:?}", Partitions { machines: &self.machines, every, lasting })
            }
            None => format!("{self:?}"),
        }
    }
}

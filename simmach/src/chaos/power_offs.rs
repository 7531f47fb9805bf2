//! Machines that lose their power.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::pace::{DurationRange, Strikes};
use super::{Plan, victim_of};
use crate::machine::{self, Selector};
use crate::sim::Sim;
use crate::time::sleep;

/// Takes a machine's power, and gives it back a while later; for ever.
///
/// Every strike: waits 5 to 30 s; picks a machine that runs; takes its power; gives it back after 1 to 10 s
/// and starts what ran there. The machine of the test's body is never hit.
///
/// ```
/// use simmach::prelude::*;
/// let plan = PowerOffs::new().machines("cl*").every(5.secs()..10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct PowerOffs {
    machines: Option<Selector>,
    every: DurationRange,
    downtime: DurationRange,
}

impl PowerOffs {
    /// May hit every machine that has services, but not that of the test's body.
    pub fn new() -> Self {
        Self {
            machines: None,
            every: DurationRange::new(Duration::from_secs(5), Duration::from_secs(30)),
            downtime: DurationRange::new(Duration::from_secs(1), Duration::from_secs(10)),
        }
    }

    /// Which machines it may hit.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = Some(machines.into());
        self
    }

    /// The time between strikes.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = every.into();
        self
    }

    /// How long a machine stays without power.
    #[must_use]
    pub fn downtime(mut self, downtime: impl Into<DurationRange>) -> Self {
        self.downtime = downtime.into();
        self
    }
}

impl Default for PowerOffs {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan for PowerOffs {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            let mut strikes = Strikes::of_this_plan();
            while let Some(strike) = strikes.next(self.every).await {
                let may = |machine| machine::body() != Some(machine);
                let victim = victim_of(sim, self.machines.as_ref(), strike, 1, may);
                if let Some((machine, victim)) = victim {
                    strike.strikes(Some(machine), || {
                        format!("{victim} loses its power, and has it again later")
                    });
                    strike.take_power(machine);
                    sleep(strike.duration(2, self.downtime)).await;
                    strike.give_back();
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("downtime", self.downtime)];
        super::mistakes(&ranges, self.machines.as_ref(), machines)
    }

    fn name(&self) -> &'static str {
        "PowerOffs"
    }

    fn settings(&self) -> String {
        format!("{self:?}")
    }
}

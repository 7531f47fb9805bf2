//! The graceful chaos monkey of the seed system.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::pace::{DurationRange, Strike, Strikes};
use super::{Plan, victim_of};
use crate::machine::{self, Selector};
use crate::sim::Sim;
use crate::time::sleep;

/// Stops a machine, at times wipes it, and starts it again; for ever.
///
/// Every strike: waits 20 to 90 s; picks a machine that runs; gives its services 0 to 5 s to stop; one time in three
/// wipes its disk too; waits 2 to 10 s; starts again what it has stopped. A disk that a client or the test's body uses is not
/// wiped. The figures are those of the seed system's monkey.
///
/// ```
/// use simmach::prelude::*;
/// let monkey = GracefulMonkey::new().machines("api*").every(5.secs()..10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct GracefulMonkey {
    machines: Option<Selector>,
    every: DurationRange,
    grace: DurationRange,
    downtime: DurationRange,
    wipes: f64,
}

impl GracefulMonkey {
    /// The seed system's monkey; it may hit every machine that has services, but not that of the test's body.
    pub fn new() -> Self {
        let secs =
            |least, most| DurationRange::new(Duration::from_secs(least), Duration::from_secs(most));
        Self {
            machines: None,
            every: secs(20, 90),
            grace: secs(0, 5),
            downtime: secs(2, 10),
            wipes: 1.0 / 3.0,
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

    /// How long a service has to obey.
    #[must_use]
    pub fn grace(mut self, grace: impl Into<DurationRange>) -> Self {
        self.grace = grace.into();
        self
    }

    /// How long a machine stays down.
    #[must_use]
    pub fn downtime(mut self, downtime: impl Into<DurationRange>) -> Self {
        self.downtime = downtime.into();
        self
    }

    /// The part of the strikes, from 0 to 1, that wipe the disk too.
    #[must_use]
    pub fn wipes(mut self, ratio: f64) -> Self {
        self.wipes = ratio;
        self
    }

    async fn strike(&self, sim: Sim, strike: Strike) -> Result<(), String> {
        let victim = victim_of(sim, self.machines.as_ref(), strike, 1, |_| true);
        let Some((machine, victim)) = victim else { return Ok(()) };
        let grace = strike.duration(2, self.grace);
        let wipes = strike.chance(3, self.wipes);
        strike.strikes(Some(machine), || {
            let wiped = if wipes { ", wiped" } else { "" };
            format!("{victim} is stopped{wiped} and started again")
        });
        strike.stop(machine, grace).await;
        let body = machine::body() == Some(machine);
        let in_use = machine::serves(machine) || !machine::clients_of(machine).is_empty();
        if wipes && !in_use && !body {
            sim.wipe(&victim).map_err(|error| error.to_string())?;
        }
        sleep(strike.duration(4, self.downtime)).await;
        strike.give_back();
        Ok(())
    }
}

impl Default for GracefulMonkey {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan for GracefulMonkey {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            let mut strikes = Strikes::of_this_plan();
            while let Some(strike) = strikes.next(self.every).await {
                self.strike(sim, strike).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("grace", self.grace), ("downtime", self.downtime)];
        let mut mistakes = super::mistakes(&ranges, self.machines.as_ref(), machines);
        if !(0.0..=1.0).contains(&self.wipes) {
            let wipes = self.wipes;
            mistakes.push(format!("`wipes` is {wipes}: it is a part of all strikes, from 0 to 1"));
        }
        mistakes
    }

    fn name(&self) -> &'static str {
        "GracefulMonkey"
    }

    fn settings(&self) -> String {
        format!("{self:?}")
    }
}

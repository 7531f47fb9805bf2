//! A plan that stops machines gracefully, sometimes wipes their disks, and starts them again.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::pace::{DurationRange, Strike, Strikes};
use crate::chaos::target::{Target, target_methods};
use crate::chaos::{Needs, Plan};
use crate::machine;
use crate::sim::{Sim, name_of};
use crate::time::sleep;

/// The default durations if `every` is set, from [`GracefulMonkey::published`].
const EVERY: DurationRange = DurationRange::new(Duration::from_secs(20), Duration::from_secs(90));
const GRACE: DurationRange = DurationRange::new(Duration::ZERO, Duration::from_secs(5));
const DOWNTIME: DurationRange = DurationRange::new(Duration::from_secs(2), Duration::from_secs(10));

/// Repeatedly stops a machine, sometimes wipes its disk, and starts it again.
///
/// For each fault, the plan waits, chooses a running machine, and stops its services. A service that
/// does not stop within the grace period is killed. One fault in three also wipes the disk, unless
/// a client or the test's body uses it. After the downtime, the plan starts the services that it
/// stopped.
///
/// By default, each run draws its own tempo from logarithmic scales:
///
/// - a mean time between faults, from 20 ms to 41 s;
/// - a mean downtime, from 20 ms to 41 s, but at most four times the mean time between faults;
/// - a maximum grace period, from 20 ms to 5 s.
///
/// The times of each fault vary from 0.5 to 1.5 times the mean, and its grace period from zero to
/// the maximum. The time to the next fault is at least 1/200 of the elapsed time, so long runs have
/// fewer faults. If [`every`](Self::every) is set, the grace period and the downtime are by default
/// those of [`published`](Self::published).
///
/// ```
/// use simmach::prelude::*;
/// let monkey = GracefulMonkey::new().machines("api*").every(5.secs()..10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct GracefulMonkey {
    machines: Target,
    every: Option<DurationRange>,
    grace: Option<DurationRange>,
    downtime: Option<DurationRange>,
    wipes: f64,
}

impl GracefulMonkey {
    /// A plan that hits all machines with services, except the machine of the test's body.
    pub fn new() -> Self {
        Self {
            machines: Target::default(),
            every: None,
            grace: None,
            downtime: None,
            wipes: 1.0 / 3.0,
        }
    }

    /// A plan with fixed ranges instead of a drawn tempo: a fault every 20 to 90 s, 0 to 5 s of
    /// grace, and 2 to 10 s of downtime.
    pub fn published() -> Self {
        let (every, grace, downtime) = (Some(EVERY), Some(GRACE), Some(DOWNTIME));
        Self { every, grace, downtime, ..Self::new() }
    }

    target_methods!();

    /// Sets the time between faults. By default, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// Sets how long a service may take to stop before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: impl Into<DurationRange>) -> Self {
        self.grace = Some(grace.into());
        self
    }

    /// Sets how long a machine stays down.
    #[must_use]
    pub fn downtime(mut self, downtime: impl Into<DurationRange>) -> Self {
        self.downtime = Some(downtime.into());
        self
    }

    /// Sets the probability that a fault also wipes the disk, from 0.0 to 1.0.
    #[must_use]
    pub fn wipes(mut self, ratio: f64) -> Self {
        self.wipes = ratio;
        self
    }

    async fn strike(
        &self,
        sim: Sim,
        strike: Strike,
        [grace, downtime]: [DurationRange; 2],
    ) -> Result<(), String> {
        let Some(machine) = self.machines.draw_one(strike, 1, |_| true) else { return Ok(()) };
        let grace = strike.duration(2, grace);
        let wipes = strike.chance(3, self.wipes);
        strike.strikes(Some(machine), || {
            let wiped = if wipes { " and wiped" } else { "" };
            format!("stopped{wiped}; restarted later")
        });
        strike.stop(machine, grace).await;
        let body = machine::body_machine() == Some(machine);
        let in_use =
            machine::has_running_service(machine) || !machine::clients_of(machine).is_empty();
        if wipes && !in_use && !body {
            sim.wipe(name_of(machine).unwrap_or_default()).map_err(|error| error.to_string())?;
        }
        sleep(strike.duration(4, downtime)).await;
        strike.restore();
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
            super::note_needs(&self.machines, Needs::Victim { body: true });
            let mut strikes = Strikes::of_this_plan(self.every);
            let grace = strikes.grace(self.grace, GRACE);
            let downtime = strikes.down(self.downtime, DOWNTIME);
            while let Some(strike) = strikes.next().await {
                self.strike(sim, strike, [grace, downtime]).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("grace", self.grace), ("downtime", self.downtime)];
        let mut mistakes = super::mistakes(&ranges, &self.machines, machines);
        if !(0.0..=1.0).contains(&self.wipes) {
            let wipes = self.wipes;
            mistakes.push(format!("`wipes` must be a probability in 0..=1, got {wipes}"));
        }
        mistakes
    }

    fn name(&self) -> &'static str {
        "GracefulMonkey"
    }

    fn ends(&self) -> bool {
        false
    }

    fn settings(&self) -> String {
        /// The setting as it is written in a token, if the tempo is set.
        #[derive(Debug)]
        #[expect(dead_code, reason = "its text is read")]
        struct GracefulMonkey<'a> {
            machines: &'a Target,
            every: DurationRange,
            grace: DurationRange,
            downtime: DurationRange,
            wipes: f64,
        }
        match self.every {
            Some(every) => {
                let (machines, wipes) = (&self.machines, self.wipes);
                let grace = self.grace.unwrap_or(GRACE);
                let downtime = self.downtime.unwrap_or(DOWNTIME);
                let settings = GracefulMonkey { machines, every, grace, downtime, wipes };
                format!("{settings:?}")
            }
            None => format!("{self:?}"),
        }
    }
}

//! A plan that powers machines off.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::pace::{DurationRange, Strikes};
use crate::chaos::target::{Target, target_methods};
use crate::chaos::{Needs, Plan};
use crate::machine;
use crate::sim::Sim;
use crate::time::sleep;

/// The time without power if only `every` is set.
const DOWNTIME: DurationRange = DurationRange::new(Duration::from_secs(1), Duration::from_secs(10));

/// Repeatedly powers off a machine and restores its power.
///
/// For each fault, the plan waits, chooses a running machine, and powers it off: commits that are
/// not durable are lost. After the downtime, the plan restores the power and starts the services
/// that ran on the machine. The machine of the test's body is never hit.
///
/// By default, each run draws its own tempo from logarithmic scales:
///
/// - a mean time between faults, from 20 ms to 41 s;
/// - a mean downtime, from 20 ms to 41 s, but at most four times the mean time between faults.
///
/// The times of each fault vary from 0.5 to 1.5 times the mean. The time to the next fault is at
/// least 1/200 of the elapsed time, so long runs have fewer faults. If [`every`](Self::every) is
/// set, the downtime is 1 to 10 s by default.
///
/// ```
/// use simmach::prelude::*;
/// let plan = PowerOffs::new().machines("cl*").every(5.secs()..10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct PowerOffs {
    machines: Target,
    every: Option<DurationRange>,
    downtime: Option<DurationRange>,
}

impl PowerOffs {
    /// A plan that hits all machines with services, except the machine of the test's body.
    pub fn new() -> Self {
        Self { machines: Target::default(), every: None, downtime: None }
    }

    target_methods!();

    /// Sets the time between faults. By default, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// Sets how long a machine stays without power.
    #[must_use]
    pub fn downtime(mut self, downtime: impl Into<DurationRange>) -> Self {
        self.downtime = Some(downtime.into());
        self
    }
}

impl Default for PowerOffs {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan for PowerOffs {
    fn run(self: Box<Self>, _: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            let may = |machine| machine::body_machine() != Some(machine);
            super::note_needs(&self.machines, Needs::Victim { body: false });
            let mut strikes = Strikes::of_this_plan(self.every);
            let downtime = strikes.down(self.downtime, DOWNTIME);
            while let Some(strike) = strikes.next().await {
                if let Some(machine) = self.machines.draw_one(strike, 1, may) {
                    strike.strikes(Some(machine), || "loses power; power returns later".to_owned());
                    strike.take_power(machine);
                    sleep(strike.duration(2, downtime)).await;
                    strike.restore();
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("downtime", self.downtime)];
        super::mistakes(&ranges, &self.machines, machines)
    }

    fn name(&self) -> &'static str {
        "PowerOffs"
    }

    fn ends(&self) -> bool {
        false
    }

    fn settings(&self) -> String {
        /// The setting as it is written in a token, if the tempo is set.
        #[derive(Debug)]
        #[expect(dead_code, reason = "its text is read")]
        struct PowerOffs<'a> {
            machines: &'a Target,
            every: DurationRange,
            downtime: DurationRange,
        }
        match self.every {
            Some(every) => {
                let downtime = self.downtime.unwrap_or(DOWNTIME);
                format!("{:?}", PowerOffs { machines: &self.machines, every, downtime })
            }
            None => format!("{self:?}"),
        }
    }
}

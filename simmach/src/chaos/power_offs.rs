//! Machines that lose their power.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::pace::{DurationRange, Strikes};
use crate::chaos::{Needs, Plan, victim_of};
use crate::machine::{self, Selector};
use crate::sim::Sim;
use crate::time::sleep;

/// How long a machine is down, where only `every` is set.
const DOWNTIME: DurationRange = DurationRange::new(Duration::from_secs(1), Duration::from_secs(10));

/// Takes a machine's power, and gives it back a while later; for ever.
///
/// Every strike: waits; picks a machine that runs; takes its power; gives it back a while later and starts what ran
/// there. The machine of the test's body is never hit.
///
/// Unless [`every`](Self::every) is set, each run draws a tempo of its own: the average time from a strike to the next, 20 ms
/// to 41 s, and that without power, 20 ms to 41 s and no longer than four times the first; each doubling is as likely as
/// another. A strike's own times are half to one and a half of these averages. As a run goes on, strikes become fewer: the
/// next is no sooner than after a two-hundredth of the time so far. With `every` set, a machine is without power for 1 to 10 s
/// unless [`downtime`](Self::downtime) is set too.
///
/// ```
/// use simmach::prelude::*;
/// let plan = PowerOffs::new().machines("cl*").every(5.secs()..10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct PowerOffs {
    machines: Option<Selector>,
    every: Option<DurationRange>,
    downtime: Option<DurationRange>,
}

impl PowerOffs {
    /// May hit every machine that has services, but not that of the test's body.
    pub fn new() -> Self {
        Self { machines: None, every: None, downtime: None }
    }

    /// Which machines it may hit.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = Some(machines.into());
        self
    }

    /// The time between strikes. Unless it is set, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// How long a machine stays without power.
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
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            let may = |machine| machine::body() != Some(machine);
            super::note_too_few(sim, self.machines.as_ref(), Needs::Victim { body: false });
            let mut strikes = Strikes::of_this_plan(self.every);
            let downtime = strikes.down(self.downtime, DOWNTIME);
            while let Some(strike) = strikes.next().await {
                let victim = victim_of(sim, self.machines.as_ref(), strike, 1, may);
                if let Some((machine, _)) = victim {
                    strike.strikes(Some(machine), || "loses power; restored later".to_owned());
                    strike.take_power(machine);
                    sleep(strike.duration(2, downtime)).await;
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
        /// As it reads in a token, where the tempo is given.
        #[derive(Debug)]
        #[expect(dead_code, reason = "its text is read")]
        struct PowerOffs<'a> {
            machines: &'a Option<Selector>,
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

//! Partitions: the machines in two halves for a while.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::pace::{DurationRange, Strikes};
use crate::chaos::{Needs, Plan};
use crate::engine;
use crate::machine::{self, Selector};
use crate::sim::{self, Idle, Sim};
use crate::time::sleep;

/// How long a partition lasts, where only `every` is set.
const LASTING: DurationRange = DurationRange::new(Duration::from_secs(1), Duration::from_secs(15));

/// Cuts the machines into two halves for a while, and heals; for ever.
///
/// Every strike: waits; sends each machine to one of two sides; cuts these from each other for a while. A strike that
/// leaves one side empty does nothing. What the test has cut itself stays cut when a strike heals.
///
/// Unless [`every`](Self::every) is set, each run draws a tempo of its own: the average time from a strike to the next, 20 ms
/// to 41 s, and that of a partition, 20 ms to 41 s and no longer than four times the first; each doubling is as likely as
/// another. A strike's own times are half to one and a half of these averages. As a run goes on, strikes become fewer: the
/// next is no sooner than after a two-hundredth of the time so far. With `every` set, a partition lasts 1 to 15 s unless
/// [`lasting`](Self::lasting) is set too.
///
/// ```
/// use simmach::prelude::*;
/// let plan = Partitions::new().machines(["api*", "cl*"]).lasting(5.secs());
/// ```
#[derive(Clone, Debug)]
pub struct Partitions {
    machines: Option<Selector>,
    every: Option<DurationRange>,
    lasting: Option<DurationRange>,
}

impl Partitions {
    /// May part any machines that have services, but not that of the test's body.
    pub fn new() -> Self {
        Self { machines: None, every: None, lasting: None }
    }

    /// Which machines it parts; the others reach both sides.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = Some(machines.into());
        self
    }

    /// The time between partitions. Unless it is set, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// How long a partition lasts.
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
            super::note_too_few(sim, self.machines.as_ref(), Needs::TwoSides);
            let mut strikes = Strikes::of_this_plan(self.every);
            let lasting = strikes.down(self.lasting, LASTING);
            while let Some(strike) = strikes.next().await {
                let machines = super::candidates(sim, self.machines.as_ref());
                let numbered = (2..).zip(machines);
                let (left, right): (Vec<_>, Vec<_>) =
                    numbered.partition(|(field, _)| strike.below(*field, 2) == 0);
                let side = |half: Vec<(u64, String)>| {
                    half.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
                };
                let (left, right) = (side(left), side(right));
                if left.is_empty() || right.is_empty() {
                    sim::note_idle(Idle::OneSide);
                } else {
                    let (left, right) = (Selector::from(left), Selector::from(right));
                    strike.strikes(None, || sim::partitioned(&left, &right));
                    machine::machines(&right).into_iter().for_each(engine::touches);
                    let say = |error: crate::ControlError| error.to_string();
                    sim.cut(strike.owner(), &left, &right).map_err(say)?;
                    sleep(strike.duration(1, lasting)).await;
                    sim.mend(strike.owner(), &left, &right).map_err(say)?;
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("lasting", self.lasting)];
        super::mistakes(&ranges, self.machines.as_ref(), machines)
    }

    fn name(&self) -> &'static str {
        "Partitions"
    }

    fn settings(&self) -> String {
        /// As it reads in a token, where the tempo is given.
        #[derive(Debug)]
        #[expect(dead_code, reason = "its text is read")]
        struct Partitions<'a> {
            machines: &'a Option<Selector>,
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

//! [`FaultPlan`]: a plan that combines faults with a cadence, a target and a budget.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::budget::{Budget, Groups};
use crate::chaos::cadence::Cadence;
use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::{DurationRange, Strike, Strikes};
use crate::chaos::strike::Begun;
use crate::chaos::target::Target;
use crate::chaos::{Needs, Plan, note_needs};
use crate::engine::MachineId;
use crate::sim::points::strike_at;
use crate::sim::{self, Idle, Sim, name_of};

/// A plan made of independent parts: what happens ([`Fault`]), when ([`Cadence`]), to which machines
/// ([`Target`]), and to how many of them at a time ([`Budget`]).
///
/// ```
/// use simmach::prelude::*;
/// use simmach::{Budget, Cadence, FaultPlan, Target, faults};
///
/// let plan = FaultPlan::new(faults::PowerOff)
///     .on(Target::new().machines("kv*").prefer_role("leader"))
///     .when(Cadence::every(1.secs()..5.secs()))
///     .lasting(10.millis()..2.secs())
///     .budget(Budget::minority_of("kv*"));
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    faults: Vec<Rc<dyn Fault>>,
    target: Target,
    cadence: Cadence,
    lasting: Option<DurationRange>,
    budget: Option<Budget>,
}

/// How long a strike lasts if the cadence is set and `lasting` is not.
const LASTING: DurationRange = DurationRange::new(Duration::from_secs(1), Duration::from_secs(10));
/// The field of a [`Strike`] at which its duration is drawn.
const DURATION: u64 = 1;

impl FaultPlan {
    /// A plan that hits one machine at a time, at a tempo that each run draws.
    pub fn new(fault: impl Fault) -> Self {
        Self {
            faults: vec![Rc::new(fault)],
            target: Target::new(),
            cadence: Cadence::drawn(),
            lasting: None,
            budget: None,
        }
    }

    /// Adds a fault. Each strike has all faults of the plan, on the same machines.
    #[must_use]
    pub fn and(mut self, fault: impl Fault) -> Self {
        self.faults.push(Rc::new(fault));
        self
    }

    /// Sets which machines a strike hits. By default, a strike hits one machine that has services,
    /// but not the machine of the test's body.
    #[must_use]
    pub fn on(mut self, target: impl Into<Target>) -> Self {
        self.target = target.into();
        self
    }

    /// Sets when the plan strikes. By default, each run draws the tempo ([`Cadence::drawn`]).
    #[must_use]
    pub fn when(mut self, cadence: Cadence) -> Self {
        self.cadence = cadence;
        self
    }

    /// Sets how long a strike lasts until it is undone.
    ///
    /// By default, a strike lasts 1 to 10 s. With a drawn tempo, each run draws the mean duration.
    #[must_use]
    pub fn lasting(mut self, lasting: impl Into<DurationRange>) -> Self {
        self.lasting = Some(lasting.into());
        self
    }

    /// Sets how many machines may be down or hit at a time. By default, there is no limit.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// What the plan needs to be able to strike.
    fn needs(&self) -> Needs {
        let can_hit_the_body = self.faults.iter().all(|fault| {
            let body = crate::machine::body_machine().and_then(name_of).unwrap_or_default();
            fault.can_hit(&body)
        });
        match self.faults.iter().all(|fault| fault.needs_others()) {
            true => Needs::TwoSides,
            false => Needs::Victim { body: can_hit_the_body },
        }
    }

    async fn strike(running: &Rc<Running>, strike: Strike) -> Result<(), String> {
        let plan = &running.plan;
        let begun = match plan.cadence.point(strike) {
            Some((point, nth)) => {
                sim::record_idle(Idle::NoEvent(format!(
                    "the fault point `{point}` was not passed, or not often enough, before the test or the \
                     plan ended: give smaller numbers to `at_point`, or make the test longer"
                )));
                let begun = Rc::new(RefCell::new(None));
                let (here, there) = (Rc::clone(running), Rc::clone(&begun));
                let at = move |machine| *there.borrow_mut() = here.begin(strike, Some(machine));
                let passed = strike_at(point, plan.target.candidates(), nth, at);
                plan.cadence.until_over(passed).await;
                begun.take()
            }
            None => {
                let event = plan.cadence.wait(strike, plan.target.candidates());
                let Some(at) = plan.cadence.until_over(event).await else { return Ok(()) };
                running.begin(strike, at)
            }
        };
        let Some(begun) = begun else { return Ok(()) };
        begun?.finish(strike.duration(DURATION, running.lasting)).await
    }
}

/// A run of the plan.
struct Running {
    sim: Sim,
    plan: FaultPlan,
    groups: Groups,
    lasting: DurationRange,
}

impl Running {
    /// Strikes the machine `at`, or any machine that the plan may hit if `at` is `None`. Returns
    /// `None` if there is no machine to hit.
    fn begin(&self, strike: Strike, at: Option<MachineId>) -> Option<Result<Begun, String>> {
        let FaultPlan { faults, target, cadence, .. } = &self.plan;
        if cadence.is_over() || !cadence.holds(self.sim) {
            return None;
        }
        let may = |machine| {
            let name = name_of(machine).unwrap_or_default();
            faults.iter().all(|fault| fault.can_hit(&name))
        };
        let has_room = |victims: &[MachineId]| {
            !faults.iter().any(|fault| fault.takes_down()) || self.groups.has_room(victims)
        };
        let victims = target.draw(strike, at, may, has_room);
        if victims.is_empty() {
            return None;
        }
        let mut others = target.candidates();
        others.retain(|machine| !victims.contains(machine));
        let hit = |nth| Hit::of_plan(self.sim, strike, nth, victims.clone(), others.clone());
        let hits = (0..).zip(faults).map(|(nth, fault)| (Rc::clone(fault), Rc::new(hit(nth))));
        Some(Begun::begin(hits))
    }
}

impl Plan for FaultPlan {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            note_needs(&self.target, self.needs());
            self.cadence.note_wants();
            let mut strikes = Strikes::of_this_plan(self.cadence.every_time());
            let lasting = strikes.down(self.lasting, LASTING);
            let budget = self.budget.as_ref();
            let groups = budget.map(|budget| budget.groups(&self.target.candidates()));
            let groups = groups.unwrap_or_default();
            let running = Rc::new(Running { sim, plan: *self, groups, lasting });
            while let Some(strike) = running.plan.cadence.next(&mut strikes).await {
                Self::strike(&running, strike).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let mut mistakes = super::mistakes(&[("lasting", self.lasting)], &self.target, machines);
        mistakes.extend(self.cadence.mistakes());
        mistakes.extend(self.budget.iter().flat_map(|budget| budget.mistakes(machines)));
        mistakes.extend(self.faults.iter().flat_map(|fault| fault.mistakes()));
        mistakes
    }

    fn name(&self) -> &'static str {
        "FaultPlan"
    }

    fn settings(&self) -> String {
        format!("{self:?}")
    }

    fn ends(&self) -> bool {
        self.cadence.ends()
    }

    fn faults(&self) -> Vec<Rc<dyn Fault>> {
        self.faults.clone()
    }
}

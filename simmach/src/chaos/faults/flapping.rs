//! [`Flapping`]: a fault that comes and goes.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::chaos::strike;
use crate::engine;
use crate::sim::ControlError;
use crate::time::sleep;

/// Makes another fault come and go while a strike lasts, like a link with a loose contact.
///
/// Each time, the fault draws its values anew. Each time is recorded as acts of its own, which can be
/// shrunk separately. The victims stay the same, and a [`Budget`](crate::Budget) counts them for the
/// whole strike.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::{Cadence, FaultPlan, faults};
///
/// // A machine is cut off and comes back several times within ten seconds.
/// let fault = faults::Flapping::new(faults::Isolate, 50.millis()..500.millis());
/// let plan = FaultPlan::new(fault).when(Cadence::every(1.mins())).lasting(10.secs());
/// ```
#[derive(Clone, Debug)]
pub struct Flapping {
    fault: Rc<dyn Fault>,
    period: DurationRange,
}

impl Flapping {
    /// The times for which the fault lasts, and the times between them, are drawn from `period`.
    /// `period` must not include zero.
    pub fn new(fault: impl Fault, period: impl Into<DurationRange>) -> Self {
        Self { fault: Rc::new(fault), period: period.into() }
    }

    /// The fault that comes and goes.
    pub(in crate::chaos) fn fault(&self) -> &Rc<dyn Fault> {
        &self.fault
    }

    /// Ends and begins the fault again, until this virtual time in nanoseconds.
    pub(in crate::chaos) async fn flap(&self, hit: &Hit, until: u64) -> Result<(), ControlError> {
        for nth in 0..u32::MAX {
            let period = hit.duration(nth, self.period);
            let left = Duration::from_nanos(until.saturating_sub(engine::now()));
            if left <= period {
                sleep(left).await;
                return Ok(());
            }
            sleep(period).await;
            if nth % 2 == 0 {
                self.end_part(hit)?;
            } else {
                self.begin_part(hit, u64::from(nth))?;
                self.wait(hit).await;
            }
        }
        Ok(())
    }

    fn begin_part(&self, hit: &Hit, nth: u64) -> Result<(), ControlError> {
        let part = Rc::new(hit.part(nth));
        strike::begin(&self.fault, &part, part.word())?;
        hit.set_part(Some(part));
        Ok(())
    }

    /// Ends the present part, if there is one.
    fn end_part(&self, hit: &Hit) -> Result<(), ControlError> {
        match hit.set_part(None) {
            Some(part) => strike::end(&self.fault, &part, part.word()),
            None => Ok(()),
        }
    }
}

impl Fault for Flapping {
    fn name(&self) -> &str {
        "Flapping"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        self.begin_part(hit, 0)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        self.end_part(hit)
    }

    fn wait<'a>(&'a self, hit: &'a Hit) -> LocalBoxFuture<'a, ()> {
        let Some(part) = hit.present_part() else { return async {}.boxed_local() };
        async move { self.fault.wait(&part).await }.boxed_local()
    }

    /// Its acts are those of the fault within, which may be an act of the test.
    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn can_hit(&self, machine: &str) -> bool {
        self.fault.can_hit(machine)
    }

    fn needs_others(&self) -> bool {
        self.fault.needs_others()
    }

    fn takes_down(&self) -> bool {
        self.fault.takes_down()
    }

    fn is_lasting(&self) -> bool {
        self.fault.is_lasting()
    }

    fn flapping(&self) -> Option<&Flapping> {
        Some(self)
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.fault.mistakes();
        mistakes.extend(self.period.mistake("Flapping::new"));
        if self.period.least().is_zero() {
            mistakes.push("`Flapping::new` must have a period longer than zero".to_owned());
        }
        mistakes
    }
}

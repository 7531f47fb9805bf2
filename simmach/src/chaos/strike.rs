//! A strike of one or several faults, from its beginning to its end.

use std::rc::Rc;
use std::time::Duration;

use futures::future::try_join_all;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::engine::{self, MachineId, mix};
use crate::sim::own_faults::{self, Undo};
use crate::sim::{self, ControlError, Sim};
use crate::time::{nanos, sleep};

/// The faults of a strike that has begun.
pub(super) struct Begun {
    faults: Vec<(Rc<dyn Fault>, Rc<Hit>)>,
    /// The machines that budgets count as hit.
    down: Vec<MachineId>,
}

impl Begun {
    /// Begins faults, each with the draws of its strike.
    pub(super) fn begin(
        faults: impl Iterator<Item = (Rc<dyn Fault>, Rc<Hit>)>,
    ) -> Result<Self, String> {
        let faults: Vec<_> = faults.collect();
        let takes_down = faults.iter().any(|(fault, _)| fault.takes_down());
        let victims = faults.first().map(|(_, hit)| hit.victim_ids().to_vec());
        let down = victims.filter(|_| takes_down).unwrap_or_default();
        sim::take_hits(&down);
        for (nth, (fault, hit)) in (0..).zip(&faults) {
            begin(fault, hit, number(nth, hit)).map_err(|error| error.to_string())?;
        }
        Ok(Self { faults, down })
    }

    /// Waits for the duration of the strike, and undoes its faults in reverse order.
    pub(super) async fn finish(self, lasting: Duration) -> Result<(), String> {
        self.last(lasting).await.map_err(|error| error.to_string())?;
        for (nth, (fault, hit)) in self.faults.iter().enumerate().rev() {
            end(fault, hit, number(nth as u64, hit)).map_err(|error| error.to_string())?;
        }
        if !self.faults.iter().any(|(fault, _)| fault.is_lasting()) {
            sim::release_hits(&self.down);
        }
        Ok(())
    }

    /// Waits until the faults have begun, and for the duration of the strike. Meanwhile, some faults
    /// come and go.
    async fn last(&self, lasting: Duration) -> Result<(), ControlError> {
        for (fault, hit) in &self.faults {
            fault.wait(hit).await;
        }
        let until = engine::now().saturating_add(nanos(lasting));
        let flaps = self.faults.iter().filter_map(|(fault, hit)| {
            let flapping = fault.flapping()?;
            Some(flapping.flap(hit, until))
        });
        try_join_all(flaps).await?;
        sleep(Duration::from_nanos(until.saturating_sub(engine::now()))).await;
        Ok(())
    }
}

/// Begins a fault. If it is not made of calls, its act has this number.
pub(super) fn begin(fault: &Rc<dyn Fault>, hit: &Rc<Hit>, number: u64) -> Result<(), ControlError> {
    if fault.is_made_of_calls() {
        return fault.begin(hit);
    }
    let machines = [hit.victim_ids(), hit.other_ids()];
    own_faults::begin(fault.name(), number, machines, || {
        fault.begin(hit)?;
        Ok((hit.drawn(), undo(fault, hit)))
    })
}

/// Undoes a fault that [`begin`] has begun with this number.
pub(super) fn end(fault: &Rc<dyn Fault>, hit: &Rc<Hit>, number: u64) -> Result<(), ControlError> {
    if !fault.is_made_of_calls() {
        return own_faults::end(number);
    }
    fault.end(hit)?;
    hit.drop_kept();
    Ok(())
}

/// Returns the number of the act of a user's fault: a mix of its strike and its number in the
/// strike.
fn number(nth: u64, hit: &Hit) -> u64 {
    mix(hit.strike().map_or(0, |strike| strike.word()), nth)
}

fn undo(fault: &Rc<dyn Fault>, hit: &Rc<Hit>) -> Undo {
    let (fault, hit) = (Rc::clone(fault), Rc::clone(hit));
    Box::new(move || {
        let ended = fault.end(&hit);
        hit.drop_kept();
        ended
    })
}

/// Returns the fault itself, or the one within it if it comes and goes.
pub(crate) fn within(fault: &Rc<dyn Fault>) -> Rc<dyn Fault> {
    fault.flapping().map_or_else(|| Rc::clone(fault), |flapping| within(flapping.fault()))
}

/// Registers a user's fault, so that scripts can begin it. Of a fault that comes and goes, it is the
/// fault within.
pub(crate) fn register(sim: Sim, fault: &Rc<dyn Fault>) {
    let own = within(fault);
    if own.is_made_of_calls() {
        return;
    }
    let name = own.name().to_owned();
    own_faults::register(
        &name,
        Rc::new(move |victims, others, drawn| {
            let hit = Hit::of_script(sim, victims.to_vec(), others.to_vec(), drawn);
            own.begin(&hit)?;
            Ok(undo(&own, &Rc::new(hit)))
        }),
    );
}

//! A strike of one or several faults, from its beginning to its end.

use std::rc::Rc;
use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::engine::{MachineId, mix};
use crate::sim::own_faults::{self, Undo};
use crate::sim::{self, Sim};
use crate::time::sleep;

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
            if fault.is_made_of_calls() {
                fault.begin(hit).map_err(|error| error.to_string())?;
            } else {
                begin_own(nth, fault, hit)?;
            }
        }
        Ok(Self { faults, down })
    }

    /// Waits for the duration of the strike, and undoes its faults in reverse order.
    pub(super) async fn finish(self, lasting: Duration) -> Result<(), String> {
        for (fault, hit) in &self.faults {
            fault.wait(hit).await;
        }
        sleep(lasting).await;
        for (nth, (fault, hit)) in self.faults.iter().enumerate().rev() {
            if fault.is_made_of_calls() {
                fault.end(hit).map_err(|error| error.to_string())?;
                hit.drop_kept();
            } else {
                own_faults::end(number(nth as u64, hit))?;
            }
        }
        if !self.faults.iter().any(|(fault, _)| fault.is_lasting()) {
            sim::release_hits(&self.down);
        }
        Ok(())
    }
}

/// Returns the number of the act of a user's fault: a mix of its strike and its number in the
/// strike.
fn number(nth: u64, hit: &Hit) -> u64 {
    mix(hit.strike().map_or(0, |strike| strike.word()), nth)
}

fn begin_own(nth: u64, fault: &Rc<dyn Fault>, hit: &Rc<Hit>) -> Result<(), String> {
    let machines = [hit.victim_ids(), hit.other_ids()];
    own_faults::begin(fault.name(), number(nth, hit), machines, || {
        fault.begin(hit).map_err(|error| error.to_string())?;
        Ok((hit.drawn(), undo(fault, hit)))
    })
}

fn undo(fault: &Rc<dyn Fault>, hit: &Rc<Hit>) -> Undo {
    let (fault, hit) = (Rc::clone(fault), Rc::clone(hit));
    Box::new(move || {
        let ended = fault.end(&hit).map_err(|error| error.to_string());
        hit.drop_kept();
        ended
    })
}

/// Registers a user's fault, so that scripts can begin it.
pub(crate) fn register(sim: Sim, fault: &Rc<dyn Fault>) {
    if fault.is_made_of_calls() {
        return;
    }
    let own = Rc::clone(fault);
    own_faults::register(
        fault.name(),
        Rc::new(move |victims, others, drawn| {
            let hit = Hit::of_script(sim, victims.to_vec(), others.to_vec(), drawn);
            own.begin(&hit).map_err(|error| error.to_string())?;
            Ok(undo(&own, &Rc::new(hit)))
        }),
    );
}

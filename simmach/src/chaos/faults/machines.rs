//! Faults of machines and their processes.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::engine::MachineId;
use crate::machine;
use crate::sim::ControlError;

/// Stops the services of the victims, and later starts them again.
///
/// Services that have not ended after a grace period are killed.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    grace: DurationRange,
}

/// Kills the services of the victims, and later starts them again.
#[derive(Clone, Copy, Debug)]
pub struct Kill;

/// Powers the victims off, and later restores their power and starts their services.
///
/// The machine of the test's body is never hit.
#[derive(Clone, Copy, Debug)]
pub struct PowerOff;

/// Pauses the processes of the victims, and later resumes them.
#[derive(Clone, Copy, Debug)]
pub struct Pause;

/// Powers the victims off and wipes their disks, and later restores their power and starts their
/// services.
///
/// A [`Budget`](crate::Budget) counts the victims as down until the end of the run. The machine of
/// the test's body is never hit.
#[derive(Clone, Copy, Debug)]
pub struct Wipe;

impl Stop {
    /// Each strike draws a grace period from 0 to 5 s.
    pub fn new() -> Self {
        Self { grace: DurationRange::new(Duration::ZERO, Duration::from_secs(5)) }
    }

    /// Sets the range from which each strike draws the grace period.
    #[must_use]
    pub fn grace(mut self, grace: impl Into<DurationRange>) -> Self {
        self.grace = grace.into();
        self
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

fn restore(hit: &Hit) -> Result<(), ControlError> {
    if let Some(strike) = hit.strike() {
        strike.restore();
    }
    Ok(())
}

fn take_power(hit: &Hit) {
    if let Some(strike) = hit.strike() {
        hit.victim_ids().iter().for_each(|victim| strike.take_power(*victim));
    }
}

/// Whether a machine can lose power. The machine of the test's body cannot.
pub(super) fn is_not_the_body(name: &str) -> bool {
    let body = machine::body_machine().and_then(crate::sim::name_of);
    body.as_deref() != Some(name)
}

impl Fault for Stop {
    fn name(&self) -> &str {
        "Stop"
    }

    fn begin(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    fn wait<'a>(&'a self, hit: &'a Hit) -> LocalBoxFuture<'a, ()> {
        let grace = hit.duration(0, self.grace);
        async move {
            let Some(strike) = hit.strike() else { return };
            let stops = hit.victim_ids().iter().map(|victim| strike.stop(*victim, grace));
            futures::future::join_all(stops).await;
        }
        .boxed_local()
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        restore(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn mistakes(&self) -> Vec<String> {
        self.grace.mistake("grace").into_iter().collect()
    }
}

impl Fault for Kill {
    fn name(&self) -> &str {
        "Kill"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        if let Some(strike) = hit.strike() {
            hit.victim_ids().iter().for_each(|victim| strike.kill(*victim));
        }
        Ok(())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        restore(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }
}

impl Fault for PowerOff {
    fn name(&self) -> &str {
        "PowerOff"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        take_power(hit);
        Ok(())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        restore(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn can_hit(&self, machine: &str) -> bool {
        is_not_the_body(machine)
    }
}

impl Fault for Pause {
    fn name(&self) -> &str {
        "Pause"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        hit.sim().pause(hit.victims())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        hit.sim().resume(hit.victims())
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    /// Returns false if the test or another strike has paused the machine.
    fn can_hit(&self, machine: &str) -> bool {
        let is_paused = |id: &MachineId| machine::is_paused(*id);
        !machine::machines(&machine.into()).iter().any(is_paused)
    }
}

impl Fault for Wipe {
    fn name(&self) -> &str {
        "Wipe"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        take_power(hit);
        hit.sim().wipe(hit.victims())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        restore(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn can_hit(&self, machine: &str) -> bool {
        is_not_the_body(machine)
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

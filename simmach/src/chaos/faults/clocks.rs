//! Faults of clocks. A machine whose clocks are wrong still serves, so a budget does not limit them.

use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::engine::MachineId;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::machine;
use crate::sim::{self, ControlError};

/// Clocks are too fast or too slow, and exact again.
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    most: u32,
}

/// Wall clocks are set forward or back, and are exact again.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep {
    by: DurationRange,
}

impl Drift {
    /// Clocks drift by up to so many parts per million in either direction: drawn for each strike.
    pub fn up_to(ppm: u32) -> Self {
        Self { most: ppm }
    }
}

impl ClockStep {
    /// Clocks are set forward or back by this much: drawn for each strike.
    pub fn by(step: impl Into<DurationRange>) -> Self {
        Self { by: step.into() }
    }
}

/// The largest drift that clocks can have in both directions.
const MOST_DRIFT: u32 = 900_000;

/// Not if the test, or another strike, has set the clocks of the machine.
fn has_exact_clocks(machine: &str) -> bool {
    let is_exact = |id: &MachineId| sim::has_exact_clocks(*id);
    machine::machines(&machine.into()).iter().all(is_exact)
}

fn reset(hit: &Hit) -> Result<(), ControlError> {
    hit.sim().set_clock(hit.victims(), ClockSkew::exact())
}

impl Fault for Drift {
    fn name(&self) -> &str {
        "Drift"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let most = i64::from(self.most);
        let ppm = hit.below(0, 2 * u64::from(self.most)) as i64 - most;
        hit.sim().set_clock(hit.victims(), ClockSkew::exact().drift_ppm(ppm as i32))
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        reset(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn can_hit(&self, machine: &str) -> bool {
        has_exact_clocks(machine)
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn mistakes(&self) -> Vec<String> {
        let most = self.most;
        let mistake = || format!("`Drift::up_to` must be in 1..={MOST_DRIFT} ppm, got {most}");
        (!(1..=MOST_DRIFT).contains(&most)).then(mistake).into_iter().collect()
    }
}

impl Fault for ClockStep {
    fn name(&self) -> &str {
        "ClockStep"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let by: Duration = hit.duration(1, self.by);
        let exact = ClockSkew::exact();
        let skew = if hit.below(0, 2) == 0 { exact.ahead(by) } else { exact.behind(by) };
        hit.sim().set_clock(hit.victims(), skew)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        reset(hit)
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn can_hit(&self, machine: &str) -> bool {
        has_exact_clocks(machine)
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn mistakes(&self) -> Vec<String> {
        self.by.mistake("ClockStep::by").into_iter().collect()
    }
}

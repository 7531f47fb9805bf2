//! Faults of clocks.

use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::machine;
use crate::sim::{self, ControlError};

/// Makes the clocks of the victims run too fast or too slow. Afterwards, they are exact again.
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    most: u32,
}

/// Sets the wall clocks of the victims forward or back. Afterwards, they are exact again.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep {
    by: DurationRange,
}

/// Has the wall clocks of the victims stand still, as [`Sim::freeze_clock`](crate::Sim::freeze_clock)
/// does, while their monotonic clocks go on. Afterwards, they are exact again.
#[derive(Clone, Copy, Debug)]
pub struct StuckClock;

impl Drift {
    /// Each strike draws a drift from `-ppm` to `ppm` parts per million.
    ///
    /// `ppm` must be in `1..=900_000`. Crystal oscillators stay within about 100 ppm.
    pub fn up_to(ppm: u32) -> Self {
        Self { most: ppm }
    }
}

impl ClockStep {
    /// Each strike draws a step from this range, and whether it goes forward or back.
    pub fn by(step: impl Into<DurationRange>) -> Self {
        Self { by: step.into() }
    }
}

/// The largest drift that clocks can have in both directions, in parts per million.
const MOST_DRIFT: u32 = 900_000;

/// Defines the methods that are the same for all faults of clocks.
macro_rules! clock_fault {
    () => {
        fn end(&self, hit: &Hit) -> Result<(), ControlError> {
            hit.sim().set_clock(hit.victims(), ClockSkew::exact())
        }

        fn is_made_of_calls(&self) -> bool {
            true
        }

        /// Returns false if the test or another strike has set the clocks of the machine.
        fn can_hit(&self, machine: &str) -> bool {
            machine::machines(&machine.into()).into_iter().all(sim::has_exact_clocks)
        }

        /// A machine whose clocks are wrong still serves.
        fn takes_down(&self) -> bool {
            false
        }
    };
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

    clock_fault!();

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

    clock_fault!();

    fn mistakes(&self) -> Vec<String> {
        self.by.mistake("ClockStep::by").into_iter().collect()
    }
}

impl Fault for StuckClock {
    fn name(&self) -> &str {
        "StuckClock"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        hit.sim().freeze_clock(hit.victims())
    }

    clock_fault!();
}

//! Faults of CPUs.

use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::machine;
use crate::sim::ControlError;

/// Makes the CPUs of the victims slow: in each period, their processes run for a part of the time
/// only, as with [`Sim::slow_cpu`](crate::Sim::slow_cpu). Timers fire late, but the kernel still
/// acknowledges packets at once.
#[derive(Clone, Copy, Debug)]
pub struct SlowCpu {
    least: u32,
    period: DurationRange,
}

/// The default range of periods. It contains 100 ms, the period of CPU limits of containers, and
/// longer ones, since a host may take the CPU from a virtual machine for longer.
const PERIOD: DurationRange =
    DurationRange::new(Duration::from_millis(10), Duration::from_millis(500));

impl SlowCpu {
    /// Each strike draws the share of the time in which processes run, from `percent` to 99 percent, and
    /// a period from 10 to 500 ms. `percent` must be in `1..=99`.
    pub fn down_to(percent: u32) -> Self {
        Self { least: percent, period: PERIOD }
    }

    /// Sets the range from which each strike draws the period. It must be at least
    /// 100 µs.
    #[must_use]
    pub fn period(mut self, period: impl Into<DurationRange>) -> Self {
        self.period = period.into();
        self
    }
}

// The numbers of draws.
const SHARE: u32 = 0;
const LENGTH: u32 = 1;

impl Fault for SlowCpu {
    fn name(&self) -> &str {
        "SlowCpu"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let shares = 100_u32.saturating_sub(self.least);
        let percent = 99 - hit.below(SHARE, shares.into()) as u32;
        let period = hit.duration(LENGTH, self.period);
        let quota = (period * percent / 100).max(Duration::from_nanos(1));
        hit.sim().slow_cpu(hit.victims(), quota, period)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        hit.sim().restore_cpu(hit.victims())
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    /// Returns false if the test or another strike has made the machine's CPU slow.
    fn can_hit(&self, machine: &str) -> bool {
        machine::machines(&machine.into())
            .into_iter()
            .all(|machine| machine::cpu(machine).is_none())
    }

    fn mistakes(&self) -> Vec<String> {
        let is_wrong = !(1..=99).contains(&self.least);
        let share =
            || format!("`SlowCpu::down_to` must be a percentage in 1..=99, got {}", self.least);
        let mut mistakes: Vec<String> = is_wrong.then(share).into_iter().collect();
        mistakes.extend(self.period.mistake("SlowCpu::period"));
        if self.period.least() < SHORTEST_PERIOD {
            let least = self.period.least();
            mistakes.push(format!(
                "`SlowCpu::period` must be at least {SHORTEST_PERIOD:?}, got {least:?}"
            ));
        }
        mistakes
    }
}

/// The shortest period. With a shorter one, a run consists of pauses.
const SHORTEST_PERIOD: Duration = Duration::from_micros(100);

//! When a plan strikes: a range of durations, drawn from, and strikes that an overlay can leave out or bind to a step.
//!
//! Calm leaves a strike out, with its counterpart: a machine that is not taken down is not started again. A strike that is
//! kept while others are left out is said when to take place, since what it waited for may be gone.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::engine::deviations::{Deviation, Kind, STEP, WALK, WHEN};
use crate::engine::{self, Family, MachineId, anchors};
use crate::machine;
use crate::sim;
use crate::time::{nanos, sleep};

/// From a duration to another, both among them. One duration alone is a range too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    least: Duration,
    most: Duration,
}

impl DurationRange {
    /// From `least` to `most`. The other way round no duration lies in it: a plan that is given such a range is a
    /// mistake that is reported before a run begins.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most }
    }

    /// Why nothing can be drawn from it, if so; `of` is the setting that it was given for.
    pub(super) fn mistake(self, of: &str) -> Option<String> {
        let Self { least, most } = self;
        (least > most).then(|| {
            format!("`{of}` is upside down: {least:?} to {most:?}; say the shorter one first")
        })
    }
}

impl From<Duration> for DurationRange {
    fn from(duration: Duration) -> Self {
        Self::new(duration, duration)
    }
}

impl From<Range<Duration>> for DurationRange {
    fn from(range: Range<Duration>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<RangeInclusive<Duration>> for DurationRange {
    fn from(range: RangeInclusive<Duration>) -> Self {
        Self::new(*range.start(), *range.end())
    }
}

/// The strikes of a plan, one after the other.
#[derive(Debug)]
pub(crate) struct Strikes {
    plan: u64,
    next: u64,
}

/// One strike of a plan: its fields are drawn at (plan, strike, field).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    plan: u64,
    number: u64,
}

/// Fields of every strike, beside the plans' own.
mod field {
    /// Whether it takes place.
    pub(super) const HAPPENS: u64 = 1 << 16;
    /// The machine that it hits, counted from 1; said by an overlay.
    pub(super) const VICTIM: u64 = HAPPENS + 4;
}

impl Strikes {
    /// Those of the plan whose code runs now.
    pub(crate) fn of_this_plan() -> Self {
        Self { plan: engine::scope().map_or(0, |scope| scope.task), next: 0 }
    }

    /// Waits for the next: so long as `every` says, or until the time that the overlay says. `None` when there is no more.
    pub(crate) async fn next(&mut self, every: DurationRange) -> Option<Strike> {
        let number =
            engine::next_that_happens(Family::Strike, self.plan, self.next, field::HAPPENS)?;
        self.next = number.checked_add(1)?;
        let strike = Strike { plan: self.plan, number };
        match strike.pinned(WHEN) {
            Some(when) => {
                let anchor = strike.pinned(WALK).zip(strike.pinned(STEP));
                let from = match anchor {
                    Some((walk, step)) => anchors::begun(walk, step.saturating_sub(1)).await,
                    None => 0,
                };
                let at = from.saturating_add(when);
                sleep(Duration::from_nanos(at.saturating_sub(engine::now()))).await;
            }
            None => sleep(strike.duration(0, every)).await,
        }
        Some(strike)
    }
}

impl Strike {
    /// It takes place now, as `text` says: recorded, with what it takes to let it take place then.
    pub(crate) fn strikes(self, machine: Option<MachineId>, text: impl FnOnce() -> String) {
        engine::deviates(|| {
            let at = engine::now();
            let mut pins = match anchors::last() {
                Some(anchor) => {
                    vec![(WHEN, at - anchor.at), (WALK, anchor.walk), (STEP, anchor.step + 1)]
                }
                None => vec![(WHEN, at)],
            };
            pins.extend(machine.map(|machine| (field::VICTIM, u64::from(machine.0) + 1)));
            let address = [self.plan, self.number, field::HAPPENS];
            Deviation {
                machine,
                text: text(),
                pins,
                ..Deviation::new(Family::Strike, address, Kind::Strike, 1, at)
            }
        });
    }

    /// Tells a machine's services to stop; what is not over after `grace` is killed.
    pub(crate) async fn stop(self, machine: MachineId, grace: Duration) {
        let services = machine::services_of(machine);
        sim::may_act(true, &[machine], String::new);
        machine::stop(machine::take(&services, self.owner()), grace).await;
    }

    /// Takes a machine's power.
    pub(crate) fn take_power(self, machine: MachineId) {
        sim::may_act(true, &[machine], String::new);
        machine::take_power(machine, self.owner());
    }

    /// Gives back what its plan has taken, where nobody has meanwhile, or means it to stay down.
    pub(crate) fn give_back(self) {
        machine::give_back(self.plan);
    }

    /// Whose work it is.
    pub(crate) fn owner(self) -> Option<u64> {
        Some(self.plan)
    }

    /// The machine that the overlay says it hits.
    pub(crate) fn said_victim(self) -> Option<MachineId> {
        let number = self.pinned(field::VICTIM)?.checked_sub(1)?;
        u32::try_from(number).ok().map(MachineId)
    }

    fn pinned(self, field: u64) -> Option<u64> {
        engine::pinned(Family::Strike, self.plan, self.number, field)
    }

    /// Calm is the shortest.
    pub(crate) fn duration(self, field: u64, range: DurationRange) -> Duration {
        let (least, most) = (nanos(range.least), nanos(range.most));
        let span = most.saturating_sub(least).saturating_add(1);
        Duration::from_nanos(least + self.below(field, span))
    }

    pub(crate) fn below(self, field: u64, n: u64) -> u64 {
        engine::below(Family::Strike, self.plan, self.number, field, n)
    }

    pub(crate) fn chance(self, field: u64, p: f64) -> bool {
        engine::chance(Family::Strike, self.plan, self.number, field, p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rig;
    use crate::time::DurationUnits;

    #[test]
    fn a_strike_keeps_its_range() {
        rig::pass(2, async || {
            let mut strike = Strike { plan: 1, number: 0 };
            let range = DurationRange::from(5.secs()..10.secs());
            let mut total = Duration::ZERO;
            for number in 0..1_000 {
                strike.number = number;
                let drawn = strike.duration(0, range);
                assert!(drawn >= 5.secs() && drawn <= 10.secs());
                total += drawn;
            }
            assert!(total > 7_300.secs() && total < 7_700.secs(), "{total:?}");
            assert_eq!(strike.duration(1, 3.secs().into()), 3.secs());
        });
    }
}

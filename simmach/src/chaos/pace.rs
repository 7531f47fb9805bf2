//! How long a plan waits: a range of durations, drawn from.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::engine::{self, Family};
use crate::time::nanos;

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

/// One strike of a plan: its fields are drawn at (plan, strike, field).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    plan: u64,
    number: u64,
}

impl Strike {
    /// The first of the plan whose code runs now.
    pub(crate) fn first() -> Self {
        Self { plan: engine::scope().map_or(0, |scope| scope.task), number: 0 }
    }

    pub(crate) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
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
            let mut strike = Strike::first();
            let range = DurationRange::from(5.secs()..10.secs());
            let mut total = Duration::ZERO;
            for _ in 0..1_000 {
                let drawn = strike.duration(0, range);
                assert!(drawn >= 5.secs() && drawn <= 10.secs());
                total += drawn;
                strike = strike.next();
            }
            assert!(total > 7_300.secs() && total < 7_700.secs(), "{total:?}");
            assert_eq!(strike.duration(1, 3.secs().into()), 3.secs());
        });
    }
}

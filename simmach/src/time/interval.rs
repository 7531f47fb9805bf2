//! Intervals, which tick periodically.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::Instant;
#[cfg(feature = "sim")]
use crate::time::simulated;

/// Creates an interval whose first tick is immediate. It then ticks every `period`, which is at
/// most 30 years.
///
/// # Panics
///
/// If `period` is zero, and in the same cases as [`sleep`](super::sleep).
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert_period(period);
    interval_at(Instant::now(), period)
}

/// Creates an interval whose first tick is at `start`. It then ticks every `period`, which is at
/// most 30 years.
///
/// # Panics
///
/// If `period` is zero, and in the same cases as [`sleep_until`](super::sleep_until).
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert_period(period);
    here! {
        simulated => Interval(IntervalKind::Simulated(simulated::Interval::new(start, period))),
        real => Interval(IntervalKind::Real(tokio::time::interval_at(start.expect_real(), period))),
    }
}

#[track_caller]
fn assert_period(period: Duration) {
    assert!(!period.is_zero(), "`period` must be non-zero.");
}

/// A stream of ticks, created by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval(IntervalKind);

#[derive(Debug)]
enum IntervalKind {
    #[cfg(feature = "sim")]
    Simulated(simulated::Interval),
    #[cfg(feature = "real")]
    Real(tokio::time::Interval),
}

/// What an [`Interval`] does after a missed tick. As in tokio, a tick is missed if it is polled more than 5 ms late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks as fast as possible until it has caught up with the schedule.
    #[default]
    Burst,
    /// Continues with full periods from the time of the late tick.
    Delay,
    /// Skips missed ticks, and continues with the next tick of the schedule.
    Skip,
}

impl Interval {
    /// Waits for the next tick, and returns the instant when it was due. Cancel safe.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        either!(IntervalKind of &mut self.0,
            simulated interval => interval.poll_tick(cx),
            real interval => interval.poll_tick(cx).map(Instant::from_real))
    }

    /// Sets the next tick to one period from now.
    pub fn reset(&mut self) {
        either!(IntervalKind of &mut self.0, interval => interval.reset());
    }

    /// Sets the next tick to now.
    pub fn reset_immediately(&mut self) {
        either!(IntervalKind of &mut self.0, interval => interval.reset_immediately());
    }

    /// Sets the next tick to `after` from now, at most 30 years.
    pub fn reset_after(&mut self, after: Duration) {
        either!(IntervalKind of &mut self.0, interval => interval.reset_after(after));
    }

    /// Sets the next tick to `deadline`. It is immediate if `deadline` is in the past.
    ///
    /// # Panics
    ///
    /// If `deadline` is in real time and the caller is in a run, or the other way round.
    #[track_caller]
    pub fn reset_at(&mut self, deadline: Instant) {
        either!(IntervalKind of &mut self.0,
            simulated interval => interval.reset_at(deadline),
            real interval => interval.reset_at(deadline.expect_real()));
    }

    /// Returns what the interval does after a missed tick.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        either!(IntervalKind of &self.0,
        simulated interval => interval.missed_tick_behavior(),
        real interval => match interval.missed_tick_behavior() {
            tokio::time::MissedTickBehavior::Burst => MissedTickBehavior::Burst,
            tokio::time::MissedTickBehavior::Delay => MissedTickBehavior::Delay,
            tokio::time::MissedTickBehavior::Skip => MissedTickBehavior::Skip,
        })
    }

    /// Sets what the interval does after a missed tick.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        either!(IntervalKind of &mut self.0,
        simulated interval => interval.set_missed_tick_behavior(behavior),
        real interval => interval.set_missed_tick_behavior(match behavior {
            MissedTickBehavior::Burst => tokio::time::MissedTickBehavior::Burst,
            MissedTickBehavior::Delay => tokio::time::MissedTickBehavior::Delay,
            MissedTickBehavior::Skip => tokio::time::MissedTickBehavior::Skip,
        }));
    }

    /// Returns the period.
    pub fn period(&self) -> Duration {
        either!(IntervalKind of &self.0, interval => interval.period())
    }
}

//! A tick, again and again.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::Instant;
#[cfg(feature = "sim")]
use crate::time::simulated;

/// Ticks at once, then every `period`; of a longer one than 30 years, every 30 years.
///
/// # Panics
///
/// If `period` is zero, as tokio's does; and as [`sleep`](super::sleep).
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert_period(period);
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, then every `period`.
///
/// # Panics
///
/// If `period` is zero, as tokio's does; and as [`sleep_until`](super::sleep_until).
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert_period(period);
    here! {
        simulated => Interval(Kind::Simulated(simulated::Interval::new(start, period))),
        real => Interval(Kind::Real(tokio::time::interval_at(start.real(), period))),
    }
}

#[track_caller]
fn assert_period(period: Duration) {
    assert!(!period.is_zero(), "`period` must be non-zero.");
}

/// What [`interval`] returns.
#[derive(Debug)]
pub struct Interval(Kind);

#[derive(Debug)]
enum Kind {
    #[cfg(feature = "sim")]
    Simulated(simulated::Interval),
    #[cfg(feature = "real")]
    Real(tokio::time::Interval),
}

/// What becomes of ticks that nobody asked for in time. As in tokio, one that is asked for within 5 ms is in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// They all come, one behind the other, until the schedule is caught up with.
    #[default]
    Burst,
    /// The schedule starts anew from the late tick.
    Delay,
    /// They are left out; the schedule stays.
    Skip,
}

impl Interval {
    /// The next tick: when it was due. Cancel safe.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The next tick, polled.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        either!(Kind of &mut self.0,
            simulated interval => interval.poll_tick(cx),
            real interval => interval.poll_tick(cx).map(Instant::from_real))
    }

    /// Ticks next after a whole period from now.
    pub fn reset(&mut self) {
        either!(Kind of &mut self.0, interval => interval.reset());
    }

    /// Ticks next at once.
    pub fn reset_immediately(&mut self) {
        either!(Kind of &mut self.0, interval => interval.reset_immediately());
    }

    /// Ticks next `after` from now, and then every period; as tokio's, after 30 years at most.
    pub fn reset_after(&mut self, after: Duration) {
        either!(Kind of &mut self.0, interval => interval.reset_after(after));
    }

    /// Ticks next at `deadline`, and then every period: at once if that is past.
    ///
    /// # Panics
    ///
    /// For a point in the other kind of time, as [`sleep_until`](super::sleep_until).
    #[track_caller]
    pub fn reset_at(&mut self, deadline: Instant) {
        either!(Kind of &mut self.0,
            simulated interval => interval.reset_at(deadline),
            real interval => interval.reset_at(deadline.real()));
    }

    /// What becomes of missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        either!(Kind of &self.0,
        simulated interval => interval.missed_tick_behavior(),
        real interval => match interval.missed_tick_behavior() {
            tokio::time::MissedTickBehavior::Burst => MissedTickBehavior::Burst,
            tokio::time::MissedTickBehavior::Delay => MissedTickBehavior::Delay,
            tokio::time::MissedTickBehavior::Skip => MissedTickBehavior::Skip,
        })
    }

    /// Sets what becomes of missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        either!(Kind of &mut self.0,
        simulated interval => interval.set_missed_tick_behavior(behavior),
        real interval => interval.set_missed_tick_behavior(match behavior {
            MissedTickBehavior::Burst => tokio::time::MissedTickBehavior::Burst,
            MissedTickBehavior::Delay => tokio::time::MissedTickBehavior::Delay,
            MissedTickBehavior::Skip => tokio::time::MissedTickBehavior::Skip,
        }));
    }

    /// The period.
    pub fn period(&self) -> Duration {
        either!(Kind of &self.0, interval => interval.period())
    }
}

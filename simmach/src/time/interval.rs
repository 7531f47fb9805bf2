//! A tick, again and again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::time::{Instant, Sleep, nanos, sleep_until};

/// Ticks at once, then every `period`.
///
/// # Panics
///
/// If `period` is zero, as tokio's does.
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, then every `period`.
///
/// # Panics
///
/// If `period` is zero, as tokio's does.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(period > Duration::ZERO, "`period` must be non-zero.");
    Interval { sleep: sleep_until(start), period, missed: MissedTickBehavior::default() }
}

/// What [`interval`] returns.
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

/// What becomes of ticks that nobody asked for in time.
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
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = self.missed.next(due, Instant::now(), self.period);
        Pin::new(&mut self.sleep).reset(next);
        Poll::Ready(due)
    }

    /// Ticks next after a whole period from now.
    pub fn reset(&mut self) {
        let next = Instant::now() + self.period;
        Pin::new(&mut self.sleep).reset(next);
    }

    /// Ticks next at once.
    pub fn reset_immediately(&mut self) {
        Pin::new(&mut self.sleep).reset(Instant::now());
    }

    /// What becomes of missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what becomes of missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The period.
    pub fn period(&self) -> Duration {
        self.period
    }
}

impl MissedTickBehavior {
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            _ if now <= due => due + period,
            Self::Burst => due + period,
            Self::Delay => now + period,
            Self::Skip => {
                let late = nanos(now - due) % nanos(period);
                now + (period - Duration::from_nanos(late))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// The schedule is every 10 ms; the tick due at 10 is asked for at 25. Figures as in tokio's documentation.
    #[test]
    fn a_late_tick_is_followed_as_its_behaviour_says() {
        let ten = Duration::from_millis(10);
        assert_eq!(MissedTickBehavior::Burst.next(at(10), at(25), ten), at(20));
        assert_eq!(MissedTickBehavior::Delay.next(at(10), at(25), ten), at(35));
        assert_eq!(MissedTickBehavior::Skip.next(at(10), at(25), ten), at(30));
        assert_eq!(
            MissedTickBehavior::Skip.next(at(10), at(30), ten),
            at(40),
            "30 is now, not next"
        );
    }

    #[test]
    fn a_tick_in_time_keeps_the_schedule() {
        let ten = Duration::from_millis(10);
        for behavior in
            [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
        {
            assert_eq!(behavior.next(at(10), at(10), ten), at(20));
        }
    }
}

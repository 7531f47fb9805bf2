//! A tick in virtual time, again and again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Sleep, sleep_until};
use crate::time::{Instant, MissedTickBehavior, nanos};

#[derive(Debug)]
pub(crate) struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    #[track_caller]
    pub(crate) fn new(start: Instant, period: Duration) -> Self {
        assert!(period > Duration::ZERO, "`period` must be non-zero.");
        let missed = MissedTickBehavior::default();
        Self { sleep: sleep_until(start.as_nanos()), period, missed }
    }

    pub(crate) fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let now = Instant::now().as_nanos();
        self.sleep.reset(next(self.missed, due, now, nanos(self.period)));
        Poll::Ready(Instant::from_nanos(due))
    }

    pub(crate) fn reset(&mut self) {
        self.sleep.reset((Instant::now() + self.period).as_nanos());
    }

    pub(crate) fn reset_immediately(&mut self) {
        self.sleep.reset(Instant::now().as_nanos());
    }

    pub(crate) fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    pub(crate) fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }
}

/// When the tick after that which was `due` is, if it is asked for `now`.
fn next(missed: MissedTickBehavior, due: u64, now: u64, period: u64) -> u64 {
    match missed {
        _ if now <= due => due.saturating_add(period),
        MissedTickBehavior::Burst => due.saturating_add(period),
        MissedTickBehavior::Delay => now.saturating_add(period),
        MissedTickBehavior::Skip => now.saturating_add(period - (now - due) % period),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> u64 {
        millis * 1_000_000
    }

    /// The schedule is every 10 ms; the tick due at 10 is asked for at 25. Figures as in tokio's documentation.
    #[test]
    fn a_late_tick_is_followed_as_its_behaviour_says() {
        let ten = at(10);
        assert_eq!(next(MissedTickBehavior::Burst, at(10), at(25), ten), at(20));
        assert_eq!(next(MissedTickBehavior::Delay, at(10), at(25), ten), at(35));
        assert_eq!(next(MissedTickBehavior::Skip, at(10), at(25), ten), at(30));
        assert_eq!(
            next(MissedTickBehavior::Skip, at(10), at(30), ten),
            at(40),
            "30 is now, not next"
        );
    }

    #[test]
    fn a_tick_in_time_keeps_the_schedule() {
        let ten = at(10);
        for behavior in
            [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
        {
            assert_eq!(next(behavior, at(10), at(10), ten), at(20));
        }
    }
}

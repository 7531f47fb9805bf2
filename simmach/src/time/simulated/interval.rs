//! Intervals in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::time::simulated::{Sleep, sleep_until};
use crate::time::{Instant, MAX_SLEEP, MissedTickBehavior};

/// A tick counts as missed if it is later than this. The value is that of tokio, whose timers have
/// a granularity of one millisecond.
const TOLERANCE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    #[track_caller]
    pub(crate) fn new(start: Instant, period: Duration) -> Self {
        let missed = MissedTickBehavior::default();
        Self { sleep: sleep_until(start.expect_virtual()), period: period.min(MAX_SLEEP), missed }
    }

    pub(crate) fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = Instant::simulated(self.sleep.deadline());
        self.reset_at(next(self.missed, due, Instant::now(), self.period));
        Poll::Ready(due)
    }

    pub(crate) fn reset(&mut self) {
        self.reset_after(self.period);
    }

    pub(crate) fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    pub(crate) fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now() + after.min(MAX_SLEEP));
    }

    #[track_caller]
    pub(crate) fn reset_at(&mut self, deadline: Instant) {
        self.sleep.reset(deadline.expect_virtual());
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

/// Returns the tick after the tick that was `due` and is taken `now`.
fn next(missed: MissedTickBehavior, due: Instant, now: Instant, period: Duration) -> Instant {
    if now <= due + TOLERANCE {
        return due + period;
    }
    match missed {
        MissedTickBehavior::Burst => due + period,
        MissedTickBehavior::Delay => now + period,
        MissedTickBehavior::Skip => now + (period - remainder(now - due, period)),
    }
}

/// The remainder of `time` divided by `period`. It fits into 64 bits because a period is at most 30 years.
fn remainder(time: Duration, period: Duration) -> Duration {
    Duration::from_nanos((time.as_nanos() % period.as_nanos()) as u64)
}

//! Sleeps until a deadline in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::engine::context::try_with;
use crate::engine::time::clock::Clock;
use crate::engine::{self, Engine, RunId, TimerKey, Wait, Waiter};
use crate::time::{MAX_SLEEP, nanos};

const OUTSIDE_A_RUN: &str =
    "simmach::time: cannot sleep outside a run, where virtual time does not pass";

/// Waits for `duration`.
#[track_caller]
#[inline]
pub(crate) fn sleep(duration: Duration) -> Sleep {
    begin(|now, clock| (now.saturating_add(nanos(duration.min(MAX_SLEEP))), clock.origin(), false))
}

/// Like [`sleep`], but without the limit of [`MAX_SLEEP`]. Returns `None` if std's `Instant` cannot
/// represent the deadline.
#[track_caller]
#[inline]
pub(crate) fn sleep_unlimited(duration: Duration) -> Option<Sleep> {
    if duration <= MAX_SLEEP { Some(sleep(duration)) } else { far_sleep(duration) }
}

#[cold]
#[track_caller]
fn far_sleep(duration: Duration) -> Option<Sleep> {
    let now = try_with(|engine| engine.clock.instant(engine.local_now()));
    now.expect(OUTSIDE_A_RUN).checked_add(duration).map(sleep_until)
}

/// Waits until `deadline`.
#[track_caller]
#[inline]
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    begin(|_, clock| (clock.local(deadline), deadline, true))
}

/// Waits until the monotonic clock of the running code's machine shows `deadline` nanoseconds.
pub(crate) fn sleep_until_clock(deadline: u64) -> Sleep {
    begin(|_, clock| (deadline, clock.origin(), false))
}

#[track_caller]
#[inline]
fn begin(when: impl FnOnce(u64, &Clock) -> (u64, Instant, bool)) -> Sleep {
    let sleep = try_with(|engine| {
        let since = engine.local_now();
        let (deadline, base, is_given) = when(since, &engine.clock);
        Sleep { since, deadline, base, is_given, timer: None }
    });
    sleep.expect(OUTSIDE_A_RUN)
}

/// A future that completes at a deadline in virtual time. Dropping it removes the timer.
#[derive(Debug)]
pub(crate) struct Sleep {
    since: u64,
    /// In nanoseconds of the machine's clock.
    deadline: u64,
    /// The deadline if `is_given`, else the instant at which the machine's clock shows 0. Computing the deadline from the latter
    /// only on demand keeps [`sleep`] cheap.
    base: Instant,
    is_given: bool,
    timer: Option<(RunId, TimerKey)>,
}

impl Sleep {
    pub(crate) fn deadline(&self) -> Instant {
        match self.is_given {
            true => self.base,
            false => self.base + Duration::from_nanos(self.deadline),
        }
    }

    /// Does not count as a reading of the clock, so it never advances time.
    pub(crate) fn is_elapsed(&self) -> bool {
        engine::local_now() >= self.deadline
    }

    /// Changes the deadline. Outside its run the future never completes.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.disarm();
        (self.base, self.is_given) = (deadline, true);
        try_with(|engine| {
            self.since = engine.local_now();
            self.deadline = engine.clock.local(deadline);
        });
    }

    fn poll_in(&mut self, engine: &Engine, cx: &mut Context<'_>) -> Poll<()> {
        if engine.local_now() >= self.deadline {
            if let Some((run, key)) = self.timer.take() {
                engine.note_sleep(self.deadline.saturating_sub(self.since));
                let old = if run == engine.run { engine.cancel(key) } else { None };
                drop(old);
            }
            return Poll::Ready(());
        }
        let armed = self
            .timer
            .is_some_and(|(own, key)| own == engine.run && engine.rewake(key, cx.waker()));
        if !armed {
            let waiter = Waiter::new(engine.own_task(cx.waker()), cx.waker());
            let key = engine.arm_local(self.deadline, waiter);
            self.timer = Some((engine.run, key));
        }
        engine.record_wait(Wait::Sleep { since: self.since, until: self.deadline });
        Poll::Pending
    }

    #[inline]
    fn disarm(&mut self) {
        if let Some((run, key)) = self.timer.take() {
            cancel(run, key);
        }
    }
}

fn cancel(run: RunId, key: TimerKey) {
    if engine::run_id() == Some(run) {
        engine::cancel(key);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        try_with(|engine| self.poll_in(engine, cx)).unwrap_or(Poll::Pending)
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.disarm();
    }
}

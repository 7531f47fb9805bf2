//! Waiting for a point in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::{self, Action, RunId, TimerKey, Wait};
use crate::time::Instant;

/// Waits for `duration`, by the machine's own monotonic clock: on one that is fast it is over sooner.
///
/// When the clock's speed is changed meanwhile, the wait goes on by the new speed, but is not over before the old one had
/// it.
///
/// # Panics
///
/// Outside a run.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(now() + duration)
}

/// Waits until `deadline`.
///
/// # Panics
///
/// Outside a run.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    assert!(
        engine::run_id().is_some(),
        "simmach::time: a sleep was begun outside a run: there virtual time does not pass"
    );
    Sleep { since: now(), deadline, timer: None }
}

/// A future that is ready at a point in virtual time. Dropped, it leaves no timer behind.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    since: Instant,
    deadline: Instant,
    timer: Option<(RunId, TimerKey)>,
}

impl Sleep {
    /// When it is ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// True once its time has come.
    pub fn is_elapsed(&self) -> bool {
        now() >= self.deadline
    }

    /// Gives it another time, past or future.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.disarm();
        self.since = now();
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some((run, key)) = self.timer.take()
            && engine::run_id() == Some(run)
        {
            engine::cancel(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(run) = engine::run_id() else { return Poll::Pending };
        if engine::local_now() >= self.deadline.as_nanos() {
            if self.timer.is_some() {
                engine::slept(self.deadline.as_nanos().saturating_sub(self.since.as_nanos()));
            }
            self.disarm();
            return Poll::Ready(());
        }
        let armed =
            self.timer.is_some_and(|(own, key)| own == run && engine::rewake(key, cx.waker()));
        if !armed {
            let wake = Action::Wake(cx.waker().clone());
            self.timer = engine::try_arm(engine::true_time(self.deadline.as_nanos()), wake)
                .map(|key| (run, key));
        }
        engine::waits(Wait::Sleep {
            since: self.since.as_nanos(),
            until: self.deadline.as_nanos(),
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Not a reading of the user's: it costs nothing.
fn now() -> Instant {
    Instant::from_nanos(engine::local_now())
}

//! Waiting for a point in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::context::try_with;
use crate::engine::{self, Action, Engine, RunId, TimerKey, Wait, Waiter};

/// Waits for so many nanoseconds.
#[track_caller]
#[inline]
pub(crate) fn sleep(nanos: u64) -> Sleep {
    let since = now();
    Sleep { since, deadline: since.saturating_add(nanos), timer: None }
}

/// Waits until `deadline`, in the run's nanoseconds.
#[track_caller]
#[inline]
pub(crate) fn sleep_until(deadline: u64) -> Sleep {
    Sleep { since: now(), deadline, timer: None }
}

#[track_caller]
#[inline]
fn now() -> u64 {
    try_with(Engine::local_now)
        .expect("simmach::time: a sleep was begun outside a run: there virtual time does not pass")
}

/// A future that is ready at a point in virtual time. Dropped, it leaves no timer behind.
#[derive(Debug)]
pub(crate) struct Sleep {
    since: u64,
    deadline: u64,
    timer: Option<(RunId, TimerKey)>,
}

impl Sleep {
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Not a reading of the user's: it costs nothing.
    pub(crate) fn is_elapsed(&self) -> bool {
        engine::local_now() >= self.deadline
    }

    pub(crate) fn reset(&mut self, deadline: u64) {
        self.disarm();
        self.since = engine::local_now();
        self.deadline = deadline;
    }

    fn poll_in(&mut self, engine: &Engine, cx: &mut Context<'_>) -> Poll<()> {
        if engine.local_now() >= self.deadline {
            if let Some((run, key)) = self.timer.take() {
                engine.slept(self.deadline.saturating_sub(self.since));
                let old = if run == engine.run { engine.cancel(key) } else { None };
                drop(old);
            }
            return Poll::Ready(());
        }
        let armed = self
            .timer
            .is_some_and(|(own, key)| own == engine.run && engine.rewake(key, cx.waker()));
        if !armed {
            let at = engine.clock.dials.true_time(engine.scope().machine, self.deadline);
            let key =
                engine.arm(at, Action::Wake(Waiter::new(engine.own_task(cx.waker()), cx.waker())));
            self.timer = Some((engine.run, key));
        }
        engine.waits(Wait::Sleep { since: self.since, until: self.deadline });
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

//! Waiting for a point in time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::Instant;
#[cfg(feature = "sim")]
use crate::time::simulated;

/// Waits for `duration`, or for 30 years if that is less, as tokio's does.
///
/// In a run that goes by the machine's own monotonic clock: on one that is fast it is over sooner. When the clock's speed is
/// changed meanwhile, the wait goes on by the new speed.
///
/// # Panics
///
/// Outside a run: without the feature `real`, and with it where there is no tokio runtime with a timer.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    here! {
        simulated => Sleep(Kind::Simulated(simulated::sleep(duration))),
        real => Sleep(Kind::Real(Box::pin(tokio::time::sleep(duration)))),
    }
}

/// Waits until `deadline`.
///
/// # Panics
///
/// As [`sleep`]; and for a point in the other kind of time: a run's outside of it, or a real one in a run.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    here! {
        simulated => Sleep(Kind::Simulated(simulated::sleep_until(deadline.in_run()))),
        real => Sleep(Kind::Real(Box::pin(tokio::time::sleep_until(deadline.real())))),
    }
}

/// What a timeout waits for: tokio does not cut it as [`sleep`] does. `None` where no [`Instant`] is as late as that.
#[track_caller]
pub(super) fn for_timeout(duration: Duration) -> Option<Sleep> {
    here! {
        simulated => simulated::sleep_uncut(duration).map(|sleep| Sleep(Kind::Simulated(sleep))),
        real => {
            let deadline = tokio::time::Instant::now().checked_add(duration)?;
            Some(Sleep(Kind::Real(Box::pin(tokio::time::sleep_until(deadline)))))
        },
    }
}

/// A future that is ready at a point in time. Dropped, it leaves no timer behind.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(Kind);

#[derive(Debug)]
enum Kind {
    #[cfg(feature = "sim")]
    Simulated(simulated::Sleep),
    /// In a box, so that it can be moved.
    #[cfg(feature = "real")]
    Real(Pin<Box<tokio::time::Sleep>>),
}

impl Sleep {
    /// When it is ready.
    pub fn deadline(&self) -> Instant {
        either!(Kind of &self.0,
            simulated sleep => Instant::simulated(sleep.deadline()),
            real sleep => Instant::from_real(sleep.deadline()))
    }

    /// True once its time has come.
    pub fn is_elapsed(&self) -> bool {
        either!(Kind of &self.0, sleep => sleep.is_elapsed())
    }

    /// Gives it another time, past or future.
    ///
    /// # Panics
    ///
    /// For a point in the other kind of time, as [`sleep_until`].
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        either!(Kind of &mut self.0,
            simulated sleep => sleep.reset(deadline.in_run()),
            real sleep => sleep.as_mut().reset(deadline.real()));
    }

    /// Polls it though its task has used up tokio's budget: a deadline is not to be missed by one who never pauses.
    pub(crate) fn poll_unconstrained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        either!(Kind of &mut self.0,
            simulated sleep => Pin::new(sleep).poll(cx),
            real sleep => Pin::new(&mut tokio::task::unconstrained(sleep)).poll(cx))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        either!(Kind of &mut self.0, sleep => Pin::new(sleep).poll(cx))
    }
}

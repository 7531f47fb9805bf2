//! Sleeps: futures that are ready at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::Instant;
#[cfg(feature = "sim")]
use crate::time::simulated;

/// Waits for `duration`, but at most for 30 years.
///
/// In a run, the machine's clock measures the duration: if the clock runs fast, the sleep ends
/// early. If the clock's speed changes during the sleep, the rest of the sleep is measured at the
/// new speed.
///
/// # Panics
///
/// Outside a run, without the feature `real`, or if there is no tokio runtime with time enabled.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    here! {
        simulated => Sleep(SleepKind::Simulated(simulated::sleep(duration))),
        real => Sleep(SleepKind::Real(Box::pin(tokio::time::sleep(duration)))),
    }
}

/// Waits until `deadline`.
///
/// # Panics
///
/// In the same cases as [`sleep`]. Also if `deadline` is in real time but the caller is in a run,
/// or the other way round.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    here! {
        simulated => Sleep(SleepKind::Simulated(simulated::sleep_until(deadline.expect_virtual()))),
        real => Sleep(SleepKind::Real(Box::pin(tokio::time::sleep_until(deadline.expect_real())))),
    }
}

/// The sleep of a timeout. Unlike [`sleep`], it is not limited to 30 years. Returns `None` if no
/// [`Instant`] can represent the deadline.
#[track_caller]
pub(super) fn for_timeout(duration: Duration) -> Option<Sleep> {
    here! {
        simulated => simulated::sleep_unlimited(duration).map(|sleep| Sleep(SleepKind::Simulated(sleep))),
        real => {
            let deadline = tokio::time::Instant::now().checked_add(duration)?;
            Some(Sleep(SleepKind::Real(Box::pin(tokio::time::sleep_until(deadline)))))
        },
    }
}

/// A future that completes at a deadline, returned by [`sleep`] and [`sleep_until`]. Dropping it removes the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(SleepKind);

#[derive(Debug)]
enum SleepKind {
    #[cfg(feature = "sim")]
    Simulated(simulated::Sleep),
    /// Boxed, so that `Sleep` is `Unpin`.
    #[cfg(feature = "real")]
    Real(Pin<Box<tokio::time::Sleep>>),
}

impl Sleep {
    /// Returns the deadline.
    pub fn deadline(&self) -> Instant {
        either!(SleepKind of &self.0,
            simulated sleep => Instant::simulated(sleep.deadline()),
            real sleep => Instant::from_real(sleep.deadline()))
    }

    /// Returns `true` if the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        either!(SleepKind of &self.0, sleep => sleep.is_elapsed())
    }

    /// Changes the deadline, which may be in the past.
    ///
    /// # Panics
    ///
    /// If `deadline` is in real time and the caller is in a run, or the other way round.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        either!(SleepKind of &mut self.0,
            simulated sleep => sleep.reset(deadline.expect_virtual()),
            real sleep => sleep.as_mut().reset(deadline.expect_real()));
    }

    /// Polls without tokio's cooperative budget, so that a future that is always ready cannot miss its deadline.
    pub(crate) fn poll_unconstrained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        either!(SleepKind of &mut self.0,
            simulated sleep => Pin::new(sleep).poll(cx),
            real sleep => Pin::new(&mut tokio::task::unconstrained(sleep)).poll(cx))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        either!(SleepKind of &mut self.0, sleep => Pin::new(sleep).poll(cx))
    }
}

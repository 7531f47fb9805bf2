//! Timeouts: futures with a deadline.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::time::{Instant, Sleep, sleep, sleep_until};

/// Waits for `future`, but at most for `duration`.
///
/// A future that is ready at the deadline is in time. If the deadline is outside the range of
/// [`Instant`], there is no timeout.
///
/// # Errors
///
/// The returned future yields [`error::Elapsed`] if `future` is not ready in time.
///
/// # Panics
///
/// In the same cases as [`sleep`].
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep::for_timeout(duration) }
}

/// Waits for `future`, but at most until `deadline`. See [`timeout`].
///
/// # Errors
///
/// The returned future yields [`error::Elapsed`] if `future` is not ready in time.
///
/// # Panics
///
/// In the same cases as [`sleep_until`].
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: Some(sleep_until(deadline)) }
}

pin_project! {
    /// A future with a deadline, returned by [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Option<Sleep>,
    }
}

impl<F> Timeout<F> {
    /// Returns the inner future.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, error::Elapsed>;

    /// Polls the inner future first, so that it is in time if it is ready at the deadline.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        match this.sleep {
            Some(sleep) => sleep.poll_unconstrained(cx).map(|()| Err(error::Elapsed::new())),
            None => Poll::Pending,
        }
    }
}

/// The error of timeouts.
pub mod error {
    use std::{fmt, io};

    /// The deadline has elapsed.
    #[derive(Debug, PartialEq, Eq)]
    pub struct Elapsed(());

    impl Elapsed {
        pub(super) fn new() -> Self {
            Self(())
        }
    }

    impl fmt::Display for Elapsed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("deadline has elapsed")
        }
    }

    impl std::error::Error for Elapsed {}

    impl From<Elapsed> for io::Error {
        fn from(_: Elapsed) -> Self {
            io::ErrorKind::TimedOut.into()
        }
    }
}

//! A future with a deadline.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::time::{Instant, Sleep, sleep, sleep_until};

/// Gives `future` so long; dropped then, with all it waited for. It has no deadline where that would be later than any
/// [`Instant`].
///
/// # Errors
///
/// The future answers [`error::Elapsed`] if the time was not enough.
///
/// # Panics
///
/// As [`sleep`].
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep::for_timeout(duration) }
}

/// As [`timeout`], until a point in time.
///
/// # Errors
///
/// The future answers [`error::Elapsed`] if the time was not enough.
///
/// # Panics
///
/// As [`sleep`].
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: Some(sleep_until(deadline)) }
}

pin_project! {
    /// A future with a deadline.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Option<Sleep>,
    }
}

impl<F> Timeout<F> {
    /// The future inside.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, error::Elapsed>;

    /// What is ready at the deadline is in time.
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

/// What a timeout says.
pub mod error {
    use std::{fmt, io};

    /// The time was not enough.
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

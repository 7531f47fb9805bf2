//! The stop signal of a process, as a future or as a token.
//!
//! In a run, the stop signal models SIGTERM: a process that is stopped gets the signal, and is
//! killed after a grace period. Signals sent by processes are not modelled.
//!
//! Outside a run, with the feature `real`, the stop signal is SIGTERM or Ctrl-C, received through
//! tokio. After the first call of [`token`], SIGTERM and Ctrl-C no longer end the process.

#[cfg(feature = "real")]
mod real;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "sim")]
use crate::machine::signal as simulated;

/// Waits until this process gets the stop signal.
///
/// ```
/// use simmach::{signal, time::{DurationUnits, sleep}};
///
/// async fn service() {
///     let stop = signal::token();
///     while !stop.is_stopped() {
///         sleep(1.secs()).await; // work
///     }
/// }
/// ```
///
/// # Panics
///
/// In the same cases as [`token`].
pub async fn stopped() {
    token().stopped().await;
}

/// Returns a token for the stop signal of this process. The token can be passed to any task of the
/// process.
///
/// # Panics
///
/// Outside a run, with the feature `real`: if there is no tokio runtime with I/O enabled.
#[track_caller]
pub fn token() -> StopToken {
    here! {
        simulated => StopToken(TokenKind::Simulated(simulated::token())),
        real => StopToken(TokenKind::Real(real::token())),
    }
}

/// A token for the stop signal of a process, returned by [`token`].
#[derive(Clone, Copy, Debug)]
pub struct StopToken(TokenKind);

#[derive(Clone, Copy, Debug)]
enum TokenKind {
    #[cfg(feature = "sim")]
    Simulated(simulated::StopToken),
    #[cfg(feature = "real")]
    Real(real::StopToken),
}

impl StopToken {
    /// Returns `true` if the process got the stop signal.
    pub fn is_stopped(&self) -> bool {
        either!(TokenKind of self.0, token => token.is_stopped())
    }

    /// Waits until the process gets the stop signal.
    pub fn stopped(&self) -> Stopped {
        Stopped(either!(TokenKind of self.0,
            simulated token => StoppedKind::Simulated(token.stopped()),
            real token => StoppedKind::Real(token.stopped())))
    }
}

/// A future that completes at the stop signal, returned by [`StopToken::stopped`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Stopped(StoppedKind);

#[derive(Debug)]
enum StoppedKind {
    #[cfg(feature = "sim")]
    Simulated(simulated::Stopped),
    #[cfg(feature = "real")]
    Real(real::Stopped),
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        either!(StoppedKind of &mut self.0, stopped => Pin::new(stopped).poll(cx))
    }
}

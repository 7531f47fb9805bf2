//! The stop signal, as a process hears it: a future, or a token to hand around.
//!
//! In a run it models SIGTERM alone: a process that is told to stop has its grace and is then killed. Signals that a process
//! sends are not modelled. Outside a run, with the feature `real`, it is the process's SIGTERM or Ctrl-C, by tokio: from the
//! first [`token`] on neither of them ends the process by itself any more.

#[cfg(feature = "real")]
mod real;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "sim")]
use crate::machine::signal as simulated;

/// Waits until this process is told to stop.
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
/// As [`token`].
pub async fn stopped() {
    token().stopped().await;
}

/// Tells whether this process was told to stop; can be handed to any of its tasks.
///
/// # Panics
///
/// Outside a run, with the feature `real`: where there is no tokio runtime with its I/O enabled.
#[track_caller]
pub fn token() -> StopToken {
    here! {
        simulated => StopToken(Kind::Simulated(simulated::token())),
        real => StopToken(Kind::Real(real::token())),
    }
}

/// What [`token`] returns.
#[derive(Clone, Copy, Debug)]
pub struct StopToken(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    #[cfg(feature = "sim")]
    Simulated(simulated::StopToken),
    #[cfg(feature = "real")]
    Real(real::StopToken),
}

impl StopToken {
    /// True once the process was told to stop.
    pub fn is_stopped(&self) -> bool {
        either!(Kind of self.0, token => token.is_stopped())
    }

    /// Waits until the process is told to stop.
    pub fn stopped(&self) -> Stopped {
        Stopped(either!(Kind of self.0,
            simulated token => Waits::Simulated(token.stopped()),
            real token => Waits::Real(token.stopped())))
    }
}

/// What [`StopToken::stopped`] returns.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Stopped(Waits);

#[derive(Debug)]
enum Waits {
    #[cfg(feature = "sim")]
    Simulated(simulated::Stopped),
    #[cfg(feature = "real")]
    Real(real::Stopped),
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        either!(Waits of &mut self.0, stopped => Pin::new(stopped).poll(cx))
    }
}

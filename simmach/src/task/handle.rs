//! Waiting for a task, and ending it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::task::JoinError;
#[cfg(feature = "sim")]
use crate::task::join;

/// Waits for a task. Dropped, it lets the task go on; in a run, a panic of the task then fails the run.
pub struct JoinHandle<T>(Kind<T>);

enum Kind<T> {
    #[cfg(feature = "sim")]
    Simulated(join::JoinHandle<T>),
    #[cfg(feature = "real")]
    Real(tokio::task::JoinHandle<T>),
}

/// Ends a task from elsewhere.
#[derive(Clone, Debug)]
pub struct AbortHandle(Aborts);

#[derive(Clone, Debug)]
enum Aborts {
    #[cfg(feature = "sim")]
    Simulated(join::AbortHandle),
    #[cfg(feature = "real")]
    Real(tokio::task::AbortHandle),
}

impl<T> JoinHandle<T> {
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(handle: join::JoinHandle<T>) -> Self {
        Self(Kind::Simulated(handle))
    }

    #[cfg(feature = "real")]
    pub(crate) fn real(handle: tokio::task::JoinHandle<T>) -> Self {
        Self(Kind::Real(handle))
    }

    /// Ends the task: it is dropped at its next turn, and awaiting it says cancelled.
    pub fn abort(&self) {
        either!(Kind of &self.0, handle => handle.abort());
    }

    /// A handle that can end the task, and no more.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(either!(Kind of &self.0,
            simulated handle => Aborts::Simulated(handle.abort_handle()),
            real handle => Aborts::Real(handle.abort_handle())))
    }

    /// True once the task is over.
    pub fn is_finished(&self) -> bool {
        either!(Kind of &self.0, handle => handle.is_finished())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If polled again after it was ready, as tokio's does.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        either!(Kind of &mut self.0,
            simulated handle => Pin::new(handle).poll(cx),
            real handle => Pin::new(handle).poll(cx).map_err(JoinError::from))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

impl AbortHandle {
    /// Ends the task: it is dropped at its next turn.
    pub fn abort(&self) {
        either!(Aborts of &self.0, handle => handle.abort());
    }

    /// True once the task is over.
    pub fn is_finished(&self) -> bool {
        either!(Aborts of &self.0, handle => handle.is_finished())
    }
}

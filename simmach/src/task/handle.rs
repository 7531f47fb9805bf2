//! Handles that await and abort tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::task::JoinError;
#[cfg(feature = "sim")]
use crate::task::join;

/// A handle to a task. Awaiting the handle returns the output of the task.
///
/// Dropping the handle detaches the task, which continues to run. In a run, a panic of a detached task fails the run.
pub struct JoinHandle<T>(JoinHandleKind<T>);

enum JoinHandleKind<T> {
    #[cfg(feature = "sim")]
    Simulated(join::JoinHandle<T>),
    #[cfg(feature = "real")]
    Real(tokio::task::JoinHandle<T>),
}

/// A handle that can abort a task, but not await it.
#[derive(Clone, Debug)]
pub struct AbortHandle(AbortHandleKind);

#[derive(Clone, Debug)]
enum AbortHandleKind {
    #[cfg(feature = "sim")]
    Simulated(join::AbortHandle),
    #[cfg(feature = "real")]
    Real(tokio::task::AbortHandle),
}

impl<T> JoinHandle<T> {
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(handle: join::JoinHandle<T>) -> Self {
        Self(JoinHandleKind::Simulated(handle))
    }

    #[cfg(feature = "real")]
    pub(crate) fn real(handle: tokio::task::JoinHandle<T>) -> Self {
        Self(JoinHandleKind::Real(handle))
    }

    /// Aborts the task: it is dropped when it would run next, and awaiting it returns a cancelled [`JoinError`].
    pub fn abort(&self) {
        either!(JoinHandleKind of &self.0, handle => handle.abort());
    }

    /// Returns a handle that can only abort the task.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(either!(JoinHandleKind of &self.0,
            simulated handle => AbortHandleKind::Simulated(handle.abort_handle()),
            real handle => AbortHandleKind::Real(handle.abort_handle())))
    }

    /// Returns `true` if the task has ended.
    pub fn is_finished(&self) -> bool {
        either!(JoinHandleKind of &self.0, handle => handle.is_finished())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If polled again after completion, as in tokio.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        either!(JoinHandleKind of &mut self.0,
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
    /// Aborts the task: it is dropped when it would run next.
    pub fn abort(&self) {
        either!(AbortHandleKind of &self.0, handle => handle.abort());
    }

    /// Returns `true` if the task has ended.
    pub fn is_finished(&self) -> bool {
        either!(AbortHandleKind of &self.0, handle => handle.is_finished())
    }
}

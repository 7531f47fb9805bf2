//! Waiting for a task, and ending it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::context::try_with;
use crate::engine::tasks::TaskKey;
use crate::engine::{self, ProcessId, Scope, Wait};

/// Waits for a task. Dropped, it lets the task go on; a panic of the task then fails the run.
pub struct JoinHandle<T> {
    join: Arc<Join<T>>,
    abort: AbortHandle,
}

/// Ends a task from elsewhere.
#[derive(Clone, Debug)]
pub struct AbortHandle {
    run: Option<engine::RunId>,
    key: Option<TaskKey>,
    over: Arc<std::sync::atomic::AtomicBool>,
}

/// Why a task has no output.
pub struct JoinError {
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// A mutex, so that the error is `Sync`, as tokio's is: it is never waited for.
    Panic(Mutex<Box<dyn Any + Send + 'static>>),
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(join: Arc<Join<T>>, key: Option<TaskKey>) -> Self {
        let abort = AbortHandle { run: engine::run_id(), key, over: Arc::clone(&join.over) };
        Self { join, abort }
    }

    /// Ends the task: it is dropped at its next turn, and awaiting it says cancelled.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// A handle that can end the task, and no more.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// True once the task is over.
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If polled again after it was ready, as tokio's does.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let old = {
            let mut state = self.join.lock();
            match &mut *state {
                State::Running(waker) => waker.replace(cx.waker().clone()),
                State::Done(result) => {
                    let result = result.take().expect("JoinHandle polled after completion");
                    drop(state);
                    try_with(|engine| engine.observe(self.join.name()));
                    return Poll::Ready(result);
                }
            }
        };
        drop(old);
        engine::waits(Wait::Named("another task's end"));
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let (left, waker) = {
            let mut state = self.join.lock();
            match &mut *state {
                State::Running(waker) => (None, waker.take()),
                State::Done(result) => (result.take(), None),
            }
        };
        drop(waker);
        drop(left);
        self.join.detach();
        if engine::live_scope().is_some() {
            try_with(|engine| {
                engine.unobservable(self.join.name(), self.join.process);
            });
        }
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
        if engine::run_id() != self.run || engine::live_scope().is_none() {
            return;
        }
        if let Some(key) = self.key {
            try_with(|engine| engine.cancel_task(key));
        }
    }

    /// True once the task is over.
    pub fn is_finished(&self) -> bool {
        self.over.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl JoinError {
    pub(crate) fn cancelled() -> Self {
        Self { cause: Cause::Cancelled }
    }

    /// True if the task was aborted, or its process ended.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// True if the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic(_))
    }

    /// What the task panicked with.
    ///
    /// # Panics
    ///
    /// If it did not panic; see [`JoinError::try_into_panic`].
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.try_into_panic().expect("the task was cancelled, it did not panic")
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// This error again, if it did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.cause {
            Cause::Panic(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            Cause::Cancelled => Err(self),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => f.write_str("task was cancelled"),
            Cause::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "task panicked: {}", engine::panics::text(payload.as_ref()))
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error.to_string())
    }
}

/// What a task and its handle share.
///
/// A mutex, for the sake of `Send` and `Sync` alone: it is never waited for.
pub(crate) struct Join<T> {
    state: Mutex<State<T>>,
    detached: std::sync::atomic::AtomicBool,
    over: Arc<std::sync::atomic::AtomicBool>,
    path: u64,
    process: ProcessId,
}

enum State<T> {
    Running(Option<Waker>),
    Done(Option<Result<T, JoinError>>),
}

impl<T> Join<T> {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            state: Mutex::new(State::Running(None)),
            detached: std::sync::atomic::AtomicBool::new(false),
            over: Arc::default(),
            path: scope.task,
            process: scope.process,
        }
    }

    pub(crate) fn finish(&self, result: Result<T, JoinError>) {
        let old = std::mem::replace(&mut *self.lock(), State::Done(Some(result)));
        self.over.store(true, std::sync::atomic::Ordering::Relaxed);
        if let State::Running(Some(waker)) = old {
            waker.wake();
        }
    }

    pub(crate) fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        if self.detached.load(std::sync::atomic::Ordering::Relaxed) {
            try_with(|engine| engine.user_panicked(payload));
            self.finish(Err(JoinError::cancelled()));
        } else {
            try_with(|engine| engine.panicked_unobserved(self.name(), payload.as_ref()));
            self.finish(Err(JoinError { cause: Cause::Panic(Mutex::new(payload)) }));
        }
    }

    fn detach(&self) {
        self.detached.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Tells this task's panic from another's; a path is unique among the living.
    fn name(&self) -> u64 {
        self.path
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

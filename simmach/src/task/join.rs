//! Waiting for a task of a run, and ending it.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::context::try_with;
use crate::engine::executor::tasks::TaskKey;
use crate::engine::{self, ProcessId, Scope, Wait};
use crate::task::JoinError;

/// What [`JoinHandle`](super::JoinHandle) is in a run.
pub(crate) struct JoinHandle<T> {
    join: Arc<Join<T>>,
    run: Option<engine::RunId>,
    key: Option<TaskKey>,
}

/// What [`AbortHandle`](super::AbortHandle) is in a run.
#[derive(Clone, Debug)]
pub(crate) struct AbortHandle {
    run: Option<engine::RunId>,
    key: Option<TaskKey>,
    over: Arc<AtomicBool>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(join: Arc<Join<T>>, key: Option<TaskKey>) -> Self {
        Self { join, run: engine::run_id(), key }
    }

    pub(crate) fn abort(&self) {
        abort(self.run, self.key);
    }

    pub(crate) fn abort_handle(&self) -> AbortHandle {
        AbortHandle { run: self.run, key: self.key, over: self.join.told_when_over() }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.join.is_over()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let old = {
            let mut state = self.join.lock();
            match &mut *state {
                State::Running(waker) => waker.replace(cx.waker().clone()),
                State::Done(result) => {
                    let result = result.take().expect("JoinHandle polled after completion");
                    drop(state);
                    try_with(|engine| engine.mark_panic_observed(self.join.name()));
                    return Poll::Ready(result);
                }
            }
        };
        drop(old);
        engine::record_wait(Wait::Named("another task's end"));
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
        self.join.detach();
        left.into_iter().for_each(drop_output);
        if engine::live_scope().is_some() {
            try_with(|engine| {
                engine.report_unobserved_panic(self.join.name(), self.join.process);
            });
        }
    }
}

impl AbortHandle {
    pub(crate) fn abort(&self) {
        abort(self.run, self.key);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

fn abort(run: Option<engine::RunId>, key: Option<TaskKey>) {
    if engine::run_id() != run || engine::live_scope().is_none() {
        return;
    }
    if let Some(key) = key {
        try_with(|engine| engine.cancel_task(key));
    }
}

/// Drops what nobody asked for. Its panic is not the one's who drops the handle, nor the task's: tokio catches it too.
pub(super) fn drop_output<T>(result: Result<T, JoinError>) {
    engine::catch_and_log_panic("the destructor of a task's output", || drop(result));
}

/// What a task and its handle share.
///
/// A mutex, for the sake of `Send` and `Sync` alone: it is never waited for.
pub(crate) struct Join<T> {
    state: Mutex<State<T>>,
    detached: AtomicBool,
    /// For the handles that can only abort, once there is one.
    over: OnceLock<Arc<AtomicBool>>,
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
            detached: AtomicBool::new(false),
            over: OnceLock::new(),
            path: scope.task,
            process: scope.process,
        }
    }

    pub(crate) fn finish(&self, result: Result<T, JoinError>) {
        // Without a handle nobody will ask for the output.
        let (kept, left) = match self.detached.load(Ordering::Relaxed) {
            true => (None, Some(result)),
            false => (Some(result), None),
        };
        let old = std::mem::replace(&mut *self.lock(), State::Done(kept));
        if let Some(over) = self.over.get() {
            over.store(true, Ordering::Relaxed);
        }
        if let State::Running(Some(waker)) = old {
            engine::catch_and_log_panic("a waker that waited for a task", || waker.wake());
        }
        left.into_iter().for_each(drop_output);
    }

    pub(crate) fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        if self.detached.load(Ordering::Relaxed) {
            try_with(|engine| engine.user_panicked(payload));
            self.finish(Err(JoinError::cancelled()));
        } else {
            try_with(|engine| engine.record_unobserved_panic(self.name(), payload.as_ref()));
            self.finish(Err(JoinError::panicked(payload)));
        }
    }

    fn detach(&self) {
        self.detached.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        matches!(*self.lock(), State::Done(_))
    }

    /// What is true once the task is over.
    fn told_when_over(&self) -> Arc<AtomicBool> {
        let over = Arc::clone(self.over.get_or_init(Arc::default));
        // It may have ended before anyone asked.
        if self.is_over() {
            over.store(true, Ordering::Relaxed);
        }
        over
    }

    /// Tells this task's panic from another's; a path is unique among the living.
    fn name(&self) -> u64 {
        self.path
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

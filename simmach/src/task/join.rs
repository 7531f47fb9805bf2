//! Join and abort handles of tasks in a run.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::context::try_with;
use crate::engine::tasks::table::TaskKey;
use crate::engine::{self, ProcessId, Scope, Wait};
use crate::task::JoinError;

/// [`JoinHandle`](super::JoinHandle) in a run.
pub(crate) struct JoinHandle<T> {
    join: Arc<Join<T>>,
    run: Option<engine::RunId>,
    key: Option<TaskKey>,
}

/// [`AbortHandle`](super::AbortHandle) in a run.
#[derive(Clone, Debug)]
pub(crate) struct AbortHandle {
    run: Option<engine::RunId>,
    key: Option<TaskKey>,
    finished: Arc<AtomicBool>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(join: Arc<Join<T>>, key: Option<TaskKey>) -> Self {
        Self { join, run: engine::run_id(), key }
    }

    pub(crate) fn abort(&self) {
        abort(self.run, self.key);
    }

    pub(crate) fn abort_handle(&self) -> AbortHandle {
        AbortHandle { run: self.run, key: self.key, finished: self.join.finished_flag() }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.join.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let old = {
            let mut state = self.join.lock();
            match &mut *state {
                JoinState::Running(waker) => waker.replace(cx.waker().clone()),
                JoinState::Done(result) => {
                    let result = result.take().expect("JoinHandle polled after completion");
                    drop(state);
                    try_with(|engine| engine.mark_panic_observed(self.join.name()));
                    return Poll::Ready(result);
                }
            }
        };
        drop(old);
        engine::record_wait(Wait::Named("a task to end"));
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let (output, waker) = {
            let mut state = self.join.lock();
            match &mut *state {
                JoinState::Running(waker) => (None, waker.take()),
                JoinState::Done(result) => (result.take(), None),
            }
        };
        drop(waker);
        self.join.detach();
        output.into_iter().for_each(drop_output);
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
        self.finished.load(Ordering::Relaxed)
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

/// Drops an output that is not awaited. As in tokio, panics of its destructor are caught, so that they do not reach the code
/// that drops the handle.
pub(super) fn drop_output<T>(result: Result<T, JoinError>) {
    engine::catch_and_log_panic("the destructor of a task's output", || drop(result));
}

/// State shared by a task and its handles.
///
/// The mutex only makes the state `Send` and `Sync`. It is never contended, since one thread at a time executes a run.
pub(crate) struct Join<T> {
    state: Mutex<JoinState<T>>,
    detached: AtomicBool,
    /// Set when the task ends. Created for the first abort handle.
    finished: OnceLock<Arc<AtomicBool>>,
    path: u64,
    process: ProcessId,
}

enum JoinState<T> {
    Running(Option<Waker>),
    Done(Option<Result<T, JoinError>>),
}

impl<T> Join<T> {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            state: Mutex::new(JoinState::Running(None)),
            detached: AtomicBool::new(false),
            finished: OnceLock::new(),
            path: scope.task,
            process: scope.process,
        }
    }

    pub(crate) fn finish(&self, result: Result<T, JoinError>) {
        // Without a handle, the output will not be awaited.
        let (kept, unused) = match self.detached.load(Ordering::Relaxed) {
            true => (None, Some(result)),
            false => (Some(result), None),
        };
        let old = std::mem::replace(&mut *self.lock(), JoinState::Done(kept));
        if let Some(finished) = self.finished.get() {
            finished.store(true, Ordering::Relaxed);
        }
        if let JoinState::Running(Some(waker)) = old {
            engine::catch_and_log_panic("a waker that waited for a task", || waker.wake());
        }
        unused.into_iter().for_each(drop_output);
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

    fn is_finished(&self) -> bool {
        matches!(*self.lock(), JoinState::Done(_))
    }

    /// Returns a flag that is set when the task ends.
    fn finished_flag(&self) -> Arc<AtomicBool> {
        let finished = Arc::clone(self.finished.get_or_init(Arc::default));
        // The task may have ended before the flag was created.
        if self.is_finished() {
            finished.store(true, Ordering::Relaxed);
        }
        finished
    }

    /// Identifies the panic of this task. The path of a task is unique among live tasks.
    fn name(&self) -> u64 {
        self.path
    }

    fn lock(&self) -> MutexGuard<'_, JoinState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

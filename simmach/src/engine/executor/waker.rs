//! Wakers of tasks.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::engine::context;
use crate::engine::status::RunStatus;
use crate::engine::tasks::table::TaskKey;
use crate::engine::tasks::waiter::Waiter;

impl Waiter {
    /// Creates a waiter for `waker`. Clones `waker` only if it is not the running task's own.
    pub(crate) fn of(waker: &Waker) -> Self {
        Self::new(context::try_with(|engine| engine.own_task(waker)).flatten(), waker)
    }
}

/// Creates a waker for the task `key` of the run with the status `run`.
pub(crate) fn waker(run: &Arc<RunStatus>, key: TaskKey) -> Waker {
    Waker::from(Arc::new(TaskWaker { run: Arc::clone(run), key }))
}

struct TaskWaker {
    run: Arc<RunStatus>,
    key: TaskKey,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = context::try_with(|engine| {
            let own = Arc::ptr_eq(&engine.status, &self.run);
            if own {
                engine.wake(self.key);
            }
            own
        });
        if here != Some(true) {
            self.run.count_foreign_wake();
        }
    }
}

//! Wakers of tasks, and how waiters are stored.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::engine::context;
use crate::engine::executor::tasks::TaskKey;
use crate::engine::status::RunStatus;

/// A task or waker that waits for something.
///
/// Most tasks wait with their own waker. Such a task is stored by its key, which avoids cloning, dropping and calling a
/// waker.
#[derive(Debug)]
pub(crate) enum Waiter {
    Task(TaskKey),
    Other(Waker),
}

impl Waiter {
    /// Creates a waiter for `waker`. Clones it only if it is not the running task's own.
    pub(crate) fn of(waker: &Waker) -> Self {
        Self::new(crate::engine::own_task(waker), waker)
    }

    /// As [`of`](Self::of); `task` is the running task, if `waker` is its own.
    pub(crate) fn new(task: Option<TaskKey>, waker: &Waker) -> Self {
        match task {
            Some(task) => Self::Task(task),
            None => Self::Other(waker.clone()),
        }
    }

    /// Whether this is the waiter for `waker`; `task` is the running task, if `waker` is its own.
    pub(crate) fn is(&self, task: Option<TaskKey>, waker: &Waker) -> bool {
        match self {
            Self::Task(own) => task == Some(*own),
            Self::Other(own) => task.is_none() && own.will_wake(waker),
        }
    }
}

/// Creates a waker for a task of the run with this status.
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

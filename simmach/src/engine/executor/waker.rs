//! Waking a task from wherever it is done.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::engine::context;
use crate::engine::executor::tasks::TaskKey;
use crate::engine::status::RunStatus;

/// Who is to be woken. A task of this run that waits with its own waker, as most do, is known by its key: to keep that
/// clones nothing, to drop it runs nothing, and to wake it goes through no waker.
#[derive(Debug)]
pub(crate) enum Waiter {
    Task(TaskKey),
    Other(Waker),
}

impl Waiter {
    /// Who waits with this waker. Clones it only if it is not the running task's own.
    pub(crate) fn of(waker: &Waker) -> Self {
        Self::new(crate::engine::own_task(waker), waker)
    }

    /// The same; `task` is the running task, if the waker is its own.
    pub(crate) fn new(task: Option<TaskKey>, waker: &Waker) -> Self {
        match task {
            Some(task) => Self::Task(task),
            None => Self::Other(waker.clone()),
        }
    }

    /// True if it is the one who waits with this waker; `task` is the running task, if the waker is its own.
    pub(crate) fn is(&self, task: Option<TaskKey>, waker: &Waker) -> bool {
        match self {
            Self::Task(own) => task == Some(*own),
            Self::Other(own) => task.is_none() && own.will_wake(waker),
        }
    }
}

/// A waker for a task of the run that `status` is of.
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

//! Waking a task from wherever it is done.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::context;
use super::shared::Shared;
use super::tasks::TaskKey;

/// A waker for a task of the run that `shared` is of.
pub(super) fn waker(run: &Arc<Shared>, key: TaskKey) -> Waker {
    Waker::from(Arc::new(TaskWaker { run: Arc::clone(run), key }))
}

struct TaskWaker {
    run: Arc<Shared>,
    key: TaskKey,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = context::try_with(|engine| {
            let own = Arc::ptr_eq(&engine.shared, &self.run);
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

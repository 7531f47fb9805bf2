//! The stored form of a task or waker that waits.

use std::task::Waker;

use crate::engine::tasks::table::TaskKey;

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
    /// Creates a waiter for `waker`. `task` is the running task, if the waker belongs to it;
    /// otherwise, `waker` is cloned.
    pub(crate) fn new(task: Option<TaskKey>, waker: &Waker) -> Self {
        match task {
            Some(task) => Self::Task(task),
            None => Self::Other(waker.clone()),
        }
    }

    /// Whether this is the waiter for `waker`. `task` is the running task, if `waker` belongs to
    /// it.
    pub(crate) fn is(&self, task: Option<TaskKey>, waker: &Waker) -> bool {
        match self {
            Self::Task(own) => task == Some(*own),
            Self::Other(own) => task.is_none() && own.will_wake(waker),
        }
    }
}

//! [`JoinSet`]: a set of tasks that are awaited together.

use std::future::Future;
use std::panic::resume_unwind;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, StreamExt};

use crate::task::{AbortHandle, JoinError, JoinHandle, spawn, spawn_local};

/// A set of tasks that are awaited in the order in which they end. Dropping the set aborts all of
/// its tasks.
#[derive(Debug)]
pub struct JoinSet<T> {
    handles: FuturesUnordered<JoinHandle<T>>,
}

impl<T: 'static> JoinSet<T> {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self { handles: FuturesUnordered::new() }
    }

    /// Returns the number of tasks in the set, including ended tasks that have not been joined yet.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Returns `true` if the set has no tasks.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Spawns a task and adds it to the set.
    ///
    /// # Panics
    ///
    /// In the same cases as [`spawn`].
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(spawn(future))
    }

    /// Spawns a task whose future need not be `Send`, and adds it to the set.
    ///
    /// # Panics
    ///
    /// In the same cases as [`spawn_local`].
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(spawn_local(future))
    }

    /// Waits until a task ends, removes it from the set, and returns its output. Returns `None` if the set is empty. Cancel safe.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.handles.next().await
    }

    /// Polls for the next task that ends. See [`JoinSet::join_next`].
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.handles.poll_next_unpin(cx)
    }

    /// Waits for all tasks, and returns their outputs in the order in which they ended.
    ///
    /// # Panics
    ///
    /// If a task panicked or was cancelled. A panic is resumed with its payload.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(ended) = self.join_next().await {
            match ended.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(panic)) => resume_unwind(panic),
                Err(Err(cancelled)) => panic!("{cancelled}"),
            }
        }
        outputs
    }

    /// Aborts all tasks and waits until they have ended.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    pub fn abort_all(&mut self) {
        self.handles.iter().for_each(JoinHandle::abort);
    }

    /// Removes all tasks from the set without aborting them.
    pub fn detach_all(&mut self) {
        self.handles = FuturesUnordered::new();
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        self.handles.push(handle);
        abort
    }
}

impl<T: 'static> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.handles.iter().for_each(JoinHandle::abort);
    }
}

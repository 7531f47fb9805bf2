//! Spawns tasks, in a run or outside.

use std::future::Future;

use crate::task::JoinHandle;
#[cfg(feature = "sim")]
use crate::task::simulated;

/// Spawns a task. In a run, the task belongs to the running process and ends with the process.
///
/// # Panics
///
/// Outside a run, without the feature `real`, or if there is no tokio runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    here! {
        simulated => simulated::spawn(future),
        real => JoinHandle::real(tokio::task::spawn(future)),
    }
}

/// Spawns a task whose future need not be `Send`. In a run this is the same as [`spawn`], since a run has one thread.
///
/// # Panics
///
/// In the same cases as [`spawn`], and outside a run if there is no `tokio::task::LocalSet`.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    here! {
        simulated => simulated::spawn(future),
        real => JoinHandle::real(tokio::task::spawn_local(future)),
    }
}

/// Yields to other tasks. In a run, the seed decides which ready task runs next, which may be this one.
pub async fn yield_now() {
    here! {
        simulated => simulated::yield_now().await,
        real => tokio::task::yield_now().await,
    }
}

//! Making tasks.

use std::future::Future;

use crate::task::JoinHandle;
#[cfg(feature = "sim")]
use crate::task::simulated;

/// Runs `future` as a task: in a run, of this process.
///
/// # Panics
///
/// Outside a run: without the feature `real`, and with it where there is no tokio runtime.
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

/// As [`spawn`], for a future that need not be `Send`: a run has one thread.
///
/// # Panics
///
/// As [`spawn`]; outside a run also where there is no `tokio::task::LocalSet`.
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

/// Lets every other ready task go first; or not, as a run's seed has it.
pub async fn yield_now() {
    here! {
        simulated => simulated::yield_now().await,
        real => tokio::task::yield_now().await,
    }
}

//! The stop signal outside a run: SIGTERM and Ctrl-C, received through tokio.
//!
//! One task listens for the whole process. If the task's runtime ends, the next call of `token`
//! starts the task again, on a different runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether the process has received the stop signal.
static STOPPED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

static LISTENER: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

#[track_caller]
pub(crate) fn token() -> StopToken {
    let mut listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
    let is_listening = listener.as_ref().is_some_and(|task| !task.is_finished());
    if !is_listening && !StopToken.is_stopped() {
        let signal = stop_signal().expect("signal handlers can be installed");
        *listener = Some(tokio::task::spawn(async {
            signal.await;
            STOPPED.send_replace(true);
        }));
    }
    StopToken
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StopToken;

impl StopToken {
    pub(crate) fn is_stopped(self) -> bool {
        *STOPPED.borrow()
    }

    pub(crate) fn stopped(self) -> Stopped {
        let mut stopped = STOPPED.subscribe();
        Stopped(Box::pin(async move {
            // The sender is a static, so the channel never closes.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }))
    }
}

pub(crate) struct Stopped(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").finish_non_exhaustive()
    }
}

/// Installs the signal handlers at once, and returns a future that completes at the first signal.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        futures::future::select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await;
    })
}

#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

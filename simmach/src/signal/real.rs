//! SIGTERM and Ctrl-C, by tokio.
//!
//! One task listens for the whole process. It ends with its runtime; whoever asks next, on another, has it started again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether the process was told to stop.
static TOLD: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

static LISTENER: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

#[track_caller]
pub(crate) fn token() -> StopToken {
    let mut listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
    let listens = listener.as_ref().is_some_and(|task| !task.is_finished());
    if !listens && !StopToken.is_stopped() {
        let told = told().expect("the process's signals can be listened to");
        *listener = Some(tokio::task::spawn(async {
            told.await;
            TOLD.send_replace(true);
        }));
    }
    StopToken
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StopToken;

impl StopToken {
    pub(crate) fn is_stopped(self) -> bool {
        *TOLD.borrow()
    }

    pub(crate) fn stopped(self) -> Stopped {
        let mut told = TOLD.subscribe();
        Stopped(Box::pin(async move {
            // The sender is there for good.
            let _ = told.wait_for(|told| *told).await;
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

/// Listens from now on, and not only when it is awaited.
#[cfg(unix)]
fn told() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        futures::future::select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await;
    })
}

#[cfg(windows)]
fn told() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

//! Tasks that a process spawns with simmach's modules. A guest's tasks run in the context of the
//! guest's runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::context;

#[cfg(feature = "tokio")]
use tokio::runtime::Handle;

/// The handle of a runtime. Without the feature `tokio`, no handle can exist.
#[cfg(not(feature = "tokio"))]
enum Handle {}

#[cfg(not(feature = "tokio"))]
impl Handle {
    fn try_current() -> Result<Self, ()> {
        Err(())
    }

    fn enter(&self) {
        match *self {}
    }
}

pin_project! {
    /// A task of a process. A guest's task is polled and dropped in the context of the guest's runtime.
    pub(super) struct Entered<F> {
        #[pin]
        future: Option<F>,
        handle: Option<Handle>,
    }

    impl<F> PinnedDrop for Entered<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.handle.is_some() {
                enter(this.handle, || this.future.set(None));
            }
        }
    }
}

impl<F> Entered<F> {
    /// Wraps a future of the running code's process.
    pub(super) fn new(future: F) -> Self {
        let is_in_guest = context::try_with(|engine| engine.is_in_guest()) == Some(true);
        let handle = if is_in_guest { Handle::try_current().ok() } else { None };
        Self { future: Some(future), handle }
    }
}

impl<F: Future> Future for Entered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else { return Poll::Pending };
        match this.handle {
            Some(_) => enter(this.handle, || future.poll(cx)),
            None => future.poll(cx),
        }
    }
}

/// Calls `f`, which is code of the guest with the runtime `handle`.
fn enter<R>(handle: &Option<Handle>, f: impl FnOnce() -> R) -> R {
    let entered = || {
        let _entered = handle.as_ref().map(Handle::enter);
        f()
    };
    match context::current() {
        Some(engine) => engine.in_guest(entered),
        None => entered(),
    }
}

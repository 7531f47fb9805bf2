//! Guests: processes whose code uses tokio.
//!
//! A guest has its own tokio runtime: a real `current_thread` runtime. A task of the engine
//! executes this runtime in slices (`system::slice`). The runtime's `block_on` polls the process's
//! main future. The run handles the system calls of the runtime, and those of the crates that use the
//! runtime (`system`).
//!
//! A service is an async function. [`main`] turns a synchronous function, such as a program's
//! `main`, into a service.
//!
//! A process that uses only simmach's modules has the same trace as a guest and as a native
//! process, if the hardware of all machines is identical (`machine/hardware.rs`). Declare it native to avoid the cost of the
//! runtime and its slices.
//!
//! Guests need the feature `tokio`, and Linux with glibc on a 64-bit processor. Otherwise, every
//! process is native.

#[cfg(not(all(
    feature = "tokio",
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64"
)))]
#[path = "guest/absent.rs"]
mod runtime;
#[cfg(all(
    feature = "tokio",
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64"
))]
mod runtime;
mod whole_program;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::guest::runtime::Guest;
pub(crate) use crate::guest::runtime::{not_found, prepare, reset};
pub use crate::guest::whole_program::main;

/// What runs a process's main future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// A tokio runtime, if the feature `tokio` is enabled: the process is a guest.
    #[default]
    Tokio,
    /// The run itself: the process uses simmach's modules only.
    Native,
}

impl Runtime {
    /// Whether its processes are guests.
    pub(crate) fn is_guest(self) -> bool {
        runtime::IS_SUPPORTED && self == Self::Tokio
    }
}

pin_project! {
    /// A process's main future.
    #[project = MainProjection]
    pub(crate) enum Main<F> {
        Native { #[pin] main: F },
        // In a box, so that the future of a native process is not as large as a guest's.
        Guest { guest: Pin<Box<Guest<F>>> },
    }
}

impl<F: Future> Main<F> {
    pub(crate) fn new(runtime: Runtime, main: F) -> Self {
        match runtime.is_guest() {
            true => Self::Guest { guest: Box::pin(Guest::new(main)) },
            false => Self::Native { main },
        }
    }
}

impl<F: Future> Future for Main<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            MainProjection::Native { main } => main.poll(cx),
            MainProjection::Guest { guest } => guest.as_mut().poll(cx),
        }
    }
}

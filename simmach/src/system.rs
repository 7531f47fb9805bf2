//! The system calls that a run answers: descriptors, epoll, pipes, sockets and threads as a guest's code sees them.
//!
//! Code that does not know simmach, such as tokio, calls the C library. The layer `interpose` defines those functions, and
//! asks [`Calls`] for the answers. A descriptor here is a number that names a file of the run; files of one process are not
//! visible to the kernel outside, and no real call is made for them. TCP and UDP sockets are those of
//! `net`'s kernel.
//!
//! Errors, readiness and the events of epoll are as on Linux. A call that has to wait lets other tasks run if it comes from a
//! thread that a guest started. On the run's own thread it fails the run: there, only a runtime that [`slice`] runs can wait.
//!
//! Not modelled: limits on the number of descriptors, signals of descriptors (`SIGIO`, `SIGPIPE`), out-of-band data, and
//! passing descriptors to other processes.

mod calls;
mod channel;
mod descriptors;
mod epoll;
mod options;
mod poll;
mod readiness;
#[cfg_attr(
    not(feature = "tokio"),
    expect(dead_code, reason = "only the runtimes of guests have slices")
)]
pub(crate) mod slice;
mod sockets;
mod threads;
mod unix;
mod watched;

use crate::engine::{RunId, context};
use crate::interpose::system::SystemCalls;
use crate::system::calls::Calls;
pub(crate) use crate::system::descriptors::DESCRIPTORS;
#[cfg(feature = "tokio")]
pub(crate) use crate::system::threads::Deadline;
pub(crate) use crate::system::threads::{THREADS, set_carried};
pub(crate) use crate::system::unix::close_process;
use crate::system::watched::watched;

/// What answers the calls of a run.
pub(crate) static CALLS: &dyn SystemCalls = &Calls;

/// Creates the descriptors and threads of this thread's run.
pub(crate) fn install(run: RunId) {
    context::try_with(|engine| engine.watched.set(Some(watched)));
    descriptors::install(run);
    threads::install();
}

/// Removes the descriptors and threads of this thread's run. Returns the number of threads that did not end.
pub(crate) fn remove() -> usize {
    let left = threads::remove();
    descriptors::remove();
    left
}

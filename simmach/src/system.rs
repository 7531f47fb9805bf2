//! The system calls that a run answers: those on descriptors, epoll instances, pipes and sockets,
//! and those of guests' threads.
//!
//! Code that does not use simmach, such as tokio, calls the C library. The layer `interpose`
//! defines the C library's functions and asks [`Calls`] for the answers. In this layer, a
//! descriptor is a number that names a file of the run. The real kernel does not know these files,
//! and no real call is made for them. TCP and UDP sockets are sockets of the simulated kernel in
//! `net`.
//!
//! Errors, readiness and the events of epoll are as on Linux. On a thread that a guest started, a
//! call that has to wait lets other tasks run. On the run's own thread, such a call fails the run,
//! since only a runtime driven by [`slice`] can wait there.
//!
//! These are not modelled: limits on the number of descriptors, signals of descriptors (`SIGIO`,
//! `SIGPIPE`), out-of-band data, and passing descriptors to other processes.

mod calls;
mod channel;
mod descriptors;
mod epoll;
mod file_events;
mod files;
mod poll;
#[cfg_attr(
    not(feature = "tokio"),
    expect(dead_code, reason = "only the runtimes of guests have slices")
)]
pub(crate) mod slice;
mod socket_options;
mod sockets;
mod threads;
mod unix;
mod uuid_file;
mod watched;

use crate::engine::{ProcessId, RunId, context};
use crate::interpose::system::SystemCalls;
use crate::system::calls::Calls;
pub(crate) use crate::system::descriptors::DESCRIPTORS;
#[cfg(feature = "tokio")]
pub(crate) use crate::system::threads::Deadline;
pub(crate) use crate::system::threads::{THREADS, set_carried};
use crate::system::watched::watched;

/// Closes the Unix sockets and the files of a process that has ended.
pub(crate) fn close_process(process: ProcessId) {
    unix::close_process(process);
    files::close_process(process);
}

/// Marks the files of an orphan, a process that ran on after its machine lost its power, as dead.
pub(crate) fn abandon_files(orphan: ProcessId) {
    files::abandon(orphan);
}

/// The implementation that answers the calls of a run.
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

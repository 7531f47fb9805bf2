//! Functions of the C library that work on descriptors.
//!
//! A descriptor from [`FIRST_DESCRIPTOR`](super::system::FIRST_DESCRIPTOR) on is simulated, and the run answers calls on it.
//! Calls on all other descriptors are forwarded. In a run, a call that creates a descriptor creates a simulated one, except
//! where threads or processes are allowed.
//!
//! The number of a simulated descriptor may outlive its run, for example in a waker. After the run,
//! `close` and `fcntl(F_GETFD)` succeed on the number, since std aborts or panics if they fail. All
//! other calls fail with `EBADF`.
//!
//! Other functions that take a descriptor call the kernel, which fails with `EBADF` for a simulated
//! one: `tee`, `vmsplice`, `signalfd`, `timerfd_settime`, `inotify_add_watch` and those of
//! `io_uring`. The sets of `select` are too small for simulated descriptors.

mod attributes;
mod buffers;
mod by_number;
mod control;
mod copies;
mod files;
mod folders;
mod forward;
mod lifecycle;
mod memory;
mod messages;
mod open_files;
mod polling;
mod positions;
mod settings;
pub(super) mod socket_address;
mod sockets;
mod status;
mod streams;
mod temporary;
#[cfg(test)]
mod tests;
mod transfer;

pub(super) use crate::interpose::descriptors::by_number::call as call_by_number;
pub(super) use crate::interpose::descriptors::transfer::find_all;

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 16] {
    [
        attributes::defined as *const (),
        copies::defined as *const (),
        files::defined as *const (),
        folders::defined as *const (),
        lifecycle::defined as *const (),
        memory::defined as *const (),
        messages::defined as *const (),
        open_files::defined as *const (),
        polling::defined as *const (),
        positions::defined as *const (),
        settings::defined as *const (),
        sockets::defined as *const (),
        status::defined as *const (),
        streams::defined as *const (),
        temporary::defined as *const (),
        transfer::defined as *const (),
    ]
}

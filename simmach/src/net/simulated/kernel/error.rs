//! Errors of network calls. They have the codes that Linux returns, and therefore the same kinds
//! and texts. An error with a code cannot store the call and its peer, so `kernel::failed_calls`
//! records these for the report.

use std::io;

use rustix::io::Errno;

use crate::engine;
use crate::net::simulated::tcp::ConnectionError;

pub(crate) fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, engine::OUTSIDE_RUN)
}

pub(crate) fn no_machine() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "simmach: a plan does not run on a machine and has no network; use `sim.run_on(machine, …)`",
    )
}

pub(crate) fn failed(failure: ConnectionError) -> io::Error {
    match failure {
        ConnectionError::Refused => Errno::CONNREFUSED,
        ConnectionError::Reset => Errno::CONNRESET,
        ConnectionError::BrokenPipe => Errno::PIPE,
        ConnectionError::TimedOut => Errno::TIMEDOUT,
    }
    .into()
}

pub(crate) fn host_unreachable() -> io::Error {
    Errno::HOSTUNREACH.into()
}

pub(crate) fn network_unreachable() -> io::Error {
    Errno::NETUNREACH.into()
}

pub(crate) fn in_use() -> io::Error {
    Errno::ADDRINUSE.into()
}

pub(crate) fn not_available() -> io::Error {
    Errno::ADDRNOTAVAIL.into()
}

/// No peer is set and no address is given.
pub(crate) fn no_destination() -> io::Error {
    Errno::DESTADDRREQ.into()
}

/// The address is of the wrong family.
pub(crate) fn wrong_family() -> io::Error {
    Errno::AFNOSUPPORT.into()
}

pub(crate) fn invalid() -> io::Error {
    Errno::INVAL.into()
}

/// Reading an option of the other address family.
pub(crate) fn unsupported() -> io::Error {
    Errno::OPNOTSUPP.into()
}

/// Setting an option of the other address family.
pub(crate) fn no_option() -> io::Error {
    Errno::NOPROTOOPT.into()
}

pub(crate) fn too_long() -> io::Error {
    Errno::MSGSIZE.into()
}

/// A broadcast without `SO_BROADCAST`.
pub(crate) fn no_broadcast() -> io::Error {
    Errno::ACCESS.into()
}

pub(crate) fn not_connected() -> io::Error {
    Errno::NOTCONN.into()
}

/// Name lookup failed. Resolver errors have no code; std maps them to a kind that cannot be named.
pub(crate) fn unknown_name(name: &str) -> io::Error {
    let uncategorized = io::Error::from_raw_os_error(i32::MAX).kind();
    let text = format!("failed to lookup address information: Name or service not known: {name}");
    io::Error::new(uncategorized, text)
}

/// As in tokio, this error has only a kind and no code.
pub(crate) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

//! Errors as a real socket gives them, with the peer's address in the text.

use std::{io, net::SocketAddr};

use crate::{engine, net::connection::Failure};

pub(crate) fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, engine::OUTSIDE)
}

pub(crate) fn no_machine() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "simmach: a plan runs on no machine and has no network: use `sim.run_on(machine, …)`",
    )
}

pub(crate) fn failed(failure: Failure, peer: SocketAddr) -> io::Error {
    let (kind, text) = match failure {
        Failure::Refused => (io::ErrorKind::ConnectionRefused, "Connection refused"),
        Failure::Reset => (io::ErrorKind::ConnectionReset, "Connection reset by peer"),
        Failure::BrokenPipe => (io::ErrorKind::BrokenPipe, "Broken pipe"),
        Failure::TimedOut => (io::ErrorKind::TimedOut, "Connection timed out"),
    };
    with_peer(kind, text, peer)
}

pub(crate) fn host_unreachable(peer: SocketAddr) -> io::Error {
    with_peer(io::ErrorKind::HostUnreachable, "No route to host", peer)
}

pub(crate) fn network_unreachable(peer: SocketAddr) -> io::Error {
    with_peer(io::ErrorKind::NetworkUnreachable, "Network is unreachable", peer)
}

pub(crate) fn in_use(local: SocketAddr) -> io::Error {
    let text = format!(
        "Address already in use: {local}: another socket of this machine is bound to it; each service needs a port of its \
         own, and port 0 takes a free one"
    );
    io::Error::new(io::ErrorKind::AddrInUse, text)
}

pub(crate) fn not_available(what: impl std::fmt::Display) -> io::Error {
    let text = format!("Cannot assign requested address: {what}");
    io::Error::new(io::ErrorKind::AddrNotAvailable, text)
}

/// No peer was named and none is known.
pub(crate) fn no_destination() -> io::Error {
    rustix::io::Errno::DESTADDRREQ.into()
}

/// An address of the other family.
pub(crate) fn wrong_family() -> io::Error {
    rustix::io::Errno::AFNOSUPPORT.into()
}

pub(crate) fn invalid() -> io::Error {
    rustix::io::Errno::INVAL.into()
}

/// What only the other family can tell.
pub(crate) fn unsupported() -> io::Error {
    rustix::io::Errno::OPNOTSUPP.into()
}

/// An option of the other family.
pub(crate) fn no_option() -> io::Error {
    rustix::io::Errno::NOPROTOOPT.into()
}

pub(crate) fn too_long() -> io::Error {
    rustix::io::Errno::MSGSIZE.into()
}

/// A broadcast without `SO_BROADCAST`.
pub(crate) fn no_broadcast() -> io::Error {
    rustix::io::Errno::ACCESS.into()
}

pub(crate) fn not_connected() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "Transport endpoint is not connected")
}

pub(crate) fn unknown_name(name: &str) -> io::Error {
    io::Error::other(format!(
        "failed to lookup address information: Name or service not known: {name}"
    ))
}

pub(crate) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

fn with_peer(kind: io::ErrorKind, text: &str, peer: SocketAddr) -> io::Error {
    io::Error::new(kind, format!("{text}: {peer}"))
}

//! Unix sockets between processes of one machine: streams, datagrams and sequenced packets.
//!
//! Errors, readiness, message boundaries, backlogs and buffer sizes are as on Linux. Each machine
//! has its own names. Binding a path does not create a file. After its socket is closed, the path
//! remains: connecting to it is refused, but it can be bound again, as after an `unlink`. Binding a
//! path whose socket is open fails with `EADDRINUSE`.
//!
//! These are not modelled: passing descriptors and credentials (`SCM_RIGHTS`, `SCM_CREDENTIALS`),
//! permissions of paths, links, and relative paths that name the same file.

mod socket;
mod table;

use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

use crate::engine::{self, ProcessId};
use crate::interpose::system::{
    Answer, Control, Errno, Received, SocketAddress, own_user_and_group,
};
use crate::system::descriptors::{FileId, FileKind, notify, open, with, with_file};
use crate::system::sockets::{check_machine, deadline, skip, wait_once, whole};
pub(crate) use crate::system::unix::socket::SocketId;
use crate::system::unix::socket::{Credentials, Kind};
pub(crate) use crate::system::unix::table::UnixSockets;

/// Calls `f` with the sockets of the run, and then notifies the affected files.
fn sockets<R>(f: impl FnOnce(&mut UnixSockets) -> Answer<R>) -> Answer<R> {
    let (result, woken) = with(|descriptors| {
        let result = f(&mut descriptors.unix);
        Ok((result, descriptors.unix.take_woken()))
    })?;
    woken.into_iter().for_each(notify);
    result
}

fn kind_of(kind: c_int, protocol: c_int) -> Answer<Kind> {
    if protocol != 0 && protocol != libc::PF_UNIX {
        return Err(Errno(libc::EPROTONOSUPPORT));
    }
    match kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) {
        libc::SOCK_STREAM => Ok(Kind::Stream),
        // Linux accepts `SOCK_RAW` for `SOCK_DGRAM`.
        libc::SOCK_DGRAM | libc::SOCK_RAW => Ok(Kind::Datagram),
        libc::SOCK_SEQPACKET => Ok(Kind::SeqPacket),
        _ => Err(Errno(libc::ESOCKTNOSUPPORT)),
    }
}

fn open_socket(kind: Kind) -> Answer<SocketId> {
    let scope = engine::scope().ok_or(Errno(libc::EIO))?;
    with(|descriptors| Ok(descriptors.unix.open(kind, scope.machine, scope.process)))
}

fn open_file(socket: SocketId, is_nonblocking: bool) -> Answer<c_int> {
    let descriptor = open(FileKind::Unix(socket), is_nonblocking)?;
    let file = with_file(descriptor, |id, _| Ok(id))?;
    sockets(|sockets| {
        sockets.find(socket)?.file = Some(file);
        Ok(())
    })?;
    Ok(descriptor)
}

fn credentials() -> Credentials {
    let (user, group) = own_user_and_group();
    Credentials { process: std::process::id(), user, group }
}

pub(super) fn socket(kind: c_int, protocol: c_int) -> Answer<c_int> {
    // Names belong to a machine.
    check_machine()?;
    let socket = open_socket(kind_of(kind, protocol)?)?;
    open_file(socket, kind & libc::SOCK_NONBLOCK != 0)
}

/// Creates a pair of connected sockets. This also works without a machine and in destructors of an ended process, since a
/// pair has no name. std creates a pair for each child process, before the start of the process is refused.
pub(super) fn socket_pair(kind: c_int, protocol: c_int) -> Answer<[c_int; 2]> {
    let of = kind_of(kind, protocol)?;
    let ends = [open_socket(of)?, open_socket(of)?];
    sockets(|sockets| sockets.pair(ends, credentials()))?;
    let is_nonblocking = kind & libc::SOCK_NONBLOCK != 0;
    Ok([open_file(ends[0], is_nonblocking)?, open_file(ends[1], is_nonblocking)?])
}

/// Returns the name in a call's address.
fn name(address: &SocketAddress) -> Answer<&[u8]> {
    match address {
        SocketAddress::Unix(name) => Ok(name),
        SocketAddress::Inet(_) | SocketAddress::Unspecified => Err(Errno(libc::EINVAL)),
    }
}

pub(super) fn bind(socket: SocketId, address: &SocketAddress) -> Answer<()> {
    let name = name(address)?;
    sockets(|sockets| sockets.bind(socket, name))
}

pub(super) fn listen(socket: SocketId, backlog: u32) -> Answer<()> {
    sockets(|sockets| sockets.listen(socket, backlog as usize, credentials()))
}

pub(super) fn connect(
    file: FileId,
    socket: SocketId,
    address: &SocketAddress,
    is_nonblocking: bool,
) -> Answer<()> {
    let is_datagram = sockets(|sockets| Ok(sockets.find(socket)?.kind == Kind::Datagram))?;
    if is_datagram && *address == SocketAddress::Unspecified {
        return sockets(|sockets| sockets.disconnect(socket));
    }
    let name = name(address)?;
    let until = deadline(file, libc::EPOLLOUT, is_nonblocking)?;
    while !sockets(|sockets| sockets.connect(socket, name, credentials()))? {
        wait_once(file, until, "room in the backlog of a Unix listener")?;
    }
    Ok(())
}

pub(super) fn accept(
    file: FileId,
    socket: SocketId,
    flags: c_int,
    is_nonblocking: bool,
) -> Answer<(c_int, SocketAddress)> {
    let until = deadline(file, libc::EPOLLIN, is_nonblocking)?;
    loop {
        if let Some(accepted) = sockets(|sockets| sockets.accept(socket))? {
            let descriptor = open_file(accepted, flags & libc::SOCK_NONBLOCK != 0)?;
            return Ok((descriptor, peer_address(accepted)?));
        }
        wait_once(file, until, "a connection to accept")?;
    }
}

pub(super) fn local_address(socket: SocketId) -> Answer<SocketAddress> {
    let name = sockets(|sockets| Ok(sockets.find(socket)?.name.clone()))?;
    Ok(SocketAddress::Unix(name.unwrap_or_default()))
}

pub(super) fn peer_address(socket: SocketId) -> Answer<SocketAddress> {
    sockets(|sockets| {
        let socket = sockets.find(socket)?;
        socket.peer.ok_or(Errno(libc::ENOTCONN))?;
        Ok(SocketAddress::Unix(socket.peer_name.clone().unwrap_or_default()))
    })
}

pub(super) fn shut_down(socket: SocketId, how: c_int) -> Answer<()> {
    sockets(|sockets| sockets.shut_down(socket, how != libc::SHUT_WR, how != libc::SHUT_RD))
}

pub(super) fn receive(
    file: FileId,
    socket: SocketId,
    into: &mut [IoSliceMut<'_>],
    flags: c_int,
    is_nonblocking: bool,
) -> Answer<Received> {
    let peek = flags & libc::MSG_PEEK != 0;
    let until = deadline(file, libc::EPOLLIN, is_nonblocking)?;
    let is_stream = sockets(|sockets| Ok(sockets.find(socket)?.kind == Kind::Stream))?;
    loop {
        let received = sockets(|sockets| {
            if is_stream {
                let read = sockets.read(socket, into, peek)?;
                return Ok(read.map(|bytes| Received { bytes, ..Received::default() }));
            }
            let found = sockets.receive(socket, into, peek, is_nonblocking)?;
            Ok(found.map(|found| Received {
                bytes: if flags & libc::MSG_TRUNC != 0 { found.length } else { found.copied },
                from: found.from.map(SocketAddress::Unix),
                is_truncated: found.copied < found.length,
                control: Control::default(),
            }))
        })?;
        if let Some(received) = received {
            return Ok(received);
        }
        wait_once(file, until, "data of a Unix socket")?;
    }
}

pub(super) fn send(
    file: FileId,
    socket: SocketId,
    from: &[IoSlice<'_>],
    to: Option<&SocketAddress>,
    control: Control,
    is_nonblocking: bool,
) -> Answer<usize> {
    if control.has_descriptors {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let what = "room to send to a Unix socket";
    let until = deadline(file, libc::EPOLLOUT, is_nonblocking)?;
    let to = to.map(name).transpose()?;
    let (kind, is_connected) = sockets(|sockets| {
        let found = sockets.find(socket)?;
        Ok((found.kind, found.peer.is_some()))
    })?;
    if kind != Kind::Stream {
        let whole = whole(from);
        while !sockets(|sockets| sockets.send(socket, &whole, to))? {
            wait_once(file, until, what)?;
        }
        return Ok(whole.len());
    }
    if to.is_some() {
        return Err(Errno(if is_connected { libc::EISCONN } else { libc::EOPNOTSUPP }));
    }
    let length: usize = from.iter().map(|piece| piece.len()).sum();
    let mut sent = 0;
    loop {
        let rest = skip(from, sent);
        match sockets(|sockets| sockets.write(socket, &rest)) {
            // The next call returns the error.
            Err(_) if sent > 0 => return Ok(sent),
            Err(error) => return Err(error),
            Ok(written) => sent += written.unwrap_or(0),
        }
        if sent == length {
            return Ok(sent);
        }
        match wait_once(file, until, what) {
            Err(_) if sent > 0 => return Ok(sent),
            waited => waited?,
        }
    }
}

/// Returns the value of an option of Unix sockets; `None` for other options.
pub(super) fn option(socket: SocketId, name: c_int) -> Answer<Option<Vec<c_int>>> {
    sockets(|sockets| {
        let found = sockets.find(socket)?;
        Ok(Some(match name {
            libc::SO_ERROR => vec![sockets.take_error(socket)?],
            libc::SO_TYPE => vec![match found.kind {
                Kind::Stream => libc::SOCK_STREAM,
                Kind::Datagram => libc::SOCK_DGRAM,
                Kind::SeqPacket => libc::SOCK_SEQPACKET,
            }],
            libc::SO_DOMAIN => vec![libc::AF_UNIX],
            libc::SO_PROTOCOL => vec![0],
            libc::SO_ACCEPTCONN => vec![c_int::from(found.is_listening())],
            libc::SO_PEERCRED => match found.peer_credentials {
                Some(Credentials { process, user, group }) => {
                    [process, user, group].map(|number| number as c_int).to_vec()
                }
                None => vec![0, -1, -1],
            },
            _ => return Ok(None),
        }))
    })
}

pub(super) fn available(socket: SocketId) -> Answer<usize> {
    sockets(|sockets| sockets.available(socket))
}

/// Closes a socket whose last descriptor was closed.
pub(super) fn close(socket: SocketId) {
    let closed = sockets(|sockets| {
        sockets.close(socket);
        Ok(())
    });
    let _ = closed;
}

/// Closes the sockets of a process that has ended.
pub(crate) fn close_process(process: ProcessId) {
    let closed = sockets(|sockets| {
        sockets.close_process(process);
        Ok(())
    });
    // If there are no descriptors, the run is over.
    let _ = closed;
}

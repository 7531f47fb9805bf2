//! Calls that open, bind, connect and close sockets. Calls that transfer data are in `transfer`.

mod transfer;

use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::engine;
use crate::interpose::system::{Answer, Errno, SocketAddress};
use crate::net::simulated::kernel::streams::ConnectionInfo;
use crate::net::simulated::kernel::{Kernel, with_host, with_own_kernel};
use crate::net::simulated::key::SocketKey;
use crate::system::descriptors::{FileId, FileKind, add_waiter, notify, open, with, with_file};
pub(super) use crate::system::sockets::transfer::{fill, receive, send, skip, whole};
use crate::system::threads::{Deadline, wait};
use crate::system::unix::SocketId;
use crate::system::{file_events, socket_options, unix};

/// The socket that a descriptor refers to.
#[derive(Clone, Copy)]
pub(super) enum Socket {
    Unconnected { key: SocketKey, v6: bool },
    Listener(SocketKey),
    Stream(ConnectionInfo),
    Datagrams { key: Option<SocketKey>, v6: bool },
    Unix(SocketId),
}

/// Returns the file and the socket of a descriptor, and whether calls on it must not block.
pub(super) fn find(descriptor: c_int) -> Answer<(FileId, Socket, bool)> {
    with_file(descriptor, |id, file| {
        let socket = match &file.kind {
            FileKind::Unconnected { key, v6 } => Socket::Unconnected { key: *key, v6: *v6 },
            FileKind::Listener { key } => Socket::Listener(*key),
            FileKind::Stream { info, .. } => Socket::Stream(*info),
            FileKind::Datagrams { key, v6 } => Socket::Datagrams { key: *key, v6: *v6 },
            FileKind::Unix(socket) => Socket::Unix(*socket),
            FileKind::Counter { .. }
            | FileKind::Epoll(_)
            | FileKind::PipeReader(_)
            | FileKind::PipeWriter(_)
            | FileKind::Random
            | FileKind::Uuid(_)
            | FileKind::Disk(_) => return Err(Errno(libc::ENOTSOCK)),
        };
        Ok((id, socket, file.is_nonblocking))
    })
}

/// Calls `f` with the kernel, on behalf of the running process.
pub(super) fn kernel<R>(f: impl FnOnce(&mut Kernel) -> io::Result<R>) -> Answer<R> {
    let run = engine::run_id().ok_or(Errno(libc::EBADF))?;
    with_own_kernel(run, f).and_then(|result| result).map_err(|error| errno(&error))
}

/// Like [`kernel`], for an operation that may find nothing yet.
pub(super) fn try_kernel<R>(
    f: impl FnOnce(&mut Kernel) -> Option<io::Result<R>>,
) -> Answer<Option<R>> {
    kernel(|kernel| f(kernel).transpose())
}

fn errno(error: &io::Error) -> Errno {
    // An error without a code: the kernel has closed the socket, or the code does not run on a machine.
    Errno(error.raw_os_error().unwrap_or(libc::EBADF))
}

fn set_kind(id: FileId, kind: FileKind) -> Answer<()> {
    with(|descriptors| {
        descriptors.file(id)?.kind = kind;
        Ok(())
    })
}

/// Returns when a call that waits for one of `events` gives up: at once if it must not block, otherwise after the file's
/// `SO_RCVTIMEO` or `SO_SNDTIMEO`.
pub(super) fn deadline(id: FileId, events: c_int, is_nonblocking: bool) -> Answer<Deadline> {
    if is_nonblocking {
        return Ok(Deadline::NOW);
    }
    let timeout = with(|descriptors| {
        let options = &descriptors.file(id)?.options;
        let is_read = events & libc::EPOLLIN != 0;
        Ok(if is_read { options.receive_timeout } else { options.send_timeout })
    })?;
    Ok(Deadline::after(timeout))
}

/// Waits until something happens to a file and it has one of `events`. For callers that have just found that it has none of
/// them.
///
/// # Errors
///
/// `EAGAIN` at the deadline.
pub(super) fn wait_for(
    id: FileId,
    events: c_int,
    deadline: Deadline,
    what: &'static str,
) -> Answer<()> {
    let wanted = (events | libc::EPOLLERR | libc::EPOLLHUP) as u32;
    loop {
        wait_once(id, deadline, what)?;
        if file_events::of(id) & wanted != 0 {
            return Ok(());
        }
    }
}

/// Waits until something happens to a file. It may also return for no reason.
///
/// # Errors
///
/// `EAGAIN` at the deadline.
pub(super) fn wait_once(id: FileId, deadline: Deadline, what: &'static str) -> Answer<()> {
    if deadline.has_passed() {
        return Err(Errno(libc::EAGAIN));
    }
    wait(deadline, what, |waker| {
        add_waiter(id, waker)?;
        file_events::watch(id);
        Ok(())
    })
}

pub(super) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> Answer<c_int> {
    let v6 = match domain {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        libc::AF_UNIX => return unix::socket(kind, protocol),
        _ => return Err(Errno(libc::EAFNOSUPPORT)),
    };
    let process = engine::live_scope().ok_or(Errno(libc::EIO))?.process;
    let file = match (kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC), protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => {
            let key = with_host(|kernel, host| Ok(kernel.new_socket(host, process, v6)));
            let key = key.map_err(|error| no_machine(&error))?;
            FileKind::Unconnected { key, v6 }
        }
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => {
            check_machine()?;
            FileKind::Datagrams { key: None, v6 }
        }
        (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => return Err(Errno(libc::EPROTONOSUPPORT)),
        _ => return Err(Errno(libc::ESOCKTNOSUPPORT)),
    };
    open(file, kind & libc::SOCK_NONBLOCK != 0)
}

/// Fails if the calling code has no machine, as in a plan.
pub(super) fn check_machine() -> Answer<()> {
    with_host(|_, _| Ok(())).map_err(|error| no_machine(&error))
}

/// Reports the run as broken, since a plan has no machine and its author must learn of the mistake.
fn no_machine(error: &io::Error) -> Errno {
    if engine::live_scope().is_some() {
        engine::break_run(error.to_string());
    }
    Errno(libc::ENETDOWN)
}

fn inet(address: &SocketAddress) -> Answer<SocketAddr> {
    match address {
        SocketAddress::Inet(address) => Ok(*address),
        SocketAddress::Unix(_) | SocketAddress::Unspecified => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Converts an address for a datagram of a socket of a family: an IPv6 socket takes IPv4 addresses mapped to IPv6.
fn for_family(address: SocketAddr, v6: bool) -> SocketAddr {
    match address {
        SocketAddr::V6(v6_address) if v6 => match v6_address.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), address.port()),
            None => address,
        },
        address => address,
    }
}

fn any(v6: bool) -> SocketAddr {
    let ip = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(ip, 0)
}

pub(super) fn bind(descriptor: c_int, address: &SocketAddress) -> Answer<()> {
    let (id, socket, _) = find(descriptor)?;
    if let Socket::Unix(socket) = socket {
        return unix::bind(socket, address);
    }
    let address = inet(address)?;
    match socket {
        Socket::Unconnected { key, .. } => kernel(|kernel| kernel.bind_socket(key, address)),
        Socket::Datagrams { key: None, v6 } => {
            if v6 != address.is_ipv6() {
                return Err(Errno(if v6 { libc::EINVAL } else { libc::EAFNOSUPPORT }));
            }
            bind_datagrams(id, address, v6).map(drop)
        }
        Socket::Listener(_) | Socket::Stream(_) | Socket::Datagrams { .. } | Socket::Unix(_) => {
            Err(Errno(libc::EINVAL))
        }
    }
}

fn bind_datagrams(id: FileId, address: SocketAddr, v6: bool) -> Answer<SocketKey> {
    let process = engine::live_scope().ok_or(Errno(libc::EIO))?.process;
    let options = socket_options::for_bind(id)?;
    let bound = with_host(|kernel, host| kernel.bind_datagrams(host, process, address, options));
    let (key, _) = bound.map_err(|error| errno(&error))?;
    set_kind(id, FileKind::Datagrams { key: Some(key), v6 })?;
    socket_options::apply_pending(id, key)?;
    file_events::watch(id);
    Ok(key)
}

pub(super) fn listen(descriptor: c_int, backlog: c_int) -> Answer<()> {
    let (id, socket, _) = find(descriptor)?;
    // Linux limits the backlog to `net.core.somaxconn`, by default 4,096. It interprets a negative number as unsigned.
    let backlog = u32::try_from(backlog).unwrap_or(u32::MAX).min(4_096);
    match socket {
        Socket::Unconnected { key, .. } => {
            kernel(|kernel| kernel.listen_socket(key, backlog))?;
            set_kind(id, FileKind::Listener { key })?;
            file_events::watch(id);
            Ok(())
        }
        Socket::Listener(key) => kernel(|kernel| {
            kernel.listener(key)?.backlog = backlog;
            Ok(())
        }),
        Socket::Stream(_) => Err(Errno(libc::EINVAL)),
        Socket::Datagrams { .. } => Err(Errno(libc::EOPNOTSUPP)),
        Socket::Unix(socket) => unix::listen(socket, backlog),
    }
}

pub(super) fn connect(descriptor: c_int, address: &SocketAddress) -> Answer<()> {
    let (id, socket, is_nonblocking) = find(descriptor)?;
    match socket {
        Socket::Unconnected { key, .. } => {
            let address = inet(address)?;
            let info = kernel(|kernel| kernel.connect_socket(key, address))?;
            set_kind(id, FileKind::Stream { info, is_read_shut: false })?;
            // The epoll instances and threads that watched the unconnected socket now watch the connection.
            notify(id);
            file_events::watch(id);
            wait_connected(id, info, is_nonblocking, libc::EINPROGRESS)
        }
        Socket::Stream(info) => match kernel(|kernel| Ok(kernel.connecting_and_error(info.key)))? {
            (true, _) => wait_connected(id, info, is_nonblocking, libc::EALREADY),
            (false, true) => {
                let error = take_error(info.key);
                disconnect(id, info)?;
                error.map_or(Ok(()), Err)
            }
            (false, false) => Err(Errno(libc::EISCONN)),
        },
        Socket::Listener(_) => Err(Errno(libc::EISCONN)),
        Socket::Unix(socket) => unix::connect(id, socket, address, is_nonblocking),
        Socket::Datagrams { key, v6 } => {
            if *address == SocketAddress::Unspecified {
                return match key {
                    Some(key) => kernel(|kernel| {
                        kernel.datagrams(key)?.peer = None;
                        Ok(())
                    }),
                    None => Ok(()),
                };
            }
            let address = for_family(inet(address)?, v6);
            let key = match key {
                Some(key) => key,
                None => bind_datagrams(id, any(v6), v6)?,
            };
            kernel(|kernel| kernel.connect_datagrams(key, address))
        }
    }
}

/// Waits until a connection is open, or returns `begun` if the call must not block.
fn wait_connected(
    id: FileId,
    info: ConnectionInfo,
    is_nonblocking: bool,
    begun: c_int,
) -> Answer<()> {
    let deadline = deadline(id, libc::EPOLLOUT, is_nonblocking)?;
    match wait_for(id, libc::EPOLLOUT, deadline, "the peer's answer to a connect") {
        // The call must not block, or its `SO_SNDTIMEO` has passed. The connect continues in the background.
        Err(Errno(libc::EAGAIN)) => return Err(Errno(begun)),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let Some(error) = take_error(info.key) else { return Ok(()) };
    disconnect(id, info)?;
    Err(error)
}

/// Disconnects a socket whose connect failed, so that it can be connected again.
fn disconnect(id: FileId, info: ConnectionInfo) -> Answer<()> {
    let process = engine::live_scope().ok_or(Errno(libc::EBADF))?.process;
    let v6 = info.local.is_ipv6();
    let key = with_host(|kernel, host| {
        kernel.close(info.key);
        Ok(kernel.new_socket(host, process, v6))
    });
    set_kind(id, FileKind::Unconnected { key: key.map_err(|error| errno(&error))?, v6 })
}

/// Takes the error of a connection.
pub(super) fn take_error(key: SocketKey) -> Option<Errno> {
    match kernel(|kernel| kernel.take_error(key)) {
        Ok(error) => error.map(|error| errno(&error)),
        Err(error) => Some(error),
    }
}

pub(super) fn accept(descriptor: c_int, flags: c_int) -> Answer<(c_int, SocketAddress)> {
    let (id, socket, is_nonblocking) = find(descriptor)?;
    if let Socket::Unix(socket) = socket {
        return unix::accept(id, socket, flags, is_nonblocking);
    }
    let deadline = deadline(id, libc::EPOLLIN, is_nonblocking)?;
    loop {
        // It may have been shut down meanwhile.
        let key = match find(descriptor)?.1 {
            Socket::Listener(key) => key,
            Socket::Datagrams { .. } => return Err(Errno(libc::EOPNOTSUPP)),
            Socket::Unconnected { .. } | Socket::Stream(_) | Socket::Unix(_) => {
                return Err(Errno(libc::EINVAL));
            }
        };
        let process = engine::live_scope().ok_or(Errno(libc::EBADF))?.process;
        if let Some(info) = try_kernel(|kernel| kernel.accept(key, process).transpose())? {
            let opened = open(
                FileKind::Stream { info, is_read_shut: false },
                flags & libc::SOCK_NONBLOCK != 0,
            )?;
            socket_options::inherit(id, opened)?;
            return Ok((opened, SocketAddress::Inet(info.peer)));
        }
        wait_for(id, libc::EPOLLIN, deadline, "a connection to accept")?;
    }
}

pub(super) fn local_address(descriptor: c_int) -> Answer<SocketAddress> {
    let address = match find(descriptor)?.1 {
        Socket::Unconnected { key, .. } | Socket::Listener(key) => {
            kernel(|kernel| kernel.socket_local(key))?
        }
        Socket::Stream(info) => info.local,
        Socket::Datagrams { key: Some(key), .. } => {
            kernel(|kernel| kernel.datagrams_local_addr(key))?
        }
        Socket::Datagrams { key: None, v6 } => any(v6),
        Socket::Unix(socket) => return unix::local_address(socket),
    };
    Ok(SocketAddress::Inet(address))
}

pub(super) fn peer_address(descriptor: c_int) -> Answer<SocketAddress> {
    let address = match find(descriptor)?.1 {
        Socket::Stream(info) => kernel(|kernel| kernel.peer(&info))?,
        Socket::Datagrams { key: Some(key), .. } => {
            kernel(|kernel| kernel.datagrams_peer_addr(key))?
        }
        Socket::Unconnected { .. } | Socket::Listener(_) | Socket::Datagrams { key: None, .. } => {
            return Err(Errno(libc::ENOTCONN));
        }
        Socket::Unix(socket) => return unix::peer_address(socket),
    };
    Ok(SocketAddress::Inet(address))
}

pub(super) fn shut_down(descriptor: c_int, how: c_int) -> Answer<()> {
    if !matches!(how, libc::SHUT_RD | libc::SHUT_WR | libc::SHUT_RDWR) {
        return Err(Errno(libc::EINVAL));
    }
    let (id, socket, _) = find(descriptor)?;
    match socket {
        Socket::Stream(info) => {
            kernel(|kernel| kernel.peer(&info))?;
            if how != libc::SHUT_RD {
                kernel(|kernel| kernel.shutdown(info.key))?;
            }
            if how != libc::SHUT_WR {
                set_kind(id, FileKind::Stream { info, is_read_shut: true })?;
            }
            notify(id);
            Ok(())
        }
        // The socket stops listening but keeps its port. Calls that wait for a connection end with `EINVAL`.
        Socket::Listener(key) if how != libc::SHUT_WR => {
            let process = engine::live_scope().ok_or(Errno(libc::EBADF))?.process;
            let address = kernel(|kernel| kernel.socket_local(key))?;
            let unconnected = with_host(|kernel, host| {
                kernel.close_listener(key);
                let unconnected = kernel.new_socket(host, process, address.is_ipv6());
                kernel.bind_socket(unconnected, address)?;
                Ok(unconnected)
            });
            let key = unconnected.map_err(|error| errno(&error))?;
            set_kind(id, FileKind::Unconnected { key, v6: address.is_ipv6() })?;
            notify(id);
            Ok(())
        }
        Socket::Listener(_) => Ok(()),
        Socket::Unconnected { .. } | Socket::Datagrams { .. } => Err(Errno(libc::ENOTCONN)),
        Socket::Unix(socket) => unix::shut_down(socket, how),
    }
}

/// Number of bytes that can be read at once.
pub(super) fn available(descriptor: c_int) -> Answer<usize> {
    match find(descriptor)?.1 {
        Socket::Stream(info) => kernel(|kernel| Ok(kernel.available(info.key))),
        Socket::Datagrams { key: Some(key), .. } => {
            kernel(|kernel| Ok(kernel.first_datagram_len(key)))
        }
        Socket::Datagrams { key: None, .. } => Ok(0),
        Socket::Unconnected { .. } | Socket::Listener(_) => Err(Errno(libc::EINVAL)),
        Socket::Unix(socket) => unix::available(socket),
    }
}

/// Closes the socket of a file whose last descriptor was closed.
pub(super) fn close(kind: &FileKind) {
    // Fails in an ended process, whose sockets the kernel of its machine has closed.
    let closed = match kind {
        FileKind::Unconnected { key, .. } | FileKind::Listener { key } => kernel(|kernel| {
            kernel.close_listener(*key);
            Ok(())
        }),
        FileKind::Stream { info, .. } => kernel(|kernel| {
            kernel.close(info.key);
            Ok(())
        }),
        FileKind::Datagrams { key: Some(key), .. } => kernel(|kernel| {
            kernel.close_datagrams(*key);
            Ok(())
        }),
        FileKind::Unix(socket) => {
            unix::close(*socket);
            Ok(())
        }
        FileKind::Datagrams { key: None, .. }
        | FileKind::Counter { .. }
        | FileKind::Epoll(_)
        | FileKind::PipeReader(_)
        | FileKind::PipeWriter(_)
        | FileKind::Random
        | FileKind::Uuid(_)
        | FileKind::Disk(_) => Ok(()),
    };
    let _ = closed;
}

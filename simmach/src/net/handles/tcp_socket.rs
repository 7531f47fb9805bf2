//! TCP sockets that are not connected or listening yet.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use crate::net::handles::{TcpListener, TcpStream};
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _};

/// A TCP socket before it connects or listens, used to set options: `tokio::net::TcpSocket`,
/// simulated in a run.
///
/// `SO_REUSEPORT` and binding to a device are not modelled.
pub struct TcpSocket(Inner);

enum Inner {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpSocket),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpSocket),
}

impl TcpSocket {
    /// Creates an IPv4 socket.
    ///
    /// # Errors
    ///
    /// If called outside a run.
    pub fn new_v4() -> io::Result<TcpSocket> {
        here! {
            simulated => sockets::TcpSocket::new_v4().map(|socket| Self(Inner::Simulated(socket))),
            real => tokio::net::TcpSocket::new_v4().map(|socket| Self(Inner::Real(socket))),
        }
    }

    /// Creates an IPv6 socket. If the socket listens on `::`, it accepts IPv4 connections too.
    ///
    /// # Errors
    ///
    /// If called outside a run.
    pub fn new_v6() -> io::Result<TcpSocket> {
        here! {
            simulated => sockets::TcpSocket::new_v6().map(|socket| Self(Inner::Simulated(socket))),
            real => tokio::net::TcpSocket::new_v6().map(|socket| Self(Inner::Real(socket))),
        }
    }

    /// Binds the socket to an address of its machine.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if a listener has the address, or a socket that does not [share](Self::set_reuseaddr) it;
    /// `AddrNotAvailable` if the address belongs to another machine; `InvalidInput` if the socket is already bound.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.bind(addr))
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// The same as [`TcpStream::connect`], and `AddrNotAvailable` if a connection with the same addresses and ports
    /// exists.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        either!(Inner of self.0,
            simulated socket => socket.connect(addr).await.map(TcpStream::simulated),
            real socket => socket.connect(addr).await.map(TcpStream::real))
    }

    /// Starts to listen. At most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another listener has the address.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        either!(Inner of self.0,
            simulated socket => socket.listen(backlog).map(TcpListener::simulated),
            real socket => socket.listen(backlog).map(TcpListener::real))
    }

    /// Returns the address that the socket is bound to. The port is 0 if it is not bound.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, socket => socket.local_addr())
    }

    /// Returns and clears the socket's pending error (`SO_ERROR`). In a run it is always `None`.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(Inner of &self.0,
            simulated socket => socket.local_addr().map(|_| None),
            real socket => socket.take_error())
    }

    /// Sets whether the socket shares its port with other sockets that allow it, as long as none of them listens
    /// (`SO_REUSEADDR`). Default: false; [`TcpListener::bind`] sets it.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_reuseaddr(reuseaddr))
    }

    /// Returns whether the socket shares its port (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        either!(Inner of &self.0, socket => socket.reuseaddr())
    }

    /// Sets whether the socket shares its port with other sockets that allow it, even while it listens (`SO_REUSEPORT`).
    /// Connections are distributed over the listeners by the addresses of both ends. Default: false.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    #[cfg(unix)]
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_reuseport(reuseport))
    }

    /// Returns whether the socket shares its port while it listens (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    #[cfg(unix)]
    pub fn reuseport(&self) -> io::Result<bool> {
        either!(Inner of &self.0, socket => socket.reuseport())
    }

    /// Sets whether an idle connection is probed (`SO_KEEPALIVE`). By default the first probe is sent after two
    /// hours.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_keepalive(keepalive))
    }

    /// Returns whether an idle connection is probed (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn keepalive(&self) -> io::Result<bool> {
        either!(Inner of &self.0, socket => socket.keepalive())
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`): data that is written but not acknowledged. As on Linux,
    /// [`send_buffer_size`](Self::send_buffer_size) returns twice this value, since the kernel counts its overhead.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_send_buffer_size(size))
    }

    /// Returns twice the size of the send buffer in bytes, as Linux does (`SO_SNDBUF`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        either!(Inner of &self.0, socket => socket.send_buffer_size())
    }

    /// Sets the size of the receive buffer in bytes (`SO_RCVBUF`): data that is received but not read. As on Linux,
    /// [`recv_buffer_size`](Self::recv_buffer_size) returns twice this value.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_recv_buffer_size(size))
    }

    /// Returns twice the size of the receive buffer in bytes, as Linux does (`SO_RCVBUF`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        either!(Inner of &self.0, socket => socket.recv_buffer_size())
    }
}

connection_options!(TcpSocket);
traffic_class!(TcpSocket);

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Inner of &self.0, inner => inner.fmt(f))
    }
}

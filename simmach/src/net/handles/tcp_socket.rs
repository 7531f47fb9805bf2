//! A socket before it connects or listens.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use crate::net::handles::{TcpListener, TcpStream};
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _};

/// A TCP socket that neither connects nor listens yet, to be given options: `tokio::net::TcpSocket`, simulated in a run.
///
/// Modelled: the options below. Not modelled: `SO_REUSEPORT` and devices.
pub struct TcpSocket(Kind);

enum Kind {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpSocket),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpSocket),
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// Outside a run.
    pub fn new_v4() -> io::Result<TcpSocket> {
        here! {
            simulated => sockets::TcpSocket::new_v4().map(|socket| Self(Kind::Simulated(socket))),
            real => tokio::net::TcpSocket::new_v4().map(|socket| Self(Kind::Real(socket))),
        }
    }

    /// A socket for IPv6, and for IPv4 too when it listens on `::`.
    ///
    /// # Errors
    ///
    /// Outside a run.
    pub fn new_v6() -> io::Result<TcpSocket> {
        here! {
            simulated => sockets::TcpSocket::new_v6().map(|socket| Self(Kind::Simulated(socket))),
            real => tokio::net::TcpSocket::new_v6().map(|socket| Self(Kind::Real(socket))),
        }
    }

    /// Binds it to an address of its machine.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when a listener has the address, or any socket that does not [share](Self::set_reuseaddr) it;
    /// `AddrNotAvailable` for an address of another machine; `InvalidInput` when it is bound already.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.bind(addr))
    }

    /// Connects it.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`]; and `AddrNotAvailable` when there is such a connection already.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        either!(Kind of self.0,
            simulated socket => socket.connect(addr).await.map(TcpStream::simulated),
            real socket => socket.connect(addr).await.map(TcpStream::real))
    }

    /// Lets it listen, with so many connections that may wait to be accepted.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another listener has the address.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        either!(Kind of self.0,
            simulated socket => socket.listen(backlog).map(TcpListener::simulated),
            real socket => socket.listen(backlog).map(TcpListener::real))
    }

    /// What it is bound to; port 0 when it is not.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, socket => socket.local_addr())
    }

    /// What it failed with: nothing does before it connects (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(Kind of &self.0,
            simulated socket => socket.local_addr().map(|_| None),
            real socket => socket.take_error())
    }

    /// Whether it shares its port with sockets that do too, unless one listens. Default: no; a
    /// [`TcpListener::bind`] does.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.set_reuseaddr(reuseaddr))
    }

    /// Whether it shares its port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        either!(Kind of &self.0, socket => socket.reuseaddr())
    }

    /// Probes its connection when that is silent for two hours (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.set_keepalive(keepalive))
    }

    /// Whether its connection is probed.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn keepalive(&self) -> io::Result<bool> {
        either!(Kind of &self.0, socket => socket.keepalive())
    }

    /// How many bytes may be written and not yet acknowledged. As on Linux, twice as much is told as was set: the other
    /// half is the kernel's own.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.set_send_buffer_size(size))
    }

    /// Twice what may be written and not yet acknowledged.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        either!(Kind of &self.0, socket => socket.send_buffer_size())
    }

    /// How many bytes may be received and not yet read; as [`set_send_buffer_size`](Self::set_send_buffer_size).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.set_recv_buffer_size(size))
    }

    /// Twice what may be received and not yet read.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        either!(Kind of &self.0, socket => socket.recv_buffer_size())
    }
}

connection_options!(TcpSocket);
traffic_class!(TcpSocket);

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Kind of &self.0, inner => inner.fmt(f))
    }
}

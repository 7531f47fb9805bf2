//! Datagrams.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::BufMut;

#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _, Readies as _};
use crate::net::{Interest, Ready, ToSocketAddrs};

/// A UDP socket: `tokio::net::UdpSocket`, simulated in a run.
///
/// There, links lose, duplicate and reorder datagrams as their profile says; what comes while 208 KiB wait to be read is
/// dropped, as on Linux; sending never waits.
pub struct UdpSocket(Kind);

enum Kind {
    #[cfg(feature = "sim")]
    Simulated(sockets::UdpSocket),
    #[cfg(feature = "real")]
    Real(tokio::net::UdpSocket),
}

impl UdpSocket {
    /// Binds to an address of the machine this runs on. Port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another socket is bound there, `AddrNotAvailable` for an address of another machine or when no
    /// port is free, and the lookup's own.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        here! {
            simulated => sockets::UdpSocket::bind(addr).await.map(|socket| Self(Kind::Simulated(socket))),
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::UdpSocket::bind(&addresses[..]).await.map(|socket| Self(Kind::Real(socket)))
            },
        }
    }

    /// Names the peer: [`send`](Self::send) goes there, and only what comes from there is received.
    ///
    /// # Errors
    ///
    /// `HostUnreachable` and `NetworkUnreachable` where no link leads there, and the lookup's own.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        either!(Kind of &self.0,
        simulated socket => socket.connect(addr).await,
        real socket => {
            let addresses = real::addresses(addr.target()?.into_owned()).await?;
            socket.connect(&addresses[..]).await
        })
    }

    /// Sends to an address.
    ///
    /// # Errors
    ///
    /// Where no link leads there; for more than 65,507 bytes (`EMSGSIZE`); `PermissionDenied` for a broadcast that is not
    /// [allowed](Self::set_broadcast); the refusal of an earlier datagram.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        either!(Kind of &self.0,
        simulated socket => socket.send_to(buf, target).await,
        real socket => {
            let addresses = real::addresses(target.target()?.into_owned()).await?;
            socket.send_to(buf, &addresses[..]).await
        })
    }

    /// As [`send_to`](Self::send_to), at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.try_send_to(buf, target))
    }

    /// Sends to the peer.
    ///
    /// # Errors
    ///
    /// Without a peer (`EDESTADDRREQ`); else as [`send_to`](Self::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.send(buf).await)
    }

    /// As [`send`](Self::send), at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.try_send(buf))
    }

    /// Receives a datagram, and where it came from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the peer's kernel said that nobody has the port.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.recv_from(buf).await)
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.peek_from(buf).await)
    }

    /// As [`recv_from`](Self::recv_from), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.try_recv_from(buf))
    }

    /// Receives a datagram: from the peer, if there is one.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.recv(buf).await)
    }

    /// As [`recv`](Self::recv), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.try_recv(buf))
    }

    /// As [`recv`](Self::recv), and leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.peek(buf).await)
    }

    /// As [`peek_from`](Self::peek_from), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.try_peek_from(buf))
    }

    /// As [`peek`](Self::peek), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.try_peek(buf))
    }

    /// As [`readable`](Self::readable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, socket => socket.poll_recv_ready(cx))
    }

    /// As [`writable`](Self::writable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, socket => socket.poll_send_ready(cx))
    }

    /// As [`send`](Self::send), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0, socket => socket.poll_send(cx, buf))
    }

    /// As [`send_to`](Self::send_to), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0, socket => socket.poll_send_to(cx, buf, target))
    }

    /// As [`recv_from`](Self::recv_from), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "tokio")]
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        either!(Kind of &self.0, socket => socket.poll_recv_from(cx, buf))
    }

    /// As [`recv`](Self::recv), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "tokio")]
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, socket => socket.poll_recv(cx, buf))
    }

    /// As [`peek_from`](Self::peek_from), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "tokio")]
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        either!(Kind of &self.0, socket => socket.poll_peek_from(cx, buf))
    }

    /// As [`peek`](Self::peek), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "tokio")]
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, socket => socket.poll_peek(cx, buf))
    }

    /// Where the next datagram comes from; it stays where it is.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, socket => socket.peek_sender().await)
    }

    /// As [`peek_sender`](Self::peek_sender), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, socket => socket.try_peek_sender())
    }

    /// As [`peek_sender`](Self::peek_sender), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        either!(Kind of &self.0, socket => socket.poll_peek_sender(cx))
    }

    /// As [`recv`](Self::recv), behind what the buffer holds.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.recv_buf(buf).await)
    }

    /// As [`recv_from`](Self::recv_from), behind what the buffer holds.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.recv_buf_from(buf).await)
    }

    /// As [`recv_buf`](Self::recv_buf), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Kind of &self.0, socket => socket.try_recv_buf(buf))
    }

    /// As [`recv_buf_from`](Self::recv_buf_from), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        either!(Kind of &self.0, socket => socket.try_recv_buf_from(buf))
    }

    /// Whether it may send to 255.255.255.255.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn broadcast(&self) -> io::Result<bool> {
        either!(Kind of &self.0, socket => socket.broadcast())
    }

    /// Allows it to send to 255.255.255.255: to all machines of its own zone, its own too, where a socket that is bound to
    /// `0.0.0.0` or `::` has the port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        either!(Kind of &self.0, socket => socket.set_broadcast(on))
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` without one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, socket => socket.peer_addr())
    }
}

readiness!(UdpSocket);
time_to_live!(UdpSocket);
traffic_class!(UdpSocket);

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Kind of &self.0, inner => inner.fmt(f))
    }
}

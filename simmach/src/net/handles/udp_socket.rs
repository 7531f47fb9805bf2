//! UDP sockets.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::BufMut;

#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _, Readiness as _};
use crate::net::{Interest, Ready, ToSocketAddrs};

/// A UDP socket: `tokio::net::UdpSocket`, simulated in a run.
///
/// In a run, links lose, duplicate and reorder datagrams as their profiles say. The receive queue holds 208 KiB, as on
/// Linux; datagrams that do not fit are dropped. Sending never waits.
pub struct UdpSocket(Inner);

enum Inner {
    #[cfg(feature = "sim")]
    Simulated(sockets::UdpSocket),
    #[cfg(feature = "real")]
    Real(tokio::net::UdpSocket),
}

impl UdpSocket {
    /// Binds to an address of this machine. Port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another socket is bound there; `AddrNotAvailable` if the address belongs to another machine or no
    /// port is free; errors of the name lookup.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        here! {
            simulated => sockets::UdpSocket::bind(addr).await.map(|socket| Self(Inner::Simulated(socket))),
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::UdpSocket::bind(&addresses[..]).await.map(|socket| Self(Inner::Real(socket)))
            },
        }
    }

    /// Sets the peer: [`send`](Self::send) sends to it, and only its datagrams are received.
    ///
    /// # Errors
    ///
    /// `HostUnreachable` if no link joins the two zones, `NetworkUnreachable` if no machine has the address; errors of
    /// the name lookup.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        either!(Inner of &self.0,
        simulated socket => socket.connect(addr).await,
        real socket => {
            let addresses = real::addresses(addr.target()?.into_owned()).await?;
            socket.connect(&addresses[..]).await
        })
    }

    /// Sends a datagram to an address.
    ///
    /// # Errors
    ///
    /// `HostUnreachable` or `NetworkUnreachable` if there is no route; `EMSGSIZE` for more than 65,507 bytes;
    /// `PermissionDenied` for a broadcast without [`set_broadcast`](Self::set_broadcast); `ConnectionRefused` if an
    /// earlier datagram was refused.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        either!(Inner of &self.0,
        simulated socket => socket.send_to(buf, target).await,
        real socket => {
            let addresses = real::addresses(target.target()?.into_owned()).await?;
            socket.send_to(buf, &addresses[..]).await
        })
    }

    /// Sends a datagram to an address without waiting.
    ///
    /// # Errors
    ///
    /// The same as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.try_send_to(buf, target))
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// `EDESTADDRREQ` if no peer is set; otherwise the same as [`send_to`](Self::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.send(buf).await)
    }

    /// Sends a datagram to the peer without waiting.
    ///
    /// # Errors
    ///
    /// The same as [`send`](Self::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.try_send(buf))
    }

    /// Receives a datagram; returns its length and its sender. Bytes that do not fit into `buf` are discarded.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if an earlier datagram to the peer reached a closed port.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.recv_from(buf).await)
    }

    /// Receives a datagram without removing it from the queue.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.peek_from(buf).await)
    }

    /// Receives a datagram if one is available.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.try_recv_from(buf))
    }

    /// Receives a datagram and returns its length. If a peer is set, only its datagrams are received.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.recv(buf).await)
    }

    /// Receives a datagram if one is available, as [`recv`](Self::recv) does.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.try_recv(buf))
    }

    /// Receives a datagram without removing it from the queue, and returns its length.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.peek(buf).await)
    }

    /// Receives a datagram, if one is available, without removing it from the queue.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.try_peek_from(buf))
    }

    /// Receives a datagram, if one is available, without removing it from the queue, and returns its length.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.try_peek(buf))
    }

    /// Polls for [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// The same as [`readable`](Self::readable).
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, socket => socket.poll_recv_ready(cx))
    }

    /// Polls for [`writable`](Self::writable).
    ///
    /// # Errors
    ///
    /// The same as [`writable`](Self::writable).
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, socket => socket.poll_send_ready(cx))
    }

    /// Polls for [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The same as [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0, socket => socket.poll_send(cx, buf))
    }

    /// Polls for [`send_to`](Self::send_to).
    ///
    /// # Errors
    ///
    /// The same as [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0, socket => socket.poll_send_to(cx, buf, target))
    }

    /// Polls for [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    #[cfg(feature = "tokio-io")]
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        either!(Inner of &self.0, socket => socket.poll_recv_from(cx, buf))
    }

    /// Polls for [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    #[cfg(feature = "tokio-io")]
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, socket => socket.poll_recv(cx, buf))
    }

    /// Polls for [`peek_from`](Self::peek_from).
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    #[cfg(feature = "tokio-io")]
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        either!(Inner of &self.0, socket => socket.poll_peek_from(cx, buf))
    }

    /// Polls for [`peek`](Self::peek).
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    #[cfg(feature = "tokio-io")]
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, socket => socket.poll_peek(cx, buf))
    }

    /// Returns the sender of the next datagram without removing it from the queue.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, socket => socket.peek_sender().await)
    }

    /// Returns the sender of the next datagram, if one is available.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, socket => socket.try_peek_sender())
    }

    /// Polls for [`peek_sender`](Self::peek_sender).
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        either!(Inner of &self.0, socket => socket.poll_peek_sender(cx))
    }

    /// Receives a datagram and appends it to `buf`; returns its length.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.recv_buf(buf).await)
    }

    /// Receives a datagram and appends it to `buf`; returns its length and its sender.
    ///
    /// # Errors
    ///
    /// The same as [`recv_from`](Self::recv_from).
    pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.recv_buf_from(buf).await)
    }

    /// Receives a datagram if one is available, and appends it to `buf`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Inner of &self.0, socket => socket.try_recv_buf(buf))
    }

    /// Receives a datagram if one is available, and appends it to `buf`; returns its length and its sender.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise the same as [`recv_from`](Self::recv_from).
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        either!(Inner of &self.0, socket => socket.try_recv_buf_from(buf))
    }

    /// Returns whether the socket may send to 255.255.255.255 (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn broadcast(&self) -> io::Result<bool> {
        either!(Inner of &self.0, socket => socket.broadcast())
    }

    /// Sets whether the socket may send to 255.255.255.255 (`SO_BROADCAST`). Such a datagram goes to every machine of the
    /// sender's zone, including the sender's own. Sockets bound to `0.0.0.0` or `::` receive it.
    ///
    /// # Errors
    ///
    /// If called outside the socket's run.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        either!(Inner of &self.0, socket => socket.set_broadcast(on))
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if no peer is set.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, socket => socket.peer_addr())
    }
}

readiness!(UdpSocket);
time_to_live!(UdpSocket);
traffic_class!(UdpSocket);

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Inner of &self.0, inner => inner.fmt(f))
    }
}

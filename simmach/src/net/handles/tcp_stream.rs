//! TCP connections.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;

use crate::net::handles::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _, Readiness as _};
use crate::net::{Interest, Ready, ToSocketAddrs};

/// A TCP connection: `tokio::net::TcpStream`, simulated in a run.
///
/// A stream implements `AsyncRead` and `AsyncWrite` of `futures::io`, and those of tokio with the
/// feature `tokio-io`. Dropping the stream closes the connection: data that was written is still
/// sent, followed by a FIN. If the process has not read all received data, the connection is reset
/// instead.
pub struct TcpStream(Inner);

enum Inner {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpStream),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpStream),
}

impl TcpStream {
    /// Connects to the first address that accepts.
    ///
    /// # Errors
    ///
    /// As on Linux:
    ///
    /// - `ConnectionRefused`, after one round trip, if no socket listens there;
    /// - `TimedOut`, by default after 127 s, if nothing answers: the machine has no power, or there is a partition;
    /// - `HostUnreachable`, at once, if no link joins the two zones;
    /// - `NetworkUnreachable`, at once, if no machine has the address;
    /// - `AddrNotAvailable` if all ephemeral ports are in use;
    /// - errors of the name lookup.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        here! {
            simulated => sockets::TcpStream::connect(addr).await.map(Self::simulated),
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::TcpStream::connect(&addresses[..]).await.map(Self::real)
            },
        }
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection was reset or both ends have closed it; if called outside the stream's run.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, stream => stream.peer_addr())
    }

    /// Polls for [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// The same as [`readable`](Self::readable).
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, stream => stream.poll_read_ready(cx))
    }

    /// Polls for [`writable`](Self::writable).
    ///
    /// # Errors
    ///
    /// The same as [`writable`](Self::writable).
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Inner of &self.0, stream => stream.poll_write_ready(cx))
    }

    /// Reads available bytes into `buf` and returns their number. 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if no bytes are available; the connection's error.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.try_read(buf))
    }

    /// Reads available bytes into several buffers, filling one after the other.
    ///
    /// # Errors
    ///
    /// The same as [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.try_read_vectored(bufs))
    }

    /// Reads available bytes and appends them to `buf`.
    ///
    /// # Errors
    ///
    /// The same as [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.try_read_buf(buf))
    }

    /// Writes as much of `buf` as the send buffer has room for, and returns the number of bytes.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; the connection's error.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.try_write(buf))
    }

    /// Writes several buffers in order, as far as the send buffer has room.
    ///
    /// # Errors
    ///
    /// The same as [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.try_write_vectored(bufs))
    }

    /// Reads bytes without removing them from the receive buffer.
    ///
    /// # Errors
    ///
    /// The connection's error.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Inner of &self.0, stream => stream.peek(buf).await)
    }

    /// Polls for [`peek`](Self::peek).
    ///
    /// # Errors
    ///
    /// The connection's error.
    #[cfg(feature = "tokio-io")]
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0, stream => stream.poll_peek(cx, buf))
    }

    /// Returns whether received data is acknowledged at once (`TCP_QUICKACK`). In a run the option is off by default
    /// and keeps its value; Linux starts with it on and may turn it off by itself.
    ///
    /// # Errors
    ///
    /// If called outside the stream's run.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn quickack(&self) -> io::Result<bool> {
        either!(Inner of &self.0, stream => stream.quickack())
    }

    /// Sets whether received data is acknowledged at once (`TCP_QUICKACK`) instead of after
    /// [the delay](crate::net::TcpConfig::delayed_ack).
    ///
    /// # Errors
    ///
    /// If called outside the stream's run.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        either!(Inner of &self.0, stream => stream.set_quickack(quickack))
    }

    /// Splits the stream into borrowed read and write halves.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrow_halves(self)
    }

    /// Splits the stream into owned halves, which can move to different tasks. Dropping the write half shuts down its
    /// direction.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::own_halves(self)
    }

    pub(super) fn poll_read_at(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0,
            simulated stream => stream.poll_read_at(cx, buf),
            real stream => real::poll_read(stream, cx, buf))
    }

    pub(super) fn poll_write_at(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0,
            simulated stream => stream.poll_write_at(cx, buf),
            real stream => real::poll_write(stream, cx, buf))
    }

    pub(super) fn poll_write_vectored_at(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(Inner of &self.0,
            simulated stream => stream.poll_write_vectored_at(cx, bufs),
            real stream => real::poll_write_vectored(stream, cx, bufs))
    }

    /// Shuts down the write direction: a FIN follows the data. As in tokio, this succeeds if the connection is already
    /// closed.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        either!(Inner of &self.0,
            simulated stream => stream.shut_down(),
            real stream => real::shut_down(stream))
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(stream: sockets::TcpStream) -> Self {
        Self(Inner::Simulated(stream))
    }

    #[cfg(feature = "real")]
    pub(super) fn real(stream: tokio::net::TcpStream) -> Self {
        Self(Inner::Real(stream))
    }

    /// Reads into a buffer that need not be initialized.
    #[cfg(feature = "tokio-io")]
    pub(super) fn poll_read_buf(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Inner of &self.0,
            simulated stream => stream.poll_read_buf(cx, buf),
            real stream => real::poll_read_buf(stream, cx, buf))
    }
}

readiness!(TcpStream);
time_to_live!(TcpStream);
connection_options!(TcpStream);

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Inner of &self.0, inner => inner.fmt(f))
    }
}

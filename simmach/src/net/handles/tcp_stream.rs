//! A connection.

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
use crate::net::simulated::sockets::{self, IpLevel as _, Readies as _};
use crate::net::{Interest, Ready, ToSocketAddrs};

/// A TCP connection: `tokio::net::TcpStream`, simulated in a run.
///
/// It reads and writes by the traits of `futures::io`, and by tokio's with the feature `tokio`. Dropped, it closes:
/// what was written still goes out and a FIN follows, unless bytes were left unread, which makes it a reset.
pub struct TcpStream(Kind);

enum Kind {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpStream),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpStream),
}

impl TcpStream {
    /// Connects, to the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// As on Linux: `ConnectionRefused` after a round trip when nothing listens there; `TimedOut` after 127 s when nothing
    /// answers (a machine without power, a partition); `HostUnreachable` at once when no link leads there and
    /// `NetworkUnreachable` when the address is nobody's; `AddrNotAvailable` when all ephemeral ports are in use; and
    /// the lookup's own.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        here! {
            simulated => sockets::TcpStream::connect(addr).await.map(Self::simulated),
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::TcpStream::connect(&addresses[..]).await.map(Self::real)
            },
        }
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over, by a reset or by both ends' FINs; outside its run.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, stream => stream.peer_addr())
    }

    /// As [`readable`](Self::readable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, stream => stream.poll_read_ready(cx))
    }

    /// As [`writable`](Self::writable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(Kind of &self.0, stream => stream.poll_write_ready(cx))
    }

    /// Reads what is there; zero is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there; the connection's failure.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.try_read(buf))
    }

    /// As [`try_read`](Self::try_read), into one buffer after the other.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.try_read_vectored(bufs))
    }

    /// As [`try_read`](Self::try_read), behind what the buffer holds.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.try_read_buf(buf))
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none; the connection's failure.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.try_write(buf))
    }

    /// As [`try_write`](Self::try_write), of several pieces in their order.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.try_write_vectored(bufs))
    }

    /// Reads, and leaves what was read where it is.
    ///
    /// # Errors
    ///
    /// The connection's failure.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Kind of &self.0, stream => stream.peek(buf).await)
    }

    /// As [`peek`](Self::peek), for a poll function.
    ///
    /// # Errors
    ///
    /// The connection's failure.
    #[cfg(feature = "tokio")]
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0, stream => stream.poll_peek(cx, buf))
    }

    /// Whether whatever comes is acknowledged at once (`TCP_QUICKACK`). In a run that is so only when it was set, and for as
    /// long; Linux begins so, and leaves it when it sees fit.
    ///
    /// # Errors
    ///
    /// Outside its run.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn quickack(&self) -> io::Result<bool> {
        either!(Kind of &self.0, stream => stream.quickack())
    }

    /// Lets whatever comes be acknowledged at once, or with what is sent.
    ///
    /// # Errors
    ///
    /// Outside its run.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        either!(Kind of &self.0, stream => stream.set_quickack(quickack))
    }

    /// Its two directions, borrowed.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(self)
    }

    /// Its two directions, each for a task of its own. A write half that is dropped shuts its direction down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(self)
    }

    pub(super) fn poll_read_at(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0,
            simulated stream => stream.poll_read_at(cx, buf),
            real stream => real::poll_read(stream, cx, buf))
    }

    pub(super) fn poll_write_at(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0,
            simulated stream => stream.poll_write_at(cx, buf),
            real stream => real::poll_write(stream, cx, buf))
    }

    pub(super) fn poll_write_vectored_at(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0,
            simulated stream => stream.poll_write_vectored_at(cx, bufs),
            real stream => real::poll_write_vectored(stream, cx, bufs))
    }

    /// No more is written: a FIN follows what was. As with tokio, it is no error that nothing is left to shut.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        either!(Kind of &self.0,
            simulated stream => stream.shut_down(),
            real stream => real::shut_down(stream))
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(stream: sockets::TcpStream) -> Self {
        Self(Kind::Simulated(stream))
    }

    #[cfg(feature = "real")]
    pub(super) fn real(stream: tokio::net::TcpStream) -> Self {
        Self(Kind::Real(stream))
    }

    /// Reads into what need not be initialised.
    #[cfg(feature = "tokio")]
    pub(super) fn poll_read_buf(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(Kind of &self.0,
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
        either!(Kind of &self.0, inner => inner.fmt(f))
    }
}

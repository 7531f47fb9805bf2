//! A connection.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BufMut;
use futures::io::{AsyncRead, AsyncWrite};

use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
#[cfg(feature = "sim")]
use crate::net::simulated;
use crate::net::{Interest, Ready, ToSocketAddrs};
#[cfg(feature = "real")]
use crate::real::net as real;

/// A TCP connection: `tokio::net::TcpStream`, simulated in a run.
///
/// It reads and writes by the traits of `futures::io`, and by tokio's with the feature `tokio`. Dropped, it closes:
/// what was written still goes out and a FIN follows, unless bytes were left unread, which makes it a reset.
pub struct TcpStream(Kind);

enum Kind {
    #[cfg(feature = "sim")]
    Simulated(simulated::TcpStream),
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
            simulated => simulated::TcpStream::connect(addr).await.map(Self::simulated),
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::TcpStream::connect(&addresses[..]).await.map(Self::real)
            },
        }
    }

    /// Its own address.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, stream => stream.local_addr())
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over, by a reset or by both ends' FINs; outside its run.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, stream => stream.peer_addr())
    }

    /// Waits for bytes, the end of the stream or an error.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn readable(&self) -> io::Result<()> {
        either!(Kind of &self.0, stream => stream.readable().await)
    }

    /// Waits for room to write, or an error.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn writable(&self) -> io::Result<()> {
        either!(Kind of &self.0, stream => stream.writable().await)
    }

    /// Waits until it is ready for one thing of `interest`, and tells for what of it.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        either!(Kind of &self.0,
            simulated stream => stream.ready(interest).await,
            real stream => Ok(stream.ready(interest.into()).await?.into()))
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

    /// What the connection failed with, if that was not yet told; it is told with this (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(Kind of &self.0, stream => stream.take_error())
    }

    /// Does `f` if it is ready for `interest`, in one go with asking.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it is not; else what `f` says.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        either!(Kind of &self.0,
            simulated own => if own.is_ready(interest)? { f() } else { Err(io::ErrorKind::WouldBlock.into()) },
            real own => own.try_io(interest.into(), f))
    }

    /// Does `f` once it is ready for `interest`, and again as long as `f` says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Any other that `f` says; outside its run.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        either!(Kind of &self.0,
            simulated own => {
                let mut f = f;
                loop {
                    own.ready(interest).await?;
                    match f() {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            crate::task::yield_now().await;
                        }
                        result => break result,
                    }
                }
            },
            real own => own.async_io(interest.into(), f).await)
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
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(Kind of &self.0,
            simulated stream => stream.poll_peek(cx, buf),
            real stream => stream.poll_peek(cx, &mut tokio::io::ReadBuf::new(buf)))
    }

    /// Whether small writes go out at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn nodelay(&self) -> io::Result<bool> {
        either!(Kind of &self.0, stream => stream.nodelay())
    }

    /// Lets small writes go out at once, or gathers them by Nagle's rule.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        either!(Kind of &self.0, stream => stream.set_nodelay(nodelay))
    }

    /// What was set by [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        either!(Kind of &self.0, stream => stream.linger())
    }

    /// How it closes (`SO_LINGER`): with zero, by a reset that drops what was not yet acknowledged. Any other value closes
    /// as usual, in the background; a drop never blocks.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        #[allow(deprecated, reason = "tokio warns of a drop that blocks")]
        {
            either!(Kind of &self.0, stream => stream.set_linger(dur))
        }
    }

    /// Closes by a reset that drops what was not yet acknowledged, in place of the usual end.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        either!(Kind of &self.0, stream => stream.set_zero_linger())
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
    pub(super) fn simulated(stream: simulated::TcpStream) -> Self {
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

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_at(cx, buf)
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_at(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_at(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_down())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_at(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_at(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_at(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_down())
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Kind of &self.0, inner => inner.fmt(f))
    }
}

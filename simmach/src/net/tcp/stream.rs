//! A connection.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BufMut;
use futures::io::{AsyncRead, AsyncWrite};

use crate::{
    engine::{self, RunId},
    net::{
        Interest, Ready, ToSocketAddrs, error,
        fabric::{enter, enter_any, tcp::Opened},
        lookup::no_address,
        tcp::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf},
        wait::{Place, Waited},
        wakers::Seat,
    },
};

/// A TCP connection: `tokio::net::TcpStream`, simulated.
///
/// It reads and writes by the traits of `futures::io`, and by tokio's with the feature `tokio`. Dropped, it closes:
/// what was written still goes out and a FIN follows, unless bytes were left unread, which makes it a reset.
pub struct TcpStream {
    run: RunId,
    opened: Opened,
}

impl TcpStream {
    pub(super) fn new(run: RunId, opened: Opened) -> Self {
        Self { run, opened }
    }

    /// Connects, to the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// As on Linux: `ConnectionRefused` after a round trip when nothing listens there; `TimedOut` after 127 s when nothing
    /// answers (a machine without power, a partition); `HostUnreachable` at once when no link leads there and
    /// `NetworkUnreachable` when the address is nobody's; `AddrNotAvailable` when all ephemeral ports are in use; and
    /// the lookup's own.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let mut last = no_address();
        for address in addr.resolve()? {
            let begun = enter_any(|fabric, host| {
                let opened = fabric.connect(host, process, address)?;
                Ok(TcpStream { run: fabric.run(), opened })
            });
            let connected = match begun {
                // Given up while it waits, it is dropped and so closed.
                Ok(stream) => stream.established().await.map(|()| stream),
                Err(error) => Err(error),
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) async fn established(&self) -> io::Result<()> {
        let waited = self.waited(Place::Write, "an answer from");
        waited.until(|fabric| fabric.connected(self.opened.key)).await
    }

    /// Its own address.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |_| self.opened.local)
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over, by a reset or by both ends' FINs; outside its run.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |fabric| fabric.peer(&self.opened))?
    }

    /// Waits for bytes, the end of the stream or an error.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn readable(&self) -> io::Result<()> {
        let waited = self.waited(Place::Read, "data from");
        waited.until(|fabric| fabric.can_read(self.opened.key)).await
    }

    /// Waits for room to write, or an error.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn writable(&self) -> io::Result<()> {
        let waited = self.waited(Place::Write, "room to write to");
        waited.until(|fabric| fabric.can_write(self.opened.key)).await
    }

    /// Waits until it is ready for one thing of `interest`, and tells for what of it.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let key = self.opened.key;
        let reads = interest.is_readable().then(|| self.waited(Place::Read, "data from").seated());
        let writes =
            interest.is_writable().then(|| self.waited(Place::Write, "room to write to").seated());
        poll_fn(|cx| {
            let read = reads.as_ref().map(|seat| seat.poll(cx, |fabric| fabric.can_read(key)));
            let written = writes.as_ref().map(|seat| seat.poll(cx, |fabric| fabric.can_write(key)));
            for done in [read, written].into_iter().flatten() {
                if let Poll::Ready(result) = done {
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        })
        .await?;
        enter(self.run, |fabric| fabric.readiness(key, interest))?
    }

    /// As [`readable`](Self::readable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waited = self.waited(Place::Read, "data from");
        waited.poll(cx, Seat::Poll, |fabric| fabric.can_read(self.opened.key))
    }

    /// As [`writable`](Self::writable), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waited = self.waited(Place::Write, "room to write to");
        waited.poll(cx, Seat::Poll, |fabric| fabric.can_write(self.opened.key))
    }

    /// What the connection failed with, if that was not yet told; it is told with this (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        enter(self.run, |fabric| {
            let failure = fabric.socket(self.opened.key)?.connection.take_failure();
            Ok(failure.map(|failure| error::failed(failure, self.opened.peer)))
        })?
    }

    /// Reads what is there; zero is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there; the connection's failure.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let read = enter(self.run, |fabric| fabric.read(self.opened.key, buf, false))?;
        read.unwrap_or_else(|| Err(error::would_block()))
    }

    /// As [`try_read`](Self::try_read), into one buffer after the other.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let read = enter(self.run, |fabric| fabric.read_vectored(self.opened.key, bufs))?;
        read.unwrap_or_else(|| Err(error::would_block()))
    }

    /// As [`try_read`](Self::try_read), behind what the buffer holds.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let mut bytes = vec![0; self.at_hand().max(1).min(buf.remaining_mut())];
        let read = self.try_read(&mut bytes)?;
        buf.put_slice(&bytes[..read]);
        Ok(read)
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none; the connection's failure.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = enter(self.run, |fabric| fabric.write(self.opened.key, buf))?;
        written.unwrap_or_else(|| Err(error::would_block()))
    }

    /// As [`try_write`](Self::try_write), of several pieces in their order.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = enter(self.run, |fabric| fabric.write_vectored(self.opened.key, bufs))?;
        written.unwrap_or_else(|| Err(error::would_block()))
    }

    /// Reads, and leaves what was read where it is.
    ///
    /// # Errors
    ///
    /// The connection's failure.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let waited = self.waited(Place::Read, "data from");
        waited.until(|fabric| fabric.read(self.opened.key, buf, true)).await
    }

    /// As [`peek`](Self::peek), for a poll function.
    ///
    /// # Errors
    ///
    /// The connection's failure.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let waited = self.waited(Place::Read, "data from");
        waited.poll(cx, Seat::Poll, |fabric| fabric.read(self.opened.key, buf, true))
    }

    /// Whether small writes go out at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn nodelay(&self) -> io::Result<bool> {
        let key = self.opened.key;
        enter(self.run, |fabric| Ok(fabric.socket(key)?.connection.nodelay()))?
    }

    /// Lets small writes go out at once, or gathers them by Nagle's rule.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        enter(self.run, |fabric| fabric.set_nodelay(self.opened.key, nodelay))?
    }

    /// What was set by [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        enter(self.run, |fabric| Ok(fabric.socket(self.opened.key)?.linger))?
    }

    /// How it closes (`SO_LINGER`): with zero, by a reset that drops what was not yet acknowledged. Any other value closes
    /// as usual, in the background; a drop never blocks.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        enter(self.run, |fabric| {
            fabric.socket(self.opened.key)?.linger = dur;
            Ok(())
        })?
    }

    /// Closes by a reset that drops what was not yet acknowledged, in place of the usual end.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
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
        let waited = self.waited(Place::Read, "data from");
        waited.poll(cx, Seat::Poll, |fabric| fabric.read(self.opened.key, buf, false))
    }

    /// How many bytes a read would find; none outside its run.
    pub(super) fn at_hand(&self) -> usize {
        enter(self.run, |fabric| fabric.at_hand(self.opened.key)).unwrap_or(0)
    }

    pub(super) fn poll_write_at(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let waited = self.waited(Place::Write, "room to write to");
        waited.poll(cx, Seat::Poll, |fabric| fabric.write(self.opened.key, buf))
    }

    pub(super) fn poll_write_vectored_at(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let waited = self.waited(Place::Write, "room to write to");
        waited.poll(cx, Seat::Poll, |fabric| fabric.write_vectored(self.opened.key, bufs))
    }

    /// No more is written: a FIN follows what was. As with tokio, it is no error that nothing is left to shut.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        enter(self.run, |fabric| fabric.shutdown(self.opened.key))?
    }

    fn waited(&self, place: Place, what: &'static str) -> Waited {
        Waited { run: self.run, key: self.opened.key, place, what, address: self.opened.peer }
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

impl Drop for TcpStream {
    fn drop(&mut self) {
        // Outside the run, or as a dead process's, there is nothing to close.
        let _ = enter(self.run, |fabric| fabric.close(self.opened.key));
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Opened { local, peer, .. } = &self.opened;
        f.debug_struct("TcpStream").field("addr", local).field("peer", peer).finish()
    }
}

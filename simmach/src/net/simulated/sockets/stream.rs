//! Simulated TCP connections.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;

use crate::engine::{self, RunId};
use crate::net::simulated::kernel::socket::{IpOptions, Linger};
use crate::net::simulated::kernel::streams::ConnectionInfo;
use crate::net::simulated::kernel::wakers::WaitSlot;
use crate::net::simulated::kernel::{error, try_with_own_kernel, with_host, with_own_kernel};
use crate::net::simulated::sockets::ip_level::{IpLevel, SocketKind};
use crate::net::simulated::sockets::readiness::Readiness;
use crate::net::simulated::sockets::resolve;
use crate::net::simulated::sockets::resolve::no_address;
use crate::net::simulated::sockets::wait::{SocketWait, WaitList};
use crate::net::{Interest, Ready, ToSocketAddrs};

pub(crate) struct TcpStream {
    run: RunId,
    info: ConnectionInfo,
}

impl TcpStream {
    pub(crate) fn new(run: RunId, info: ConnectionInfo) -> Self {
        Self { run, info }
    }

    pub(crate) async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let mut last = no_address();
        for address in resolve(addr.target()?)? {
            let begun = with_host(|kernel, host| {
                let info = kernel.connect(host, process, address)?;
                Ok(TcpStream { run: kernel.run(), info })
            });
            let connected = match begun {
                // Dropping the future drops the stream, which closes it.
                Ok(stream) => stream.wait_established().await.map(|()| stream),
                Err(error) => Err(error),
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(crate) async fn wait_established(&self) -> io::Result<()> {
        let wait = self.wait_on(WaitList::Write, "an answer from");
        wait.until(|kernel| kernel.connected(self.info.key)).await
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |_| self.info.local)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |kernel| kernel.peer(&self.info))?
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        let wait = self.wait_on(WaitList::Read, "data from");
        wait.until(|kernel| kernel.can_read(self.info.key)).await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        let wait = self.wait_on(WaitList::Write, "room to write to");
        wait.until(|kernel| kernel.can_write(self.info.key)).await
    }

    async fn wait_for(&self, interest: Interest) -> io::Result<()> {
        let key = self.info.key;
        let reads =
            interest.is_readable().then(|| self.wait_on(WaitList::Read, "data from").in_own_slot());
        let writes = interest
            .is_writable()
            .then(|| self.wait_on(WaitList::Write, "room to write to").in_own_slot());
        poll_fn(|cx| {
            let read = reads.as_ref().map(|slot| slot.poll(cx, |kernel| kernel.can_read(key)));
            let written = writes.as_ref().map(|slot| slot.poll(cx, |kernel| kernel.can_write(key)));
            for done in [read, written].into_iter().flatten() {
                if let Poll::Ready(result) = done {
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        })
        .await
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wait = self.wait_on(WaitList::Read, "data from");
        wait.poll(cx, WaitSlot::Poll, |kernel| kernel.can_read(self.info.key))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wait = self.wait_on(WaitList::Write, "room to write to");
        wait.poll(cx, WaitSlot::Poll, |kernel| kernel.can_write(self.info.key))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        with_own_kernel(self.run, |kernel| kernel.take_error(self.info.key))?
    }

    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let read = with_own_kernel(self.run, |kernel| kernel.read(self.info.key, buf, false))?;
        read.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let read = with_own_kernel(self.run, |kernel| kernel.read_vectored(self.info.key, bufs))?;
        read.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        // As in tokio: as much as the buffer has room for without growing.
        let mut bytes = vec![0; self.available().max(1).min(buf.chunk_mut().len())];
        let read = self.try_read(&mut bytes)?;
        buf.put_slice(&bytes[..read]);
        Ok(read)
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = with_own_kernel(self.run, |kernel| kernel.write(self.info.key, buf))?;
        written.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written =
            with_own_kernel(self.run, |kernel| kernel.write_vectored(self.info.key, bufs))?;
        written.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let wait = self.wait_on(WaitList::Read, "data from");
        wait.until(|kernel| kernel.read(self.info.key, buf, true)).await
    }

    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_read_or_peek(cx, buf, true)
    }

    pub(crate) fn quickack(&self) -> io::Result<bool> {
        let key = self.info.key;
        with_own_kernel(self.run, |kernel| Ok(kernel.socket(key)?.connection.quick_ack()))?
    }

    pub(crate) fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.set_quick_ack(self.info.key, quickack))?
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        let key = self.info.key;
        with_own_kernel(self.run, |kernel| Ok(kernel.socket(key)?.connection.nodelay()))?
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.set_nodelay(self.info.key, nodelay))?
    }

    pub(crate) fn linger(&self) -> io::Result<Option<Duration>> {
        with_own_kernel(self.run, |kernel| {
            Ok(kernel.socket(self.info.key)?.linger.map(Duration::from))
        })?
    }

    pub(crate) fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| {
            kernel.socket(self.info.key)?.linger = dur.map(Linger::from);
            Ok(())
        })?
    }

    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    pub(crate) fn poll_read_at(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let wait = self.wait_on(WaitList::Read, "data from");
        wait.poll(cx, WaitSlot::Poll, |kernel| kernel.read(self.info.key, buf, false))
    }

    /// Number of bytes available to read. 0 outside the run.
    fn available(&self) -> usize {
        with_own_kernel(self.run, |kernel| kernel.available(self.info.key)).unwrap_or(0)
    }

    #[cfg(feature = "tokio-io")]
    #[inline]
    pub(crate) fn poll_read_buf(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_or_peek(cx, buf, false).map_ok(drop)
    }

    /// Initializes only the bytes that will be filled: a reader's buffer is large, and most polls
    /// find nothing.
    #[cfg(feature = "tokio-io")]
    #[inline]
    fn poll_read_or_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
        peek: bool,
    ) -> Poll<io::Result<usize>> {
        let key = self.info.key;
        let wait = self.wait_on(WaitList::Read, "data from");
        let read = std::task::ready!(wait.poll(cx, WaitSlot::Poll, |kernel| {
            let room = buf.remaining();
            kernel.read_up_to(key, room, |bytes| buf.initialize_unfilled_to(bytes), peek)
        }))?;
        buf.advance(read);
        Poll::Ready(Ok(read))
    }

    #[inline]
    pub(crate) fn poll_write_at(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wait = self.wait_on(WaitList::Write, "room to write to");
        wait.poll(cx, WaitSlot::Poll, |kernel| kernel.write(self.info.key, buf))
    }

    pub(crate) fn poll_write_vectored_at(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wait = self.wait_on(WaitList::Write, "room to write to");
        wait.poll(cx, WaitSlot::Poll, |kernel| kernel.write_vectored(self.info.key, bufs))
    }

    /// Shuts down the write direction. As in tokio, this succeeds if the connection is already closed.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.shutdown(self.info.key))?
    }

    fn wait_on(&self, list: WaitList, what: &'static str) -> SocketWait<'_> {
        SocketWait { run: self.run, key: self.info.key, list, what, address: &self.info.peer }
    }
}

impl Readiness for TcpStream {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.wait_for(interest).await?;
        self.readiness(interest)
    }

    fn readiness(&self, interest: Interest) -> io::Result<Ready> {
        with_own_kernel(self.run, |kernel| kernel.readiness(self.info.key, interest))?
    }

    fn clear(&self, interest: Interest) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.clear_readiness(self.info.key, interest))?
    }
}

impl IpLevel for TcpStream {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, SocketKind) -> R) -> io::Result<R> {
        with_own_kernel(self.run, |kernel| {
            Ok(f(&mut kernel.socket(self.info.key)?.ip, SocketKind::Stream))
        })?
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        // Fails only outside the run or in a dead process, where there is nothing to close.
        let _ = try_with_own_kernel(self.run, |kernel| kernel.close(self.info.key));
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionInfo { local, peer, .. } = &self.info;
        f.debug_struct("TcpStream").field("addr", local).field("peer", peer).finish()
    }
}

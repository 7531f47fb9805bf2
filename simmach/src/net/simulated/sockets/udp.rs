//! Simulated UDP sockets.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::BufMut;

use crate::engine::{self, RunId};
use crate::net::simulated::kernel::datagrams::BindOptions;
use crate::net::simulated::kernel::socket::IpOptions;
use crate::net::simulated::kernel::wakers::WaitSlot;
use crate::net::simulated::kernel::{
    Kernel, error, try_with_own_kernel, with_host, with_own_kernel,
};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::sockets::ip_level::{IpLevel, SocketKind};
use crate::net::simulated::sockets::readiness::Readiness;
use crate::net::simulated::sockets::resolve;
use crate::net::simulated::sockets::resolve::{first_success, no_address};
use crate::net::simulated::sockets::wait::{SocketWait, WaitList};
use crate::net::{Interest, Ready, ToSocketAddrs};

pub(crate) struct UdpSocket {
    run: RunId,
    key: SocketKey,
    local: SocketAddr,
}

impl UdpSocket {
    pub(crate) async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let addresses = resolve(addr.target()?)?;
        with_host(|kernel, host| {
            let (key, local) = first_success(&addresses, |address| {
                kernel.bind_datagrams(host, process, address, BindOptions::default())
            })?;
            Ok(UdpSocket { run: kernel.run(), key, local })
        })
    }

    pub(crate) async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addresses = resolve(addr.target()?)?;
        with_own_kernel(self.run, |kernel| {
            first_success(&addresses, |address| kernel.connect_datagrams(self.key, address))
        })?
    }

    pub(crate) async fn send_to<A: ToSocketAddrs>(
        &self,
        buf: &[u8],
        target: A,
    ) -> io::Result<usize> {
        let target = resolve(target.target()?)?.first().copied().ok_or_else(no_address)?;
        self.try_send_to(buf, target)
    }

    pub(crate) fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        with_own_kernel(self.run, |kernel| kernel.send_datagram(self.key, buf, Some(target)))?
    }

    pub(crate) async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send(buf)
    }

    pub(crate) fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        with_own_kernel(self.run, |kernel| kernel.send_datagram(self.key, buf, None))?
    }

    pub(crate) async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.wait_on().until(|kernel| kernel.receive_datagram(self.key, buf, false)).await
    }

    pub(crate) async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.wait_on().until(|kernel| kernel.receive_datagram(self.key, buf, true)).await
    }

    pub(crate) fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received =
            with_own_kernel(self.run, |kernel| kernel.receive_datagram(self.key, buf, false))?;
        received.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    pub(crate) async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
    }

    pub(crate) fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let looked =
            with_own_kernel(self.run, |kernel| kernel.receive_datagram(self.key, buf, true))?;
        looked.unwrap_or_else(|| Err(error::would_block()))
    }

    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.wait_on().until(|kernel| kernel.can_receive(self.key)).await
    }

    pub(crate) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wait_on().poll(cx, WaitSlot::Poll, |kernel| kernel.can_receive(self.key))
    }

    pub(crate) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let can_send =
            |kernel: &mut Kernel| kernel.datagram_readiness_if_any(self.key, Interest::WRITABLE);
        self.wait_on().poll(cx, WaitSlot::Poll, can_send).map_ok(drop)
    }

    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_first(cx, buf, false)
    }

    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_first(cx, buf, false).map_ok(drop)
    }

    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_first(cx, buf, true)
    }

    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_first(cx, buf, true).map_ok(drop)
    }

    /// Initializes only the bytes that will be filled.
    #[cfg(feature = "tokio-io")]
    fn poll_first(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
        peek: bool,
    ) -> Poll<io::Result<SocketAddr>> {
        let (length, from) =
            std::task::ready!(self.wait_on().poll(cx, WaitSlot::Poll, |kernel| {
                let room = kernel.first_datagram_len(self.key).min(buf.remaining());
                kernel.receive_datagram(self.key, buf.initialize_unfilled_to(room), peek)
            }))?;
        buf.advance(length);
        Poll::Ready(Ok(from))
    }

    pub(crate) async fn peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.peek_from(&mut []).await?.1)
    }

    pub(crate) fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.try_peek_from(&mut [])?.1)
    }

    pub(crate) fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        let look = |kernel: &mut Kernel| kernel.receive_datagram(self.key, &mut [], true);
        self.wait_on().poll(cx, WaitSlot::Poll, look).map_ok(|(_, from)| from)
    }

    pub(crate) async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    pub(crate) async fn recv_buf_from<B: BufMut>(
        &self,
        buf: &mut B,
    ) -> io::Result<(usize, SocketAddr)> {
        self.wait_on().until(|kernel| self.receive_into(kernel, buf)).await
    }

    pub(crate) fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.try_recv_buf_from(buf)?.0)
    }

    pub(crate) fn try_recv_buf_from<B: BufMut>(
        &self,
        buf: &mut B,
    ) -> io::Result<(usize, SocketAddr)> {
        let received = with_own_kernel(self.run, |kernel| self.receive_into(kernel, buf))?;
        received.unwrap_or_else(|| Err(error::would_block()))
    }

    /// As in tokio: reads as much as the buffer has room for without growing.
    fn receive_into<B: BufMut>(
        &self,
        kernel: &mut Kernel,
        buf: &mut B,
    ) -> Option<io::Result<(usize, SocketAddr)>> {
        let mut bytes = vec![0; kernel.first_datagram_len(self.key).min(buf.chunk_mut().len())];
        let received = kernel.receive_datagram(self.key, &mut bytes, false)?;
        Some(received.inspect(|(length, _)| buf.put_slice(&bytes[..*length])))
    }

    pub(crate) fn poll_send(&self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.try_send(buf))
    }

    pub(crate) fn poll_send_to(
        &self,
        _: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.try_send_to(buf, target))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        with_own_kernel(self.run, |kernel| kernel.take_datagram_error(self.key))?
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    pub(crate) fn broadcast(&self) -> io::Result<bool> {
        with_own_kernel(self.run, |kernel| Ok(kernel.datagrams(self.key)?.broadcast))?
    }

    pub(crate) fn set_broadcast(&self, on: bool) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| {
            kernel.datagrams(self.key)?.broadcast = on;
            Ok(())
        })?
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |kernel| kernel.datagrams_local_addr(self.key))?
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |kernel| kernel.datagrams_peer_addr(self.key))?
    }

    fn wait_on(&self) -> SocketWait<'_> {
        SocketWait {
            run: self.run,
            key: self.key,
            list: WaitList::Datagram,
            what: "a datagram at",
            address: &self.local,
        }
    }
}

impl Readiness for UdpSocket {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.wait_on().until(|kernel| kernel.datagram_readiness_if_any(self.key, interest)).await
    }

    fn readiness(&self, interest: Interest) -> io::Result<Ready> {
        with_own_kernel(self.run, |kernel| kernel.datagram_readiness(self.key, interest))?
    }

    fn clear(&self, interest: Interest) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.clear_datagram_readiness(self.key, interest))?
    }
}

impl IpLevel for UdpSocket {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, SocketKind) -> R) -> io::Result<R> {
        with_own_kernel(self.run, |kernel| {
            let socket = kernel.datagrams(self.key)?;
            let v6 = socket.bound.is_v6();
            Ok(f(&mut socket.ip, if v6 { SocketKind::Datagrams6 } else { SocketKind::Datagrams }))
        })?
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        // Fails only outside the run or in a dead process, where there is nothing to close.
        let _ = try_with_own_kernel(self.run, |kernel| kernel.close_datagrams(self.key));
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("addr", &self.local).finish()
    }
}

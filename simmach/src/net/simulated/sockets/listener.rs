//! Simulated TCP listeners.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::engine::{self, RunId};
use crate::net::ToSocketAddrs;
use crate::net::simulated::kernel::socket::IpOptions;
use crate::net::simulated::kernel::wakers::WaitSlot;
use crate::net::simulated::kernel::{error, try_with_own_kernel, with_host, with_own_kernel};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::sockets::ip_level::{IpLevel, SocketKind};
use crate::net::simulated::sockets::resolve::first_success;
use crate::net::simulated::sockets::wait::{SocketWait, WaitList};
use crate::net::simulated::sockets::{TcpStream, resolve};

pub(crate) struct TcpListener {
    run: RunId,
    key: SocketKey,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) fn new(run: RunId, key: SocketKey, local: SocketAddr) -> Self {
        Self { run, key, local }
    }

    pub(crate) async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let addresses = resolve(addr.target()?)?;
        with_host(|kernel, host| {
            let (key, local) =
                first_success(&addresses, |address| kernel.listen(host, process, address))?;
            Ok(TcpListener { run: kernel.run(), key, local })
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let info = self.wait_on().until(|kernel| self.try_accept(kernel)).await?;
        Ok((TcpStream::new(self.run, info), info.peer))
    }

    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let polled = self.wait_on().poll(cx, WaitSlot::Poll, |kernel| self.try_accept(kernel));
        polled.map_ok(|info| (TcpStream::new(self.run, info), info.peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |_| self.local)
    }

    fn try_accept(
        &self,
        kernel: &mut crate::net::simulated::kernel::Kernel,
    ) -> Option<io::Result<crate::net::simulated::kernel::streams::ConnectionInfo>> {
        let process = engine::scope()?.process;
        kernel.accept(self.key, process).transpose()
    }

    fn wait_on(&self) -> SocketWait<'_> {
        SocketWait {
            run: self.run,
            key: self.key,
            list: WaitList::Accept,
            what: "a connection to",
            address: &self.local,
        }
    }
}

impl IpLevel for TcpListener {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, SocketKind) -> R) -> io::Result<R> {
        with_own_kernel(self.run, |kernel| {
            Ok(f(&mut kernel.listener(self.key)?.options.ip, SocketKind::Stream))
        })?
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        // Fails only outside the run or in a dead process, where there is nothing to close.
        let _ = try_with_own_kernel(self.run, |kernel| kernel.close_listener(self.key));
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("addr", &self.local).finish()
    }
}

//! A socket that waits for connections.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::engine::{self, RunId};
use crate::net::fabric::{enter, enter_any, try_enter};
use crate::net::key::Key;
use crate::net::simulated::ip_level::{IpLevel, Kind};
use crate::net::simulated::lookup::first_of;
use crate::net::simulated::{TcpStream, find};
use crate::net::socket::IpOptions;
use crate::net::wait::{Place, Waited};
use crate::net::wakers::Seat;
use crate::net::{ToSocketAddrs, error};

pub(crate) struct TcpListener {
    run: RunId,
    key: Key,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) fn new(run: RunId, key: Key, local: SocketAddr) -> Self {
        Self { run, key, local }
    }

    pub(crate) async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let addresses = find(addr.target()?)?;
        enter_any(|fabric, host| {
            let (key, local) =
                first_of(&addresses, |address| fabric.listen(host, process, address))?;
            Ok(TcpListener { run: fabric.run(), key, local })
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let opened = self.waited().until(|fabric| self.try_accept(fabric)).await?;
        Ok((TcpStream::new(self.run, opened), opened.peer))
    }

    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let polled = self.waited().poll(cx, Seat::Poll, |fabric| self.try_accept(fabric));
        polled.map_ok(|opened| (TcpStream::new(self.run, opened), opened.peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |_| self.local)
    }

    fn try_accept(
        &self,
        fabric: &mut crate::net::fabric::Fabric,
    ) -> Option<io::Result<crate::net::fabric::streams::Opened>> {
        let process = engine::scope()?.process;
        fabric.accept(self.key, process).transpose()
    }

    fn waited(&self) -> Waited<'_> {
        Waited {
            run: self.run,
            key: self.key,
            place: Place::Accept,
            what: "a connection to",
            address: &self.local,
        }
    }
}

impl IpLevel for TcpListener {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, Kind) -> R) -> io::Result<R> {
        enter(self.run, |fabric| Ok(f(&mut fabric.listener(self.key)?.options.ip, Kind::Stream)))?
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        // Outside the run, or as a dead process's, there is nothing to close.
        let _ = try_enter(self.run, |fabric| fabric.close_listener(self.key));
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("addr", &self.local).finish()
    }
}

//! Simulated TCP sockets that are not connected or listening yet.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use crate::engine::{self, RunId};
use crate::net::simulated::kernel::socket::{IpOptions, Linger, SocketOptions};
use crate::net::simulated::kernel::{error, try_with_own_kernel, with_host, with_own_kernel};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::sockets::ip_level::{IpLevel, SocketKind};
use crate::net::simulated::sockets::{TcpListener, TcpStream};

pub(crate) struct TcpSocket {
    run: RunId,
    key: SocketKey,
}

impl TcpSocket {
    pub(crate) fn new_v4() -> io::Result<TcpSocket> {
        Self::new(false)
    }

    pub(crate) fn new_v6() -> io::Result<TcpSocket> {
        Self::new(true)
    }

    fn new(v6: bool) -> io::Result<TcpSocket> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        with_host(|kernel, host| {
            let key = kernel.new_socket(host, process, v6);
            Ok(TcpSocket { run: kernel.run(), key })
        })
    }

    pub(crate) fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| kernel.bind_socket(self.key, addr))?
    }

    pub(crate) async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let info = with_own_kernel(self.run, |kernel| kernel.connect_socket(self.key, addr))??;
        let stream = TcpStream::new(self.run, info);
        stream.wait_established().await?;
        Ok(stream)
    }

    pub(crate) fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let local = with_own_kernel(self.run, |kernel| kernel.listen_socket(self.key, backlog))??;
        let listener = TcpListener::new(self.run, self.key, local);
        // The listener owns the key now.
        std::mem::forget(self);
        Ok(listener)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        with_own_kernel(self.run, |kernel| kernel.socket_local(self.key))?
    }

    pub(crate) fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.set(|options| options.reuse = reuseaddr)
    }

    pub(crate) fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.set(|options| options.sharing.spreads = reuseport)
    }

    pub(crate) fn reuseport(&self) -> io::Result<bool> {
        Ok(self.options()?.sharing.spreads)
    }

    pub(crate) fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.options()?.reuse)
    }

    pub(crate) fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set(|options| options.keep_alive = Some(keepalive))
    }

    pub(crate) fn keepalive(&self) -> io::Result<bool> {
        with_own_kernel(self.run, |kernel| {
            Ok(kernel.socket_config(self.key)?.keep_alive.is_some())
        })?
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(|options| options.nodelay = Some(nodelay))
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        with_own_kernel(self.run, |kernel| Ok(kernel.socket_config(self.key)?.nodelay))?
    }

    pub(crate) fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.set(|options| options.linger = dur.map(Linger::from))
    }

    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    pub(crate) fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.options()?.linger.map(Duration::from))
    }

    pub(crate) fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|options| options.send_buffer = Some(size.max(LEAST_BUFFER)))
    }

    pub(crate) fn send_buffer_size(&self) -> io::Result<u32> {
        with_own_kernel(self.run, |kernel| {
            Ok(doubled(kernel.socket_config(self.key)?.send_buffer))
        })?
    }

    pub(crate) fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|options| options.receive_buffer = Some(size.max(LEAST_BUFFER)))
    }

    pub(crate) fn recv_buffer_size(&self) -> io::Result<u32> {
        with_own_kernel(self.run, |kernel| {
            Ok(doubled(kernel.socket_config(self.key)?.receive_buffer))
        })?
    }

    fn set(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        with_own_kernel(self.run, |kernel| {
            change(&mut kernel.listener(self.key)?.options);
            Ok(())
        })?
    }

    fn options(&self) -> io::Result<SocketOptions> {
        with_own_kernel(self.run, |kernel| Ok(kernel.listener(self.key)?.options))?
    }
}

/// Approximately the minimum on Linux.
const LEAST_BUFFER: u32 = 2304;

fn doubled(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_mul(2)).unwrap_or(u32::MAX)
}

impl IpLevel for TcpSocket {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, SocketKind) -> R) -> io::Result<R> {
        with_own_kernel(self.run, |kernel| {
            let listener = kernel.listener(self.key)?;
            let v6 = listener.bound.is_v6();
            Ok(f(
                &mut listener.options.ip,
                if v6 { SocketKind::Stream6 } else { SocketKind::Stream },
            ))
        })?
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        // Fails only outside the run or in a dead process, where there is nothing to close.
        let _ = try_with_own_kernel(self.run, |kernel| kernel.close_listener(self.key));
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket").field("addr", &self.local_addr().ok()).finish()
    }
}

//! A socket before it connects or listens.

use std::{fmt, io, net::SocketAddr, time::Duration};

use crate::{
    engine::{self, RunId},
    net::{
        error,
        fabric::{enter, enter_any},
        key::Key,
        socket::Options,
        tcp::{TcpListener, TcpStream},
    },
};

/// A TCP socket that neither connects nor listens yet, to be given options: `tokio::net::TcpSocket`, simulated.
///
/// Modelled: the options below. Not modelled: `SO_REUSEPORT`, devices, the type of service.
pub struct TcpSocket {
    run: RunId,
    key: Key,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// Outside a run.
    pub fn new_v4() -> io::Result<TcpSocket> {
        Self::new(false)
    }

    /// A socket for IPv6, and for IPv4 too when it listens on `::`.
    ///
    /// # Errors
    ///
    /// Outside a run.
    pub fn new_v6() -> io::Result<TcpSocket> {
        Self::new(true)
    }

    fn new(v6: bool) -> io::Result<TcpSocket> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        enter_any(|fabric, host| {
            let key = fabric.new_socket(host, process, v6);
            Ok(TcpSocket { run: fabric.run(), key })
        })
    }

    /// Binds it to an address of its machine.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when a listener has the address, or any socket that does not [share](Self::set_reuseaddr) it;
    /// `AddrNotAvailable` for an address of another machine; `InvalidInput` when it is bound already.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        enter(self.run, |fabric| fabric.bind_socket(self.key, addr))?
    }

    /// Connects it.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`]; and `AddrNotAvailable` when there is such a connection already.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let opened = enter(self.run, |fabric| fabric.connect_socket(self.key, addr))??;
        let stream = TcpStream::new(self.run, opened);
        stream.established().await?;
        Ok(stream)
    }

    /// Lets it listen, with so many connections that may wait to be accepted.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another listener has the address.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let local = enter(self.run, |fabric| fabric.listen_socket(self.key, backlog))??;
        let listener = TcpListener::new(self.run, self.key, local);
        // It is the listener's now.
        std::mem::forget(self);
        Ok(listener)
    }

    /// What it is bound to; port 0 when it is not.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |fabric| fabric.socket_local(self.key))?
    }

    /// Whether it shares its port with sockets that do too, unless one listens. Default: no; a
    /// [`TcpListener::bind`] does.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.set(|options| options.reuse = reuseaddr)
    }

    /// Whether it shares its port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.options()?.reuse)
    }

    /// Probes its connection when that is silent for two hours (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set(|options| options.keep_alive = Some(keepalive))
    }

    /// Whether its connection is probed.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn keepalive(&self) -> io::Result<bool> {
        enter(self.run, |fabric| Ok(fabric.socket_config(self.key)?.keep_alive.is_some()))?
    }

    /// Lets small writes go out at once, or gathers them by Nagle's rule.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(|options| options.nodelay = Some(nodelay))
    }

    /// Whether small writes go out at once.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn nodelay(&self) -> io::Result<bool> {
        enter(self.run, |fabric| Ok(fabric.socket_config(self.key)?.nodelay))?
    }

    /// How its connection closes: see [`TcpStream::set_linger`].
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.set(|options| options.linger = dur)
    }

    /// Closes its connection by a reset.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// What was set by [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.options()?.linger)
    }

    /// How many bytes may be written and not yet acknowledged. As on Linux, twice as much is told as was set: the other
    /// half is the kernel's own.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|options| options.send_buffer = Some(size.max(LEAST_BUFFER)))
    }

    /// Twice what may be written and not yet acknowledged.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        enter(self.run, |fabric| Ok(doubled(fabric.socket_config(self.key)?.send_buffer)))?
    }

    /// How many bytes may be received and not yet read; as [`set_send_buffer_size`](Self::set_send_buffer_size).
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|options| options.receive_buffer = Some(size.max(LEAST_BUFFER)))
    }

    /// Twice what may be received and not yet read.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        enter(self.run, |fabric| Ok(doubled(fabric.socket_config(self.key)?.receive_buffer)))?
    }

    fn set(&self, change: impl FnOnce(&mut Options)) -> io::Result<()> {
        enter(self.run, |fabric| {
            change(&mut fabric.listener(self.key)?.options);
            Ok(())
        })?
    }

    fn options(&self) -> io::Result<Options> {
        enter(self.run, |fabric| Ok(fabric.listener(self.key)?.options))?
    }
}

/// Linux's least, or nearly.
const LEAST_BUFFER: u32 = 2304;

fn doubled(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_mul(2)).unwrap_or(u32::MAX)
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        // Outside the run, or as a dead process's, there is nothing to close.
        let _ = enter(self.run, |fabric| fabric.close_listener(self.key));
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket").field("addr", &self.local_addr().ok()).finish()
    }
}

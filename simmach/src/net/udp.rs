//! Datagrams.

use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll},
};

use crate::{
    engine::{self, RunId},
    net::{
        Interest, Ready, ToSocketAddrs, error,
        fabric::{Fabric, enter, enter_any},
        key::Key,
        lookup::first_of,
        wait::{Place, Waited},
        wakers::Seat,
    },
};

/// A UDP socket: `tokio::net::UdpSocket`, simulated.
///
/// Links lose, duplicate and reorder datagrams as their profile says. What comes while 208 KiB wait to be read is
/// dropped, as on Linux. Sending never waits.
pub struct UdpSocket {
    run: RunId,
    key: Key,
    local: SocketAddr,
}

impl UdpSocket {
    /// Binds to an address of the machine this runs on. Port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another socket is bound there, `AddrNotAvailable` for an address of another machine or when no
    /// port is free, and the lookup's own.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let process = engine::live_scope().ok_or_else(error::outside)?.process;
        let addresses = addr.resolve()?;
        enter_any(|fabric, host| {
            let (key, local) =
                first_of(&addresses, |address| fabric.bind_datagrams(host, process, address))?;
            Ok(UdpSocket { run: fabric.run(), key, local })
        })
    }

    /// Names the peer: [`send`](Self::send) goes there, and only what comes from there is received.
    ///
    /// # Errors
    ///
    /// `HostUnreachable` and `NetworkUnreachable` where no link leads there, and the lookup's own.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addresses = addr.resolve()?;
        enter(self.run, |fabric| {
            first_of(&addresses, |address| fabric.connect_datagrams(self.key, address))
        })?
    }

    /// Sends to an address.
    ///
    /// # Errors
    ///
    /// Where no link leads there; for more than 65,507 bytes (`EMSGSIZE`); `PermissionDenied` for a broadcast that is not
    /// [allowed](Self::set_broadcast); the refusal of an earlier datagram.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let target =
            target.resolve()?.first().copied().ok_or_else(crate::net::lookup::no_address)?;
        self.try_send_to(buf, target)
    }

    /// As [`send_to`](Self::send_to), at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        enter(self.run, |fabric| fabric.send_datagram(self.key, buf, Some(target)))?
    }

    /// Sends to the peer.
    ///
    /// # Errors
    ///
    /// Without a peer (`EDESTADDRREQ`); else as [`send_to`](Self::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send(buf)
    }

    /// As [`send`](Self::send), at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        enter(self.run, |fabric| fabric.send_datagram(self.key, buf, None))?
    }

    /// Receives a datagram, and where it came from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the peer's kernel said that nobody has the port.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.waited().until(|fabric| fabric.receive_datagram(self.key, buf, false)).await
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.waited().until(|fabric| fabric.receive_datagram(self.key, buf, true)).await
    }

    /// As [`recv_from`](Self::recv_from), for a poll function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let receive = |fabric: &mut Fabric| fabric.receive_datagram(self.key, buf, false);
        self.waited().poll(cx, Seat::Poll, receive)
    }

    /// As [`recv_from`](Self::recv_from), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = enter(self.run, |fabric| fabric.receive_datagram(self.key, buf, false))?;
        received.unwrap_or_else(|| Err(error::would_block()))
    }

    /// Receives a datagram: from the peer, if there is one.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// As [`recv`](Self::recv), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    /// As [`recv`](Self::recv), and leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
    }

    /// As [`peek_from`](Self::peek_from), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let looked = enter(self.run, |fabric| fabric.receive_datagram(self.key, buf, true))?;
        looked.unwrap_or_else(|| Err(error::would_block()))
    }

    /// As [`peek`](Self::peek), or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    /// Waits for a datagram or an error.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn readable(&self) -> io::Result<()> {
        self.waited().until(|fabric| fabric.can_receive(self.key)).await
    }

    /// Waits until it is ready for one thing of `interest`, and tells for what of it.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if !interest.is_writable() {
            self.readable().await?;
        }
        enter(self.run, |fabric| {
            let readable = interest.is_readable() && fabric.can_receive(self.key).is_some();
            let readable = if readable { Ready::READABLE } else { Ready::EMPTY };
            readable | if interest.is_writable() { Ready::WRITABLE } else { Ready::EMPTY }
        })
    }

    /// Waits for room to send, which there always is.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub async fn writable(&self) -> io::Result<()> {
        enter(self.run, |_| ())
    }

    /// Whether it may send to 255.255.255.255.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn broadcast(&self) -> io::Result<bool> {
        enter(self.run, |fabric| Ok(fabric.datagrams(self.key)?.broadcast))?
    }

    /// Allows it to send to 255.255.255.255: to all machines of its own zone, its own too, where a socket that is bound to
    /// `0.0.0.0` or `::` has the port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        enter(self.run, |fabric| {
            fabric.datagrams(self.key)?.broadcast = on;
            Ok(())
        })?
    }

    /// The address it is bound to, with its port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |fabric| fabric.datagrams_local(self.key))?
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` without one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        enter(self.run, |fabric| fabric.datagrams_peer(self.key))?
    }

    fn waited(&self) -> Waited {
        Waited {
            run: self.run,
            key: self.key,
            place: Place::Datagram,
            what: "a datagram at",
            address: self.local,
        }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        // Outside the run, or as a dead process's, there is nothing to close.
        let _ = enter(self.run, |fabric| fabric.close_datagrams(self.key));
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("addr", &self.local).finish()
    }
}

//! TCP calls of handles: accept, read and write, readiness, and close. Segments and timers are in
//! `segments`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::task::Waker;

use crate::engine::{ProcessId, Waiter};
use crate::net::simulated::address::Bound;
use crate::net::simulated::kernel::socket::{Holder, Linger, Listener, Socket};
use crate::net::simulated::kernel::wakers::WaitSlot;
use crate::net::simulated::kernel::{Kernel, error, local_endpoint};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::tcp::config::KeepAlive;
use crate::net::simulated::tcp::{CallResult, Connection, Outbox, State};
use crate::net::{self, Interest};

/// Maximum number of slices in a vectored call (`IOV_MAX`), including empty slices.
const MAX_SLICES: usize = 1024;

/// The key and the addresses of a connection, as its handle stores them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) key: SocketKey,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Kernel {
    pub(crate) fn listener(&mut self, key: SocketKey) -> io::Result<&mut Listener> {
        let listener = self.listeners.get_mut(key.slot as usize);
        listener.filter(|listener| listener.serial == key.serial).ok_or_else(error::outside)
    }

    /// Takes the next connection from the accept queue.
    pub(crate) fn accept(
        &mut self,
        key: SocketKey,
        process: ProcessId,
    ) -> io::Result<Option<ConnectionInfo>> {
        let Some(accepted) = self.listener(key)?.queue.pop_front() else { return Ok(None) };
        let socket = self.socket(accepted)?;
        socket.holder = Holder::Process(process);
        let info = connection_info(accepted, socket);
        self.wire.stats.sockets += 1;
        Ok(Some(info))
    }

    /// Closes a listener. Connections that were not accepted are reset.
    pub(crate) fn close_listener(&mut self, key: SocketKey) {
        if self.listener(key).is_err() {
            return;
        }
        let mut listener = self.listeners.remove(key.slot as usize);
        if listener.port != 0 {
            self.hosts[listener.host as usize].tcp.unbind(listener.port, key);
        }
        self.wakes.discard(&mut listener.accepting);
        let left: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| {
                socket.holder == Holder::HalfOpen(key) || socket.holder == Holder::Queued(key)
            })
            .map(|(slot, socket)| (slot, socket.holder))
            .collect();
        for (slot, holder) in left {
            self.sockets[slot].holder = Holder::Kernel;
            match holder {
                Holder::Queued(_) => self.close_connection(slot, true),
                Holder::HalfOpen(_) | Holder::Process(_) | Holder::Kernel => {
                    self.remove_socket(slot)
                }
            }
        }
    }

    pub(crate) fn socket(&mut self, key: SocketKey) -> io::Result<&mut Socket> {
        let socket = self.sockets.get_mut(key.slot as usize);
        socket.filter(|socket| socket.serial == key.serial).ok_or_else(error::outside)
    }

    /// Returns and clears the error of a connection.
    pub(crate) fn take_error(&mut self, key: SocketKey) -> io::Result<Option<io::Error>> {
        let socket = self.socket(key)?;
        let (failure, remote) = (socket.connection.take_error(), socket.remote);
        Ok(failure.map(|failure| self.connection_error(failure, "the connection to", remote)))
    }

    /// Result of a connect, once the handshake is over.
    pub(crate) fn connected(&mut self, key: SocketKey) -> Option<io::Result<()>> {
        let socket = match self.socket(key) {
            Ok(socket) => socket,
            Err(error) => return Some(Err(error)),
        };
        let remote = socket.remote;
        match socket.connection.state() {
            State::SynSent | State::SynReceived => None,
            State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => Some(Ok(())),
            State::Closed => Some(match socket.connection.take_error() {
                Some(failure) => Err(self.connection_error(failure, "connecting to", remote)),
                None => Ok(()),
            }),
        }
    }

    #[inline]
    pub(crate) fn read(
        &mut self,
        key: SocketKey,
        into: &mut [u8],
        peek: bool,
    ) -> Option<io::Result<usize>> {
        self.read_up_to(key, into.len(), |_| into, peek)
    }

    /// Reads up to `room` bytes into the buffer that `into` returns. It is called with the number of available bytes,
    /// only if there are any.
    #[inline]
    pub(crate) fn read_up_to<'a>(
        &mut self,
        key: SocketKey,
        room: usize,
        into: impl FnOnce(usize) -> &'a mut [u8],
        peek: bool,
    ) -> Option<io::Result<usize>> {
        self.transfer(key, false, |connection, now, out| {
            connection.read_up_to(now, room, into, peek, out)
        })
    }

    #[inline]
    pub(crate) fn write(&mut self, key: SocketKey, data: &[u8]) -> Option<io::Result<usize>> {
        self.transfer(key, true, |connection, now, out| connection.write(now, data, out))
    }

    /// Reads available bytes into several buffers, one after the other.
    pub(crate) fn read_vectored(
        &mut self,
        key: SocketKey,
        into: &mut [IoSliceMut<'_>],
    ) -> Option<io::Result<usize>> {
        let mut read = 0;
        let into = into.iter_mut().take(MAX_SLICES);
        let mut buffers = into.filter(|buf| !buf.is_empty()).peekable();
        if buffers.peek().is_none() {
            // The kernel would return at once, but tokio only checks readiness.
            return self.can_read(key).map(|ready| ready.map(|()| 0));
        }
        for buf in buffers {
            // The end of the stream, or an error, is reported by the next read.
            if read > 0 && self.available(key) == 0 {
                break;
            }
            match self.read(key, buf, false) {
                Some(Ok(bytes)) => read += bytes,
                other => return other,
            }
        }
        Some(Ok(read))
    }

    /// Writes several slices as one.
    pub(crate) fn write_vectored(
        &mut self,
        key: SocketKey,
        data: &[IoSlice<'_>],
    ) -> Option<io::Result<usize>> {
        let data = &data[..data.len().min(MAX_SLICES)];
        let mut pieces = data.iter().filter(|piece| !piece.is_empty());
        match (pieces.next(), pieces.next()) {
            (None, _) => self.can_write(key).map(|ready| ready.map(|()| 0)),
            (Some(one), None) => self.write(key, one),
            (Some(_), Some(_)) => {
                let whole: Vec<u8> = data.iter().flat_map(|piece| piece.iter().copied()).collect();
                self.write(key, &whole)
            }
        }
    }

    /// Whether a connection is still being opened, and whether it has an error that was not reported yet.
    pub(crate) fn connecting_and_error(&mut self, key: SocketKey) -> (bool, bool) {
        let Ok(socket) = self.socket(key) else { return (false, false) };
        let state = socket.connection.state();
        let is_connecting = matches!(state, State::SynSent | State::SynReceived);
        (is_connecting, socket.connection.has_error())
    }

    /// Calls `waker` once, when something happens to a connection. For holders that query readiness themselves.
    pub(crate) fn watch_stream(&mut self, key: SocketKey, waker: &Waker) {
        if let Ok(socket) = self.socket(key) {
            socket.connection.mark_writer_waiting();
            for waiters in [&mut socket.reading, &mut socket.writing] {
                waiters.add(WaitSlot::Poll, Waiter::Other(waker.clone()));
            }
        }
    }

    /// Like [`watch_stream`](Self::watch_stream), for a listener.
    pub(crate) fn watch_listener(&mut self, key: SocketKey, waker: &Waker) {
        if let Ok(listener) = self.listener(key) {
            listener.accepting.add(WaitSlot::Poll, Waiter::Other(waker.clone()));
        }
    }

    /// The part of `interest` that a socket is ready for.
    pub(crate) fn readiness(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> io::Result<net::Ready> {
        let &mut Socket { ref connection, not_readable, not_writable, .. } = self.socket(key)?;
        let (read_closed, write_closed) = connection.closed();
        let mut ready = net::Ready::EMPTY;
        if interest.is_readable() {
            if connection.can_read() != CallResult::Wait && !not_readable {
                ready |= net::Ready::READABLE;
            }
            if read_closed {
                ready |= net::Ready::READ_CLOSED;
            }
        }
        if interest.is_writable() {
            if connection.can_write() != CallResult::Wait && !not_writable {
                ready |= net::Ready::WRITABLE;
            }
            if write_closed {
                ready |= net::Ready::WRITE_CLOSED;
            }
        }
        Ok(ready)
    }

    /// Marks a socket as not ready for `interest`, until the next event. As in tokio, a closed direction stays ready.
    pub(crate) fn clear_readiness(&mut self, key: SocketKey, interest: Interest) -> io::Result<()> {
        let socket = self.socket(key)?;
        let (read_closed, write_closed) = socket.connection.closed();
        if interest.is_readable() && !read_closed {
            socket.not_readable = true;
        }
        if interest.is_writable() && !write_closed {
            socket.not_writable = true;
            socket.connection.mark_writer_waiting();
        }
        Ok(())
    }

    pub(crate) fn can_read(&mut self, key: SocketKey) -> Option<io::Result<()>> {
        self.ready(key, |socket| match socket.not_readable {
            true => CallResult::Wait,
            false => socket.connection.can_read(),
        })
    }

    /// Number of bytes available to read.
    pub(crate) fn available(&mut self, key: SocketKey) -> usize {
        match self.socket(key).map(|socket| socket.connection.can_read()) {
            Ok(CallResult::Bytes(bytes)) => bytes,
            Ok(CallResult::Wait | CallResult::Failed(_)) | Err(_) => 0,
        }
    }

    pub(crate) fn can_write(&mut self, key: SocketKey) -> Option<io::Result<()>> {
        self.ready(key, |socket| {
            socket.connection.mark_writer_waiting();
            if socket.not_writable { CallResult::Wait } else { socket.connection.can_write() }
        })
    }

    pub(crate) fn shutdown(&mut self, key: SocketKey) -> io::Result<()> {
        self.update(key, |connection, now, out| {
            connection.shutdown(now, out);
        })
    }

    /// Returns the peer's address. As on Linux, a socket in TIME-WAIT has no peer address.
    pub(crate) fn peer(&mut self, info: &ConnectionInfo) -> io::Result<SocketAddr> {
        match self.socket(info.key)?.connection.state() {
            State::SynSent | State::TimeWait | State::Closed => Err(error::not_connected()),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Ok(info.peer),
        }
    }

    pub(crate) fn set_nodelay(&mut self, key: SocketKey, on: bool) -> io::Result<()> {
        self.update(key, |connection, now, out| connection.set_nodelay(on, now, out))
    }

    pub(crate) fn set_quick_ack(&mut self, key: SocketKey, on: bool) -> io::Result<()> {
        self.update(key, |connection, now, out| connection.set_quick_ack(on, now, out))
    }

    pub(crate) fn set_keep_alive(
        &mut self,
        key: SocketKey,
        keep_alive: Option<KeepAlive>,
    ) -> io::Result<()> {
        self.update(key, |connection, now, _| connection.set_keep_alive(keep_alive, now))
    }

    /// Closes a connection whose handle was dropped.
    pub(crate) fn close(&mut self, key: SocketKey) {
        let Ok(socket) = self.socket(key) else { return };
        socket.holder = Holder::Kernel;
        let reset = socket.linger == Some(Linger::ZERO);
        let (mut reading, mut writing) =
            (std::mem::take(&mut socket.reading), std::mem::take(&mut socket.writing));
        self.wakes.discard(&mut reading);
        self.wakes.discard(&mut writing);
        let slot = key.slot as usize;
        self.close_connection(slot, reset);
    }

    /// Closes a connection that no handle or listener holds any more.
    fn close_connection(&mut self, slot: usize, reset: bool) {
        let serial = self.sockets[slot].serial;
        self.sockets[slot].connection.close(self.engine.clock.now(), reset, &mut self.outbox);
        self.flush_connection(slot);
        // It was already closed, so no further event would remove it.
        let own = self.sockets.get(slot).filter(|socket| socket.serial == serial);
        if own.is_some_and(|socket| socket.connection.state() == State::Closed) {
            self.remove_socket(slot);
        }
    }

    /// Calls a method of a connection, and completes the operation.
    fn update(
        &mut self,
        key: SocketKey,
        act: impl FnOnce(&mut Connection, u64, &mut Outbox),
    ) -> io::Result<()> {
        let slot = key.slot as usize;
        self.socket(key)?;
        act(&mut self.sockets[slot].connection, self.engine.clock.now(), &mut self.outbox);
        self.flush_connection(slot);
        Ok(())
    }

    #[inline]
    fn transfer(
        &mut self,
        key: SocketKey,
        writes: bool,
        act: impl FnOnce(&mut Connection, u64, &mut Outbox) -> CallResult,
    ) -> Option<io::Result<usize>> {
        let slot = key.slot as usize;
        match self.sockets.get_mut(slot).filter(|socket| socket.serial == key.serial) {
            None => Some(Err(error::outside())),
            Some(socket) if socket.is_cleared(writes) => None,
            Some(socket) => {
                let now = self.engine.clock.now();
                let found = act(&mut socket.connection, now, &mut self.outbox);
                match found {
                    CallResult::Wait => None,
                    CallResult::Bytes(bytes) => {
                        // A read that sends no segment does not change deadlines or events.
                        if writes || !self.outbox.segments.is_empty() {
                            self.flush_connection(slot);
                        }
                        Some(Ok(bytes))
                    }
                    CallResult::Failed(failure) => {
                        let remote = socket.remote;
                        let what = if writes { "writing to" } else { "reading from" };
                        Some(Err(self.connection_error(failure, what, remote)))
                    }
                }
            }
        }
    }

    fn ready(
        &mut self,
        key: SocketKey,
        ask: impl FnOnce(&mut Socket) -> CallResult,
    ) -> Option<io::Result<()>> {
        match self.socket(key) {
            Err(error) => Some(Err(error)),
            Ok(socket) => match ask(socket) {
                CallResult::Wait => None,
                // As on Linux, an error makes the socket ready; the read or write returns it.
                CallResult::Bytes(_) | CallResult::Failed(_) => Some(Ok(())),
            },
        }
    }
}

pub(super) fn connection_info(key: SocketKey, socket: &Socket) -> ConnectionInfo {
    ConnectionInfo {
        key,
        local: socket.display_addr(socket.local),
        peer: socket.display_addr(socket.remote),
    }
}

/// The local address, for the socket table.
pub(super) fn listener_address(listener: &Listener) -> SocketAddr {
    let Listener { host, bound, port, .. } = listener;
    let bound: Bound = *bound;
    local_endpoint(*host, bound, *port)
}

//! TCP calls of handles: accept, read and write, readiness, close. Segments and timers are in `segments`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;

use crate::engine::ProcessId;
use crate::net::simulated::address::Bound;
use crate::net::simulated::kernel::socket::{Holder, Linger, Listener, Socket};
use crate::net::simulated::kernel::{Kernel, error, local_endpoint};
use crate::net::simulated::key::Key;
use crate::net::simulated::tcp::{Connection, Output, Ready, State};
use crate::net::{self, Interest};

/// Maximum number of slices in a vectored call (`IOV_MAX`), empty ones included.
const MAX_SLICES: usize = 1024;

/// Key and addresses of a connection, as its handle stores them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) key: Key,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Kernel {
    pub(crate) fn listener(&mut self, key: Key) -> io::Result<&mut Listener> {
        let listener = self.listeners.get_mut(key.slot as usize);
        listener.filter(|listener| listener.serial == key.serial).ok_or_else(error::outside)
    }

    /// Takes the next connection from the accept queue.
    pub(crate) fn accept(&mut self, key: Key, process: ProcessId) -> io::Result<Option<Opened>> {
        let Some(accepted) = self.listener(key)?.queue.pop_front() else { return Ok(None) };
        let socket = self.socket(accepted)?;
        socket.holder = Holder::Process(process);
        let opened = opened(accepted, socket);
        self.wire.stats.sockets += 1;
        Ok(Some(opened))
    }

    /// Closes a listener. Connections that were not accepted are reset.
    pub(crate) fn close_listener(&mut self, key: Key) {
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
                Holder::HalfOpen(_) | Holder::Process(_) | Holder::Kernel => self.free(slot),
            }
        }
    }

    pub(crate) fn socket(&mut self, key: Key) -> io::Result<&mut Socket> {
        let socket = self.sockets.get_mut(key.slot as usize);
        socket.filter(|socket| socket.serial == key.serial).ok_or_else(error::outside)
    }

    /// Returns and clears the error of a connection.
    pub(crate) fn take_failure(&mut self, key: Key) -> io::Result<Option<io::Error>> {
        let socket = self.socket(key)?;
        let (failure, remote) = (socket.connection.take_failure(), socket.remote);
        Ok(failure.map(|failure| self.failed(failure, "the connection to", remote)))
    }

    /// Result of a connect, once the handshake is over.
    pub(crate) fn connected(&mut self, key: Key) -> Option<io::Result<()>> {
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
            State::Closed => Some(match socket.connection.take_failure() {
                Some(failure) => Err(self.failed(failure, "connecting to", remote)),
                None => Ok(()),
            }),
        }
    }

    #[inline]
    pub(crate) fn read(
        &mut self,
        key: Key,
        into: &mut [u8],
        peek: bool,
    ) -> Option<io::Result<usize>> {
        self.read_up_to(key, into.len(), |_| into, peek)
    }

    /// Reads up to `room` bytes into the buffer that `into` returns. It is called with the number of available bytes, only if
    /// there are any.
    #[inline]
    pub(crate) fn read_up_to<'a>(
        &mut self,
        key: Key,
        room: usize,
        into: impl FnOnce(usize) -> &'a mut [u8],
        peek: bool,
    ) -> Option<io::Result<usize>> {
        self.transfer(key, false, |connection, now, out| {
            connection.read_up_to(now, room, into, peek, out)
        })
    }

    #[inline]
    pub(crate) fn write(&mut self, key: Key, data: &[u8]) -> Option<io::Result<usize>> {
        self.transfer(key, true, |connection, now, out| connection.write(now, data, out))
    }

    /// Reads available bytes into several buffers, one after the other.
    pub(crate) fn read_vectored(
        &mut self,
        key: Key,
        into: &mut [IoSliceMut<'_>],
    ) -> Option<io::Result<usize>> {
        let mut read = 0;
        let into = into.iter_mut().take(MAX_SLICES);
        let mut buffers = into.filter(|buf| !buf.is_empty()).peekable();
        if buffers.peek().is_none() {
            // The kernel would return at once; tokio checks readiness only.
            return self.can_read(key).map(|ready| ready.map(|()| 0));
        }
        for buf in buffers {
            // The end of the stream, or an error, is left to the next read.
            if read > 0 && self.at_hand(key) == 0 {
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
        key: Key,
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

    /// The part of `interest` that a socket is ready for.
    pub(crate) fn readiness(&mut self, key: Key, interest: Interest) -> io::Result<net::Ready> {
        let &mut Socket { ref connection, not_readable, not_writable, .. } = self.socket(key)?;
        let (read_closed, write_closed) = connection.closed();
        let mut ready = net::Ready::EMPTY;
        if interest.is_readable() {
            if connection.can_read() != Ready::Wait && !not_readable {
                ready |= net::Ready::READABLE;
            }
            if read_closed {
                ready |= net::Ready::READ_CLOSED;
            }
        }
        if interest.is_writable() {
            if connection.can_write() != Ready::Wait && !not_writable {
                ready |= net::Ready::WRITABLE;
            }
            if write_closed {
                ready |= net::Ready::WRITE_CLOSED;
            }
        }
        Ok(ready)
    }

    /// Marks a socket as not ready for `interest`, until the next event. As in tokio, a closed direction stays ready.
    pub(crate) fn clear_readiness(&mut self, key: Key, interest: Interest) -> io::Result<()> {
        let socket = self.socket(key)?;
        let (read_closed, write_closed) = socket.connection.closed();
        if interest.is_readable() && !read_closed {
            socket.not_readable = true;
        }
        if interest.is_writable() && !write_closed {
            socket.not_writable = true;
            socket.connection.want_write();
        }
        Ok(())
    }

    pub(crate) fn can_read(&mut self, key: Key) -> Option<io::Result<()>> {
        self.ready(key, |socket| match socket.not_readable {
            true => Ready::Wait,
            false => socket.connection.can_read(),
        })
    }

    /// Number of bytes available to read.
    pub(crate) fn at_hand(&mut self, key: Key) -> usize {
        match self.socket(key).map(|socket| socket.connection.can_read()) {
            Ok(Ready::Bytes(bytes)) => bytes,
            Ok(Ready::Wait | Ready::Failed(_)) | Err(_) => 0,
        }
    }

    pub(crate) fn can_write(&mut self, key: Key) -> Option<io::Result<()>> {
        self.ready(key, |socket| {
            socket.connection.want_write();
            if socket.not_writable { Ready::Wait } else { socket.connection.can_write() }
        })
    }

    pub(crate) fn shutdown(&mut self, key: Key) -> io::Result<()> {
        self.act(key, |connection, now, out| {
            connection.shutdown(now, out);
        })
    }

    /// The peer's address. As on Linux, a socket in TIME-WAIT has none.
    pub(crate) fn peer(&mut self, opened: &Opened) -> io::Result<SocketAddr> {
        match self.socket(opened.key)?.connection.state() {
            State::SynSent | State::TimeWait | State::Closed => Err(error::not_connected()),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Ok(opened.peer),
        }
    }

    pub(crate) fn set_nodelay(&mut self, key: Key, on: bool) -> io::Result<()> {
        self.act(key, |connection, now, out| connection.set_nodelay(on, now, out))
    }

    pub(crate) fn set_quick_ack(&mut self, key: Key, on: bool) -> io::Result<()> {
        self.act(key, |connection, now, out| connection.set_quick_ack(on, now, out))
    }

    /// Closes a connection whose handle was dropped.
    pub(crate) fn close(&mut self, key: Key) {
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
        self.sockets[slot].connection.close(self.engine.clock.now(), reset, &mut self.output);
        self.settle(slot);
        // It was already closed, so no event removes it.
        let own = self.sockets.get(slot).filter(|socket| socket.serial == serial);
        if own.is_some_and(|socket| socket.connection.state() == State::Closed) {
            self.free(slot);
        }
    }

    /// Calls a method of a connection, and completes the operation.
    fn act(
        &mut self,
        key: Key,
        act: impl FnOnce(&mut Connection, u64, &mut Output),
    ) -> io::Result<()> {
        let slot = key.slot as usize;
        self.socket(key)?;
        act(&mut self.sockets[slot].connection, self.engine.clock.now(), &mut self.output);
        self.settle(slot);
        Ok(())
    }

    #[inline]
    fn transfer(
        &mut self,
        key: Key,
        writes: bool,
        act: impl FnOnce(&mut Connection, u64, &mut Output) -> Ready,
    ) -> Option<io::Result<usize>> {
        let slot = key.slot as usize;
        match self.sockets.get_mut(slot).filter(|socket| socket.serial == key.serial) {
            None => Some(Err(error::outside())),
            Some(socket) if socket.is_cleared(writes) => None,
            Some(socket) => {
                let now = self.engine.clock.now();
                let found = act(&mut socket.connection, now, &mut self.output);
                match found {
                    Ready::Wait => None,
                    Ready::Bytes(bytes) => {
                        // A read that sends no segment does not change deadlines or events.
                        if writes || !self.output.segments.is_empty() {
                            self.settle(slot);
                        }
                        Some(Ok(bytes))
                    }
                    Ready::Failed(failure) => {
                        let remote = socket.remote;
                        let what = if writes { "writing to" } else { "reading from" };
                        Some(Err(self.failed(failure, what, remote)))
                    }
                }
            }
        }
    }

    fn ready(
        &mut self,
        key: Key,
        ask: impl FnOnce(&mut Socket) -> Ready,
    ) -> Option<io::Result<()>> {
        match self.socket(key) {
            Err(error) => Some(Err(error)),
            Ok(socket) => match ask(socket) {
                Ready::Wait => None,
                // As on Linux, an error makes the socket ready; the read or write returns it.
                Ready::Bytes(_) | Ready::Failed(_) => Some(Ok(())),
            },
        }
    }
}

pub(super) fn opened(key: Key, socket: &Socket) -> Opened {
    Opened { key, local: socket.shown(socket.local), peer: socket.shown(socket.remote) }
}

/// The local address, for the socket table.
pub(super) fn listener_address(listener: &Listener) -> SocketAddr {
    let Listener { host, bound, port, .. } = listener;
    let bound: Bound = *bound;
    local_endpoint(*host, bound, *port)
}

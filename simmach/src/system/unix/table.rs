//! The Unix sockets of all machines, and their names.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

use crate::engine::{MachineId, ProcessId};
use crate::interpose::system::{Answer, Errno};
use crate::system::descriptors::FileId;
use crate::system::sockets::{fill, whole};
use crate::system::unix::socket::{
    Credentials, Kind, MAX_PIECE, Message, SEND_BUFFER, Socket, SocketId, State,
};

/// The Unix sockets of a run.
#[derive(Debug, Default)]
pub(crate) struct UnixSockets {
    sockets: BTreeMap<SocketId, Socket>,
    /// The socket that has or had each name. A closed socket's path remains until it is bound
    /// again.
    names: BTreeMap<Name, SocketId>,
    last_id: u32,
    last_automatic_name: u32,
    /// The files that must be notified.
    woken: Vec<FileId>,
}

/// A name on a machine. Equal abstract names of different kinds of sockets are different names.
type Name = (MachineId, Option<Kind>, Vec<u8>);

fn name_of(machine: MachineId, kind: Kind, name: &[u8]) -> Name {
    let is_abstract = name.first() == Some(&0);
    (machine, is_abstract.then_some(kind), name.to_vec())
}

/// A received message, truncated to the size of the buffers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) copied: usize,
    /// Full length of the message in bytes.
    pub(super) length: usize,
    pub(super) from: Option<Vec<u8>>,
}

impl UnixSockets {
    pub(super) fn open(&mut self, kind: Kind, machine: MachineId, process: ProcessId) -> SocketId {
        self.last_id += 1;
        let id = SocketId(self.last_id);
        self.sockets.insert(id, Socket::new(kind, machine, process));
        id
    }

    /// Connects two sockets to each other.
    pub(super) fn pair(&mut self, ends: [SocketId; 2], credentials: Credentials) -> Answer<()> {
        for (end, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let socket = self.find(end)?;
            socket.peer = Some(other);
            socket.peer_credentials = Some(credentials);
            if socket.kind != Kind::Datagram {
                socket.state = State::Connected;
            }
        }
        Ok(())
    }

    /// Returns the socket; `EBADF` if its process has ended.
    pub(super) fn find(&mut self, id: SocketId) -> Answer<&mut Socket> {
        self.sockets.get_mut(&id).ok_or(Errno(libc::EBADF))
    }

    /// Takes the files to notify.
    pub(super) fn take_woken(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.woken)
    }

    fn wake(&mut self, id: SocketId) {
        self.woken.extend(self.sockets.get(&id).and_then(|socket| socket.file));
    }

    fn wake_blocked(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            self.woken.append(&mut socket.blocked);
        }
    }

    pub(super) fn bind(&mut self, id: SocketId, name: &[u8]) -> Answer<()> {
        let socket = self.find(id)?;
        if socket.name.is_some() {
            return Err(Errno(libc::EINVAL));
        }
        let (machine, kind) = (socket.machine, socket.kind);
        let name = match name {
            [] => self.automatic_name(machine, kind),
            given => given.to_vec(),
        };
        let key = name_of(machine, kind, &name);
        if self.names.get(&key).is_some_and(|holder| self.sockets.contains_key(holder)) {
            return Err(Errno(libc::EADDRINUSE));
        }
        self.names.insert(key, id);
        self.find(id)?.name = Some(name);
        Ok(())
    }

    /// Returns an unused abstract name.
    fn automatic_name(&mut self, machine: MachineId, kind: Kind) -> Vec<u8> {
        loop {
            self.last_automatic_name += 1;
            let name = format!("\0{:05x}", self.last_automatic_name).into_bytes();
            if !self.names.contains_key(&name_of(machine, kind, &name)) {
                return name;
            }
        }
    }

    /// Returns the socket of this kind that has this name.
    fn lookup(&self, machine: MachineId, name: &[u8], kind: Kind) -> Answer<SocketId> {
        if name.is_empty() {
            return Err(Errno(libc::ECONNREFUSED));
        }
        let Some(id) = self.names.get(&name_of(machine, kind, name)) else {
            let is_abstract = name.first() == Some(&0);
            return Err(Errno(if is_abstract { libc::ECONNREFUSED } else { libc::ENOENT }));
        };
        match self.sockets.get(id) {
            None => Err(Errno(libc::ECONNREFUSED)),
            Some(socket) if socket.kind != kind => Err(Errno(libc::EPROTOTYPE)),
            Some(_) => Ok(*id),
        }
    }

    pub(super) fn listen(
        &mut self,
        id: SocketId,
        backlog: usize,
        credentials: Credentials,
    ) -> Answer<()> {
        let socket = self.find(id)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if socket.name.is_none() {
            return Err(Errno(libc::EINVAL));
        }
        match &mut socket.state {
            State::Connected => return Err(Errno(libc::EINVAL)),
            State::Listening { backlog: own, .. } => *own = backlog,
            State::Unconnected => {
                socket.state = State::Listening { backlog, queue: VecDeque::new() };
            }
        }
        socket.peer_credentials = Some(credentials);
        self.wake(id);
        self.wake_blocked(id);
        Ok(())
    }

    /// Connects a socket to the socket with this name. Returns false if it would have to wait.
    pub(super) fn connect(
        &mut self,
        id: SocketId,
        name: &[u8],
        credentials: Credentials,
    ) -> Answer<bool> {
        let Socket { machine, kind, .. } = *self.find(id)?;
        let other = self.lookup(machine, name, kind)?;
        if kind == Kind::Datagram {
            if !self.may_send(id, other) {
                return Err(Errno(libc::EPERM));
            }
            let before = self.find(id)?.peer;
            if before.is_some_and(|before| before != other) {
                self.disconnect(id)?;
            }
            let socket = self.find(id)?;
            (socket.peer, socket.peer_name) = (Some(other), Some(name.to_vec()));
            self.wake(id);
            return Ok(true);
        }
        let file = self.find(id)?.file;
        let listener = self.find(other)?;
        if !matches!(listener.state, State::Listening { .. }) || listener.is_read_shut {
            return Err(Errno(libc::ECONNREFUSED));
        }
        if listener.is_full() {
            listener.blocked.extend(file);
            return Ok(false);
        }
        let Socket { process, peer_credentials, .. } = *listener;
        let accepted_name = listener.name.clone();
        match self.find(id)?.state {
            State::Unconnected => {}
            State::Connected => return Err(Errno(libc::EISCONN)),
            State::Listening { .. } => return Err(Errno(libc::EINVAL)),
        }
        let accepted = self.open(kind, machine, process);
        let socket = self.find(id)?;
        socket.state = State::Connected;
        socket.peer = Some(accepted);
        socket.peer_name.clone_from(&accepted_name);
        socket.peer_credentials = peer_credentials;
        let own_name = socket.name.clone();
        let new = self.find(accepted)?;
        new.state = State::Connected;
        (new.name, new.peer_name) = (accepted_name, own_name);
        (new.peer, new.peer_credentials) = (Some(id), Some(credentials));
        if let State::Listening { queue, .. } = &mut self.find(other)?.state {
            queue.push_back(accepted);
        }
        self.wake(other);
        self.wake(id);
        Ok(true)
    }

    /// Removes a datagram socket's peer, and the datagrams in its queue.
    pub(super) fn disconnect(&mut self, id: SocketId) -> Answer<()> {
        let socket = self.find(id)?;
        let peer = socket.peer.take();
        socket.peer_name = None;
        let dropped = std::mem::take(&mut socket.inbox);
        dropped.iter().for_each(|message| self.free(message));
        if let Some(peer) = peer
            && let Ok(other) = self.find(peer)
            && other.peer == Some(id)
        {
            other.error = Some(libc::ECONNRESET);
            self.wake(peer);
        }
        self.wake(id);
        self.wake_blocked(id);
        Ok(())
    }

    /// A datagram socket that is connected takes datagrams from its peer only.
    fn may_send(&self, from: SocketId, to: SocketId) -> bool {
        let peer = self.sockets.get(&to).and_then(|socket| socket.peer);
        peer.is_none_or(|peer| peer == from)
    }

    /// Takes a pending connection; `None` if there is none yet.
    pub(super) fn accept(&mut self, id: SocketId) -> Answer<Option<SocketId>> {
        let socket = self.find(id)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let State::Listening { queue, .. } = &mut socket.state else {
            return Err(Errno(libc::EINVAL));
        };
        match queue.pop_front() {
            None if socket.is_read_shut => Err(Errno(libc::EINVAL)),
            None => Ok(None),
            Some(accepted) => {
                self.wake_blocked(id);
                Ok(Some(accepted))
            }
        }
    }

    /// Reads from a stream; `None` if nothing has arrived yet.
    pub(super) fn read(
        &mut self,
        id: SocketId,
        into: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Answer<Option<usize>> {
        let socket = self.find(id)?;
        if !matches!(socket.state, State::Connected) {
            return Err(Errno(libc::EINVAL));
        }
        if socket.inbox.is_empty() {
            if let Some(error) = socket.error.take() {
                return Err(Errno(error));
            }
            return Ok(socket.is_read_shut.then_some(0));
        }
        let mut nth = 0;
        let mut at = socket.inbox[0].read;
        let mut copied = 0;
        for buffer in into {
            let mut filled = 0;
            while filled < buffer.len()
                && let Some(message) = socket.inbox.get(nth)
            {
                let rest = &message.bytes[at..];
                let count = rest.len().min(buffer.len() - filled);
                buffer[filled..filled + count].copy_from_slice(&rest[..count]);
                filled += count;
                at += count;
                if at == message.bytes.len() {
                    (nth, at) = (nth + 1, 0);
                }
            }
            copied += filled;
        }
        if !peek {
            let done: Vec<Message> = socket.inbox.drain(..nth).collect();
            if let Some(first) = socket.inbox.front_mut() {
                first.read = at;
            }
            done.iter().for_each(|message| self.free(message));
        }
        Ok(Some(copied))
    }

    /// Takes a message; `None` if no message has arrived yet.
    pub(super) fn receive(
        &mut self,
        id: SocketId,
        into: &mut [IoSliceMut<'_>],
        peek: bool,
        is_nonblocking: bool,
    ) -> Answer<Option<Found>> {
        let socket = self.find(id)?;
        if socket.kind == Kind::SeqPacket && !matches!(socket.state, State::Connected) {
            return Err(Errno(libc::ENOTCONN));
        }
        if let Some(error) = socket.error.take() {
            return Err(Errno(error));
        }
        let Some(message) = socket.inbox.front_mut() else {
            let ends = socket.kind == Kind::SeqPacket || !is_nonblocking;
            return Ok((socket.is_read_shut && ends).then(Found::default));
        };
        let found = Found {
            copied: fill(into, &message.bytes),
            length: message.bytes.len(),
            from: message.from.clone(),
        };
        if !peek && let Some(message) = socket.inbox.pop_front() {
            self.free(&message);
            self.wake_blocked(id);
        }
        Ok(Some(found))
    }

    /// Gives the room of a message back to its sender.
    fn free(&mut self, message: &Message) {
        if let Some(sender) = self.sockets.get_mut(&message.sender) {
            sender.in_flight -= message.charge();
            if sender.is_writable() {
                self.wake(message.sender);
            }
        }
    }

    /// Writes to a stream as much as there is room for; `None` if there is no room.
    pub(super) fn write(&mut self, id: SocketId, from: &[IoSlice<'_>]) -> Answer<Option<usize>> {
        let socket = self.find(id)?;
        let peer = match (&socket.state, socket.peer) {
            (State::Connected, Some(peer)) => peer,
            _ => return Err(Errno(libc::ENOTCONN)),
        };
        if socket.is_write_shut {
            return Err(Errno(libc::EPIPE));
        }
        if let Some(error) = socket.error.take() {
            return Err(Errno(error));
        }
        match self.sockets.get(&peer) {
            Some(other) if !other.is_read_shut => {}
            Some(_) | None => return Err(Errno(libc::EPIPE)),
        }
        let length: usize = from.iter().map(|piece| piece.len()).sum();
        let bytes: Cow<'_, [u8]> = match from {
            [one] => Cow::Borrowed(one),
            several => Cow::Owned(whole(several)),
        };
        let mut sent = 0;
        while sent < length && self.find(id)?.in_flight < SEND_BUFFER {
            let end = length.min(sent + MAX_PIECE);
            self.deliver(id, peer, bytes[sent..end].to_vec(), None)?;
            sent = end;
        }
        Ok((sent > 0 || length == 0).then_some(sent))
    }

    fn deliver(
        &mut self,
        sender: SocketId,
        to: SocketId,
        bytes: Vec<u8>,
        from: Option<Vec<u8>>,
    ) -> Answer<()> {
        let message = Message { bytes, read: 0, sender, from };
        self.find(sender)?.in_flight += message.charge();
        self.find(to)?.inbox.push_back(message);
        self.wake(to);
        Ok(())
    }

    /// Sends a message. Returns false if it would have to wait.
    pub(super) fn send(&mut self, id: SocketId, bytes: &[u8], to: Option<&[u8]>) -> Answer<bool> {
        let socket = self.find(id)?;
        let Socket { kind, machine, file, peer, .. } = *socket;
        if kind == Kind::SeqPacket {
            if let Some(error) = socket.error.take() {
                return Err(Errno(error));
            }
            if !matches!(socket.state, State::Connected) {
                return Err(Errno(libc::ENOTCONN));
            }
        }
        // For a connected socket of sequenced packets, Linux ignores the address.
        let to = to.filter(|_| kind == Kind::Datagram);
        if to.is_none() && peer.is_none() {
            return Err(Errno(libc::ENOTCONN));
        }
        if bytes.len() > SEND_BUFFER - 32 {
            return Err(Errno(libc::EMSGSIZE));
        }
        if let Some(error) = socket.error.take() {
            return Err(Errno(error));
        }
        if socket.is_write_shut {
            return Err(Errno(libc::EPIPE));
        }
        if socket.in_flight >= SEND_BUFFER {
            return Ok(false);
        }
        let from = socket.name.clone();
        let other = match (to, peer) {
            (Some(name), _) => self.lookup(machine, name, kind)?,
            (None, Some(peer)) => peer,
            (None, None) => return Err(Errno(libc::ENOTCONN)),
        };
        if !self.may_send(id, other) {
            return Err(Errno(libc::EPERM));
        }
        let Some(receiver) = self.sockets.get_mut(&other) else {
            if kind == Kind::SeqPacket {
                return Err(Errno(libc::EPIPE));
            }
            self.disconnect(id)?;
            return Err(Errno(libc::ECONNREFUSED));
        };
        if receiver.is_read_shut {
            return Err(Errno(libc::EPIPE));
        }
        if other != id && receiver.peer != Some(id) && receiver.is_full() {
            receiver.blocked.extend(file);
            return Ok(false);
        }
        self.deliver(id, other, bytes.to_vec(), from)?;
        Ok(true)
    }

    pub(super) fn shut_down(&mut self, id: SocketId, read: bool, write: bool) -> Answer<()> {
        let socket = self.find(id)?;
        socket.is_read_shut |= read;
        socket.is_write_shut |= write;
        let peer = socket.peer.filter(|_| socket.kind != Kind::Datagram);
        if let Some(peer) = peer
            && let Some(other) = self.sockets.get_mut(&peer)
        {
            other.is_read_shut |= write;
            other.is_write_shut |= read;
            self.wake(peer);
        }
        self.wake(id);
        self.wake_blocked(id);
        Ok(())
    }

    /// The events that a socket is ready for; `None` if its process has ended.
    pub(in crate::system) fn events(&self, id: SocketId) -> Option<u32> {
        let socket = self.sockets.get(&id)?;
        let is_peer_full = socket.kind == Kind::Datagram
            && socket.peer.filter(|peer| *peer != id).is_some_and(|peer| {
                let peer = self.sockets.get(&peer);
                peer.is_some_and(|peer| peer.peer != Some(id) && peer.is_full())
            });
        Some(socket.events(is_peer_full))
    }

    /// Number of bytes that can be read at once.
    pub(super) fn available(&mut self, id: SocketId) -> Answer<usize> {
        let socket = self.find(id)?;
        if matches!(socket.state, State::Listening { .. }) {
            return Err(Errno(libc::EINVAL));
        }
        let lengths = socket.inbox.iter().map(|message| message.bytes.len() - message.read);
        Ok(match socket.kind {
            Kind::Stream | Kind::SeqPacket => lengths.sum(),
            Kind::Datagram => lengths.take(1).sum(),
        })
    }

    /// Takes the error of a socket; 0 if it has none.
    pub(super) fn take_error(&mut self, id: SocketId) -> Answer<c_int> {
        Ok(self.find(id)?.error.take().unwrap_or(0))
    }

    pub(super) fn close(&mut self, id: SocketId) {
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        if let Some(name) = socket.name.take_if(|name| name.first() == Some(&0)) {
            let key = name_of(socket.machine, socket.kind, &name);
            // An accepted socket has the name of its listener.
            if self.names.get(&key) == Some(&id) {
                self.names.remove(&key);
            }
        }
        self.woken.append(&mut socket.blocked);
        socket.inbox.iter().for_each(|message| self.free(message));
        if socket.kind != Kind::Datagram
            && let Some(peer) = socket.peer
        {
            let is_unread = !socket.inbox.is_empty() || socket.file.is_none();
            if let Some(other) = self.sockets.get_mut(&peer) {
                (other.is_read_shut, other.is_write_shut) = (true, true);
                if is_unread {
                    other.error = Some(libc::ECONNRESET);
                }
            }
            self.wake(peer);
        }
        if let State::Listening { queue, .. } = socket.state {
            queue.into_iter().for_each(|waiting| self.close(waiting));
        }
        // Also notify its own file if its process has ended, since calls on it fail from now on.
        self.woken.extend(socket.file);
    }

    /// Closes the sockets of a process.
    pub(super) fn close_process(&mut self, process: ProcessId) {
        let own = self.sockets.iter().filter(|(_, socket)| socket.process == process);
        let own: Vec<SocketId> = own.map(|(id, _)| *id).collect();
        own.into_iter().for_each(|id| self.close(id));
    }
}

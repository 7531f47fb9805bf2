//! The state of one Unix socket.

use std::collections::VecDeque;
use std::ffi::c_int;

use libc::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};

use crate::engine::{MachineId, ProcessId};
use crate::system::descriptors::FileId;

/// Size of the send buffer in bytes, Linux's default. It includes Linux's overhead for each
/// message.
pub(super) const SEND_BUFFER: usize = 212_992;
/// Maximum length in bytes of the pieces into which Linux splits a write to a stream.
pub(super) const MAX_PIECE: usize = 36_544;
/// Maximum number of messages in the queue of a socket that is not connected to the sender (`net.unix.max_dgram_qlen`). As
/// on Linux, one more message fits.
const MAX_MESSAGES: usize = 10;

/// The id of a socket. An id is never reused within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Stream,
    Datagram,
    SeqPacket,
}

#[derive(Debug)]
pub(super) enum State {
    /// Not connected. Datagram sockets are always in this state, with or without a peer.
    Unconnected,
    Listening {
        backlog: usize,
        /// Connected sockets without a descriptor, which wait to be accepted.
        queue: VecDeque<SocketId>,
    },
    Connected,
}

/// The process at the other end (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) process: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    /// Bytes of a stream that were read already.
    pub(super) read: usize,
    pub(super) sender: SocketId,
    pub(super) from: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) kind: Kind,
    pub(super) machine: MachineId,
    pub(super) process: ProcessId,
    /// Its file; `None` until it is accepted.
    pub(super) file: Option<FileId>,
    pub(super) state: State,
    pub(super) name: Option<Vec<u8>>,
    /// The other end, which may be closed.
    pub(super) peer: Option<SocketId>,
    pub(super) peer_name: Option<Vec<u8>>,
    pub(super) peer_credentials: Option<Credentials>,
    pub(super) inbox: VecDeque<Message>,
    /// Bytes that it has sent and that were not read yet, including the overhead.
    pub(super) in_flight: usize,
    pub(super) is_read_shut: bool,
    pub(super) is_write_shut: bool,
    pub(super) error: Option<c_int>,
    /// Files whose calls found its queue full.
    pub(super) blocked: Vec<FileId>,
}

impl Message {
    /// Returns the number of bytes that Linux counts for the message in the sender's buffer.
    pub(super) fn charge(&self) -> usize {
        /// Sizes of the kernel's description of a message, and of the data that describes its pages.
        const DESCRIPTION: usize = 256;
        const SHARED: usize = 320;
        const PAGE: usize = 4_096;
        let length = self.bytes.len() + SHARED;
        let first = length.min(PAGE).next_power_of_two().max(512);
        DESCRIPTION + first + length.saturating_sub(PAGE).next_multiple_of(PAGE)
    }
}

impl Socket {
    pub(super) fn new(kind: Kind, machine: MachineId, process: ProcessId) -> Self {
        Self {
            kind,
            machine,
            process,
            file: None,
            state: State::Unconnected,
            name: None,
            peer: None,
            peer_name: None,
            peer_credentials: None,
            inbox: VecDeque::new(),
            in_flight: 0,
            is_read_shut: false,
            is_write_shut: false,
            error: None,
            blocked: Vec::new(),
        }
    }

    /// Whether its queue has no room for a further message or connection.
    pub(super) fn is_full(&self) -> bool {
        match &self.state {
            State::Listening { backlog, queue } => queue.len() > *backlog,
            State::Unconnected | State::Connected => self.inbox.len() > MAX_MESSAGES,
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    /// Whether it is reported as writable. As on Linux, it is when three quarters of its buffer are free.
    pub(super) fn is_writable(&self) -> bool {
        !self.is_listening() && 4 * self.in_flight <= SEND_BUFFER
    }

    /// Returns the events that it is ready for. `is_peer_full` says whether a datagram to its peer would have to wait.
    pub(super) fn events(&self, is_peer_full: bool) -> u32 {
        let mut events = 0;
        let has_queued = match &self.state {
            State::Listening { queue, .. } => !queue.is_empty(),
            State::Unconnected | State::Connected => !self.inbox.is_empty(),
        };
        if has_queued {
            events |= EPOLLIN;
        }
        if self.error.is_some() {
            events |= EPOLLERR;
        }
        if self.is_read_shut {
            events |= EPOLLIN | EPOLLRDHUP;
        }
        let is_closed = matches!(self.state, State::Unconnected) && self.kind != Kind::Datagram;
        if is_closed || self.is_read_shut && self.is_write_shut {
            events |= EPOLLHUP;
        }
        if self.is_writable() && !is_peer_full {
            events |= EPOLLOUT;
        }
        events as u32
    }
}

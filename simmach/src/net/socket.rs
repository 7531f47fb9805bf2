//! What the fabric keeps of a socket.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{
    engine::{ProcessId, TimerKey},
    net::{
        address::{Bound, Endpoint, HostIndex, PathIndex},
        connection::Connection,
        key::Key,
        segment::Segment,
        wakers::Waiters,
    },
};

/// Who has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A handle of a process.
    Process(ProcessId),
    /// A listener, while the handshake lasts.
    HalfOpen(Key),
    /// A listener, until it is accepted.
    Queued(Key),
    /// Nobody: the kernel finishes what the process left.
    Kernel,
}

pub(crate) struct Socket {
    pub(crate) serial: u32,
    pub(crate) holder: Holder,
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// Names connection and direction in draws and in the trace.
    pub(crate) flow: u64,
    pub(crate) path: PathIndex,
    /// The peer's socket, once something came from it: so that its packets need no looking up.
    pub(crate) peer: Key,
    /// It is found by its addresses and has its port.
    pub(crate) hashed: bool,
    pub(crate) connection: Connection,
    pub(crate) timer: Option<(TimerKey, u64)>,
    pub(crate) linger: Option<Duration>,
    pub(crate) reading: Waiters,
    pub(crate) writing: Waiters,
}

pub(crate) struct Listener {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    pub(crate) backlog: u32,
    pub(crate) half_open: u32,
    pub(crate) queue: VecDeque<Key>,
    pub(crate) accepting: Waiters,
}

pub(crate) struct Datagrams {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    pub(crate) flow: u64,
    pub(crate) sent: u64,
    pub(crate) peer: Option<Endpoint>,
    /// A peer's kernel said that nobody listens.
    pub(crate) refused: bool,
    pub(crate) queue: VecDeque<(Endpoint, Bytes)>,
    pub(crate) queued: usize,
    pub(crate) reading: Waiters,
}

/// A packet on the wire.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) path: PathIndex,
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) flow: u64,
    pub(crate) body: Body,
}

#[derive(Clone)]
pub(crate) enum Body {
    Tcp {
        /// The sender's socket, and the receiver's if the sender knows it.
        sender: Key,
        receiver: Key,
        segment: Segment,
    },
    Udp {
        nth: u64,
        payload: Bytes,
    },
    /// Nobody has the port that a datagram was sent to (ICMP).
    Unreachable {
        nth: u64,
    },
}

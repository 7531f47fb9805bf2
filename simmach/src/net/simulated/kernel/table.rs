//! The table of a machine's sockets, like the output of `ss`.

use std::fmt;
use std::net::SocketAddr;

use crate::engine::ProcessId;
use crate::net::simulated::link::profile::Protocol;
use crate::net::simulated::tcp::State;

/// An entry of a machine's socket table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketEntry {
    /// Protocol: TCP or UDP.
    pub protocol: Protocol,
    /// State of the socket.
    pub state: SocketState,
    /// Number of bytes received and not read. For a listener, the number of connections that wait
    /// to be accepted.
    pub receive_queue: usize,
    /// Number of bytes written and not acknowledged. For a listener, its backlog.
    pub send_queue: usize,
    /// Local address.
    pub local: SocketAddr,
    /// Peer's address, if there is a peer.
    pub peer: Option<SocketAddr>,
    /// Process that holds the socket. `None` after the process has closed the socket, and before
    /// the connection is accepted.
    pub(crate) process: Option<ProcessId>,
}

/// State of a socket. `Display` prints the names that `ss` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 9293 and of ss")]
pub enum SocketState {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
    Unconnected,
}

impl fmt::Display for SocketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SocketState::Listen => "LISTEN",
            SocketState::SynSent => "SYN-SENT",
            SocketState::SynReceived => "SYN-RECV",
            SocketState::Established => "ESTAB",
            SocketState::FinWait1 => "FIN-WAIT-1",
            SocketState::FinWait2 => "FIN-WAIT-2",
            SocketState::CloseWait => "CLOSE-WAIT",
            SocketState::Closing => "CLOSING",
            SocketState::LastAck => "LAST-ACK",
            SocketState::TimeWait => "TIME-WAIT",
            SocketState::Closed => "CLOSED",
            SocketState::Unconnected => "UNCONN",
        })
    }
}

impl fmt::Display for SocketEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, state, receive_queue, send_queue, local, peer, process: _ } = self;
        write!(f, "{protocol} {state:<10} {receive_queue:>6} {send_queue:>6} {local} ")?;
        match peer {
            Some(peer) => write!(f, "{peer}"),
            None => f.write_str("*"),
        }
    }
}

impl From<State> for SocketState {
    fn from(state: State) -> Self {
        match state {
            State::SynSent => Self::SynSent,
            State::SynReceived => Self::SynReceived,
            State::Established => Self::Established,
            State::FinWait1 => Self::FinWait1,
            State::FinWait2 => Self::FinWait2,
            State::CloseWait => Self::CloseWait,
            State::Closing => Self::Closing,
            State::LastAck => Self::LastAck,
            State::TimeWait => Self::TimeWait,
            State::Closed => Self::Closed,
        }
    }
}

//! A machine's sockets, as `ss` lists them.

use std::fmt;
use std::net::SocketAddr;

use crate::engine::ProcessId;
use crate::net::simulated::tcp::State;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketEntry {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its state.
    pub state: SocketState,
    /// Bytes received and not read; for a listener, connections that wait to be accepted.
    pub receive_queue: usize,
    /// Bytes written and not acknowledged; for a listener, how many connections may wait.
    pub send_queue: usize,
    /// Its own address.
    pub local: SocketAddr,
    /// The peer's, if there is one.
    pub peer: Option<SocketAddr>,
    /// The process that holds it; `None` when none does any more.
    pub(crate) process: Option<ProcessId>,
}

/// A socket's state, in the words of `ss`.
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

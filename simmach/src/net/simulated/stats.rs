//! Counters of one run's network.

use serde::{Deserialize, Serialize};

/// Counters of one run's network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub(crate) struct NetStats {
    /// Sockets that were opened: listeners, connects, accepted connections, UDP sockets.
    pub sockets: u64,
    /// Packets that were sent. Segments that travel as one packet are counted separately.
    pub sent: u64,
    /// Packets that arrived.
    pub delivered: u64,
    /// Packets lost by a link.
    pub lost: u64,
    /// Packets dropped by a partition or without a route.
    pub partitioned: u64,
    /// Packets dropped by a full queue or a filter, or because the receiving machine was down.
    pub dropped: u64,
    /// Packets that were duplicated.
    pub duplicated: u64,
    /// Packets that arrived after a packet that was sent later in the same flow (RFC 4737).
    pub reordered: u64,
    /// Retransmitted segments.
    pub retransmissions: u64,
    /// Received segments without new data.
    pub duplicates: u64,
    /// Received segments that arrived before earlier data of their stream.
    pub out_of_order: u64,
    /// Connections reset by the peer.
    pub resets: u64,
    /// Connects that were refused.
    pub refused: u64,
    /// Connects and established connections that timed out.
    pub timed_out: u64,
    /// Bytes of payload delivered to sockets.
    pub bytes: u64,
}

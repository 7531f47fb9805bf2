//! What took effect in the network of one run.

use serde::{Deserialize, Serialize};

/// Counts of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub(crate) struct NetStats {
    /// Sockets that were opened: listeners, connects, accepted connections, UDP sockets.
    pub sockets: u64,
    /// Packets that left a machine; a burst that travels as one counts as its segments.
    pub sent: u64,
    /// Packets that arrived.
    pub delivered: u64,
    /// Packets that a link lost.
    pub lost: u64,
    /// Packets that met a partition, or had no way back.
    pub cut: u64,
    /// Packets dropped by a full queue, or for a machine that is down.
    pub dropped: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that arrived after one sent later in the same flow (RFC 4737).
    pub reordered: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Segments that brought nothing new.
    pub duplicates: u64,
    /// Segments that had to wait for one before them.
    pub out_of_order: u64,
    /// Connections reset by their peer.
    pub resets: u64,
    /// Connects that were refused.
    pub refused: u64,
    /// Connections and connects given up.
    pub timed_out: u64,
    /// Bytes of payload delivered to sockets.
    pub bytes: u64,
}

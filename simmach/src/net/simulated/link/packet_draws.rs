//! The addresses at which the fate of a packet is drawn: loss, latency, delay and duplication.
//!
//! A flow, a position in the flow and a transmission number identify a packet. So its fate does not
//! depend on other traffic.

use crate::engine::Family;
use crate::engine::draws::address::Address;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};

/// Identifies a packet in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketAddress {
    /// Connection and direction; [`reverse`] returns the other direction.
    pub(crate) flow: u64,
    /// Relative sequence number of a segment, or index of a datagram.
    pub(crate) number: u64,
    /// Number of earlier transmissions, combined with the bits below.
    pub(crate) transmission: u64,
}

/// Set in `transmission` of a segment without data, to distinguish it from data with the same numbers.
const EMPTY: u64 = 1 << 62;
/// Set in `transmission` of a reset.
const RESET: u64 = 1 << 61;

/// The other direction of a flow.
pub(crate) fn reverse(flow: u64) -> u64 {
    flow ^ 1
}

impl PacketAddress {
    /// The address of a segment. `first` contains the initial sequence numbers of sender and
    /// receiver. Positions are relative to them, so that a position does not depend on when the
    /// connection was opened.
    pub(crate) fn of_segment(flow: u64, first: (Seq, Seq), segment: &Segment) -> Self {
        let (own, peers) = first;
        let seq = u64::from(segment.seq.since(own));
        let transmission = u64::from(segment.transmission);
        if segment.len() > 0 {
            return Self { flow, number: seq, transmission };
        }
        let reset = if segment.flags.has(Flags::RST) { RESET } else { 0 };
        let ack = u64::from(segment.ack.since(peers));
        Self { flow, number: ack << 32 | seq, transmission: EMPTY | reset | transmission }
    }

    /// Address of the `nth` datagram of a flow.
    pub(crate) fn of_datagram(flow: u64, nth: u64) -> Self {
        Self { flow, number: nth, transmission: 0 }
    }

    /// Address of the ICMP message that answers a datagram to a closed port.
    pub(crate) fn of_unreachable(datagram: Self) -> Self {
        Self { flow: reverse(datagram.flow), number: datagram.number, transmission: EMPTY }
    }

    #[inline]
    fn of(self, family: Family) -> Address {
        Address::new(family, [self.flow, self.number, self.transmission])
    }

    /// Whether the packet is lost.
    #[inline]
    pub(crate) fn loss(self) -> Address {
        self.of(Family::Loss)
    }

    /// Latency of the packet.
    #[inline]
    pub(crate) fn latency(self) -> Address {
        self.of(Family::Latency)
    }

    /// Whether the packet is held back, so that others overtake it.
    #[inline]
    pub(crate) fn reorder(self) -> Address {
        self.of(Family::Reorder)
    }

    /// How long the packet is held back.
    #[inline]
    pub(crate) fn reorder_delay(self) -> Address {
        self.reorder().second()
    }

    /// Whether the packet is duplicated.
    #[inline]
    pub(crate) fn duplicate(self) -> Address {
        self.of(Family::Duplicate)
    }

    /// Latency of the duplicate.
    #[inline]
    pub(crate) fn copy_latency(self) -> Address {
        self.latency().second()
    }
}

//! Addresses of what is drawn for a packet.
//!
//! A packet is named by its connection and direction, its position there, and how often that was sent before; so its fate is
//! the same whatever else is on the network.

use crate::engine::Family;
use crate::engine::draws::address::Address;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};

/// The name of one packet among all of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketAddress {
    /// The connection and direction; see [`reverse`] for the other direction.
    pub(crate) flow: u64,
    /// A segment's sequence number, counted from the connection's first; a datagram's number.
    pub(crate) number: u64,
    /// How often the same was sent before, and the bits below.
    pub(crate) transmission: u64,
}

/// Set in the transmission of a segment without data, so that it differs from data with the same numbers.
const EMPTY: u64 = 1 << 62;
/// Set in the transmission of a reset.
const RESET: u64 = 1 << 61;

/// The other direction of a flow.
pub(crate) fn reverse(flow: u64) -> u64 {
    flow ^ 1
}

impl PacketAddress {
    /// Of a segment. `first` are the initial sequence numbers of the sender and of its peer: numbers count from these, and so
    /// are the same whenever the connection was opened.
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

    /// Of the `nth` datagram of a flow.
    pub(crate) fn of_datagram(flow: u64, nth: u64) -> Self {
        Self { flow, number: nth, transmission: 0 }
    }

    /// Of the ICMP answer to a datagram whose port is closed.
    pub(crate) fn of_unreachable(datagram: Self) -> Self {
        Self { flow: reverse(datagram.flow), number: datagram.number, transmission: EMPTY }
    }

    #[inline]
    fn of(self, family: Family) -> Address {
        Address::new(family, [self.flow, self.number, self.transmission])
    }

    /// Whether it is lost.
    #[inline]
    pub(crate) fn loss(self) -> Address {
        self.of(Family::Loss)
    }

    /// Its latency.
    #[inline]
    pub(crate) fn latency(self) -> Address {
        self.of(Family::Latency)
    }

    /// Whether it is held back so that others overtake it.
    #[inline]
    pub(crate) fn reorder(self) -> Address {
        self.of(Family::Reorder)
    }

    /// How long it is held back.
    #[inline]
    pub(crate) fn hold(self) -> Address {
        self.reorder().second()
    }

    /// Whether it arrives twice.
    #[inline]
    pub(crate) fn duplicate(self) -> Address {
        self.of(Family::Duplicate)
    }

    /// The latency of its copy, where it arrives twice.
    #[inline]
    pub(crate) fn copy_latency(self) -> Address {
        self.latency().second()
    }
}

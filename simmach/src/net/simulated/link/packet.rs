//! Packets, and the slab of packets in flight.

use crate::net::simulated::address::{Endpoint, PathIndex};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::Segment;

/// A packet on the wire.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) path: PathIndex,
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) draw: PacketAddress,
    pub(crate) body: Body,
}

#[derive(Clone)]
pub(crate) enum Body {
    Tcp {
        /// The key of the sender's socket. The second key is that of the receiver's socket, if the
        /// sender knows it.
        sender: SocketKey,
        receiver: SocketKey,
        /// Maximum segment size of the connection.
        mss: u16,
        segment: Segment,
    },
    Udp {
        payload: Payload,
        /// Whether the datagram is sent to all machines of a zone. Sockets bound to a single
        /// address do not receive such a datagram.
        broadcast: bool,
    },
    /// ICMP port unreachable: no socket has the datagram's port.
    Unreachable,
}

impl Packet {
    /// Takes the payload out of the packet.
    pub(crate) fn take_payload(&mut self) -> Payload {
        match &mut self.body {
            Body::Tcp { segment, .. } => std::mem::take(&mut segment.payload),
            Body::Udp { payload, .. } => std::mem::take(payload),
            Body::Unreachable => Payload::EMPTY,
        }
    }
}

/// Packets in flight. A freed slot keeps its old packet until it is reused: the receiver takes the payload out in
/// place, since moving the whole packet would copy more than it needs.
#[derive(Default)]
pub(crate) struct InFlight {
    slots: Vec<Packet>,
    free: Vec<u32>,
}

impl InFlight {
    /// Number of packets.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds a packet and returns its slot.
    #[inline]
    pub(crate) fn insert(&mut self, packet: Packet) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = packet;
                slot
            }
            None => {
                self.slots.push(packet);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// The packet in a slot.
    pub(crate) fn get(&self, slot: u32) -> &Packet {
        &self.slots[slot as usize]
    }

    /// Frees the slot of a packet that has arrived. The packet is valid until the next insert.
    #[inline]
    pub(crate) fn remove(&mut self, slot: u32) -> &mut Packet {
        self.free.push(slot);
        &mut self.slots[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::simulated::address::Net;

    fn packet(bytes: &[u8]) -> Packet {
        let end = Endpoint { host: 0, port: 1, net: Net::V4 };
        let body = Body::Udp { payload: bytes.into(), broadcast: false };
        Packet {
            path: 0,
            from: end,
            to: end,
            draw: PacketAddress { flow: 0, number: 0, transmission: 0 },
            body,
        }
    }

    fn bytes(packet: &Packet) -> &[u8] {
        match &packet.body {
            Body::Udp { payload, .. } => payload,
            Body::Tcp { .. } | Body::Unreachable => &[],
        }
    }

    #[test]
    fn slot_is_reused_after_its_packet_has_arrived() {
        let mut in_flight = InFlight::default();
        let (one, two) = (in_flight.insert(packet(b"one")), in_flight.insert(packet(b"two")));
        assert_eq!(
            (bytes(in_flight.get(one)), bytes(in_flight.get(two))),
            (&b"one"[..], &b"two"[..])
        );
        assert_eq!(bytes(in_flight.remove(one)), b"one");
        assert_eq!(in_flight.len(), 1);
        assert_eq!(in_flight.insert(packet(b"three")), one);
        assert_ne!(in_flight.insert(packet(b"four")), two, "that one is still in flight");
        assert_eq!((bytes(in_flight.get(two)), in_flight.len()), (&b"two"[..], 3));
    }
}

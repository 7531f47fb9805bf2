//! Handles arriving packets, and sends resets for segments without a connection.

use crate::net::simulated::address::{Endpoint, PathIndex};
use crate::net::simulated::kernel::{Kernel, with_kernel};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::packet::{Body, Packet};
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::tcp::segment::Segment;

/// Handles the arrival of a packet. The packet's timer calls this.
pub(super) fn arrive(slot: u64, count: u64) {
    with_kernel(|kernel| kernel.on_arrival(slot as u32, count));
}

impl Kernel {
    /// Delivers a packet, or a burst that stands for `count` segments.
    fn on_arrival(&mut self, slot: u32, count: u64) {
        let Some(&Packet { from, to, draw, ref body, .. }) = self.wire.deliver(slot, count) else {
            return;
        };
        match *body {
            Body::Tcp { sender, receiver, .. } => {
                self.on_segment(from, to, draw.flow, sender, receiver, slot);
            }
            Body::Udp { broadcast, .. } => {
                let payload = self.wire.packets.remove(slot).take_payload();
                self.on_datagram(from, to, draw, payload, broadcast);
            }
            Body::Unreachable => {
                self.wire.packets.remove(slot);
                self.on_unreachable(from, to);
            }
        }
    }

    /// Sends a reset in response to a segment that no socket receives.
    pub(super) fn send_reset_for(
        &mut self,
        path: PathIndex,
        (from, to): (Endpoint, Endpoint),
        flow: u64,
        cause: &Segment,
    ) {
        if let Some(segment) = Segment::reset_for(cause) {
            let draw = PacketAddress::of_segment(flow, Default::default(), &segment);
            let (sender, receiver) = (SocketKey::NONE, SocketKey::NONE);
            let body = Body::Tcp { sender, receiver, mss: u16::MAX, segment };
            self.wire.transmit_without_socket(Packet { path, from, to, draw, body });
        }
    }
}

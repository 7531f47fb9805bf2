//! The kernel's UDP sockets.
//!
//! These are modelled: bind, connect, a bounded receive queue that drops datagrams that do not fit,
//! ICMP port unreachable on connected sockets, and broadcast to a zone (255.255.255.255). These are
//! not modelled: multicast, and connecting to a broadcast address.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use crate::engine::{Effect, ProcessId, Waiter, mix};
use crate::net::simulated::address::{Bound, Endpoint, HostIndex, Net, ipv4, ipv6};
use crate::net::simulated::kernel::host::{Binding, Sharing};
use crate::net::simulated::kernel::socket::{DatagramSocket, IpOptions};
use crate::net::simulated::kernel::wakers::{WaitSlot, Waiters};
use crate::net::simulated::kernel::{Kernel, error, key_of, local_endpoint};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::order::FlowOrders;
use crate::net::simulated::link::packet::{Body, Packet};
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::tcp::ConnectionError;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::{Interest, Ready};

/// Capacity of the receive queue in bytes: Linux's default (`net.core.rmem_default`).
const RECEIVE_QUEUE: usize = 212_992;
/// Approximate overhead in bytes that Linux counts for each queued datagram.
const DATAGRAM_OVERHEAD: usize = 256;
/// Maximum payload of an IPv4 datagram in bytes.
const MAX_DATAGRAM: usize = 65_507;

/// Options of a UDP socket that are set before it is bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BindOptions {
    /// `IPV6_V6ONLY`.
    pub(crate) only_v6: bool,
    pub(crate) sharing: Sharing,
}

impl Kernel {
    pub(crate) fn bind_datagrams(
        &mut self,
        host: HostIndex,
        process: ProcessId,
        address: SocketAddr,
        options: BindOptions,
    ) -> io::Result<(SocketKey, SocketAddr)> {
        let BindOptions { only_v6, sharing } = options;
        let bound = self.resolve_local(host, address)?;
        let bound = match only_v6 {
            true => bound.only_v6().ok_or_else(error::invalid)?,
            false => bound,
        };
        let range = self.config_of(host).ephemeral_ports.clone();
        let ports = &mut self.hosts[host as usize].udp;
        let port = match address.port() {
            0 => ports.next_ephemeral(&range).ok_or_else(|| self.no_free_port())?,
            port if ports.can_bind(port, bound, sharing) => port,
            _ => return Err(self.in_use(address)),
        };
        let serial = self.next_serial();
        let step = self.engine.step_word();
        let own = &mut self.hosts[host as usize];
        // The number of the flow comes from the counter that also counts connects to the own port.
        let nth = own.number_connect(step, Endpoint { host, port, net: Net::Loopback4 });
        let flow = mix(mix(own.name_hash, u64::from(port) | 1 << 32), nth);
        let slot = self.datagrams.insert(DatagramSocket {
            serial,
            host,
            process,
            bound,
            port,
            flow,
            sent: 0,
            orders: FlowOrders::default(),
            peer: None,
            broadcast: false,
            refused: false,
            queue: VecDeque::new(),
            queued: 0,
            ip: IpOptions::DEFAULT,
            not_readable: false,
            not_writable: false,
            reading: Waiters::default(),
        });
        let key = key_of(slot, serial);
        let binding = Binding { bound, key, receives: true, sharing };
        self.hosts[host as usize].udp.bind(port, binding);
        self.wire.stats.sockets += 1;
        Ok((key, local_endpoint(host, bound, port)))
    }

    pub(crate) fn datagrams(&mut self, key: SocketKey) -> io::Result<&mut DatagramSocket> {
        let socket = self.datagrams.get_mut(key.slot as usize);
        socket.filter(|socket| socket.serial == key.serial).ok_or_else(error::outside)
    }

    pub(crate) fn connect_datagrams(
        &mut self,
        key: SocketKey,
        address: SocketAddr,
    ) -> io::Result<()> {
        let &mut DatagramSocket { host, broadcast, .. } = self.datagrams(key)?;
        if address.ip() == Ipv4Addr::BROADCAST && !broadcast {
            return Err(error::no_broadcast());
        }
        let peer = self.resolve_remote(host, address)?;
        let socket = self.datagrams(key)?;
        source_net(socket, peer)?;
        socket.peer = Some(peer);
        Ok(())
    }

    pub(crate) fn datagrams_peer_addr(&mut self, key: SocketKey) -> io::Result<SocketAddr> {
        let peer = self.datagrams(key)?.peer;
        let peer = peer.filter(|peer| peer.port != 0);
        peer.map(Endpoint::socket_addr).ok_or_else(error::not_connected)
    }

    /// Sends a datagram to `address`, or to the peer.
    pub(crate) fn send_datagram(
        &mut self,
        key: SocketKey,
        data: &[u8],
        address: Option<SocketAddr>,
    ) -> io::Result<usize> {
        if data.len() > MAX_DATAGRAM {
            return Err(error::too_long());
        }
        if address.is_some_and(|address| address.port() == 0) {
            return Err(error::invalid());
        }
        let host = self.datagrams(key)?.host;
        if let Some(address) = address.filter(|address| address.ip() == Ipv4Addr::BROADCAST) {
            return self.send_to_zone(key, data, address.port());
        }
        let to = match address {
            Some(address) => self.resolve_remote(host, address)?,
            None => self.datagrams(key)?.peer.ok_or_else(error::no_destination)?,
        };
        let socket = self.datagrams(key)?;
        let net = source_net(socket, to)?;
        if std::mem::take(&mut socket.refused) {
            return Err(self.connection_error(
                ConnectionError::Refused,
                "an earlier datagram to",
                to,
            ));
        }
        socket.sent += 1;
        let (flow, nth, port) = (mix(socket.flow, u64::from(to.host)), socket.sent, socket.port);
        let payload = self.outbox.arena.copy(data);
        let path = self.wire.links.path(host, to.host);
        let from = Endpoint { host, port, net };
        let draw = PacketAddress::of_datagram(flow, nth);
        let body = Body::Udp { payload, broadcast: false };
        self.transmit_in_order(key, Packet { path, from, to, draw, body })?;
        self.on_datagram_sent(key)?;
        Ok(data.len())
    }

    fn transmit_in_order(&mut self, key: SocketKey, packet: Packet) -> io::Result<()> {
        let (to, now) = (packet.to, self.engine.clock.now());
        let mut order = *self.datagrams(key)?.orders.to(to, now);
        self.wire.transmit(packet, &mut order);
        *self.datagrams(key)?.orders.to(to, now) = order;
        Ok(())
    }

    /// Sends a broadcast to every machine of the zone, including the sender's own, as on an Ethernet.
    fn send_to_zone(&mut self, key: SocketKey, data: &[u8], port: u16) -> io::Result<usize> {
        let socket = self.datagrams(key)?;
        if !socket.broadcast {
            return Err(error::no_broadcast());
        }
        socket.sent += 1;
        let (host, flow, nth, own) = (socket.host, socket.flow, socket.sent, socket.port);
        let payload = self.outbox.arena.copy(data);
        let zone = self.wire.links.zone_of(host);
        for other in 0..self.hosts.len() as HostIndex {
            if self.wire.links.zone_of(other) != zone {
                continue;
            }
            let path = self.wire.links.path(host, other);
            let from = Endpoint { host, port: own, net: Net::V4 };
            let to = Endpoint { host: other, port, net: Net::V4 };
            let draw = PacketAddress::of_datagram(mix(flow, u64::from(other)), nth);
            let body = Body::Udp { payload: payload.clone(), broadcast: true };
            self.transmit_in_order(key, Packet { path, from, to, draw, body })?;
        }
        self.on_datagram_sent(key)?;
        Ok(data.len())
    }

    /// A sent datagram makes the socket writable again, if it was marked as not ready.
    fn on_datagram_sent(&mut self, key: SocketKey) -> io::Result<()> {
        let socket = self.datagrams(key)?;
        if std::mem::take(&mut socket.not_writable) {
            let mut waiting = std::mem::take(&mut socket.reading);
            waiting.wake(&self.engine, &mut self.wakes);
        }
        Ok(())
    }

    /// Returns the local address. Once a peer is set, it is the address that the peer sees.
    pub(crate) fn datagrams_local_addr(&mut self, key: SocketKey) -> io::Result<SocketAddr> {
        let socket = self.datagrams(key)?;
        Ok(match (socket.bound, socket.peer) {
            (Bound::Any4 | Bound::Any6 | Bound::Only6, Some(Endpoint { net, .. })) => {
                let v4_mapped = socket.bound == Bound::Any6 && !net.is_v6();
                Endpoint { host: socket.host, port: socket.port, net }.display_addr(v4_mapped)
            }
            (Bound::Any4 | Bound::Any6 | Bound::Only6 | Bound::One(_), _) => {
                datagrams_address(socket)
            }
        })
    }

    /// The address of a socket's machine.
    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")),
        expect(dead_code, reason = "only guests ask")
    )]
    pub(crate) fn own_address(&mut self, key: SocketKey, v6: bool) -> io::Result<IpAddr> {
        let host = self.datagrams(key)?.host;
        Ok(if v6 { ipv6(host).into() } else { ipv4(host).into() })
    }

    /// Takes the first datagram of the queue. Returns its length, cut to `into`, and its sender.
    pub(crate) fn receive_datagram(
        &mut self,
        key: SocketKey,
        into: &mut [u8],
        peek: bool,
    ) -> Option<io::Result<(usize, SocketAddr)>> {
        let socket = match self.datagrams(key) {
            Ok(socket) => socket,
            Err(error) => return Some(Err(error)),
        };
        if socket.not_readable {
            return None;
        }
        if let (true, Some(peer)) = (socket.refused, socket.peer) {
            socket.refused = false;
            return Some(Err(self.connection_error(
                ConnectionError::Refused,
                "an earlier datagram to",
                peer,
            )));
        }
        let (from, payload) = socket.queue.front()?;
        let len = payload.len().min(into.len());
        into[..len].copy_from_slice(&payload[..len]);
        let from = from.display_addr(socket.bound == Bound::Any6);
        if !peek {
            socket.queued -= payload.len() + DATAGRAM_OVERHEAD;
            socket.queue.pop_front();
        }
        Some(Ok((len, from)))
    }

    /// Returns and clears the error of an earlier datagram.
    pub(crate) fn take_datagram_error(&mut self, key: SocketKey) -> io::Result<Option<io::Error>> {
        let socket = self.datagrams(key)?;
        let was_refused = std::mem::take(&mut socket.refused);
        let refused = socket.peer.filter(|_| was_refused);
        Ok(refused.map(|peer| {
            self.connection_error(ConnectionError::Refused, "an earlier datagram to", peer)
        }))
    }

    /// Ready if there is a datagram or an error to receive.
    pub(crate) fn can_receive(&mut self, key: SocketKey) -> Option<io::Result<()>> {
        match self.datagrams(key) {
            Ok(socket) => {
                let found = socket.refused || !socket.queue.is_empty();
                (found && !socket.not_readable).then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Length of the first queued datagram. 0 if there is none, or outside the run.
    pub(crate) fn first_datagram_len(&mut self, key: SocketKey) -> usize {
        let first = self.datagrams(key).ok().and_then(|socket| socket.queue.front());
        first.map_or(0, |(_, payload)| payload.len())
    }

    /// Calls `waker` once, when something happens to a socket. For holders that query readiness themselves.
    pub(crate) fn watch_datagrams(&mut self, key: SocketKey, waker: &Waker) {
        if let Ok(socket) = self.datagrams(key) {
            socket.reading.add(WaitSlot::Poll, Waiter::Other(waker.clone()));
        }
    }

    /// The part of `interest` that a socket is ready for.
    pub(crate) fn datagram_readiness(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> io::Result<Ready> {
        let readable = interest.is_readable() && self.can_receive(key).is_some();
        let writable = interest.is_writable() && !self.datagrams(key)?.not_writable;
        let readable = if readable { Ready::READABLE } else { Ready::EMPTY };
        Ok(readable | if writable { Ready::WRITABLE } else { Ready::EMPTY })
    }

    /// Returns the part of `interest` that a socket is ready for, or `None` if it is empty.
    pub(crate) fn datagram_readiness_if_any(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> Option<io::Result<Ready>> {
        match self.datagram_readiness(key, interest) {
            Ok(ready) if ready.is_empty() => None,
            result => Some(result),
        }
    }

    /// Marks a socket as not ready for `interest`, until it receives or sends.
    pub(crate) fn clear_datagram_readiness(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> io::Result<()> {
        let socket = self.datagrams(key)?;
        socket.not_readable |= interest.is_readable();
        socket.not_writable |= interest.is_writable();
        Ok(())
    }

    pub(crate) fn close_datagrams(&mut self, key: SocketKey) {
        if self.datagrams(key).is_err() {
            return;
        }
        let mut socket = self.datagrams.remove(key.slot as usize);
        self.hosts[socket.host as usize].udp.unbind(socket.port, key);
        self.wakes.discard(&mut socket.reading);
    }

    pub(super) fn on_datagram(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        draw: PacketAddress,
        payload: Payload,
        broadcast: bool,
    ) {
        let ports = &self.hosts[to.host as usize].udp;
        if broadcast {
            for key in ports.receivers_of_broadcast(to.port) {
                self.queue_datagram(key, from, payload.clone());
            }
            return;
        }
        let Some(key) = ports.receiver_of(to.port, to.net, from) else {
            let path = self.wire.links.path(to.host, from.host);
            let draw = PacketAddress::of_unreachable(draw);
            let body = Body::Unreachable;
            return self.wire.transmit_without_socket(Packet {
                path,
                from: to,
                to: from,
                draw,
                body,
            });
        };
        self.queue_datagram(key, from, payload);
    }

    /// Queues a datagram for the socket that receives it.
    fn queue_datagram(&mut self, key: SocketKey, from: Endpoint, payload: Payload) {
        let Ok(socket) = self.datagrams(key) else { return };
        if socket.peer.is_some_and(|peer| peer != from) {
            return;
        }
        let size = payload.len() + DATAGRAM_OVERHEAD;
        if socket.queued + size > RECEIVE_QUEUE {
            self.wire.stats.dropped += 1;
            return self.engine.count_effect(Effect::PacketDropped, 1);
        }
        socket.queued += size;
        let bytes = payload.len() as u64;
        socket.queue.push_back((from, payload));
        socket.not_readable = false;
        let mut reading = std::mem::take(&mut socket.reading);
        reading.wake(&self.engine, &mut self.wakes);
        self.wire.stats.bytes += bytes;
        self.engine.note_progress();
    }

    pub(super) fn on_unreachable(&mut self, from: Endpoint, to: Endpoint) {
        let ports = &self.hosts[to.host as usize].udp;
        let Some(key) = ports.receiver_of(to.port, to.net, from) else {
            return;
        };
        let Ok(socket) = self.datagrams(key) else { return };
        if socket.peer == Some(from) {
            socket.refused = true;
            socket.not_readable = false;
            let mut reading = std::mem::take(&mut socket.reading);
            reading.wake(&self.engine, &mut self.wakes);
        }
    }
}

/// Returns the kind of address from which a socket sends to `to`.
fn source_net(socket: &DatagramSocket, to: Endpoint) -> io::Result<Net> {
    match socket.bound {
        Bound::One(net) if net.is_loopback() && to.host != socket.host => Err(error::invalid()),
        Bound::One(net) if net.is_v6() && !to.net.is_v6() => Err(error::network_unreachable()),
        Bound::One(net) if !net.is_v6() && to.net.is_v6() => Err(error::wrong_family()),
        Bound::Any4 if to.net.is_v6() => Err(error::wrong_family()),
        Bound::Only6 if !to.net.is_v6() => Err(error::network_unreachable()),
        Bound::One(net) => Ok(net),
        Bound::Any4 | Bound::Any6 | Bound::Only6 => Ok(to.net),
    }
}

/// The local address, for the socket table.
pub(super) fn datagrams_address(socket: &DatagramSocket) -> SocketAddr {
    let bound: Bound = socket.bound;
    local_endpoint(socket.host, bound, socket.port)
}

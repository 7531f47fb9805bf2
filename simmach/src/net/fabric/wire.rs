//! Packets: how they leave, what becomes of them, how they arrive.

use crate::engine::{Action, Effect, MachineId, TraceKind, log};
use crate::net::address::{Endpoint, PathIndex};
use crate::net::config::nanos;
use crate::net::fabric::{Fabric, reach};
use crate::net::filter::PacketFate;
use crate::net::key::Key;
use crate::net::links::{DrawAddress, Fate};
use crate::net::order::FlowOrder;
use crate::net::packet::{Body, Packet};
use crate::net::profile::{NetworkProfile, PacketInfo};
use crate::net::segment::{Flags, Segment, Seq};

/// Bytes of headers, which take bandwidth too.
const TCP_HEADERS: u64 = 40;
const UDP_HEADERS: u64 = 28;

/// In the place of a transmission's number: apart from data with the same numbers.
const ALONE: u64 = 1 << 62;

/// Why a packet did not arrive, for the trace.
#[derive(Clone, Copy)]
enum Why {
    Lost,
    Cut,
    QueueFull,
    NoRoute,
    MachineDown,
    Chosen,
}

impl Fabric {
    /// Sends a packet on its way, as the next of its flow.
    pub(super) fn transmit(&mut self, packet: Packet, order: &mut FlowOrder) {
        let now = self.engine.clock.now();
        let draw = packet.draw;
        let count = packet.count();
        self.stats.sent += count;
        self.engine.trace(TraceKind::Send, draw.flow, draw.place, packet.payload());
        let fate = match self.choose(&packet) {
            PacketFate::Drop => Fate::Chosen,
            chosen @ (PacketFate::Pass | PacketFate::Delay(_)) => {
                let fate =
                    self.links.fate(&self.engine, packet.path, now, packet.size(), draw, order);
                if let PacketFate::Delay(by) = chosen { fate.delayed(nanos(by)) } else { fate }
            }
        };
        if self.capture.is_some() || self.links.are_logged() || self.engine.is_recorded() {
            self.note(&packet, now, fate);
        }
        match fate {
            Fate::Arrives { at, again, overtakes, .. } => {
                if overtakes {
                    self.stats.reordered += 1;
                    self.engine.effect(Effect::PacketReordered, 1);
                }
                if let Some(at) = again {
                    self.stats.duplicated += 1;
                    self.engine.effect(Effect::PacketDuplicated, 1);
                    let copy = self.packets.insert(packet.clone());
                    self.engine.arm(at, Action::Call(arrive, u64::from(copy), count));
                }
                let place = self.packets.insert(packet);
                self.engine.arm(at, Action::Call(arrive, u64::from(place), count));
            }
            Fate::Held(latency) => {
                let path = packet.path;
                let place = self.packets.insert(packet);
                self.links.hold(path, place, latency);
            }
            Fate::Lost => {
                self.stats.lost += count;
                self.dropped(Effect::PacketLost, Why::Lost, draw);
            }
            Fate::Cut => {
                self.stats.cut += count;
                self.dropped(Effect::PacketCut, Why::Cut, draw);
            }
            Fate::QueueFull => {
                self.stats.dropped += count;
                self.dropped(Effect::PacketDropped, Why::QueueFull, draw);
            }
            Fate::NoRoute => {
                self.stats.cut += count;
                self.dropped(Effect::PacketDropped, Why::NoRoute, draw);
            }
            Fate::Chosen => {
                self.stats.dropped += count;
                self.dropped(Effect::PacketDropped, Why::Chosen, draw);
            }
        }
    }

    /// Sends a kernel's answer, for which there is no socket. Its flow may have had one: so nothing that was sent before is
    /// overtaken.
    pub(super) fn transmit_alone(&mut self, packet: Packet) {
        let in_order = self.links.last_arrival(packet.path);
        self.transmit(packet, &mut FlowOrder { in_order, not_overtaken: 0 });
    }

    /// Sends what was held by a clog.
    pub(super) fn release(&mut self, held: Vec<(u32, u64)>) {
        for (place, at) in held {
            let count = self.packets.get(place).count();
            self.engine.arm(at, Action::Call(arrive, u64::from(place), count));
        }
    }

    /// What the test's rules want of a packet.
    fn choose(&mut self, packet: &Packet) -> PacketFate {
        let (from, to) = (packet.from.host, packet.to.host);
        if from == to || !self.filters.look_at(from, to) {
            return PacketFate::Pass;
        }
        self.choose_by_rules(packet, from, to)
    }

    #[cold]
    fn choose_by_rules(&mut self, packet: &Packet, from: u32, to: u32) -> PacketFate {
        let mut info = PacketInfo {
            from: &self.hosts[from as usize].name,
            to: &self.hosts[to as usize].name,
            protocol: packet.protocol(),
            length: packet.payload().len(),
            ports: (packet.from.port, packet.to.port),
            nth: 0,
            lost: false,
            text: packet.text(),
        };
        self.filters.choose(from, to, &mut info)
    }

    /// A packet, or a burst that counts as so many, has come to where it goes.
    fn deliver(&mut self, place: u32, count: u64) {
        let &Packet { from, to, draw, ref body, .. } = self.packets.get(place);
        if !self.up[to.host as usize] {
            self.packets.arrived(place).take_payload();
            self.stats.dropped += count;
            return self.dropped(Effect::PacketDropped, Why::MachineDown, draw);
        }
        self.stats.delivered += count;
        self.engine.trace(TraceKind::Deliver, draw.flow, draw.place, &[]);
        match *body {
            Body::Tcp { sender, receiver, .. } => {
                self.segment_came(from, to, draw.flow, sender, receiver, place);
            }
            Body::Udp { broadcast, .. } => {
                let payload = self.packets.arrived(place).take_payload();
                self.datagram_came(from, to, draw, payload, broadcast);
            }
            Body::Unreachable => {
                self.packets.arrived(place);
                self.datagram_refused(from, to);
            }
        }
    }

    /// Sends a reset for a segment that nobody takes.
    pub(super) fn refuse(
        &mut self,
        path: PathIndex,
        (from, to): (Endpoint, Endpoint),
        flow: u64,
        cause: &Segment,
    ) {
        if let Some(segment) = Segment::reset_for(cause) {
            let draw = DrawAddress::of_segment(flow, Default::default(), &segment);
            let (sender, receiver) = (Key::NONE, Key::NONE);
            let body = Body::Tcp { sender, receiver, mss: u16::MAX, segment };
            self.transmit_alone(Packet { path, from, to, draw, body });
        }
    }

    /// The way back from where a packet came.
    pub(super) fn path_between(&mut self, from: u32, to: u32) -> PathIndex {
        self.links.path(from, to, &self.hosts)
    }

    #[cold]
    fn dropped(&self, effect: Effect, why: Why, draw: DrawAddress) {
        self.engine.effect(effect, 1);
        self.engine.trace(TraceKind::Drop, draw.flow, draw.place, &[why as u8]);
    }

    /// For whoever looks on: the capture, the log, and the record of what was not calm.
    #[cold]
    fn note(&mut self, packet: &Packet, now: u64, fate: Fate) {
        if let Some(capture) = &mut self.capture {
            capture.add(now, packet, fate);
        }
        self.log(packet, matches!(fate, Fate::Lost | Fate::Cut | Fate::QueueFull | Fate::Chosen));
        self.tell(packet, &fate);
    }

    /// What happened to a packet, where that is recorded.
    fn tell(&self, packet: &Packet, fate: &Fate) {
        let what = match fate {
            Fate::Lost => "is lost",
            Fate::Arrives { again: Some(_), .. } => "arrives twice",
            Fate::Arrives { held_back: true, .. } => "is held back",
            Fate::Arrives { overtakes: true, .. } => "overtakes another",
            Fate::Chosen => "is dropped by a rule of the test",
            Fate::Arrives { .. } | Fate::Held(_) | Fate::Cut | Fate::QueueFull | Fate::NoRoute => {
                return;
            }
        };
        let (from, to) = self.links.ends(packet.path);
        self.engine.tell(MachineId(from), || {
            let to = &self.hosts[to as usize].name;
            format!("a packet to {to} {what}: {} {}", packet.protocol(), packet.text())
        });
    }

    fn log(&self, packet: &Packet, lost: bool) {
        let profile = self.links.profile(packet.path);
        if let Some(profile) = profile.filter(|profile| !profile.log.is_silent()) {
            self.log_as(profile, packet, lost);
        }
    }

    #[cold]
    fn log_as(&self, profile: &NetworkProfile, packet: &Packet, lost: bool) {
        let (from, to) = self.links.ends(packet.path);
        let info = PacketInfo {
            from: &self.hosts[from as usize].name,
            to: &self.hosts[to as usize].name,
            protocol: packet.protocol(),
            length: packet.payload().len(),
            ports: (packet.from.port, packet.to.port),
            nth: 0,
            lost,
            text: packet.text(),
        };
        if profile.log.wants(&info) {
            let (level, fate) =
                if lost { (log::Level::Warn, " LOST") } else { (log::Level::Debug, "") };
            log::say(level, MachineId(from), || {
                format!("{} to {}: {}{fate}", info.protocol, info.to, info.text)
            });
        }
    }
}

impl Packet {
    fn payload(&self) -> &[u8] {
        match &self.body {
            Body::Tcp { segment, .. } => &segment.payload,
            Body::Udp { payload, .. } => payload,
            Body::Unreachable => &[],
        }
    }

    /// Bytes on the wire.
    fn size(&self) -> u64 {
        match &self.body {
            Body::Tcp { segment, .. } => TCP_HEADERS + segment.payload.len() as u64,
            Body::Udp { payload, .. } => UDP_HEADERS + payload.len() as u64,
            Body::Unreachable => UDP_HEADERS,
        }
    }

    /// A burst that travels as one counts as its segments.
    fn count(&self) -> u64 {
        match &self.body {
            Body::Tcp { segment, mss, .. } if segment.payload.len() > usize::from(*mss) => {
                segment.payload.len().div_ceil(usize::from(*mss)) as u64
            }
            Body::Tcp { .. } | Body::Udp { .. } | Body::Unreachable => 1,
        }
    }

    fn protocol(&self) -> &'static str {
        match self.body {
            Body::Tcp { .. } => "tcp",
            Body::Udp { .. } => "udp",
            Body::Unreachable => "icmp",
        }
    }

    fn text(&self) -> String {
        let (from, to) = (self.from.port, self.to.port);
        match &self.body {
            Body::Tcp { segment, .. } => {
                let Segment { seq, ack, flags, payload, .. } = segment;
                format!("{from} > {to} {flags} seq {seq:?} ack {ack:?} len {}", payload.len())
            }
            Body::Udp { payload, .. } => format!("{from} > {to} len {}", payload.len()),
            Body::Unreachable => format!("{from} is unreachable"),
        }
    }
}

/// The timer's call for a packet that arrives.
fn arrive(place: u64, count: u64) {
    reach(|fabric| fabric.deliver(place as u32, count));
}

impl DrawAddress {
    /// Numbers count from the connection's first: they are the same whenever it was opened.
    pub(super) fn of_segment(flow: u64, first: (Seq, Seq), segment: &Segment) -> Self {
        let (own, peers) = first;
        let seq = u64::from(segment.seq.since(own));
        let transmission = u64::from(segment.transmission);
        if segment.len() > 0 {
            return Self { flow, place: seq, transmission };
        }
        let reset = u64::from(segment.flags.has(Flags::RST)) << 61;
        let ack = u64::from(segment.ack.since(peers));
        Self { flow, place: ack << 32 | seq, transmission: ALONE | reset | transmission }
    }

    pub(super) fn of_datagram(flow: u64, nth: u64) -> Self {
        Self { flow, place: nth, transmission: 0 }
    }

    /// For the answer that nobody has a datagram's port.
    pub(super) fn of_refusal(flow: u64, nth: u64) -> Self {
        Self { flow, place: nth, transmission: ALONE }
    }
}

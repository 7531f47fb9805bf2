//! The wire: what becomes of a packet that a machine sends, and what lies under way until it arrives.

use std::rc::Rc;

use crate::engine::record::event::DropReason;
use crate::engine::record::log;
use crate::engine::{Action, Effect, Engine, Event, MachineId, Name};
use crate::net::simulated::address::{HostIndex, PathIndex};
use crate::net::simulated::link::address::PacketAddress;
use crate::net::simulated::link::capture::Capture;
use crate::net::simulated::link::filter::{Filters, PacketFate};
use crate::net::simulated::link::links::{Fate, Links};
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::packet::{Body, Packet, UnderWay};
use crate::net::simulated::link::profile::{NetworkProfile, PacketInfo};
use crate::net::simulated::stats::NetStats;
use crate::net::simulated::tcp::config::nanos;
use crate::net::simulated::tcp::segment::Segment;

/// Bytes of headers, which take bandwidth too.
const TCP_HEADERS: u64 = 40;
const UDP_HEADERS: u64 = 28;

/// What lies between the machines of a run: links, packets under way, the test's rules and the capture.
pub(crate) struct Wire {
    engine: Rc<Engine>,
    names: Vec<Name>,
    /// Which machines have power: the others take no packet.
    pub(crate) is_up: Vec<bool>,
    pub(crate) links: Links,
    pub(crate) packets: UnderWay,
    pub(crate) filters: Filters,
    /// What is sent, where someone wants to see it.
    pub(crate) capture: Option<Box<Capture>>,
    pub(crate) stats: NetStats,
    /// The timer's call for a packet that arrives: its slot, and how many segments it counts as.
    arrive: fn(u64, u64),
}

impl Wire {
    /// A wire between machines, by their numbers. One without a name has no power. `arrive` is called with the slot of each
    /// packet that arrives, and the number of segments it stands for.
    pub(crate) fn new(
        engine: Rc<Engine>,
        links: Links,
        names: Vec<Name>,
        arrive: fn(u64, u64),
    ) -> Self {
        Self {
            engine,
            is_up: names.iter().map(|name| !name.is_empty()).collect(),
            names,
            links,
            packets: UnderWay::default(),
            filters: Filters::default(),
            capture: None,
            stats: NetStats::default(),
            arrive,
        }
    }

    /// A machine's name.
    pub(crate) fn name(&self, machine: HostIndex) -> &str {
        &self.names[machine as usize]
    }

    /// Begins to capture what is sent, if that was not begun before.
    pub(crate) fn start_capture(&mut self) {
        if self.capture.is_none() {
            let names = self.names.iter().map(|name| &**name);
            self.capture = Some(Box::new(Capture::new(names)));
        }
    }

    /// Whether bursts travel as one on a path: no link and no rule can tell them from their segments.
    pub(crate) fn carries_bursts(&self, path: PathIndex) -> bool {
        let (from, to) = self.links.ends(path);
        self.links.cannot_tell_bursts(path) && !self.filters.look_at(from, to)
    }

    /// The packet in `slot`, which has arrived, stays in its slot; `None` where its machine has no power.
    #[inline]
    pub(crate) fn deliver(&mut self, slot: u32, count: u64) -> Option<&Packet> {
        let &Packet { to, draw, .. } = self.packets.get(slot);
        if !self.is_up[to.host as usize] {
            self.packets.arrived(slot).take_payload();
            self.stats.dropped += count;
            self.dropped(Effect::PacketDropped, DropReason::MachineDown, draw);
            return None;
        }
        self.stats.delivered += count;
        self.engine.trace(Event::PacketDelivered { flow: draw.flow, number: draw.number });
        Some(self.packets.get(slot))
    }

    /// Sends a packet on its way, as the next of its flow.
    pub(crate) fn transmit(&mut self, packet: Packet, order: &mut FlowOrder) {
        let now = self.engine.clock.now();
        let draw = packet.draw;
        let count = packet.count();
        self.stats.sent += count;
        let payload = packet.payload();
        self.engine.trace(Event::PacketSent { flow: draw.flow, number: draw.number, payload });
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
                    self.engine.arm(at, Action::Call(self.arrive, u64::from(copy), count));
                }
                let place = self.packets.insert(packet);
                self.engine.arm(at, Action::Call(self.arrive, u64::from(place), count));
            }
            Fate::Held(latency) => {
                let path = packet.path;
                let place = self.packets.insert(packet);
                self.links.hold(path, place, latency);
            }
            Fate::Lost => {
                self.stats.lost += count;
                self.dropped(Effect::PacketLost, DropReason::Lost, draw);
            }
            Fate::Cut => {
                self.stats.cut += count;
                self.dropped(Effect::PacketCut, DropReason::Cut, draw);
            }
            Fate::QueueFull => {
                self.stats.dropped += count;
                self.dropped(Effect::PacketDropped, DropReason::QueueFull, draw);
            }
            Fate::NoRoute => {
                self.stats.cut += count;
                self.dropped(Effect::PacketDropped, DropReason::NoRoute, draw);
            }
            Fate::Chosen => {
                self.stats.dropped += count;
                self.dropped(Effect::PacketDropped, DropReason::Filtered, draw);
            }
        }
    }

    /// Sends a kernel's answer, for which there is no socket. Its flow may have had one: so nothing that was sent before is
    /// overtaken.
    pub(crate) fn transmit_alone(&mut self, packet: Packet) {
        let in_order = self.links.last_arrival(packet.path);
        self.transmit(packet, &mut FlowOrder { in_order, not_overtaken: 0 });
    }

    /// Sends what was held by a clog.
    pub(crate) fn release(&mut self, held: Vec<(u32, u64)>) {
        for (place, at) in held {
            let count = self.packets.get(place).count();
            self.engine.arm(at, Action::Call(self.arrive, u64::from(place), count));
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
            from: &self.names[from as usize],
            to: &self.names[to as usize],
            protocol: packet.protocol(),
            length: packet.payload().len(),
            ports: (packet.from.port, packet.to.port),
            nth: 0,
            lost: false,
            text: packet.text(),
        };
        self.filters.choose(from, to, &mut info)
    }

    #[cold]
    fn dropped(&self, effect: Effect, reason: DropReason, draw: PacketAddress) {
        self.engine.effect(effect, 1);
        self.engine.trace(Event::PacketDropped { flow: draw.flow, number: draw.number, reason });
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
            let to = self.name(to);
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
            from: self.name(from),
            to: self.name(to),
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

//! Sends packets: applies filters, gets the fate from the link, counts, logs, and keeps the packets
//! in flight.

use std::rc::Rc;

use crate::engine::acts::AnchorEvent;
use crate::engine::log;
use crate::engine::record::event::DropReason;
use crate::engine::{Action, Effect, Engine, Event, MachineId, Name};
use crate::net::simulated::address::{HostIndex, PathIndex};
use crate::net::simulated::link::filter::{Filters, PacketFate};
use crate::net::simulated::link::links::{Fate, Links};
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::packet::{Body, InFlight, Packet};
use crate::net::simulated::link::packet_capture::PacketCapture;
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::link::profile::{NetworkProfile, PacketInfo, Protocol};
use crate::net::simulated::stats::NetStats;
use crate::net::simulated::tcp::config::nanos;
use crate::net::simulated::tcp::segment::Segment;

/// Length of IP and TCP headers in bytes, which count against the bandwidth.
const TCP_HEADERS: u64 = 40;
/// Length of IP and UDP headers in bytes.
const UDP_HEADERS: u64 = 28;

/// Everything between the machines of a run: links, packets in flight, filters and the capture.
pub(crate) struct Wire {
    engine: Rc<Engine>,
    names: Vec<Name>,
    /// Whether each machine has power. Machines without power receive nothing.
    pub(crate) has_power: Vec<bool>,
    pub(crate) links: Links,
    pub(crate) packets: InFlight,
    pub(crate) filters: Filters,
    /// The capture, if one was started.
    pub(crate) capture: Option<Box<PacketCapture>>,
    pub(crate) stats: NetStats,
    /// The timer of a packet's arrival calls this, with the packet's slot and its number of
    /// segments.
    arrive: fn(u64, u64),
}

impl Wire {
    /// Creates a wire between the machines with these names. A machine without a name has no power. `arrive` is called
    /// with the slot of each packet that arrives, and its number of segments.
    pub(crate) fn new(
        engine: Rc<Engine>,
        links: Links,
        names: Vec<Name>,
        arrive: fn(u64, u64),
    ) -> Self {
        Self {
            engine,
            has_power: names.iter().map(|name| !name.is_empty()).collect(),
            names,
            links,
            packets: InFlight::default(),
            filters: Filters::default(),
            capture: None,
            stats: NetStats::default(),
            arrive,
        }
    }

    /// Name of a machine.
    pub(crate) fn name(&self, machine: HostIndex) -> &str {
        &self.names[machine as usize]
    }

    /// Starts the capture, unless it is already running.
    pub(crate) fn start_capture(&mut self) {
        if self.capture.is_none() {
            let names = self.names.iter().map(|name| &**name);
            self.capture = Some(Box::new(PacketCapture::new(names)));
        }
    }

    /// Whether bursts travel as one packet on a path: neither its link nor a filter may treat their segments
    /// differently.
    pub(crate) fn allows_offload(&self, path: PathIndex) -> bool {
        let (from, to) = self.links.ends(path);
        self.links.allows_segmentation_offload(path) && !self.filters.has_any_for(from, to)
    }

    /// Takes delivery of the packet in `slot`, which stays there. `None` if its machine has no power.
    #[inline]
    pub(crate) fn deliver(&mut self, slot: u32, count: u64) -> Option<&Packet> {
        let &Packet { to, draw, .. } = self.packets.get(slot);
        if !self.has_power[to.host as usize] {
            self.packets.remove(slot).take_payload();
            self.stats.dropped += count;
            self.record_drop(Effect::PacketDropped, DropReason::MachineDown, draw);
            return None;
        }
        self.stats.delivered += count;
        self.engine.trace(Event::PacketDelivered { flow: draw.flow, number: draw.number });
        Some(self.packets.get(slot))
    }

    /// Sends a packet as the next of its flow.
    pub(crate) fn transmit(&mut self, packet: Packet, order: &mut FlowOrder) {
        let now = self.engine.clock.now();
        let draw = packet.draw;
        let count = packet.count();
        self.stats.sent += count;
        let payload = packet.payload();
        self.engine.trace(Event::PacketSent { flow: draw.flow, number: draw.number, payload });
        self.engine.acts.note_event(&self.engine, || AnchorEvent::Packet {
            from: MachineId(packet.from.host),
            to: MachineId(packet.to.host),
            port: packet.from.port.min(packet.to.port),
        });
        let fate = match self.filter(&packet) {
            PacketFate::Drop => Fate::Filtered,
            decision @ (PacketFate::Pass | PacketFate::Delay(_)) => {
                let fate =
                    self.links.fate(&self.engine, packet.path, now, packet.size(), draw, order);
                if let PacketFate::Delay(by) = decision { fate.delay_by(nanos(by)) } else { fate }
            }
        };
        if self.capture.is_some() || self.links.are_logged() || self.engine.is_recorded() {
            self.record(&packet, now, fate);
        }
        match fate {
            Fate::Arrives { at, copy_at, overtakes, .. } => {
                if overtakes {
                    self.stats.reordered += 1;
                    self.engine.count_effect(Effect::PacketReordered, 1);
                }
                if let Some(at) = copy_at {
                    self.stats.duplicated += 1;
                    self.engine.count_effect(Effect::PacketDuplicated, 1);
                    let copy = self.packets.insert(packet.clone());
                    self.engine.arm(at, Action::Call(self.arrive, u64::from(copy), count));
                }
                let slot = self.packets.insert(packet);
                self.engine.arm(at, Action::Call(self.arrive, u64::from(slot), count));
            }
            Fate::Held(latency) => {
                let path = packet.path;
                let slot = self.packets.insert(packet);
                self.links.hold(path, slot, latency);
            }
            Fate::Lost => {
                self.stats.lost += count;
                self.record_drop(Effect::PacketLost, DropReason::Lost, draw);
            }
            Fate::Partitioned => {
                self.stats.partitioned += count;
                self.record_drop(Effect::PacketPartitioned, DropReason::Partition, draw);
            }
            Fate::QueueFull => {
                self.stats.dropped += count;
                self.record_drop(Effect::PacketDropped, DropReason::QueueFull, draw);
            }
            Fate::NoRoute => {
                self.stats.partitioned += count;
                self.record_drop(Effect::PacketDropped, DropReason::NoRoute, draw);
            }
            Fate::Filtered => {
                self.stats.dropped += count;
                self.record_drop(Effect::PacketDropped, DropReason::Filtered, draw);
            }
        }
    }

    /// Sends a packet that does not come from a socket: a reset or an ICMP message. Its flow may have had a socket before,
    /// so the packet does not overtake any other on its path.
    pub(crate) fn transmit_without_socket(&mut self, packet: Packet) {
        let latest_in_order = self.links.last_arrival(packet.path);
        self.transmit(packet, &mut FlowOrder { latest_in_order, last_sent_arrival: 0 });
    }

    /// Schedules the arrival of packets that a clog had held.
    pub(crate) fn send_released(&mut self, held: Vec<(u32, u64)>) {
        for (slot, at) in held {
            let count = self.packets.get(slot).count();
            self.engine.arm(at, Action::Call(self.arrive, u64::from(slot), count));
        }
    }

    /// Asks the filters about a packet. Loopback is not filtered.
    fn filter(&mut self, packet: &Packet) -> PacketFate {
        let (from, to) = (packet.from.host, packet.to.host);
        if from == to || !self.filters.has_any_for(from, to) {
            return PacketFate::Pass;
        }
        self.apply_filters(packet, from, to)
    }

    #[cold]
    fn apply_filters(&mut self, packet: &Packet, from: u32, to: u32) -> PacketFate {
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
        let PacketAddress { flow, number, transmission } = packet.draw;
        self.filters.decide(from, to, [flow, number, transmission], &mut info)
    }

    #[cold]
    fn record_drop(&self, effect: Effect, reason: DropReason, draw: PacketAddress) {
        self.engine.count_effect(effect, 1);
        self.engine.trace(Event::PacketDropped { flow: draw.flow, number: draw.number, reason });
    }

    /// Adds a packet to the capture, the log and the record of deviations.
    #[cold]
    fn record(&mut self, packet: &Packet, now: u64, fate: Fate) {
        if let Some(capture) = &mut self.capture {
            capture.add(now, packet, fate);
        }
        self.log(
            packet,
            matches!(fate, Fate::Lost | Fate::Partitioned | Fate::QueueFull | Fate::Filtered),
        );
        self.record_fate(packet, &fate);
    }

    /// Records a fate that is a deviation, or that a filter decided.
    fn record_fate(&self, packet: &Packet, fate: &Fate) {
        let what = match fate {
            Fate::Lost => "is lost",
            Fate::Arrives { copy_at: Some(_), .. } => "arrives twice",
            Fate::Arrives { deferred: true, .. } => "is held back",
            Fate::Arrives { overtakes: true, .. } => "overtakes another",
            Fate::Filtered => "is dropped by a packet filter",
            Fate::Arrives { .. }
            | Fate::Held(_)
            | Fate::Partitioned
            | Fate::QueueFull
            | Fate::NoRoute => {
                return;
            }
        };
        let (from, to) = self.links.ends(packet.path);
        self.engine.describe_packet_faults(MachineId(from), || {
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
        if profile.log.matches(&info) {
            let (level, fate) =
                if lost { (log::Level::Warn, " LOST") } else { (log::Level::Debug, "") };
            log::write_line(level, MachineId(from), || {
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

    /// Size in bytes, with headers.
    fn size(&self) -> u64 {
        match &self.body {
            Body::Tcp { segment, .. } => TCP_HEADERS + segment.payload.len() as u64,
            Body::Udp { payload, .. } => UDP_HEADERS + payload.len() as u64,
            Body::Unreachable => UDP_HEADERS,
        }
    }

    /// Number of segments that the packet stands for.
    fn count(&self) -> u64 {
        match &self.body {
            Body::Tcp { segment, mss, .. } if segment.payload.len() > usize::from(*mss) => {
                segment.payload.len().div_ceil(usize::from(*mss)) as u64
            }
            Body::Tcp { .. } | Body::Udp { .. } | Body::Unreachable => 1,
        }
    }

    fn protocol(&self) -> Protocol {
        match self.body {
            Body::Tcp { .. } => Protocol::Tcp,
            Body::Udp { .. } => Protocol::Udp,
            Body::Unreachable => Protocol::Icmp,
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

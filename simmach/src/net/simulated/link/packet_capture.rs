//! Writes the packets of a run as a pcapng capture.
//!
//! Each machine is an interface. It shows the packets that the machine sends, at the virtual time
//! of sending. Packets that do not arrive are included, with a comment that says why. A duplicate
//! that the link makes follows its packet. A burst that travelled as one packet is written as
//! separate segments. Packets on loopback are on the machine's interface too, which distinguishes
//! conversations of different machines with the same addresses. Link layers and times of arrival
//! are not included.

pub(crate) mod octets;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::name_resolution::{
    Ipv4Record, Ipv6Record, NameResolutionBlock, Record,
};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};

use crate::net::simulated::address::{Endpoint, HostIndex, ipv4, ipv6};
use crate::net::simulated::link::links::Fate;
use crate::net::simulated::link::packet::{Body, Packet};
use crate::net::simulated::tcp::segment::{Flags, Segment};

pub(crate) struct PacketCapture {
    writer: PcapNgWriter<Vec<u8>>,
    /// Window scale of each sender, from its SYN.
    scales: BTreeMap<(Endpoint, Endpoint), u8>,
    /// Number of packets that each machine has sent, for the identification field of the next IP
    /// header.
    sent: Vec<u16>,
}

impl PacketCapture {
    /// Creates a capture with one interface for each machine.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        let mut writer = PcapNgWriter::new(Vec::new()).expect("writing to memory cannot fail");
        let mut records = Vec::new();
        for (host, name) in (0..).zip(&names) {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::RAW,
                snaplen: 0,
                // Timestamps are in units of 10^-9 s.
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(*name)),
                    InterfaceDescriptionOption::IfTsResol(9),
                ],
            };
            writer.write_pcapng_block(interface).expect("writing to memory cannot fail");
            let names = vec![Cow::Borrowed(*name)];
            let (v4, v6): (HostIndex, HostIndex) = (host, host);
            records.push(Record::Ipv4(Ipv4Record {
                ip_addr: Cow::Owned(ipv4(v4).octets().to_vec()),
                names: names.clone(),
            }));
            records.push(Record::Ipv6(Ipv6Record {
                ip_addr: Cow::Owned(ipv6(v6).octets().to_vec()),
                names,
            }));
        }
        let resolution = NameResolutionBlock { records, options: Vec::new() };
        writer.write_pcapng_block(resolution).expect("writing to memory cannot fail");
        Self { writer, scales: BTreeMap::new(), sent: vec![0; names.len()] }
    }

    /// Adds a packet that is sent at `now`.
    pub(crate) fn add(&mut self, now: u64, packet: &Packet, fate: Fate) {
        let Packet { from, to, body, .. } = packet;
        let (here, there) = (from.socket_addr(), to.socket_addr());
        match body {
            Body::Tcp { segment, mss, .. } => self.add_segments(now, packet, segment, *mss, fate),
            Body::Udp { payload, broadcast, .. } => {
                let to_all = SocketAddr::new(std::net::Ipv4Addr::BROADCAST.into(), there.port());
                let there = if *broadcast { to_all } else { there };
                let octets = octets::udp(here, there, self.ident(from.host), payload);
                self.put(now, from.host, octets, fate);
            }
            Body::Unreachable => {
                let octets = octets::unreachable(here, there, self.ident(from.host));
                self.put(now, from.host, octets, fate);
            }
        }
    }

    /// The capture up to now.
    pub(crate) fn octets(&self) -> Vec<u8> {
        self.writer.get_ref().clone()
    }

    fn add_segments(&mut self, now: u64, packet: &Packet, segment: &Segment, mss: u16, fate: Fate) {
        let Packet { from, to, .. } = packet;
        let (here, there) = (from.socket_addr(), to.socket_addr());
        let direction = (*from, *to);
        let scale = if segment.flags.has(Flags::SYN) {
            let scale = segment.options.and_then(|options| options.window_scale);
            self.scales.insert(direction, scale.unwrap_or(0));
            0
        } else {
            self.scales.get(&direction).copied().unwrap_or(0)
        };
        let length = segment.payload.len();
        let mss = usize::from(mss).max(1);
        let mut at = 0;
        loop {
            let end = length.min(at + mss);
            let mut part = segment.clone();
            part.seq = segment.seq + at as u32;
            part.payload = segment.payload.slice(at..end);
            if end < length {
                part.flags = part.flags.without(Flags::FIN.with(Flags::PSH));
            }
            let ident = self.ident(from.host);
            let octets = octets::tcp(here, there, ident, &part, scale);
            self.put(now, from.host, octets, fate);
            at = end;
            if at >= length {
                break;
            }
        }
    }

    fn put(&mut self, now: u64, interface: HostIndex, octets: Vec<u8>, fate: Fate) {
        let comment = match fate {
            Fate::Arrives { .. } => None,
            Fate::Held(_) => Some("held by a clog"),
            Fate::Lost => Some("lost by the link"),
            Fate::Partitioned => Some("dropped by a partition"),
            Fate::QueueFull => Some("dropped by a full queue"),
            Fate::NoRoute => Some("dropped: no route"),
            Fate::Filtered => Some("dropped by a packet filter"),
        };
        self.write(now, interface, &octets, comment);
        if let Fate::Arrives { copy_at: Some(_), .. } = fate {
            self.write(now, interface, &octets, Some("duplicate made by the link"));
        }
    }

    fn write(
        &mut self,
        now: u64,
        interface: HostIndex,
        octets: &[u8],
        comment: Option<&'static str>,
    ) {
        let comment = comment.map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text)));
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: Duration::from_nanos(now),
            original_len: octets.len() as u32,
            data: Cow::Borrowed(octets),
            options: comment.into_iter().collect(),
        };
        self.writer.write_block(&block.into_block()).expect("writing to memory cannot fail");
    }

    fn ident(&mut self, host: HostIndex) -> u16 {
        let sent = &mut self.sent[host as usize];
        *sent = sent.wrapping_add(1);
        *sent
    }
}

//! Packets in wire format: IPv4 and IPv6, TCP, UDP and ICMP port unreachable, with checksums.
//!
//! Captures use this format, and so do tests against another TCP implementation; the simulation
//! itself does not need it. Headers have no options, except MSS and window scale on a SYN. Link
//! layers and fragments are not modelled.

use std::net::{IpAddr, SocketAddr};

use crate::net::simulated::tcp::segment::{Flags, Segment};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
const TTL: u8 = 64;

/// Returns an IP packet with a TCP segment. `scale` is the sender's window scale, which is 0 before
/// it is negotiated.
pub(crate) fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    ident: u16,
    segment: &Segment,
    scale: u8,
) -> Vec<u8> {
    let options = options(segment);
    let ack = if segment.flags.has(Flags::ACK) { segment.ack.0 } else { 0 };
    let window = (segment.window >> scale).min(u32::from(u16::MAX)) as u16;
    let mut octets = Vec::with_capacity(20 + options.len() + segment.payload.len());
    octets.extend(from.port().to_be_bytes());
    octets.extend(to.port().to_be_bytes());
    octets.extend(segment.seq.0.to_be_bytes());
    octets.extend(ack.to_be_bytes());
    octets.push((5 + options.len() as u8 / 4) << 4);
    octets.push(segment.flags.bits());
    octets.extend(window.to_be_bytes());
    octets.extend([0; 4]);
    octets.extend(options);
    octets.extend(&segment.payload[..]);
    fill_checksum(from.ip(), to.ip(), TCP, &mut octets, 16);
    packet(from.ip(), to.ip(), TCP, ident, &octets)
}

/// Returns an IP packet with a UDP datagram.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr, ident: u16, payload: &[u8]) -> Vec<u8> {
    packet(from.ip(), to.ip(), UDP, ident, &datagram(from, to, payload))
}

/// An ICMP port unreachable message from `from`, in answer to a datagram that `to` sent there.
pub(crate) fn unreachable(from: SocketAddr, to: SocketAddr, ident: u16) -> Vec<u8> {
    // Of the datagram that is answered, the headers are enough.
    let about = packet(to.ip(), from.ip(), UDP, ident, &datagram(to, from, &[]));
    let v6 = from.is_ipv6();
    let mut octets = if v6 { vec![1, 4] } else { vec![3, 3] };
    octets.extend([0; 6]);
    octets.extend(about);
    if v6 {
        fill_checksum(from.ip(), to.ip(), ICMP_V6, &mut octets, 2);
        return packet(from.ip(), to.ip(), ICMP_V6, ident, &octets);
    }
    let sum = complement(words(&octets));
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(from.ip(), to.ip(), ICMP, ident, &octets)
}

fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(8 + payload.len());
    octets.extend(from.port().to_be_bytes());
    octets.extend(to.port().to_be_bytes());
    octets.extend((8 + payload.len() as u16).to_be_bytes());
    octets.extend([0; 2]);
    octets.extend(payload);
    fill_checksum(from.ip(), to.ip(), UDP, &mut octets, 6);
    // Zero means that there is no checksum.
    if octets[6..8] == [0, 0] {
        octets[6..8].copy_from_slice(&[0xff, 0xff]);
    }
    octets
}

/// MSS and window scale, padded to a multiple of four bytes.
fn options(segment: &Segment) -> Vec<u8> {
    let Some(syn) = segment.options else { return Vec::new() };
    let mut options = vec![2, 4];
    options.extend(syn.mss.to_be_bytes());
    if let Some(scale) = syn.window_scale {
        options.extend([1, 3, 3, scale]);
    }
    options
}

fn packet(from: IpAddr, to: IpAddr, protocol: u8, ident: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            octets.extend([0x45, 0]);
            octets.extend((20 + payload.len() as u16).to_be_bytes());
            octets.extend(ident.to_be_bytes());
            // Don't fragment.
            octets.extend([0x40, 0, TTL, protocol, 0, 0]);
            octets.extend(from.octets());
            octets.extend(to.octets());
            let sum = complement(words(&octets));
            octets[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            octets.extend([0x60, 0, 0, 0]);
            octets.extend((payload.len() as u16).to_be_bytes());
            octets.extend([protocol, TTL]);
            octets.extend(v6(from));
            octets.extend(v6(to));
        }
    }
    octets.extend(payload);
    octets
}

/// Fills in the checksum of TCP, UDP or ICMPv6, which covers a pseudo-header (RFC 9293, 3.1).
fn fill_checksum(from: IpAddr, to: IpAddr, protocol: u8, octets: &mut [u8], at: usize) {
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => words(&from.octets()) + words(&to.octets()),
        (from, to) => words(&v6(from)) + words(&v6(to)),
    };
    let sum = addresses + u64::from(protocol) + octets.len() as u64 + words(octets);
    octets[at..at + 2].copy_from_slice(&complement(sum).to_be_bytes());
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn words(octets: &[u8]) -> u64 {
    let whole = octets.chunks_exact(2);
    let odd = whole.remainder().first().map_or(0, |last| u64::from(*last) << 8);
    odd + whole.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>()
}

/// The ones' complement of a ones' complement sum.
fn complement(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

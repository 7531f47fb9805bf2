//! Tests that captures can be read back, have correct checksums, and contain every packet.

use std::process::{Command, Stdio};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::name_resolution::Record;
use pcap_file::pcapng::{Block, PcapNgReader};
use smoltcp::wire::{Icmpv4Packet, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

use crate::net::control::{capture, captured};
use crate::net::rig::{A, C, Cluster, on, sleep};
use crate::net::tests::basics::echo;
use crate::net::tests::streams::pair;
use crate::net::{NetworkProfile, TcpStream, UdpSocket};

/// The capture of a run in which `a` is a client of `c`.
fn captured_of(link: NetworkProfile, seed: u64, address: &'static str) -> Vec<u8> {
    let out = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&out);
    Cluster::new().seed(seed).link(link).run(move || async move {
        capture();
        on(C, 2, echo("[::]:443"));
        sleep(0).await;
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        for size in [1, 100, 20_000, 70_000] {
            stream.write_all(&vec![7; size]).await.expect("open");
            stream.read_exact(&mut vec![0; size]).await.expect("an answer");
        }
        drop(stream);
        sleep(1_000).await;
        *kept.lock().expect("not poisoned") = captured().expect("it was begun");
    });
    let octets = std::mem::take(&mut *out.lock().expect("not poisoned"));
    assert!(!octets.is_empty());
    octets
}

/// The capture of a run of `body`.
fn captured_in<F: Future<Output = ()> + 'static>(
    body: impl FnOnce() -> F + Send + 'static,
) -> Vec<u8> {
    let out = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&out);
    Cluster::new().run(move || async move {
        body().await;
        *kept.lock().expect("not poisoned") = captured().expect("it was begun");
    });
    std::mem::take(&mut *out.lock().expect("not poisoned"))
}

/// Every packet with the name of its interface and its comments.
fn packets(octets: &[u8]) -> Vec<(u32, Vec<u8>, Vec<String>)> {
    let mut reader = PcapNgReader::new(octets).expect("a section header");
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a whole block") {
            let comments = packet.options.iter().filter_map(|option| match option {
                EnhancedPacketOption::Comment(text) => Some(text.to_string()),
                _ => None,
            });
            let comments = comments.collect();
            found.push((packet.interface_id, packet.data.to_vec(), comments));
        }
    }
    found
}

fn check(octets: &[u8]) {
    let (protocol, payload, from, to) = if octets[0] >> 4 == 4 {
        let ip = Ipv4Packet::new_checked(octets).expect("an IP packet");
        assert!(ip.verify_checksum());
        assert_eq!(usize::from(ip.total_len()), octets.len());
        (ip.next_header(), ip.payload(), ip.src_addr().into(), ip.dst_addr().into())
    } else {
        let ip = Ipv6Packet::new_checked(octets).expect("an IP packet");
        assert_eq!(ip.total_len(), octets.len());
        (ip.next_header(), ip.payload(), ip.src_addr().into(), ip.dst_addr().into())
    };
    match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).expect("a segment");
            assert!(tcp.verify_checksum(&from, &to));
            assert!(octets.len() <= 1500, "no segment is longer than the MTU");
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).expect("a datagram");
            assert!(udp.verify_checksum(&from, &to));
        }
        IpProtocol::Icmp => {
            let icmp = Icmpv4Packet::new_checked(payload).expect("a message");
            assert!(icmp.verify_checksum());
        }
        other => panic!("a packet of {other}"),
    }
}

#[test]
fn captured_packets_are_complete() {
    for address in ["c.west:443", "[fd00::3]:443"] {
        let octets = captured_of(NetworkProfile::ideal_fixed(), 1, address);
        let packets = packets(&octets);
        assert!(packets.len() > 100);
        packets.iter().for_each(|(_, octets, _)| check(octets));
        assert!(packets.iter().any(|(interface, ..)| *interface == A.0));
        assert!(packets.iter().any(|(interface, ..)| *interface == C.0));
        assert!(packets.iter().all(|(.., comments)| comments.is_empty()));
    }
}

#[test]
fn capture_has_an_interface_and_a_name_for_each_machine() {
    let octets = captured_of(NetworkProfile::ideal_fixed(), 1, "c.west:443");
    let mut reader = PcapNgReader::new(&octets[..]).expect("a section header");
    let (mut interfaces, mut names) = (0, Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a whole block") {
            Block::InterfaceDescription(_) => interfaces += 1,
            Block::NameResolution(block) => {
                for record in &block.records {
                    if let Record::Ipv4(record) = record {
                        names.push((record.ip_addr.to_vec(), record.names[0].to_string()));
                    }
                }
            }
            _ => {}
        }
    }
    assert_eq!(interfaces, 3);
    assert_eq!(names[2], (vec![10, 0, 0, 3], "c.west".to_owned()));
}

#[test]
fn captured_lost_packets_have_a_comment() {
    let octets = captured_of(NetworkProfile::ideal_fixed().loss(0.1), 1, "c.west:443");
    let lost =
        packets(&octets).into_iter().filter(|(.., comments)| *comments == ["lost by the link"]);
    assert!(lost.count() > 3);
}

#[test]
fn capture_contains_datagrams_and_icmp() {
    Cluster::new().run(|| async {
        capture();
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        client.connect("c.west:53").await.expect("a route");
        client.send(b"odd").await.expect("a route");
        client.recv(&mut [0; 8]).await.expect_err("port is closed");
        let found = packets(&captured().expect("it was begun"));
        assert_eq!(found.len(), 2);
        found.iter().for_each(|(_, octets, _)| check(octets));
    });
}

#[test]
fn capture_starts_on_request_only() {
    Cluster::new().run(|| async {
        let near = UdpSocket::bind("0.0.0.0:1").await.expect("a free port");
        near.send_to(b"before", "c.west:2").await.expect("a route");
        assert!(captured().is_none());
        capture();
        near.send_to(b"after", "c.west:2").await.expect("a route");
        // A second call does not start it anew.
        capture();
        assert_eq!(packets(&captured().expect("it was begun")).len(), 1);
    });
}

#[test]
fn captured_loopback_packets_are_on_their_machines_interface() {
    for (address, listens) in
        [("127.0.0.1:80", "0.0.0.0:80"), ("[::1]:80", "[::]:80"), ("a.east:80", "0.0.0.0:80")]
    {
        let octets = captured_in(move || async move {
            capture();
            on(A, 2, echo(listens));
            sleep(0).await;
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(&vec![7; 100_000]).await.expect("open");
            stream.read_exact(&mut vec![0; 100_000]).await.expect("an answer");
        });
        let found = packets(&octets);
        assert!(found.len() > 6, "{address}: {} packets", found.len());
        assert!(found.iter().all(|(interface, ..)| *interface == A.0));
        // More than one window: the reader sends window updates.
        let flags = "tcp.analysis.flags && !tcp.analysis.window_update";
        let wrong = format!("{BROKEN} || ({flags})");
        assert_eq!(tshark(&octets, &wrong).unwrap_or(0), 0, "{address}");
    }
}

#[test]
fn captured_duplicate_follows_its_packet() {
    Cluster::new().link(NetworkProfile::ideal_fixed().duplication(1.0)).run(|| async {
        capture();
        let near = UdpSocket::bind("0.0.0.0:1").await.expect("a free port");
        near.send_to(b"twice", "c.west:2").await.expect("a route");
        let found = packets(&captured().expect("it was begun"));
        let [(_, one, none), (_, two, said)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(one, two);
        assert_eq!(
            (&none[..], &said[..]),
            (&[][..], &["duplicate made by the link".to_owned()][..])
        );
    });
}

/// A capture does not change the trace.
#[test]
fn capture_does_not_change_the_trace() {
    let run = |captures: bool| {
        let result = Cluster::new().link(NetworkProfile::mobile_3g()).run(move || async move {
            if captures {
                capture();
            }
            let (mut near, mut far) = pair().await;
            near.write_all(&[1; 30_000]).await.expect("room");
            far.read_exact(&mut [0; 30_000]).await.expect("all of it");
        });
        (result.ran.hash, result.ran.nanos)
    };
    assert_eq!(run(true), run(false));
}

/// A filter for malformed packets and wrong checksums (0).
const BROKEN: &str = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 \
                      || udp.checksum.status == 0 || icmp.checksum.status == 0";

/// Number of packets that match a filter of tshark. `None` if tshark is not installed.
fn tshark(octets: &[u8], filter: &str) -> Option<usize> {
    use std::io::Write as _;
    let command = Command::new("tshark")
        .args(["-r", "-", "-Y", filter])
        .args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"])
        .args(["-o", "udp.check_checksum:TRUE"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = command else {
        eprintln!("tshark is not installed: what it would say of a capture is not tested");
        return None;
    };
    child.stdin.take().expect("piped").write_all(octets).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "tshark failed");
    let text = String::from_utf8_lossy(&output.stdout);
    eprint!("{text}");
    Some(text.lines().count())
}

#[test]
fn tshark_accepts_the_capture_of_a_clean_run() {
    for address in ["c.west:443", "[fd00::3]:443"] {
        let octets = captured_of(NetworkProfile::ideal_fixed(), 1, address);
        let wrong = format!("{BROKEN} || tcp.analysis.flags");
        let Some(count) = tshark(&octets, &wrong) else { return };
        assert_eq!(count, 0);
        assert!(tshark(&octets, "tcp").expect("it is there") > 100);
    }
}

#[test]
fn tshark_finds_the_retransmissions_of_a_lossy_run() {
    let octets = captured_of(NetworkProfile::ideal_fixed().loss(0.1), 1, "c.west:443");
    let filter = "tcp.analysis.retransmission || tcp.analysis.fast_retransmission";
    let Some(count) = tshark(&octets, filter) else { return };
    assert!(count > 3, "{count} retransmissions");
    assert_eq!(tshark(&octets, BROKEN), Some(0));
}

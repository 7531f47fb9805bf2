//! Tests of UDP sockets.

use std::io::ErrorKind;

use crate::net::control::sockets;
use crate::net::rig::{A, B, C, Cluster, kill, ms, now, on, sleep};
use crate::net::{NetworkProfile, UdpSocket};

async fn server() -> UdpSocket {
    let server = on(C, 2, async { UdpSocket::bind("0.0.0.0:53").await.expect("a free port") });
    server.await.expect("it ends well")
}

#[test]
fn datagram_boundaries_are_kept() {
    Cluster::new().run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        client.send_to(b"one", "c.west:53").await.expect("a route");
        client.send_to(b"twotwo", "c.west:53").await.expect("a route");
        let mut buf = [0; 4];
        let (n, from) = server.recv_from(&mut buf).await.expect("a datagram");
        assert_eq!(
            (&buf[..n], from.to_string(), now()),
            (&b"one"[..], "10.0.0.1:32768".into(), ms(50))
        );
        assert_eq!(server.peek_from(&mut buf).await.expect("a datagram").0, 4);
        assert_eq!(server.recv_from(&mut buf).await.expect("a datagram").0, 4, "the rest is lost");
        assert_eq!(server.try_recv_from(&mut buf).expect_err("none").kind(), ErrorKind::WouldBlock);
        server.send_to(b"back", from).await.expect("a route");
        client.recv_from(&mut buf).await.expect("a datagram");
        assert_eq!(&buf, b"back");
        assert_eq!(sockets(C)[0].to_string(), "udp UNCONN          0      0 0.0.0.0:53 *");
    });
}

#[test]
fn connected_udp_socket_receives_from_its_peer_only() {
    Cluster::new().run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        let error = client.send(b"x").await.expect_err("no peer");
        assert!(error.to_string().starts_with("Destination address required"), "{error}");
        client.connect("c.west:53").await.expect("a route");
        assert_eq!(client.peer_addr().expect("connected").to_string(), "10.0.0.3:53");
        client.send(b"ping").await.expect("a route");
        let mut buf = [0; 8];
        let (_, from) = server.recv_from(&mut buf).await.expect("a datagram");
        let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        stranger.send_to(b"spam", from).await.expect("a route");
        server.send_to(b"pong", from).await.expect("a route");
        assert_eq!(client.recv(&mut buf).await.expect("a datagram"), 4);
        assert_eq!(&buf[..4], b"pong");
    });
}

#[test]
fn datagram_to_a_closed_port_is_refused() {
    Cluster::new().run(|| async {
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        client.connect("c.west:53").await.expect("a route");
        client.send(b"ping").await.expect("a route");
        let error = client.recv(&mut [0; 8]).await.expect_err("port is closed");
        assert_eq!((error.kind(), now()), (ErrorKind::ConnectionRefused, ms(100)));
    });
}

#[test]
fn udp_ports_are_exclusive_and_freed_with_their_process() {
    Cluster::new().run(|| async {
        let _server = server().await;
        let again = on(C, 3, UdpSocket::bind("0.0.0.0:53")).await.expect("it ends well");
        assert_eq!(again.expect_err("taken").kind(), ErrorKind::AddrInUse);
        kill(2);
        on(C, 3, UdpSocket::bind("0.0.0.0:53")).await.expect("it ends well").expect("free");
        assert!(sockets(A).is_empty());
    });
}

#[test]
fn datagrams_are_lost_duplicated_and_reordered() {
    let bad = NetworkProfile::internet()
        .loss(0.2)
        .duplication(0.2)
        .reorder(0.2, std::time::Duration::from_millis(50));
    let result = Cluster::new().link(bad).run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        for n in 0..200_u8 {
            client.send_to(&[n], "c.west:53").await.expect("a route");
        }
        sleep(1_000).await;
        let mut came = Vec::new();
        let mut buf = [0; 8];
        while server.try_recv_from(&mut buf).is_ok() {
            came.push(buf[0]);
        }
        assert!(!came.is_sorted(), "{came:?}");
        let mut kinds = came.clone();
        kinds.sort_unstable();
        kinds.dedup();
        assert!((120..190).contains(&kinds.len()) && kinds.len() < came.len());
    });
    let stats = result.stats;
    assert_eq!(stats.delivered, 200 - stats.lost + stats.duplicated);
    assert!(stats.lost > 10 && stats.duplicated > 10 && stats.reordered > 10, "{stats:?}");
}

/// Datagrams of one flow arrive in order. Those of different sockets, or to different addresses, overtake each other.
#[test]
fn datagrams_of_one_flow_keep_their_order_under_jitter() {
    let jitter = NetworkProfile::uniform(
        std::time::Duration::from_millis(1),
        std::time::Duration::from_millis(90),
    );
    let result = Cluster::new().link(jitter).run(|| async {
        let server = server().await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(UdpSocket::bind("0.0.0.0:0").await.expect("a free port"));
        }
        for n in 0..240_u8 {
            let client = &clients[usize::from(n % 3)];
            client.send_to(&[n], "c.west:53").await.expect("a route");
            client.send_to(&[n], "c.west:54").await.expect("a route");
        }
        sleep(1_000).await;
        let (mut came, mut buf) = (Vec::new(), [0; 8]);
        while server.try_recv_from(&mut buf).is_ok() {
            came.push(buf[0]);
        }
        assert_eq!(came.len(), 240);
        assert!(!came.is_sorted(), "{came:?}");
        for client in 0..3 {
            assert!(came.iter().filter(|n| **n % 3 == client).is_sorted(), "{came:?}");
        }
    });
    assert_eq!(result.stats.reordered, 0);
}

#[test]
fn full_receive_queue_drops_datagrams() {
    let result = Cluster::new().run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        for _ in 0..300 {
            client.send_to(&[0; 1000], "c.west:53").await.expect("a route");
        }
        let error = client.send_to(&[0; 65_508], "c.west:53").await.expect_err("too long");
        assert!(error.to_string().starts_with("Message too long"), "{error}");
        sleep(100).await;
        let mut count = 0;
        while server.try_recv_from(&mut [0; 1000]).is_ok() {
            count += 1;
        }
        assert_eq!(count, 212_992 / 1256);
    });
    assert_eq!(result.stats.dropped, 300 - 212_992 / 1256);
}

#[test]
fn broadcast_reaches_its_zone_only() {
    Cluster::new().run(|| async {
        let bind = |machine, process, address: &'static str| {
            on(
                machine,
                process,
                async move { UdpSocket::bind(address).await.expect("a free port") },
            )
        };
        let own = UdpSocket::bind("0.0.0.0:9").await.expect("a free port");
        let near = bind(B, 2, "[::]:9").await.expect("it ends well");
        let one = bind(B, 3, "10.0.0.2:10").await.expect("it ends well");
        let far = bind(C, 4, "0.0.0.0:9").await.expect("it ends well");
        let error = own.send_to(b"all", "255.255.255.255:9").await.expect_err("not allowed");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        own.set_broadcast(true).expect("open");
        assert!(own.broadcast().expect("open"));
        own.send_to(b"all", "255.255.255.255:9").await.expect("allowed");
        own.send_to(b"one", "255.255.255.255:10").await.expect("allowed");
        sleep(1_000).await;
        let mut buf = [0; 8];
        let (n, from) = near.try_recv_from(&mut buf).expect("b is in the zone");
        assert_eq!((&buf[..n], from.to_string()), (&b"all"[..], "[::ffff:10.0.0.1]:9".into()));
        assert_eq!(own.try_recv_from(&mut buf).expect("its own kernel gives it back").0, 3);
        for silent in [&far, &one, &own] {
            let error = silent.try_recv_from(&mut buf).expect_err("not received");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn fragmented_datagrams_are_lost_more_often() {
    let lossy = NetworkProfile::ideal_fixed().loss(0.1).mtu(1500);
    Cluster::new().link(lossy).run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        let mut received = [0; 2];
        for (size, received) in [100, 10_000].into_iter().zip(&mut received) {
            for _ in 0..10 {
                for _ in 0..20 {
                    client.send_to(&vec![0; size], "c.west:53").await.expect("a route");
                }
                sleep(200).await;
                while server.try_recv(&mut [0; 1]).is_ok() {
                    *received += 1;
                }
            }
        }
        // Of 200, with 1 and 7 fragments: 0.9 and 0.9^7 arrive.
        assert!((165..=195).contains(&received[0]), "{received:?}");
        assert!((70..=120).contains(&received[1]), "{received:?}");
    });
}

/// As on Linux, a socket bound to loopback sends only there, and an IPv4 socket does not send to IPv6.
#[test]
fn udp_socket_sends_from_its_bound_address() {
    let mut cluster = Cluster::new();
    cluster.dual_stack = true;
    cluster.run(|| async {
        let loopback = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let error = loopback.send_to(b"x", "10.0.0.3:53").await.expect_err("not from there");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            loopback.connect("10.0.0.3:53").await.expect_err("the same").kind(),
            error.kind()
        );
        let six = sockets_address_of_c().await;
        let any = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        let error = any.send_to(b"x", six).await.expect_err("another family");
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()));
        let both = UdpSocket::bind("[::]:0").await.expect("a free port");
        both.send_to(b"x", six).await.expect("its own family");
        both.send_to(b"x", "10.0.0.3:53").await.expect("as a mapped one");
    });
}

async fn sockets_address_of_c() -> std::net::SocketAddr {
    let mut found = crate::net::lookup_host("c.west:53").await.expect("it has addresses");
    found.find(std::net::SocketAddr::is_ipv6).expect("one of IPv6")
}

//! UDP.

use std::io::ErrorKind;

use crate::net::{
    NetworkProfile, UdpSocket,
    rig::{A, C, Cluster, kill, ms, now, on, sleep},
    sockets,
};

async fn server() -> UdpSocket {
    let server = on(C, 2, async { UdpSocket::bind("0.0.0.0:53").await.expect("a free port") });
    server.await.expect("it ends well")
}

#[test]
fn datagrams_keep_their_borders() {
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
fn a_connected_socket_hears_its_peer_only() {
    Cluster::new().run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        assert_eq!(client.send(b"x").await.expect_err("no peer").kind(), ErrorKind::NotConnected);
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
fn a_port_that_nobody_has_refuses() {
    Cluster::new().run(|| async {
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        client.connect("c.west:53").await.expect("a route");
        client.send(b"ping").await.expect("a route");
        let error = client.recv(&mut [0; 8]).await.expect_err("nobody has it");
        assert_eq!((error.kind(), now()), (ErrorKind::ConnectionRefused, ms(100)));
    });
}

#[test]
fn ports_are_exclusive_and_go_with_their_process() {
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
fn links_lose_double_and_shuffle_them() {
    let bad = NetworkProfile::internet().loss(0.2).duplication(0.2);
    let left = Cluster::new().link(bad).run(|| async {
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
    let stats = left.stats;
    assert_eq!(stats.delivered, 200 - stats.lost + stats.duplicated);
    assert!(stats.lost > 10 && stats.duplicated > 10 && stats.reordered > 10, "{stats:?}");
}

#[test]
fn a_queue_that_is_full_drops() {
    let left = Cluster::new().run(|| async {
        let server = server().await;
        let client = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        for _ in 0..300 {
            client.send_to(&[0; 1000], "c.west:53").await.expect("a route");
        }
        let error = client.send_to(&[0; 65_508], "c.west:53").await.expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        sleep(100).await;
        let mut count = 0;
        while server.try_recv_from(&mut [0; 1000]).is_ok() {
            count += 1;
        }
        assert_eq!(count, 212_992 / 1256);
    });
    assert_eq!(left.stats.dropped, 300 - 212_992 / 1256);
}

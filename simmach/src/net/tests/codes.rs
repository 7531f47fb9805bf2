//! Tests that errors have Linux's codes.

use std::io;

use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::rig::{C, Cluster, ms, on, power_off, sleep};
use crate::net::tests::basics::echo;
use crate::net::tests::streams::pair;
use crate::net::{NetworkProfile, TcpConfig, TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Returns the code of an error, and checks that std gives this code the same kind and text.
fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    let error = result.expect_err("an error");
    let code = error.raw_os_error().unwrap_or_else(|| panic!("{error:?} has no code"));
    let expected = io::Error::from_raw_os_error(code);
    assert_eq!((error.kind(), error.to_string()), (expected.kind(), expected.to_string()));
    code
}

#[test]
fn connect_errors_have_codes() {
    const ECONNREFUSED: i32 = 111;
    const ENETUNREACH: i32 = 101;
    const ETIMEDOUT: i32 = 110;
    for retransmit in [true, false] {
        let config = TcpConfig::new().retransmit(retransmit);
        Cluster::new().tcp(config).run(|| async {
            assert_eq!(code(TcpStream::connect("c.west:80").await), ECONNREFUSED);
            let socket = TcpSocket::new_v4().expect("a socket");
            let closed = "10.0.0.3:80".parse().expect("an address");
            assert_eq!(code(socket.connect(closed).await), ECONNREFUSED);
            assert_eq!(code(TcpStream::connect("8.8.8.8:80").await), ENETUNREACH);
            power_off(C, 2);
            assert_eq!(code(TcpStream::connect("c.west:80").await), ETIMEDOUT);
        });
    }
}

#[test]
fn errors_without_a_route_have_codes() {
    const EHOSTUNREACH: i32 = 113;
    let mut islands = Cluster::new();
    islands.link = None;
    islands.run(|| async {
        assert_eq!(code(TcpStream::connect("c.west:80").await), EHOSTUNREACH);
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        assert_eq!(code(socket.send_to(b"x", "c.west:80").await), EHOSTUNREACH);
        assert_eq!(code(socket.connect("c.west:80").await), EHOSTUNREACH);
    });
}

#[test]
fn errors_of_open_streams_have_codes() {
    const ECONNRESET: i32 = 104;
    const EPIPE: i32 = 32;
    const ENOTCONN: i32 = 107;
    const ETIMEDOUT: i32 = 110;
    Cluster::new().run(|| async {
        let (mut near, far) = pair().await;
        far.set_zero_linger().expect("open");
        drop(far);
        sleep(200).await;
        assert_eq!(code(near.read(&mut [0; 4]).await), ECONNRESET);
        assert_eq!(code(near.write(b"x").await), EPIPE);
        assert_eq!(code(near.peer_addr()), ENOTCONN);
    });
    Cluster::new().tcp(TcpConfig::new().data_retries(3)).run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        let mut near = TcpStream::connect("c.west:80").await.expect("it listens");
        power_off(C, 2);
        near.write_all(b"anybody?").await.expect("room");
        assert_eq!(code(near.read(&mut [0; 4]).await), ETIMEDOUT);
    });
}

#[test]
fn bind_errors_have_codes() {
    const EADDRINUSE: i32 = 98;
    const EADDRNOTAVAIL: i32 = 99;
    Cluster::new().run(|| async {
        let _listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
        assert_eq!(code(TcpListener::bind("0.0.0.0:80").await), EADDRINUSE);
        assert_eq!(code(TcpListener::bind("c.west:80").await), EADDRNOTAVAIL);
        let _socket = UdpSocket::bind("0.0.0.0:80").await.expect("a free port");
        assert_eq!(code(UdpSocket::bind("0.0.0.0:80").await), EADDRINUSE);
        assert_eq!(code(UdpSocket::bind("c.west:81").await), EADDRNOTAVAIL);
    });
    let few = TcpConfig::new().ephemeral_ports(40_000..=40_001);
    Cluster::new().tcp(few).run(|| async {
        let mut all = Vec::new();
        for _ in 0..2 {
            all.push(TcpListener::bind("0.0.0.0:0").await.expect("a free port"));
        }
        assert_eq!(code(TcpListener::bind("0.0.0.0:0").await), EADDRNOTAVAIL);
        assert_eq!(code(TcpStream::connect("c.west:80").await), EADDRNOTAVAIL);
    });
}

#[test]
fn datagram_errors_have_codes() {
    const ECONNREFUSED: i32 = 111;
    const EDESTADDRREQ: i32 = 89;
    const EMSGSIZE: i32 = 90;
    const ENETUNREACH: i32 = 101;
    Cluster::new().link(NetworkProfile::fixed(ms(5))).run(|| async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        assert_eq!(code(socket.send(b"x").await), EDESTADDRREQ);
        assert_eq!(code(socket.send_to(&[0; 65_508], "c.west:9").await), EMSGSIZE);
        assert_eq!(code(socket.send_to(b"x", "8.8.8.8:9").await), ENETUNREACH);
        socket.connect("c.west:9").await.expect("a route");
        socket.send(b"x").await.expect("it is sent");
        assert_eq!(code(socket.recv(&mut [0; 4]).await), ECONNREFUSED);
    });
}

/// As in tokio, these errors come from no system call.
#[test]
fn would_block_has_no_code() {
    Cluster::new().run(|| async {
        let (near, _far) = pair().await;
        let none = [
            near.try_read(&mut [0; 4]).expect_err("nothing there"),
            TcpStream::connect("nobody:80").await.expect_err("no such name"),
            TcpStream::connect("c.west").await.expect_err("no port"),
        ];
        for error in none {
            assert_eq!(error.raw_os_error(), None, "{error:?}");
        }
    });
}

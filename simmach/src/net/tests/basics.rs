//! Tests of opening a connection, transferring data, and closing.

use std::io::ErrorKind;

use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::rig::{B, C, Cluster, ms, now, on, sleep};
use crate::net::{TcpListener, TcpStream};

/// Echoes every message until the peer closes.
pub(super) async fn echo(address: &str) {
    let listener = TcpListener::bind(address).await.expect("a free port");
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        crate::task::spawn(async move {
            let mut buf = [0; 1024];
            loop {
                match stream.read(&mut buf).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => stream.write_all(&buf[..n]).await.expect("the peer listens"),
                }
            }
        });
    }
}

#[test]
fn request_and_reply_take_two_round_trips() {
    let result = Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:443"));
        sleep(0).await;
        let mut stream = TcpStream::connect("c.west:443").await.expect("it listens");
        assert_eq!(now(), ms(100));
        stream.write_all(b"hello").await.expect("open");
        let mut buf = [0; 5];
        stream.read_exact(&mut buf).await.expect("an answer");
        assert_eq!((&buf, now()), (b"hello", ms(200)));
        assert_eq!(stream.peer_addr().expect("open").to_string(), "10.0.0.3:443");
        assert_eq!(stream.local_addr().expect("open").to_string(), "10.0.0.1:32768");
    });
    assert_eq!(result.stats.sockets, 3);
    assert_eq!(result.stats.lost + result.stats.retransmissions + result.stats.duplicates, 0);
}

#[test]
fn connect_to_a_closed_port_is_refused_after_one_round_trip() {
    let result = Cluster::new().run(|| async {
        let error = TcpStream::connect("c.west:443").await.expect_err("port is closed");
        assert_eq!((error.kind(), now()), (ErrorKind::ConnectionRefused, ms(100)));
        on(B, 2, echo("0.0.0.0:443"));
        let error = TcpStream::connect("127.0.0.1:443").await.expect_err("b is not a");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
    assert_eq!(result.stats.refused, 2);
}

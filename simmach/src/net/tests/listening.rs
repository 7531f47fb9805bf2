//! Tests of a listener's states while a connection is opened, as the socket table shows them.

use crate::net::control::{filter_packets, sockets};
use crate::net::rig::{A, C, Cluster, on, sleep};
use crate::net::{PacketFate, Protocol, SocketState, TcpListener, TcpSocket, TcpStream};

fn states() -> Vec<SocketState> {
    sockets(C).into_iter().map(|socket| socket.state).collect()
}

async fn listen(millis: u64) {
    let listener = TcpListener::bind("0.0.0.0:443").await.expect("a free port");
    sleep(millis).await;
    drop(listener);
    sleep(1_000_000).await;
}

#[test]
fn listen_state_lasts_from_bind_to_drop() {
    Cluster::new().run(|| async {
        assert!(states().is_empty());
        on(C, 2, listen(1_000));
        sleep(1).await;
        assert_eq!(states(), [SocketState::Listen]);
        sleep(2_000).await;
        assert!(states().is_empty());
    });
}

/// The final acknowledgement of the handshake does not arrive.
#[test]
fn half_open_connection_ends_by_a_reset() {
    Cluster::new().run(|| async {
        on(C, 2, listen(1_000_000));
        sleep(1).await;
        let mut sent = 0;
        let filter = filter_packets(
            &[A],
            &[C],
            Box::new(move |_| {
                sent += 1;
                if sent == 2 { PacketFate::Drop } else { PacketFate::Pass }
            }),
        );
        let stream = TcpStream::connect("c.west:443").await.expect("it answers");
        sleep(10).await;
        assert_eq!(states(), [SocketState::Listen, SocketState::SynReceived]);
        stream.set_zero_linger().expect("open");
        drop(stream);
        sleep(100).await;
        assert_eq!(states(), [SocketState::Listen]);
        drop(filter);
    });
}

/// A connection that is reset in the accept queue is removed with its listener.
#[test]
fn queued_connection_that_is_reset_leaves_no_socket() {
    Cluster::new().run(|| async {
        on(C, 2, listen(1_000));
        sleep(1).await;
        for reset in [true, false] {
            let stream = TcpStream::connect("c.west:443").await.expect("it answers");
            if reset {
                stream.set_zero_linger().expect("open");
            }
            drop(stream);
        }
        sleep(500).await;
        assert_eq!(states()[1..], [SocketState::Closed, SocketState::CloseWait]);
        sleep(1_000).await;
        assert!(states().is_empty(), "{:?}", sockets(C));
    });
}

/// A socket that is bound, but neither listens nor connects, has no entry in the table, and frees its port.
#[test]
fn bound_socket_is_not_in_the_table() {
    Cluster::new().run(|| async {
        let socket = TcpSocket::new_v4().expect("in a run");
        socket.bind("0.0.0.0:443".parse().expect("an address")).expect("a free port");
        assert_eq!(
            (sockets(A), crate::net::control::ports(A)),
            (vec![], vec![(Protocol::Tcp, 443)])
        );
        drop(socket);
        assert!(crate::net::control::ports(A).is_empty());
    });
}

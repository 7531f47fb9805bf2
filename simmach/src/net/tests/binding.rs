//! Tests of ports, addresses, names and listeners.

use std::io::ErrorKind;

use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::control::sockets;
use crate::net::rig::{A, C, Cluster, ms, now, on, sleep};
use crate::net::tests::basics::echo;
use crate::net::{TcpConfig, TcpListener, TcpSocket, TcpStream, lookup_host};

#[test]
fn port_is_in_use_until_its_listener_is_dropped() {
    Cluster::new().run(|| async {
        let first = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
        for taken in ["0.0.0.0:80", "127.0.0.1:80", "a.east:80", "[::]:80"] {
            let error = TcpListener::bind(taken).await.expect_err("taken");
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{taken}");
        }
        drop(first);
        TcpListener::bind("a.east:80").await.expect("free again");
    });
}

#[test]
fn listener_can_bind_a_port_that_connections_use() {
    Cluster::new().run(|| async {
        let listener = TcpListener::bind("127.0.0.1:80").await.expect("a free port");
        let near = TcpStream::connect("127.0.0.1:80").await.expect("it listens");
        let far = listener.accept().await.expect("a connection").0;
        drop(listener);
        drop(far);
        drop(near);
        sleep(1).await;
        assert_eq!(sockets(A)[0].state.to_string(), "TIME-WAIT");
        TcpListener::bind("127.0.0.1:80").await.expect("TIME-WAIT is no obstacle");
    });
}

#[test]
fn bind_to_another_machines_address_fails() {
    Cluster::new().run(|| async {
        for other in ["c.west:80", "10.0.0.2:80", "8.8.8.8:80"] {
            let error = TcpListener::bind(other).await.expect_err("not a's");
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{other}");
        }
        let any = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        assert_eq!(any.local_addr().expect("bound").to_string(), "0.0.0.0:32768");
        let next = TcpListener::bind(("a.east", 0)).await.expect("a free port");
        assert_eq!(next.local_addr().expect("bound").to_string(), "10.0.0.1:32769");
        let v6 = TcpListener::bind("[::1]:0").await.expect("a free port");
        assert_eq!(v6.local_addr().expect("bound").to_string(), "[::1]:32770");
    });
}

#[test]
fn loopback_is_fast_and_every_own_address_works() {
    Cluster::new().run(|| async {
        on(A, 2, echo("[::]:80"));
        on(C, 3, echo("[::]:80"));
        sleep(0).await;
        for (address, local) in [
            ("127.0.0.1:80", "127.0.0.1"),
            ("localhost:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("a.east:80", "10.0.0.1"),
            ("[fd00::1]:80", "[fd00::1]"),
            ("[fd00::3]:80", "[fd00::1]"),
            ("C.West:80", "10.0.0.1"),
            ("0.0.0.0:80", "127.0.0.1"),
        ] {
            let begun = now();
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(b"hi").await.expect("open");
            stream.read_exact(&mut [0; 2]).await.expect("an answer");
            let far = address.contains("West") || address.contains("::3");
            assert_eq!(now() - begun > ms(1), far, "{address}");
            let own = stream.local_addr().expect("open").to_string();
            assert!(own.starts_with(local), "{address}: {own}");
        }
    });
}

#[test]
fn lookup_resolves_names() {
    Cluster::new().run(|| async {
        let found: Vec<_> = lookup_host("b.east:443").await.expect("known").collect();
        assert_eq!(found, ["10.0.0.2:443".parse().expect("an address")]);
        let error = TcpStream::connect("nobody.east:443").await.expect_err("unknown");
        assert_eq!(format!("{:?}", error.kind()), "Uncategorized", "as std's resolver has it");
        assert!(error.to_string().contains("nobody.east"), "{error}");
        for wrong in ["b.east", "b.east:http", "b.east:70000"] {
            let error = TcpStream::connect(wrong).await.expect_err("no address");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
        }
        let nothing: &[std::net::SocketAddr] = &[];
        let error = TcpStream::connect(nothing).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

/// The trailing dot of an absolute name: with and without a zone, and on localhost.
#[test]
fn lookup_accepts_a_trailing_dot() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        for name in ["c.west.", "C.West."] {
            let stream = TcpStream::connect((name, 80)).await.expect("c listens");
            assert_eq!(stream.peer_addr().expect("open").to_string(), "10.0.0.3:80");
        }
        let mut found = lookup_host("c.west.:80").await.expect("known");
        assert_eq!(found.next().expect("an address").to_string(), "10.0.0.3:80");
        let mut found = lookup_host("localhost.:80").await.expect("known");
        assert_eq!(found.next().expect("an address").to_string(), "127.0.0.1:80");
        for name in ["c.west..", ".c.west", ".", "", "west.", "c..west"] {
            let error = TcpStream::connect((name, 80)).await.expect_err("unknown");
            assert!(error.to_string().ends_with(name), "{error}");
        }
    });
}

#[test]
fn connect_tries_the_next_address() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        let addresses = ["10.0.0.2:80", "8.8.8.8:80", "10.0.0.3:80"]
            .map(|address| address.parse().expect("an address"));
        let stream = TcpStream::connect(&addresses[..]).await.expect("c listens");
        assert_eq!(stream.peer_addr().expect("open"), addresses[2]);
    });
}

#[test]
fn ephemeral_ports_run_out_and_are_freed() {
    let few = TcpConfig::new().ephemeral_ports(100..=104);
    Cluster::new().tcp(few).run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        let mut streams = Vec::new();
        for _ in 0..5 {
            streams.push(TcpStream::connect("c.west:80").await.expect("it listens"));
        }
        let error = TcpStream::connect("c.west:80").await.expect_err("no port is left");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(TcpListener::bind("0.0.0.0:0").await.is_err());
        streams.pop();
        sleep(1_000).await;
        let error = TcpStream::connect("c.west:80").await.expect_err("TIME-WAIT");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        sleep(60_000).await;
        TcpStream::connect("c.west:80").await.expect("it is free");
    });
}

/// The same ports after TIME-WAIT: old segments do not reach the new connection.
#[test]
fn reused_port_gets_nothing_of_the_old_connection() {
    let one = TcpConfig::new().ephemeral_ports(100..=100).time_wait(ms(500));
    Cluster::new().tcp(one).run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        for round in 0..20_u8 {
            let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
            stream.write_all(&[round; 3000]).await.expect("open");
            let mut buf = [0; 3000];
            stream.read_exact(&mut buf).await.expect("an answer");
            assert_eq!(buf, [round; 3000]);
            drop(stream);
            sleep(700).await;
        }
    });
}

#[test]
fn full_accept_queue_drops_syns() {
    let short = TcpConfig::new().backlog(1);
    Cluster::new().tcp(short).run(|| async {
        let accepting = on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            sleep(10_000).await;
            for _ in 0..3 {
                listener.accept().await.expect("a connection");
            }
        });
        sleep(0).await;
        let mut streams = Vec::new();
        for _ in 0..2 {
            streams.push(TcpStream::connect("c.west:80").await.expect("there is room"));
        }
        sleep(100).await;
        let listener = sockets(C)[0].to_string();
        assert_eq!(listener, "tcp LISTEN          2      1 0.0.0.0:80 *");
        // SYNs at 0.3, 1.3, 3.3 and 7.3 s are dropped; the one at 15.3 s is accepted.
        streams.push(TcpStream::connect("c.west:80").await.expect("there is room again"));
        assert_eq!(now(), ms(15_400));
        accepting.await.expect("it ends well");
    });
}

#[test]
fn dropped_listener_resets_unaccepted_connections() {
    Cluster::new().run(|| async {
        on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            sleep(500).await;
            drop(listener);
            sleep(100_000).await;
        });
        sleep(0).await;
        let mut stream = TcpStream::connect("c.west:80").await.expect("its kernel answers");
        let error = stream.read(&mut [0; 8]).await.expect_err("reset");
        assert_eq!((error.kind(), now()), (ErrorKind::ConnectionReset, ms(550)));
        assert!(sockets(C).is_empty());
    });
}

#[test]
fn accept_in_several_tasks_gives_each_a_connection() {
    Cluster::new().run(|| async {
        let served = on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            let (one, two) = futures::join!(listener.accept(), listener.accept());
            one.expect("a connection");
            two.expect("a connection");
        });
        sleep(0).await;
        let (one, two) =
            futures::join!(TcpStream::connect("c.west:80"), TcpStream::connect("c.west:80"));
        one.expect("it listens");
        two.expect("it listens");
        served.await.expect("it ends well");
    });
}

#[test]
fn unaccepted_connection_gets_no_answer() {
    Cluster::new().run(|| async {
        let _listener = on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            futures::future::pending::<()>().await;
            drop(listener);
        });
        sleep(0).await;
        let mut stream = TcpStream::connect("c.west:80").await.expect("its kernel answers");
        stream.write_all(b"hello?").await.expect("its kernel takes it");
        let read = crate::time::timeout(ms(30_000), stream.read(&mut [0; 8])).await;
        assert!(read.is_err());
    });
}

#[test]
fn abandoned_connect_leaves_no_socket() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        let connect = crate::time::timeout(ms(60), TcpStream::connect("c.west:80")).await;
        assert!(connect.is_err());
        assert!(sockets(A).is_empty());
        sleep(100).await;
        let left: Vec<_> = sockets(C).iter().map(|socket| socket.state.to_string()).collect();
        assert_eq!(left, ["LISTEN"], "a's kernel reset the abandoned connection");
    });
}

#[test]
fn lookup_returns_ipv6_in_dual_stack_topologies() {
    let mut cluster = Cluster::new();
    cluster.dual_stack = true;
    cluster.run(|| async {
        on(C, 2, echo("[fd00::3]:80"));
        sleep(0).await;
        let found: Vec<_> = lookup_host("c.west:80").await.expect("known").collect();
        assert_eq!(
            found,
            ["10.0.0.3:80", "[fd00::3]:80"].map(|at| at.parse().expect("an address"))
        );
        let stream = TcpStream::connect("c.west:80").await.expect("the second answers");
        assert_eq!(stream.peer_addr().expect("open"), found[1]);
        let own: Vec<_> = lookup_host("localhost:80").await.expect("known").collect();
        assert_eq!(own[1], "[::1]:80".parse().expect("an address"));
    });
}

/// A SYN with a number above those of the old connection takes over its TIME-WAIT. The server is in it, since it closed
/// first.
#[test]
fn syn_takes_over_a_connection_in_time_wait() {
    Cluster::new().run(|| async {
        on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                stream.write_all(b"one").await.expect("open");
            }
        });
        sleep(0).await;
        for _ in 0..3 {
            let begun = now();
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("a new one");
            socket.bind("0.0.0.0:100".parse().expect("an address")).expect("a free port");
            let mut stream = socket
                .connect("10.0.0.3:80".parse().expect("an address"))
                .await
                .expect("it listens");
            assert_eq!(now() - begun, ms(100), "no SYN was lost");
            let mut word = String::new();
            stream.read_to_string(&mut word).await.expect("all of it");
            assert_eq!(word, "one");
            drop(stream);
            sleep(2_000 - 50).await;
            let states: Vec<_> = sockets(C).iter().map(|socket| socket.state.to_string()).collect();
            assert_eq!(states, ["LISTEN", "TIME-WAIT"]);
        }
    });
}

/// A connection that is reset in the accept queue is removed with the listener.
#[test]
fn connection_reset_before_accept_leaves_no_socket() {
    Cluster::new().run(|| async {
        let listening = on(C, 2, async { TcpListener::bind("0.0.0.0:80").await.expect("free") });
        let listener = listening.await.expect("it ends well");
        let stream = TcpStream::connect("c.west:80").await.expect("it listens");
        stream.set_zero_linger().expect("open");
        drop(stream);
        sleep(1_000).await;
        drop(listener);
        sleep(1).await;
        assert_eq!(sockets(C).len(), 0, "{:?}", sockets(C));
    });
}

/// Larger sizes exceed the window of RFC 7323 and the range of sequence numbers.
#[test]
fn receive_buffer_is_capped() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(u32::MAX).expect("a new one");
        let mut stream =
            socket.connect("10.0.0.3:80".parse().expect("an address")).await.expect("it listens");
        let sent = vec![7; 300_000];
        stream.write_all(&sent[..100_000]).await.expect("open");
        stream.read_exact(&mut vec![0; 100_000]).await.expect("all of it");
        stream.write_all(&sent[..100_000]).await.expect("open");
        stream.read_exact(&mut vec![0; 100_000]).await.expect("all of it");
    });
}

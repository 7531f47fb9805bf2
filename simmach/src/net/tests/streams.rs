//! Tests of open streams: order, halves, ends and back-pressure.

use std::io::ErrorKind;

use futures::future::join_all;
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::control::sockets;
use crate::net::rig::{A, C, Cluster, ms, now, on, shared, sleep};
use crate::net::tests::basics::echo;
use crate::net::{NetworkProfile, TcpConfig, TcpListener, TcpStream};

/// Returns both ends of a connection from `a` to `c`.
pub(super) async fn pair() -> (TcpStream, TcpStream) {
    let accepted = on(C, 2, async {
        let listener = TcpListener::bind("0.0.0.0:443").await.expect("a free port");
        listener.accept().await.expect("a connection").0
    });
    sleep(0).await;
    let near = TcpStream::connect("c.west:443").await.expect("it listens");
    (near, accepted.await.expect("it ends well"))
}

async fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an orderly end");
    bytes
}

#[test]
fn written_data_arrives_before_the_end_after_a_drop() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"last words").await.expect("open");
        drop(near);
        assert_eq!(all(&mut far).await, b"last words");
        drop(far);
        sleep(200).await;
        assert_eq!(sockets(C).len(), 0, "the one that closed last is gone");
        let left: Vec<_> = sockets(A).iter().map(ToString::to_string).collect();
        assert_eq!(left, ["tcp TIME-WAIT       0      0 10.0.0.1:32768 10.0.0.3:443"]);
        sleep(60_000).await;
        assert!(sockets(A).is_empty());
    });
}

#[test]
fn shutdown_closes_one_direction() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"question").await.expect("open");
        near.close().await.expect("open");
        let error = near.write(b"more").await.expect_err("its direction is shut");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(all(&mut far).await, b"question");
        far.write_all(b"answer").await.expect("the other direction is open");
        drop(far);
        assert_eq!(all(&mut near).await, b"answer");
    });
}

#[test]
fn drop_with_unread_bytes_resets() {
    let result = Cluster::new().run(|| async {
        let (mut near, far) = pair().await;
        near.write_all(b"never read").await.expect("open");
        sleep(100).await;
        drop(far);
        let mut buf = [0; 8];
        let error = near.read(&mut buf).await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut buf).await.expect("error is reported once"), 0);
        let error = near.write(b"x").await.expect_err("gone");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        drop(near);
        assert!(sockets(A).is_empty() && sockets(C).is_empty());
    });
    assert_eq!(result.stats.resets, 1);
}

#[test]
fn linger_zero_resets() {
    Cluster::new().run(|| async {
        let (near, mut far) = pair().await;
        near.set_linger(Some(ms(0))).expect("open");
        assert_eq!(near.linger().expect("open"), Some(ms(0)));
        drop(near);
        let error = far.read(&mut [0; 8]).await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn connections_have_different_ephemeral_ports() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:443"));
        sleep(0).await;
        let streams = join_all((0..10_u8).map(|n| async move {
            let mut stream = TcpStream::connect("c.west:443").await.expect("it listens");
            stream.write_all(&[n; 100]).await.expect("open");
            let mut buf = [0; 100];
            stream.read_exact(&mut buf).await.expect("an answer");
            assert_eq!(buf, [n; 100]);
            stream
        }));
        let streams = streams.await;
        let mut ports: Vec<_> =
            streams.iter().map(|stream| stream.local_addr().expect("open").port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!((ports.len(), now()), (10, ms(200)));
    });
}

#[test]
fn out_of_order_packets_are_reassembled() {
    let bytes: Vec<u8> = (0..30_000_u32).map(|n| (n % 251) as u8).collect();
    for link in [
        NetworkProfile::reverse_latency(),
        NetworkProfile::mobile_3g(),
        NetworkProfile::mobile_2g(),
        NetworkProfile::lan().reorder(0.2, ms(5)).duplication(0.2).loss(0.05),
    ] {
        let expected = bytes.clone();
        let result = Cluster::new().link(link).run(|| async move {
            let (mut near, mut far) = pair().await;
            let sent = expected.clone();
            crate::task::spawn(async move {
                near.write_all(&sent).await.expect("open");
            });
            assert_eq!(all(&mut far).await, expected);
        });
        assert!(result.stats.out_of_order > 0 || result.stats.lost == 0, "{:?}", result.stats);
    }
}

/// The share of late segments in a bulk transfer is the profile's reordering rate, whatever its jitter.
#[test]
fn bulk_transfer_is_not_reordered_by_jitter() {
    let bulk = |link| {
        let result = Cluster::new().link(link).run(|| async {
            let (mut near, mut far) = pair().await;
            crate::task::spawn(async move { near.write_all(&[7; 4_000_000]).await.expect("open") });
            assert_eq!(all(&mut far).await.len(), 4_000_000);
        });
        1_000 * result.stats.reordered / result.stats.sent
    };
    assert_eq!(bulk(NetworkProfile::azure_intranet()), 0);
    assert_eq!(bulk(NetworkProfile::uniform(ms(1), ms(90))), 0);
    assert!((1..=5).contains(&bulk(NetworkProfile::internet())));
    assert!((5..=20).contains(&bulk(NetworkProfile::mobile_3g())));
    assert!(bulk(NetworkProfile::uniform(ms(1), ms(90)).in_order(false)) > 200);
}

/// Packets of two connections between the same machines can overtake each other.
#[test]
fn connections_overtake_each_other_under_jitter() {
    let link = NetworkProfile::uniform(ms(1), ms(90));
    Cluster::new().link(link).run(|| async {
        let arrivals = shared(Vec::new());
        on(C, 2, {
            let arrivals = std::rc::Rc::clone(&arrivals);
            async move {
                let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
                loop {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    let arrivals = std::rc::Rc::clone(&arrivals);
                    crate::task::spawn_local(async move {
                        let mut number = [0];
                        while stream.read_exact(&mut number).await.is_ok() {
                            arrivals.borrow_mut().push(number[0]);
                        }
                    });
                }
            }
        });
        sleep(0).await;
        let mut streams = Vec::new();
        for _ in 0..2 {
            let stream = TcpStream::connect("c.west:80").await.expect("it listens");
            stream.set_nodelay(true).expect("open");
            streams.push(stream);
        }
        for number in 0..100_u8 {
            let stream = &mut streams[usize::from(number % 2)];
            stream.write_all(&[number]).await.expect("open");
        }
        sleep(500).await;
        let arrivals = arrivals.borrow().clone();
        assert_eq!(arrivals.len(), 100);
        assert!(!arrivals.is_sorted(), "{arrivals:?}");
        for parity in 0..2 {
            assert!(arrivals.iter().filter(|number| **number % 2 == parity).is_sorted());
        }
    });
}

/// Held-back packets are overtaken also on links that otherwise keep the order, such as `lan`.
#[test]
fn reordering_link_reorders() {
    let link = NetworkProfile::lan().reorder(0.2, ms(5));
    let result = Cluster::new().link(link).run(|| async {
        let (mut near, mut far) = pair().await;
        near.set_nodelay(true).expect("open");
        for _ in 0..50 {
            near.write_all(&[7; 100]).await.expect("open");
            sleep(1).await;
        }
        far.read_exact(&mut [0; 5_000]).await.expect("all of it");
    });
    assert!(result.stats.reordered > 0, "{:?}", result.stats);
}

#[test]
fn lost_segment_is_not_recovered_without_retransmission() {
    let lossy = NetworkProfile::ideal_fixed().loss(0.3);
    let result =
        Cluster::new().tcp(TcpConfig::new().retransmit(false)).seed(3).link(lossy).try_run(
            || async {
                let (mut near, mut far) = pair().await;
                near.write_all(&[7; 100_000]).await.expect("room");
                drop(near);
                let mut bytes = Vec::new();
                let read = crate::time::timeout(ms(600_000), far.read_to_end(&mut bytes)).await;
                assert!(read.is_err(), "a reader waits for what was lost");
            },
        );
    assert_eq!(result.stats.retransmissions, 0);
    assert!(result.stats.lost > 0);
}

#[test]
fn slow_reader_blocks_the_writer() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        let written = shared(0);
        let count = written.clone();
        crate::task::spawn_local(async move {
            let chunk = [1; 10_000];
            for _ in 0..100 {
                near.write_all(&chunk).await.expect("open");
                *count.borrow_mut() += chunk.len();
            }
        });
        sleep(60_000).await;
        let held = *written.borrow();
        assert!((200_000..=262_144).contains(&held), "two buffers hold {held}");
        let mut bytes = 0;
        let mut buf = [0; 4096];
        while bytes < 1_000_000 {
            bytes += far.read(&mut buf).await.expect("open");
        }
        assert_eq!(far.read(&mut buf).await.expect("the end"), 0);
    });
}

#[test]
fn peek_and_try_read_work() {
    Cluster::new().run(|| async {
        let (near, mut far) = pair().await;
        let mut buf = [0; 4];
        let error = near.try_read(&mut buf).expect_err("nothing came");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let error = near.try_read(&mut []).expect_err("nothing came");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(near.try_write(&[]).expect("no write was blocked before"), 0);
        far.write_all(b"abcdef").await.expect("open");
        near.readable().await.expect("open");
        assert_eq!((near.peek(&mut buf).await.expect("open"), &buf), (4, b"abcd"));
        assert_eq!((near.try_read(&mut buf).expect("bytes"), &buf), (4, b"abcd"));
        assert_eq!((near.try_read(&mut buf).expect("bytes"), &buf[..2]), (2, &b"ef"[..]));
        near.writable().await.expect("open");
        let mut written = 0;
        let error = loop {
            match near.try_write(&[0; 50_000]) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), written), (ErrorKind::WouldBlock, 128 * 1024));
        near.writable().await.expect("room again, as c's kernel takes it");
        assert!(now() > ms(250));
    });
}

#[test]
fn owned_halves_work_in_two_tasks() {
    Cluster::new().run(|| async {
        let (near, far) = pair().await;
        let (mut reads, mut writes) = near.into_split();
        let (mut far_reads, far_writes) = far.into_split();
        let reader = crate::task::spawn(async move {
            let mut bytes = Vec::new();
            far_reads.read_to_end(&mut bytes).await.expect("an orderly end");
            (bytes, far_reads)
        });
        writes.write_all(b"one way").await.expect("open");
        drop(writes);
        let (bytes, far_reads) = reader.await.expect("it ends well");
        assert_eq!(bytes, b"one way");
        let mut far = far_reads.reunite(far_writes).expect("halves of one stream");
        far.write_all(b"and back").await.expect("half is open");
        drop(far);
        let mut bytes = Vec::new();
        reads.read_to_end(&mut bytes).await.expect("an orderly end");
        assert_eq!(bytes, b"and back");
    });
}

#[test]
fn reunite_of_different_streams_fails() {
    Cluster::new().run(|| async {
        let (near, far) = pair().await;
        let (reads, writes) = near.into_split();
        let (_, other) = far.into_split();
        let error = reads.reunite(other).expect_err("another stream's");
        assert!(error.0.reunite(writes).is_ok());
    });
}

#[test]
fn borrowed_halves_work_together() {
    Cluster::new().run(|| async {
        let (near, far) = pair().await;
        on(C, 3, async move {
            let (mut reads, mut writes) = far.into_split();
            futures::io::copy(&mut reads, &mut writes).await.expect("an orderly end");
        });
        let (mut reads, mut writes) = near.split();
        let mut buf = [0; 50_000];
        let (sent, read) =
            futures::join!(writes.write_all(&[9; 50_000]), reads.read_exact(&mut buf));
        sent.expect("open");
        read.expect("an answer");
        assert_eq!(buf, [9; 50_000]);
    });
}

#[test]
fn small_writes_are_gathered_without_nodelay() {
    for (nodelay, expected) in [(false, 190), (true, 50)] {
        Cluster::new().run(move || async move {
            let (mut near, mut far) = pair().await;
            near.set_nodelay(nodelay).expect("open");
            assert_eq!(near.nodelay().expect("open"), nodelay);
            let start = now();
            near.write_all(b"head").await.expect("open");
            near.write_all(b"body").await.expect("open");
            far.read_exact(&mut [0; 8]).await.expect("both");
            // 50 ms there; Nagle: 40 ms of delayed acknowledgement, 50 ms back, 50 ms there.
            let took = (now() - start).as_millis() as u64;
            assert_eq!(took, expected);
        });
    }
}

#[test]
fn large_write_counts_its_segments() {
    let result = Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        let reader = crate::task::spawn(async move { all(&mut far).await.len() });
        near.write_all(&vec![5; 1_000_000]).await.expect("open");
        drop(near);
        assert_eq!(reader.await.expect("it ends well"), 1_000_000);
    });
    assert!(result.stats.sent > 1_000_000 / 1460, "{:?}", result.stats);
    assert_eq!(result.stats.bytes, 1_000_000);
}

#[test]
fn segments_fit_the_links_mtu() {
    let packets = |mtu| {
        let narrow = NetworkProfile::ideal_fixed().duplication(1e-9).mtu(mtu);
        let result = Cluster::new().link(narrow).run(|| async {
            let (mut near, mut far) = pair().await;
            near.write_all(&[1; 50_000]).await.expect("room");
            far.read_exact(&mut [0; 50_000]).await.expect("all of it");
        });
        result.stats.sent
    };
    let (wide, narrow) = (packets(1500), packets(576));
    assert!(wide < 70 && narrow > 95, "{wide} and {narrow} packets");
}

/// A burst counts as its segments, whose size is limited by the link or the peer.
#[test]
fn bursts_count_as_their_segments() {
    let packets = |mtu, peers| {
        let mut cluster = Cluster::new().link(NetworkProfile::ideal_fixed().mtu(mtu));
        cluster.tcp_of_c = Some(TcpConfig::new().mss(peers));
        let result = cluster.run(|| async {
            let (mut near, mut far) = pair().await;
            near.write_all(&[1; 50_000]).await.expect("room");
            far.read_exact(&mut [0; 50_000]).await.expect("all of it");
            drop((near, far));
            sleep(1_000).await;
        });
        assert_eq!(result.stats.sent, result.stats.delivered);
        result.stats.sent
    };
    let (wide, narrow, asked) = (packets(1500, 1460), packets(576, 1460), packets(1500, 536));
    // The data take 35 or 94 segments.
    assert_eq!(narrow - wide, 94 - 35, "{wide} and {narrow} packets");
    assert_eq!(asked, narrow);
}

/// A machine can have its own TCP parameters.
#[test]
fn machines_can_have_their_own_tcp_config() {
    let mut cluster = Cluster::new();
    cluster.tcp_of_c = Some(TcpConfig::new().receive_buffer(1_000));
    cluster.run(|| async {
        let (near, far) = pair().await;
        near.try_write(&[1; 50_000]).expect("room");
        far.try_write(&[1; 50_000]).expect("room");
        sleep(1_000).await;
        assert_eq!(sockets(C)[0].receive_queue, 1_000);
        assert_eq!(sockets(A)[0].receive_queue, 50_000);
    });
}

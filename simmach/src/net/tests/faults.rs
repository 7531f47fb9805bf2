//! Tests of partitions, power loss, killed processes and missing routes: what a peer observes, and
//! when.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::engine;
use crate::net::control::{
    clear_filters, filter_packets, heal, heal_all, partition, set_pair_profile, set_profile,
    sockets,
};
use crate::net::rig::{A, B, C, Cluster, kill, ms, now, on, power_off, shared, sleep};
use crate::net::simulated::kernel::control::{clog, has_route, set_power, unclog};
use crate::net::tests::basics::echo;
use crate::net::tests::streams::pair;
use crate::net::{NetworkProfile, PacketFate, PacketInfo, TcpConfig, TcpListener, TcpStream};

fn isolate_c() {
    partition(None, &[A, B], &[C]);
    partition(None, &[C], &[A, B]);
}

#[test]
fn connect_without_a_route_fails_at_once() {
    let mut cluster = Cluster::new();
    cluster.link = None;
    cluster.run(|| async {
        let kind =
            async |address: &str| TcpStream::connect(address).await.expect_err("no route").kind();
        assert_eq!(kind("c.west:80").await, ErrorKind::HostUnreachable);
        assert_eq!(kind("8.8.8.8:80").await, ErrorKind::NetworkUnreachable);
        assert_eq!(kind("b.east:80").await, ErrorKind::ConnectionRefused);
        assert!(now() < ms(1), "a LAN's round trip");
        assert!(has_route(A, B) && !has_route(A, C));
    });
}

#[test]
fn connect_without_an_answer_times_out_as_on_linux() {
    Cluster::new().run(|| async {
        set_power(C, false);
        let error = TcpStream::connect("c.west:80").await.expect_err("it is down");
        assert_eq!((error.kind(), now()), (ErrorKind::TimedOut, ms(127_000)));
        set_power(C, true);
        isolate_c();
        let error = TcpStream::connect("c.west:80").await.expect_err("it is partitioned");
        assert_eq!((error.kind(), now()), (ErrorKind::TimedOut, ms(254_000)));
    });
}

#[test]
fn connect_without_retransmission_times_out_after_five_seconds() {
    let result = Cluster::new().tcp(TcpConfig::new().retransmit(false)).run(|| async {
        set_power(C, false);
        let error = TcpStream::connect("c.west:80").await.expect_err("it is down");
        assert_eq!((error.kind(), now()), (ErrorKind::TimedOut, ms(5_000)));
    });
    assert_eq!((result.stats.sent, result.stats.dropped), (1, 1));
}

#[test]
fn connect_times_out_if_only_the_return_path_is_cut() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        partition(None, &[C], &[A]);
        let connect = crate::time::timeout(ms(10_000), TcpStream::connect("c.west:80")).await;
        assert!(connect.is_err());
        heal_all();
        TcpStream::connect("c.west:80").await.expect("it answers again");
    });
}

#[test]
fn data_sent_into_a_partition_arrives_after_it() {
    let result = Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        isolate_c();
        near.write_all(b"patience").await.expect("room");
        sleep(5_000).await;
        heal(None, &[A, B], &[C]);
        heal(None, &[C], &[A, B]);
        let mut buf = [0; 8];
        far.read_exact(&mut buf).await.expect("it is retransmitted");
        assert_eq!(&buf, b"patience");
        assert!(now() < ms(15_000));
    });
    assert!(result.stats.partitioned > 0 && result.stats.retransmissions > 0);
}

#[test]
fn packets_in_flight_pass_a_partition() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"just in time").await.expect("room");
        sleep(10).await;
        isolate_c();
        far.read_exact(&mut [0; 12]).await.expect("it was in flight");
    });
}

#[test]
fn partition_cuts_fins_too() {
    Cluster::new().run(|| async {
        let (near, mut far) = pair().await;
        isolate_c();
        drop(near);
        let read = crate::time::timeout(ms(30_000), far.read(&mut [0; 8])).await;
        assert!(read.is_err(), "no end comes across a partition");
        heal_all();
        let read = far.read(&mut [0; 8]).await;
        assert_eq!(read.expect("the FIN is sent again"), 0);
    });
}

#[test]
fn lasting_partition_times_out_the_writer() {
    // Linux's 15 retries take longer than the stall limit; 5 take 12.6 s after the first timeout.
    Cluster::new().tcp(TcpConfig::new().data_retries(5)).run(|| async {
        let (mut near, _far) = pair().await;
        isolate_c();
        near.write_all(b"hello?").await.expect("room");
        let error = near.read(&mut [0; 8]).await.expect_err("given up");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let after = now().as_secs();
        assert!((13..=20).contains(&after), "{after} s");
    });
}

#[test]
fn one_way_partition_loses_the_answer() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        partition(None, &[C], &[A]);
        near.write_all(b"question").await.expect("room");
        far.read_exact(&mut [0; 8]).await.expect("this direction is open");
        far.write_all(b"answer").await.expect("room");
        let read = crate::time::timeout(ms(3_000), near.read_exact(&mut [0; 6])).await;
        assert!(read.is_err());
        heal_all();
        near.read_exact(&mut [0; 6]).await.expect("it is retransmitted");
    });
}

#[test]
fn killed_process_is_closed_by_its_kernel() {
    Cluster::new().run(|| async {
        on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            let (mut one, _) = listener.accept().await.expect("a connection");
            let _two = listener.accept().await.expect("a connection");
            one.read_exact(&mut [0; 5]).await.expect("a greeting");
            futures::future::pending::<()>().await;
        });
        sleep(0).await;
        let mut one = TcpStream::connect("c.west:80").await.expect("it listens");
        let mut two = TcpStream::connect("c.west:80").await.expect("it listens");
        one.write_all(b"hello").await.expect("open");
        two.write_all(b"hello").await.expect("open");
        sleep(100).await;
        kill(2);
        let killed = now();
        assert_eq!(one.read(&mut [0; 8]).await.expect("all was read: FIN"), 0);
        let error = two.read(&mut [0; 8]).await.expect_err("bytes were unread: RST");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(now(), killed + ms(50));
        let error = TcpStream::connect("c.west:80").await.expect_err("its port is closed");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // Data for a dead process is answered with a reset.
        one.write_all(b"still there?").await.expect("room");
        sleep(200).await;
        let error = one.write(b"?").await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        on(C, 3, echo("0.0.0.0:80"));
        sleep(0).await;
        TcpStream::connect("c.west:80").await.expect("it was started again");
    });
}

#[test]
fn machine_without_power_sends_nothing() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
        stream.write_all(b"ping").await.expect("open");
        sleep(60).await;
        // The answer is in flight.
        power_off(C, 2);
        assert!(sockets(C).is_empty());
        stream.read_exact(&mut [0; 4]).await.expect("it was on the wire");
        stream.write_all(b"ping").await.expect("room");
        let read = crate::time::timeout(ms(20_000), stream.read(&mut [0; 8])).await;
        assert!(read.is_err(), "no word");
        set_power(C, true);
        on(C, 3, echo("0.0.0.0:80"));
        let error = stream.read(&mut [0; 8]).await.expect_err("it knows nothing of this");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut again = TcpStream::connect("c.west:80").await.expect("it listens again");
        again.write_all(b"ping").await.expect("open");
        again.read_exact(&mut [0; 4]).await.expect("an answer");
    });
}

#[test]
fn clog_holds_and_releases_streams_in_order() {
    let result = Cluster::new().link(NetworkProfile::mobile_3g().loss(0.0)).run(|| async {
        let (mut near, mut far) = pair().await;
        clog(&[A], &[C]);
        near.write_all(&[1; 20_000]).await.expect("room");
        let read = crate::time::timeout(ms(400), far.read(&mut [0; 8])).await;
        assert!(read.is_err());
        unclog(&[A], &[C]);
        let begun = now();
        far.read_exact(&mut [0; 20_000]).await.expect("all of it");
        assert!(now() - begun <= ms(500));
    });
    assert_eq!((result.stats.lost, result.stats.partitioned), (0, 0));
}

#[test]
fn link_profile_can_change_during_a_run() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        set_profile("east", "west", NetworkProfile::fixed(ms(200))).expect("both are there");
        TcpStream::connect("c.west:80").await.expect("it listens");
        assert_eq!(now(), ms(250));
        let error = set_profile("east", "nowhere", NetworkProfile::lan()).expect_err("no zone");
        assert!(error.contains("nowhere"));
    });
}

/// Handles do nothing while the futures of their dying process are dropped: its kernel closes them.
#[test]
fn handles_of_a_dying_process_do_nothing() {
    Cluster::new().run(|| async {
        struct Last(Option<TcpStream>);
        impl Drop for Last {
            fn drop(&mut self) {
                if let Some(stream) = self.0.take() {
                    let error = stream.try_write(b"a last word").expect_err("dead");
                    assert_eq!(error.kind(), ErrorKind::NotConnected);
                    assert!(stream.local_addr().is_err());
                }
            }
        }
        on(C, 2, async {
            let listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            let _last = Last(Some(listener.accept().await.expect("a connection").0));
            futures::future::pending::<()>().await;
        });
        sleep(0).await;
        let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
        sleep(100).await;
        kill(2);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("an orderly end");
        assert!(bytes.is_empty());
    });
}

#[test]
fn handle_outside_its_run_fails() {
    let escaped = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = std::sync::Arc::clone(&escaped);
    Cluster::new().run(move || async move {
        let (near, far) = pair().await;
        *keep.lock().expect("not poisoned") = Some((near, far));
    });
    let taken = escaped.lock().expect("not poisoned").take();
    let (near, far) = taken.expect("it was kept");
    assert_eq!(near.try_write(b"x").expect_err("no run").kind(), ErrorKind::NotConnected);
    drop(near);
    // Nor in another run, whose sockets have the same numbers.
    Cluster::new().run(move || async move {
        let (_near, other) = pair().await;
        let error: io::Error = far.try_read(&mut [0; 8]).expect_err("another run's");
        assert!(error.to_string().contains("belongs to a run"), "{error}");
        drop(far);
        sleep(100).await;
        assert_eq!(other.try_read(&mut [0; 8]).expect_err("open").kind(), ErrorKind::WouldBlock);
    });
    // The drops happen inside another network.
    if cfg!(not(feature = "real")) {
        let bound = TcpListener::bind("0.0.0.0:80").now_or_never().expect("it does not wait");
        assert_eq!(bound.expect_err("no run").kind(), ErrorKind::NotConnected);
    }
}

/// 3G with duplication and reordering, for many seeds: correct bytes in both directions, and an orderly end.
#[test]
fn streams_survive_bad_links_for_every_seed() {
    for seed in 0..40 {
        let bad = NetworkProfile::mobile_3g().loss(0.05).duplication(0.05);
        let bad = bad.reorder(0.1, ms(500)).in_order(false);
        let result = Cluster::new().seed(seed).link(bad).run(|| async {
            on(C, 2, echo("0.0.0.0:80"));
            sleep(0).await;
            let stream = TcpStream::connect("c.west:80").await.expect("six SYNs are enough");
            let (mut reads, mut writes) = stream.into_split();
            let done = shared(false);
            crate::task::spawn_local(async move {
                for n in 0..100_u8 {
                    writes.write_all(&[n; 333]).await.expect("open");
                }
            });
            for n in 0..100_u8 {
                let mut buf = [0; 333];
                reads.read_exact(&mut buf).await.expect("an answer");
                assert_eq!(buf, [n; 333]);
            }
            assert_eq!(reads.read(&mut [0; 8]).await.expect("the end"), 0);
            *done.borrow_mut() = true;
        });
        assert!(result.stats.lost > 0 && result.stats.duplicated > 0 && result.stats.reordered > 0);
    }
}

#[test]
fn same_seed_gives_the_same_trace() {
    let run = |seed| {
        let result = Cluster::new().seed(seed).link(NetworkProfile::mobile_3g()).run(|| async {
            on(C, 2, echo("0.0.0.0:80"));
            sleep(0).await;
            let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
            stream.write_all(&[7; 5_000]).await.expect("open");
            stream.read_exact(&mut [0; 5_000]).await.expect("an answer");
        });
        (result.ran.hash, result.ran.nanos)
    };
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "{seed}");
    }
    assert_ne!(run(1), run(2));
}

/// Traffic of one machine does not change the draws of others: b's are the same whether a sends or not.
#[test]
fn draws_are_local() {
    let run = |busy: bool| {
        let took = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let out = std::sync::Arc::clone(&took);
        Cluster::new().link(NetworkProfile::internet()).run(move || async move {
            on(C, 2, echo("0.0.0.0:80"));
            sleep(0).await;
            if busy {
                crate::task::spawn(async {
                    let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
                    stream.write_all(&[1; 50_000]).await.expect("open");
                });
            }
            let task = on(B, 3, async {
                let mut stream = TcpStream::connect("c.west:80").await.expect("it listens");
                stream.write_all(b"ping").await.expect("open");
                stream.read_exact(&mut [0; 4]).await.expect("an answer");
                engine::now()
            });
            let at = task.await.expect("it ends well");
            out.store(at, std::sync::atomic::Ordering::Relaxed);
        });
        took.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(run(false), run(true));
}

/// The third segment with data is dropped once, and only it is retransmitted.
#[test]
fn filter_drops_a_packet() {
    let result = Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        let mut data = 0;
        let filter = filter_packets(
            &[A],
            &[C],
            Box::new(move |packet| {
                assert_eq!((packet.from, packet.to, packet.ports.1), ("a.east", "c.west", 443));
                data += u64::from(packet.length > 0);
                if packet.length > 0 && data == 3 { PacketFate::Drop } else { PacketFate::Pass }
            }),
        );
        near.write_all(&[1; 20_000]).await.expect("room");
        far.read_exact(&mut [0; 20_000]).await.expect("all of it");
        drop(filter);
    });
    assert_eq!((result.stats.dropped, result.stats.retransmissions), (1, 1));
}

#[test]
fn filter_delays_a_packet_until_it_is_removed() {
    Cluster::new().run(|| async {
        let (mut near, mut far) = pair().await;
        let filter = filter_packets(
            &[A],
            &[C],
            Box::new(|packet| match packet.nth {
                1 => PacketFate::Delay(ms(100)),
                _ => PacketFate::Pass,
            }),
        );
        let begun = now();
        near.write_all(b"x").await.expect("room");
        far.read_exact(&mut [0; 1]).await.expect("it is late");
        assert_eq!(now() - begun, ms(150));
        drop(filter);
        let filter = filter_packets(&[A], &[C], Box::new(|_| PacketFate::Drop));
        near.write_all(b"x").await.expect("room");
        sleep(100).await;
        drop(filter);
        far.read_exact(&mut [0; 1]).await.expect("it is retransmitted");
        filter_packets(&[A], &[C], Box::new(|_| PacketFate::Drop)).expect("a run").keep();
        clear_filters();
        near.write_all(b"x").await.expect("room");
        far.read_exact(&mut [0; 1]).await.expect("all filters are removed");
    });
}

/// A filter sees the segments of a burst that could travel as one packet, on connections opened later too.
#[test]
fn filter_sees_segments_instead_of_bursts() {
    Cluster::new().run(|| async {
        let largest = shared(0);
        let seen = largest.clone();
        let choose = Box::new(move |packet: &PacketInfo<'_>| {
            let mut largest = seen.borrow_mut();
            *largest = packet.length.max(*largest);
            PacketFate::Pass
        });
        let filter = filter_packets(&[A], &[C], choose);
        let (mut near, mut far) = pair().await;
        near.write_all(&[1; 20_000]).await.expect("room");
        far.read_exact(&mut [0; 20_000]).await.expect("all of it");
        drop(filter);
        assert_eq!(*largest.borrow(), 1460);
    });
}

#[test]
fn filter_that_panics_fails_the_run() {
    let result = Cluster::new().try_run(|| async {
        let (mut near, _far) = pair().await;
        let filter = filter_packets(&[A], &[C], Box::new(|_| panic!("the filter is wrong")));
        near.write_all(b"x").await.expect("room");
        sleep(1_000).await;
        drop(filter);
    });
    assert!(format!("{:?}", result.ran.verdict).contains("the filter is wrong"));
}

/// A profile's functions are also called when a timer sends, while no task runs.
#[test]
fn profile_function_that_panics_fails_the_run() {
    use crate::engine::failure::verdict::{FailureKind, Verdict};
    let latency = NetworkProfile::latency_by(|_| panic!("the function is wrong"));
    let log = NetworkProfile::ideal_fixed().log_if(|_| panic!("the function is wrong"));
    for link in [latency, log] {
        let result = Cluster::new().link(link).try_run(|| async {
            on(C, 2, echo("0.0.0.0:80"));
            let _ = TcpStream::connect("c.west:80").await;
            sleep(1_000).await;
        });
        let Verdict::Failed(failure) = result.ran.verdict else {
            panic!("{:?}", result.ran.verdict)
        };
        assert!(matches!(failure.kind, FailureKind::Panic), "{failure:?}");
        assert_eq!(failure.message, "the function is wrong");
    }
}

/// A logging predicate that is set during a run is called, for a link of zones and for a pair of machines.
#[test]
fn logging_predicate_of_a_new_profile_is_called() {
    type Join = fn(NetworkProfile);
    let zones: Join = |profile| set_profile("east", "west", profile).expect("both are there");
    let pair: Join = |profile| set_pair_profile(&[A], &[C], &profile);
    for join in [zones, pair] {
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        Cluster::new().run(move || async move {
            on(C, 2, echo("0.0.0.0:80"));
            sleep(0).await;
            join(NetworkProfile::fixed(ms(50)).log_if(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                false
            }));
            TcpStream::connect("c.west:80").await.expect("it listens");
        });
        // At least a SYN, and the ACK of the answer.
        assert!(asked.load(Ordering::Relaxed) >= 2, "{asked:?}");
    }
}

#[test]
fn pair_of_machines_can_have_its_own_profile() {
    Cluster::new().run(|| async {
        on(C, 2, echo("0.0.0.0:80"));
        sleep(0).await;
        set_pair_profile(&[A], &[C], &NetworkProfile::fixed(ms(200)));
        TcpStream::connect("c.west:80").await.expect("it listens");
        assert_eq!(now(), ms(250));
        let begun = now();
        on(B, 3, TcpStream::connect("c.west:80")).await.expect("it ends well").expect("it listens");
        assert_eq!(now() - begun, ms(100), "b's is the zones'");
    });
}

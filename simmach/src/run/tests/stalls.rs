//! Tests of stalls: a run without progress is a stall, unless a pending timeout will be reported to
//! a task.

use std::io::ErrorKind;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::net::{KeepAlive, TcpConfig, TcpListener, TcpStream};
use crate::run::tests::*;
use crate::time::timeout;

/// Accepts connections and keeps them, but never reads.
async fn accepts() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let mut kept = Vec::new();
    loop {
        kept.push(listener.accept().await?);
    }
}

fn spec() -> SpecBuilder {
    spec_with(TcpConfig::new())
}

fn spec_with(tcp: TcpConfig) -> SpecBuilder {
    let machines = Topology::new().machine("server.zone", accepts).host("down.zone").tcp(tcp);
    SpecBuilder::new().topology(machines)
}

/// A service that only sleeps.
async fn dozes() {
    loop {
        sleep(45.secs()).await;
    }
}

async fn connect_in_vain(sim: Sim) -> std::io::Result<()> {
    sim.power_off("down.zone").expect("it is there");
    let error = TcpStream::connect("down.zone:80").await.expect_err("it has no power");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    Ok(())
}

/// Connects to the server, then cuts it off.
async fn cut_off(sim: Sim) -> TcpStream {
    let stream = TcpStream::connect("server.zone:80").await.expect("it listens");
    sim.partition("client", "server.zone").expect("both are there");
    stream
}

#[track_caller]
fn stall(spec: impl FnOnce() -> Spec + Send + 'static) -> Failure {
    let failure = fail(spec);
    assert_eq!(failure.kind, FailureKind::Stall, "{failure:?}");
    assert!(failure.at <= 61_000_000_000, "{failure:?}");
    failure
}

#[test]
fn connect_that_will_time_out_is_no_stall() {
    pass(|| spec().body(connect_in_vain));
    pass(|| spec().stall_limit(5.secs()).body(connect_in_vain));
    let few = TcpConfig::new().retransmit(false).connect_timeout(90.secs());
    pass(move || spec_with(few).body(connect_in_vain));
}

/// A reported timeout is progress: the code that handles it gets time to go on.
#[test]
fn reported_time_out_is_progress() {
    pass(|| {
        spec().body(async |sim: Sim| {
            for _ in 0..3 {
                connect_in_vain(sim).await?;
                for _ in 0..10 {
                    sleep(500.millis()).await;
                }
            }
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn connect_time_out_is_reported_to_every_waiter() {
    pass(|| spec().body(async |sim| spawn(connect_in_vain(sim)).await?));
    pass(|| {
        spec().body(async |sim| {
            let mut all: FuturesUnordered<_> = (0..3).map(|_| connect_in_vain(sim)).collect();
            while let Some(done) = all.next().await {
                done?;
            }
            Result::<()>::Ok(())
        })
    });
    // A service's, while the body waits for its word.
    let connects = async || {
        connect_in_vain(Sim::current()).await?;
        note("timed out");
        std::io::Result::Ok(())
    };
    pass(move || {
        spec().machine("other.zone", connects).body(async |_| {
            while *notes().borrow() != ["timed out"] {
                sleep(100.millis()).await;
            }
        })
    });
}

#[test]
fn unacknowledged_data_times_out() {
    pass(|| {
        spec().body(async |sim| {
            let began = Instant::now();
            let mut stream = cut_off(sim).await;
            stream.write_all(b"anybody?").await.expect("room");
            let error = stream.read(&mut [0; 8]).await.expect_err("it is cut off");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(began.elapsed() > 900.secs(), "{:?}", began.elapsed());
        })
    });
    pass(|| {
        spec().body(async |sim| {
            let mut stream = cut_off(sim).await;
            let error = stream.write_all(&[7; 1 << 20]).await.expect_err("it is cut off");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        })
    });
    // The end of a stream is data too.
    pass(|| {
        spec().body(async |sim| {
            let mut stream = cut_off(sim).await;
            stream.close().await.expect("open");
            let error = stream.read(&mut [0; 8]).await.expect_err("it is cut off");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        })
    });
}

#[test]
fn unanswered_probes_time_out() {
    pass(|| {
        spec().body(async |sim: Sim| {
            let mut stream = TcpStream::connect("server.zone:80").await.expect("it listens");
            assert!(timeout(10.secs(), stream.write_all(&[7; 1 << 20])).await.is_err());
            sim.power_off("server.zone").expect("it is there");
            let error = stream.write_all(&[7; 1 << 20]).await.expect_err("it has no power");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        })
    });
}

#[test]
fn pending_restart_is_no_stall() {
    let crashes_once = async || {
        note("up");
        if notes().borrow().len() == 1 { Err("no luck") } else { Ok(()) }
    };
    pass(move || {
        let topology = Topology::new().machine("late.zone", crashes_once);
        let topology = topology.on_exit("late.zone", OnExit::Restart(5.mins()));
        SpecBuilder::new().topology(topology).body(async |_| {
            while notes().borrow().len() < 2 {
                sleep(100.millis()).await;
            }
        })
    });
}

#[test]
fn read_without_data_in_flight_is_a_stall() {
    stall(|| {
        spec().machine("dozes.zone", dozes).body(async |sim| {
            cut_off(sim).await.read_exact(&mut [0]).await.expect("it never comes");
            std::io::Result::Ok(())
        })
    });
}

#[test]
fn answered_probes_are_a_stall() {
    let failure = stall(|| {
        spec().body(async |_| {
            let mut stream = TcpStream::connect("server.zone:80").await.expect("it listens");
            stream.write_all(&[7; 1 << 20]).await.expect("nobody reads");
        })
    });
    let due = "a zero-window probe of the connection from client to server.zone:80";
    assert!(failure.message.contains(due), "{}", failure.message);
}

#[test]
fn keep_alive_is_a_stall() {
    let idle = KeepAlive { idle: 20.secs(), ..KeepAlive::default() };
    let config = TcpConfig::new().keep_alive(Some(idle));
    let failure = stall(move || {
        spec_with(config).body(async |_| {
            let mut stream = TcpStream::connect("server.zone:80").await.expect("it listens");
            stream.read_exact(&mut [0]).await.expect("it never comes");
        })
    });
    assert!(failure.message.contains("a keep-alive probe"), "{}", failure.message);
}

/// The kernel reports nothing about sockets of an ended process.
#[test]
fn closed_socket_waiting_is_a_stall() {
    stall(|| {
        spec().body(async |sim| {
            let mut stream = cut_off(sim).await;
            stream.write_all(b"last words").await.expect("room");
            drop(stream);
            std::future::pending::<()>().await;
        })
    });
}

#[test]
fn time_out_without_a_waiter_is_a_stall() {
    stall(|| {
        spec().body(async |sim| {
            let mut stream = cut_off(sim).await;
            stream.write_all(b"anybody?").await.expect("room");
            std::future::pending::<()>().await;
            drop(stream);
        })
    });
    // The task that waited was ended; the stream lives on.
    stall(|| {
        spec().body(async |sim| {
            let mut stream = cut_off(sim).await;
            stream.write_all(b"anybody?").await.expect("room");
            let stream = Rc::new(stream);
            let reads = Rc::clone(&stream);
            let waits = spawn_local(async move { reads.readable().await });
            sleep(1.secs()).await;
            waits.abort();
            std::future::pending::<()>().await;
            drop(stream);
        })
    });
}

#[test]
fn stall_message_names_its_limit_and_the_next_event() {
    let failure = stall(|| {
        SpecBuilder::new()
            .native()
            .machine("dozes.zone", dozes)
            .body(async |_| std::future::pending::<()>().await)
    });
    let said = "no progress for 60s of virtual time (`stall_limit`); next event: at 90s, the service \
                declared at ";
    assert!(failure.message.starts_with(said), "{}", failure.message);
    assert!(failure.message.ends_with("on dozes.zone wakes"), "{}", failure.message);
}

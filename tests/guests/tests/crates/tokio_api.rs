//! Tests tokio's own modules, with time from the run.

use std::io;
use std::sync::{Arc, Mutex};

use simmach::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex, split};
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::support::lossy;

#[sim_test(seeds = 50, check = true)]
async fn channels_carry_everything(sim: Sim) -> Result {
    let (send, mut receive) = mpsc::channel(2);
    let (publish, _) = broadcast::channel(64);
    let (set, mut changed) = watch::channel(0);
    let mut tasks = JoinSet::new();
    for n in 0..4_u64 {
        let (send, mut subscriber) = (send.clone(), publish.subscribe());
        let pause = sim.random_range(1..20_u64).millis();
        tasks.spawn(async move {
            sleep(pause).await;
            for nth in 0..8 {
                send.send((n, nth)).await.expect("the receiver lives");
            }
            drop(send);
            let mut sum = 0;
            while let Ok(number) = subscriber.recv().await {
                sum += number;
            }
            sum
        });
    }
    drop(send);
    let mut next = [0; 4];
    while let Some((n, nth)) = receive.recv().await {
        assert_eq!(nth, next[n as usize]);
        next[n as usize] += 1;
    }
    assert_eq!(next, [8; 4]);
    (1..=10).try_for_each(|number| publish.send(number).map(drop))?;
    drop(publish);
    while let Some(sum) = tasks.join_next().await {
        assert_eq!(sum?, 55);
    }
    let (done, ended) = oneshot::channel();
    tokio::spawn(async move {
        let last = changed.wait_for(|number| *number == 5).await.map(|number| *number);
        done.send(last.unwrap_or(0)).expect("the receiver lives");
    });
    for number in 1..=5 {
        set.send(number)?;
        yield_now().await;
    }
    assert_eq!(ended.await?, 5);
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn semaphore_and_notify_limit_and_wake() -> Result {
    let (semaphore, notify) = (Arc::new(Semaphore::new(3)), Arc::new(Notify::new()));
    let working = Arc::new(Mutex::new((0, 0)));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..9 {
        let (semaphore, working) = (Arc::clone(&semaphore), Arc::clone(&working));
        let notify = Arc::clone(&notify);
        tasks.spawn(async move {
            notify.notified().await;
            let _permit = semaphore.acquire().await.expect("it is not closed");
            {
                let mut working = working.lock().expect("no panic while it is held");
                working.0 += 1;
                working.1 = working.0.max(working.1);
            }
            sleep(100.millis()).await;
            working.lock().expect("no panic while it is held").0 -= 1;
        });
    }
    sleep(1.millis()).await;
    notify.notify_waiters();
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    assert_eq!(*working.lock().expect("no panic while it is held"), (0, 3));
    let took = begin.elapsed();
    assert!(took >= 301.millis() && took < 310.millis(), "{took:?}");
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn timers_fire_on_time() {
    let begin = Instant::now();
    let mut ticks = interval(50.millis());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for _ in 0..=10 {
        ticks.tick().await;
    }
    let took = begin.elapsed();
    assert!(took >= 500.millis() && took < 502.millis(), "{took:?}");
    assert!(timeout(20.millis(), std::future::pending::<()>()).await.is_err());
    sleep_until(begin + 1.hours()).await;
    let took = begin.elapsed();
    assert!(took >= 1.hours() && took < 1.hours() + 2.millis(), "{took:?}");
}

#[sim_test(seeds = 50, check = true)]
async fn tasks_are_aborted_and_joined() -> Result {
    let sleeper = tokio::spawn(sleep(1.hours()));
    sleep(10.millis()).await;
    sleeper.abort();
    assert!(sleeper.await.is_err_and(|error| error.is_cancelled()));
    let local = LocalSet::new();
    let order = local
        .run_until(async {
            let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..3_u64)
                .map(|n| {
                    let order = std::rc::Rc::clone(&order);
                    spawn_local(async move {
                        sleep((30 - n * 10).millis()).await;
                        order.borrow_mut().push(n);
                    })
                })
                .collect();
            futures::future::join_all(tasks).await;
            order.take()
        })
        .await;
    assert_eq!(order, [2, 1, 0]);
    let mut set = JoinSet::new();
    set.spawn(std::future::pending::<u64>());
    set.spawn_blocking(|| 7);
    assert_eq!(set.join_next().await.transpose()?, Some(7));
    set.shutdown().await;
    assert!(set.is_empty());
    Ok(())
}

async fn proxy() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8").await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut server = TcpStream::connect("server.zone:7").await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut read, mut write) = split(stream);
            let copied = tokio::io::copy(&mut read, &mut write).await;
            // The peer may be gone.
            let _ = write.shutdown().await;
            copied
        });
    }
}

#[sim_test(
    seeds = 50,
    check = true,
    topology = lossy().machine("server.zone", echo).machine("proxy.zone", proxy),
    client = "client.office",
)]
async fn streams_are_copied_both_ways(sim: Sim) -> Result {
    sleep(10.millis()).await;
    let length = sim.random_range(1..100_000_usize);
    let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
    let (mut read, mut write) = TcpStream::connect("proxy.zone:8").await?.into_split();
    let sent = content.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&sent).await?;
        write.shutdown().await
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await?;
    sending.await??;
    assert!(back == content, "{} of {length} bytes", back.len());
    let (mut near, mut far) = duplex(16);
    let writing = tokio::spawn(async move { far.write_all(&[5; 1_000]).await });
    let mut all = Vec::new();
    near.read_to_end(&mut all).await?;
    writing.await??;
    assert_eq!(all, [5; 1_000]);
    Ok(())
}

async fn udp_echo() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:9").await?;
    let mut buffer = [0; 2_000];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..length], peer).await?;
    }
}

#[sim_test(
    seeds = 50,
    check = true,
    topology = lossy().machine("server.zone", udp_echo),
    client = "client.office",
)]
async fn datagrams_and_names_are_found() -> Result {
    sleep(10.millis()).await;
    let address = lookup_host("server.zone:9").await?.next().ok_or("no address")?;
    assert!(lookup_host("nobody.zone:9").await.is_err());
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(address).await?;
    let mut answers = 0;
    for n in 0..50_u8 {
        socket.send(&[n; 100]).await?;
        let mut buffer = [0; 200];
        while let Ok(length) = timeout(100.millis(), socket.recv(&mut buffer)).await {
            assert_eq!(length?, 100);
            answers += 1;
            if buffer[0] == n {
                break;
            }
        }
    }
    assert!(answers >= 30, "{answers}");
    Ok(())
}

/// Locks of parking_lot are handed over by times that outlive runs, unless the run prevents that.
#[sim_test(seeds = 100, check = true, topology = lossy().machine("server.zone", echo), client = "client.office")]
async fn lookups_at_the_same_time_repeat(sim: Sim) {
    for step in sim.steps(10) {
        sleep(step.random_range(0..2_000_u64).millis()).await;
        let lookups = (0..5).map(|_| async {
            let found = lookup_host("server.zone:7").await.expect("a machine of the test").next();
            spawn_blocking(move || found).await.expect("it does not panic")
        });
        let found = futures::future::join_all(lookups).await;
        assert!(found.iter().all(Option::is_some));
    }
}

/// A runtime ends its tasks in an order that depends on their ids.
#[sim_test(seeds = 100, check = true, topology = lossy().machine("server.zone", echo), client = "client.office")]
async fn tasks_end_in_the_same_order(sim: Sim) {
    sleep(10.millis()).await;
    for _ in 0..sim.random_range(1..10) {
        tokio::spawn(async {
            let _stream = TcpStream::connect("server.zone:7").await;
            std::future::pending::<()>().await
        });
    }
    sleep(1.secs()).await;
}

async fn waits_for_signals() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut own = signal(SignalKind::user_defined1())?;
    tokio::select! {
        _ = own.recv() => unreachable!("no signal is raised in a run"),
        result = tokio::signal::ctrl_c() => unreachable!("no signal is raised in a run: {result:?}"),
    }
}

/// No handler of the program's is installed in the OS process.
#[cfg(target_os = "linux")]
#[sim_test(seeds = 20, check = true, machines("server.zone" => waits_for_signals))]
async fn signal_handlers_are_not_installed(sim: Sim) -> Result {
    sleep(1.secs()).await;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line");
    let caught = u64::from_str_radix(caught.trim(), 16)?;
    assert_eq!(caught >> (libc::SIGUSR1 - 1) & 1, 0, "{caught:x}");
    sim.stop("server.zone", 1.secs()).await?;
    assert!(!sim.is_up("server.zone"));
    Ok(())
}

//! Tests tokio-util: `DelayQueue`, `TaskTracker`, `CancellationToken`, and codecs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use simmach::prelude::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::support::{ask_line, lossy, partitions, power_offs, serve_lines};

const LEASE: Duration = Duration::from_secs(2);

/// Grants leases on names. A request is a line with a name and a holder. The answer says whether
/// the holder has the lease.
async fn lease() -> Result {
    let (send, mut requests) = mpsc::channel::<(String, oneshot::Sender<bool>)>(16);
    tokio::spawn(async move {
        let mut holders: BTreeMap<String, (String, delay_queue::Key)> = BTreeMap::new();
        let mut expiring: DelayQueue<String> = DelayQueue::new();
        loop {
            tokio::select! {
                Some(expired) = expiring.next() => drop(holders.remove(expired.get_ref())),
                request = requests.recv() => {
                    let Some((line, answer)) = request else { return };
                    let Some((name, holder)) = line.split_once(' ') else { continue };
                    let is_granted = match holders.get(name) {
                        Some((other, _)) if other != holder => false,
                        Some((_, key)) => {
                            expiring.reset(key, LEASE);
                            true
                        }
                        None => {
                            let key = expiring.insert(name.to_owned(), LEASE);
                            holders.insert(name.to_owned(), (holder.to_owned(), key));
                            true
                        }
                    };
                    // The client may be gone.
                    let _ = answer.send(is_granted);
                }
            }
        }
    });
    serve_lines(move |line| {
        let send = send.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let is_sent = send.send((line, answer)).await.is_ok();
            (is_sent && answered.await.unwrap_or(false)).to_string()
        }
    })
    .await
}

/// Asks for the lease. `None` if there is no answer in time.
async fn is_granted(holder: &str) -> Option<bool> {
    let asked = timeout(300.millis(), ask_line("server.zone", format!("lease {holder}"))).await;
    asked.ok()?.ok()?.parse().ok()
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", lease),
    client = "client.office",
    chaos = partitions(),
)]
async fn leases_expire_on_time(sim: Sim) -> Result {
    let mut last: Option<(u64, Instant)> = None;
    for step in sim.steps(40) {
        tokio::time::sleep(step.random_range(0..1_000_u64).millis()).await;
        let holder = step.random_range(0..2_u64);
        let asked = Instant::now();
        match is_granted(&holder.to_string()).await {
            Some(true) => {
                if let Some((other, since)) = last
                    && other != holder
                {
                    assert!(since.elapsed() >= LEASE, "granted after {:?}", since.elapsed());
                }
                last = Some((holder, asked));
            }
            Some(false) => {
                let answered = last.map(|(_, since)| since);
                let age = answered.map(|since| asked.duration_since(since));
                assert!(age.is_none_or(|age| age < LEASE + 400.millis()), "held after {age:?}");
            }
            // A grant may be on its way, so that the holder is not known.
            None => {
                tokio::time::sleep(LEASE + 20.secs()).await;
                last = None;
            }
        }
    }
    Ok(())
}

/// The bug: the holder goes on working when it cannot renew its lease.
#[sim_test(
    topology = lossy().host("other.office").machine("server.zone", lease),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 20),
)]
async fn lease_is_not_renewed_in_time(sim: Sim) -> Result {
    let mut is_holder = false;
    for _ in sim.steps(40) {
        is_holder |= is_granted("client").await == Some(true);
        let other = sim.run_on("other.office", is_granted("other")).await?;
        assert!(!(is_holder && other == Some(true)), "both hold the lease");
        tokio::time::sleep(300.millis()).await;
    }
    Ok(())
}

/// Answers frames with themselves, with a tracked task for each connection. Ends at the stop signal.
async fn echo(stop: CancellationToken, tasks: TaskTracker) -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:9").await?;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted?,
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            let mut frames = Framed::new(accepted.0, LengthDelimitedCodec::new());
            loop {
                let frame = tokio::select! {
                    () = stop.cancelled() => break,
                    frame = frames.next() => frame,
                };
                let Some(Ok(frame)) = frame else { break };
                if frames.send(frame.freeze()).await.is_err() {
                    break;
                }
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn serve_frames() -> std::io::Result<()> {
    echo(CancellationToken::new(), TaskTracker::new()).await
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve_frames),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn frames_come_back_in_order(sim: Sim) -> Result {
    for step in sim.steps(10) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let lengths: Vec<usize> = (0..10).map(|_| step.random_range(0..5_000)).collect();
        let talk = async {
            let stream = TcpStream::connect("server.zone:9").await?;
            let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
            for length in &lengths {
                frames.feed(Bytes::from(vec![7; *length])).await?;
            }
            SinkExt::<Bytes>::flush(&mut frames).await?;
            for length in &lengths {
                let Some(frame) = frames.next().await else { break };
                assert_eq!(frame?.len(), *length);
            }
            std::io::Result::Ok(())
        };
        // No answer, or an error, is a valid result.
        let _ = timeout(3.secs(), talk).await;
    }
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn tracked_tasks_end_before_the_server(sim: Sim) -> Result {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let server = tokio::spawn(echo(stop.clone(), tasks.clone()));
    tokio::time::sleep(10.millis()).await;
    let connected: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    for _ in sim.steps(5) {
        let stream = TcpStream::connect("127.0.0.1:9").await?;
        connected.lock().expect("no panic while it is held").push(stream);
    }
    tokio::time::sleep(100.millis()).await;
    assert_eq!(tasks.len(), connected.lock().expect("no panic while it is held").len());
    stop.cancel();
    server.await??;
    assert!(tasks.is_empty());
    Ok(())
}

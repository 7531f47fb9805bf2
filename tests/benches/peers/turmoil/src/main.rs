//! The cases on turmoil.

#[path = "../../common/measure.rs"]
mod measure;
#[path = "../../common/protocol.rs"]
mod protocol;
#[path = "../../common/sizes.rs"]
mod sizes;

use std::future::pending;
use std::time::Duration;

use measure::{Counting, measured};
use protocol::*;
use sizes::*;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Result, Sim};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TEN_MILLIS: Duration = Duration::from_millis(10);

fn main() {
    let (case, n) = measure::case();
    // The first simulation of a process is discarded, as it is for simmach.
    run(without_latency(), 1, 1);
    measured(|| match case.as_str() {
        "a" => run(without_latency(), 1, ROUND_TRIPS),
        "a-latency" => run(with_latency(), 1, ROUND_TRIPS),
        "b" => idle(n),
        "b2" => sleepers(),
        "c" => requests(),
        "d" => (0..RUNS).for_each(|_| run(without_latency(), 2, FEW)),
        "d-latency" => (0..RUNS).for_each(|_| run(with_latency(), 2, FEW)),
        "e" => ring(),
        "g" => bulk(),
        other => panic!("no such case: {other}"),
    });
}

/// turmoil's default latency: up to 100 ms.
fn with_latency() -> Builder {
    let mut builder = Builder::new();
    builder.simulation_duration(Duration::from_secs(100_000)).rng_seed(1);
    builder
}

fn without_latency() -> Builder {
    let mut builder = with_latency();
    builder.min_message_latency(Duration::ZERO).max_message_latency(Duration::ZERO);
    builder
}

fn servers(sim: &mut Sim<'_>, count: u64) {
    for n in 1..=count {
        sim.host(format!("server{n}"), async || {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(echo(stream));
            }
        });
    }
}

async fn connect(server: u64) -> Result<TcpStream> {
    let stream = TcpStream::connect(format!("server{server}:7")).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A client makes its round trips to the servers one after another.
fn run(builder: Builder, count: u64, trips: u64) {
    let mut sim = builder.build();
    servers(&mut sim, count);
    sim.client("client", async move {
        for server in 1..=count {
            round_trips(&mut connect(server).await?, trips / count).await;
        }
        Ok(())
    });
    sim.run().expect("it ends well");
}

fn idle(machines: u64) {
    let mut sim = with_latency().build();
    for n in 0..machines {
        sim.host(format!("host{n}"), async || pending().await);
    }
    sim.client("client", async {
        sleep(Duration::from_secs(SECONDS)).await;
        Ok(())
    });
    sim.run().expect("it ends well");
}

fn sleepers() {
    let mut sim = with_latency().build();
    for n in 0..SLEEPERS {
        sim.host(format!("host{n}"), async || {
            loop {
                sleep(TEN_MILLIS).await;
            }
        });
    }
    sim.client("client", async {
        sleep(Duration::from_secs(SECONDS)).await;
        Ok(())
    });
    sim.run().expect("it ends well");
}

fn requests() {
    let mut sim = with_latency().build();
    servers(&mut sim, SERVERS);
    for n in 0..CLIENTS {
        sim.client(format!("client{n}"), async move {
            let mut stream = connect(1 + n % SERVERS).await?;
            for _ in 0..REQUESTS {
                round_trips(&mut stream, 1).await;
                sleep(TEN_MILLIS).await;
            }
            Ok(())
        });
    }
    sim.run().expect("it ends well");
}

fn ring() {
    let mut sim = with_latency().build();
    for n in 0..RING {
        let member = move || async move {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            // All machines listen before any connects.
            sleep(TEN_MILLIS).await;
            let next = TcpStream::connect(format!("member{}:7", (n + 1) % RING)).await?;
            let (before, _) = listener.accept().await?;
            let first = (n == 0).then_some(PASSES);
            if pass_on(before, next, first).await { Ok(()) } else { pending().await }
        };
        if n == (PASSES + 1) % RING {
            sim.client(format!("member{n}"), member());
        } else {
            sim.host(format!("member{n}"), member);
        }
    }
    sim.run().expect("it ends well");
}

fn bulk() {
    let mut sim = with_latency().build();
    sim.host("server1", async || {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let (stream, _) = listener.accept().await?;
        pour(stream, BULK).await;
        pending().await
    });
    sim.client("client", async {
        drink(connect(1).await?, BULK).await;
        Ok(())
    });
    sim.run().expect("it ends well");
}

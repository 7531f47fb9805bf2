//! The cases on madsim. This program must be built with `--cfg madsim`.

#[path = "../../common/measure.rs"]
mod measure;
#[path = "../../common/protocol.rs"]
mod protocol;
#[path = "../../common/sizes.rs"]
mod sizes;

use std::future::{Future, pending};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use madsim::Config;
use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::time::sleep;
use measure::{Counting, measured};
use protocol::*;
use sizes::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TEN_MILLIS: Duration = Duration::from_millis(10);

fn main() {
    let (case, n) = measure::case();
    // The first simulation of a process is discarded, as it is for simmach.
    simulate(Config::default(), async {});
    measured(|| match case.as_str() {
        "a" | "a-guest" => simulate(without_latency(), run(1, ROUND_TRIPS)),
        "a-latency" => simulate(Config::default(), run(1, ROUND_TRIPS)),
        "b" | "b-guest" => simulate(Config::default(), idle(n)),
        "b2" | "b2-guest" => simulate(Config::default(), sleepers()),
        "c" => simulate(Config::default(), requests()),
        // One thread per simulation, as in madsim's own tests.
        "d" | "d-guest" => (0..RUNS).for_each(|seed| on_thread(seed, without_latency())),
        "d-latency" => (0..RUNS).for_each(|seed| on_thread(seed, Config::default())),
        "e" => simulate(Config::default(), ring(RING, PASSES)),
        "g" => simulate(Config::default(), bulk()),
        "h" => simulate(Config::default(), ring(n, PASSES)),
        "h-empty" => simulate(Config::default(), ring(n, 0)),
        other => panic!("no such case: {other}"),
    });
}

fn on_thread(seed: u64, config: Config) {
    let run = std::thread::spawn(move || {
        Runtime::with_seed_and_config(seed, config).block_on(run(2, FEW));
    });
    run.join().expect("it ends well");
}

fn simulate(config: Config, body: impl Future<Output = ()>) {
    Runtime::with_seed_and_config(1, config).block_on(body);
}

/// madsim's default latency is 1 to 10 ms.
fn without_latency() -> Config {
    let mut config = Config::default();
    config.net.send_latency = Duration::ZERO..Duration::from_nanos(1);
    config
}

fn ip(n: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + n as u32))
}

fn node(n: u64) -> NodeHandle {
    Handle::current().create_node().ip(ip(n)).build()
}

fn servers(count: u64) {
    for n in 0..count {
        drop(node(n).spawn(async move {
            let listener = TcpListener::bind((ip(n), 7)).await.expect("it is free");
            loop {
                let (stream, _) = listener.accept().await.expect("it listens");
                drop(madsim::task::spawn(echo(stream)));
            }
        }));
    }
}

async fn connect(server: u64) -> TcpStream {
    TcpStream::connect((ip(server), 7)).await.expect("it listens")
}

/// A client makes its round trips to the servers one after another.
async fn run(count: u64, trips: u64) {
    servers(count);
    let client = node(count).spawn(async move {
        sleep(Duration::from_millis(1)).await;
        for server in 0..count {
            round_trips(&mut connect(server).await, trips / count).await;
        }
    });
    client.await.expect("it ends well");
}

async fn idle(machines: u64) {
    for n in 0..machines {
        drop(node(n).spawn(pending::<()>()));
    }
    sleep(Duration::from_secs(SECONDS)).await;
}

async fn sleepers() {
    for n in 0..SLEEPERS {
        drop(node(n).spawn(async {
            loop {
                sleep(TEN_MILLIS).await;
            }
        }));
    }
    sleep(Duration::from_secs(SECONDS)).await;
}

async fn requests() {
    servers(SERVERS);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            node(SERVERS + n).spawn(async move {
                sleep(Duration::from_millis(1)).await;
                let mut stream = connect(n % SERVERS).await;
                for _ in 0..REQUESTS {
                    round_trips(&mut stream, 1).await;
                    sleep(TEN_MILLIS).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("it ends well");
    }
}

async fn ring(machines: u64, passes: u64) {
    let members: Vec<_> = (0..machines)
        .map(|n| {
            node(n).spawn(async move {
                let listener = TcpListener::bind((ip(n), 7)).await.expect("it is free");
                // All machines listen before any connects.
                sleep(TEN_MILLIS).await;
                let next = connect((n + 1) % machines).await;
                let (before, _) = listener.accept().await.expect("it listens");
                let first = (n == 0).then_some(passes);
                if !pass_on(before, next, first).await {
                    pending().await
                }
            })
        })
        .collect();
    let last = members.into_iter().nth(((passes + 1) % machines) as usize);
    last.expect("it is one of them").await.expect("it ends well");
}

async fn bulk() {
    drop(node(0).spawn(async {
        let listener = TcpListener::bind((ip(0), 7)).await.expect("it is free");
        let (stream, _) = listener.accept().await.expect("it listens");
        pour(stream, BULK).await;
        pending::<()>().await
    }));
    let client = node(1).spawn(async {
        sleep(Duration::from_millis(1)).await;
        drink(connect(0).await, BULK).await;
    });
    client.await.expect("it ends well");
}

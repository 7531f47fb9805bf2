//! The cases on simmach, with its public interface and all defaults. The log is off, as in tests;
//! by default, a `Program` would keep a log.

use std::future::pending;

use inventory_cluster::Version::Fixed;
use inventory_cluster::scenario::{self, BOT, OVER_3G};
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::program::{Program, Scenario, Spec};
use simmach::task;
use simmach::time::sleep;

use crate::guests;
use crate::measure::{self, measured};
use crate::protocol::*;
use crate::sizes::*;

pub(crate) const TEN_MILLIS: Duration = Duration::from_millis(10);
/// A time limit longer than any case.
pub(crate) const LONG: Duration = Duration::from_secs(100_000);

pub(crate) fn main() {
    let (case, n) = measure::case();
    match case.as_str() {
        "a" => once(|| round_trips_to(1, ROUND_TRIPS, without_latency())),
        "a-latency" => once(|| round_trips_to(1, ROUND_TRIPS, NetworkProfile::lan())),
        "b" => once(move || idle(n)),
        "b2" => once(sleepers),
        "c" => once(requests),
        "d" => many(RUNS, || round_trips_to(2, FEW, without_latency())),
        "d-latency" => many(RUNS, || round_trips_to(2, FEW, NetworkProfile::lan())),
        "a-guest" => once(|| guests::round_trips_to(1, ROUND_TRIPS, without_latency())),
        "b-guest" => once(move || guests::idle(n)),
        "b2-guest" => once(guests::sleepers),
        "d-guest" => many(RUNS, || guests::round_trips_to(2, FEW, without_latency())),
        "e" => once(|| ring(RING, PASSES)),
        "f" => inventory(),
        "g" => once(bulk),
        "h" => once(move || ring(n, PASSES)),
        "h-empty" => once(move || ring(n, 0)),
        "memory" => memory(n),
        other => panic!("no such case: {other}"),
    }
}

fn program(spec: impl Fn() -> Spec + Send + Sync + 'static) -> Program {
    Program::new(spec).log(false)
}

fn once(spec: impl Fn() -> Spec + Send + Sync + 'static) {
    many(1, spec);
}

/// Makes several runs, each on its own thread, as usual.
fn many(runs: u64, spec: impl Fn() -> Spec + Send + Sync + 'static) {
    let program = program(spec);
    let _warm = warm();
    measured(|| (0..runs).for_each(|seed| run(&program, seed)));
}

/// Makes a first run that is discarded, as each worker does. The program keeps the folder for disks that it has found, and what
/// guests need once a process.
fn warm() -> Program {
    let has_guests = measure::case().0.ends_with("-guest");
    let program = program(move || {
        let scenario = Scenario::new();
        if has_guests { scenario } else { scenario.native() }.body(async |_: Sim| {})
    });
    run(&program, 0);
    program
}

fn run(program: &Program, seed: u64) {
    let report = program.run(seed);
    assert!(report.passed(), "{report}");
}

/// The process's memory after a tenth of the runs, and after all.
fn memory(runs: u64) {
    let program = program(|| round_trips_to(2, FEW, NetworkProfile::lan()));
    (0..runs / 10).for_each(|seed| run(&program, seed));
    println!("early={}", measure::resident());
    (runs / 10..runs).for_each(|seed| run(&program, seed));
    println!("late={}", measure::resident());
}

fn without_latency() -> NetworkProfile {
    NetworkProfile::fixed(Duration::ZERO)
}

async fn server() -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        task::spawn(echo(stream));
    }
}

/// A client that makes its round trips to the servers one after another.
fn round_trips_to(servers: u64, trips: u64, profile: NetworkProfile) -> Spec {
    let cluster = Topology::new()
        .machine(&format!("server{{1..={servers}}}.zone"), server)
        .link("zone", "zone", profile);
    Scenario::new().native().topology(cluster).client("client.zone").time_limit(LONG).body(
        async move |_: Sim| {
            for n in 1..=servers {
                let mut stream = TcpStream::connect(format!("server{n}.zone:7")).await?;
                round_trips(&mut stream, trips / servers).await;
            }
            std::io::Result::Ok(())
        },
    )
}

fn idle(machines: u64) -> Spec {
    let cluster = Topology::new().machine(&format!("host{{1..={machines}}}.zone"), pending::<()>);
    Scenario::new().native().topology(cluster).body(async |_: Sim| sleep(SECONDS.secs()).await)
}

fn sleepers() -> Spec {
    let cluster = Topology::new().machine(&format!("host{{1..={SLEEPERS}}}.zone"), async || {
        loop {
            sleep(TEN_MILLIS).await;
        }
    });
    Scenario::new().native().topology(cluster).body(async |_: Sim| sleep(SECONDS.secs()).await)
}

fn requests() -> Spec {
    Scenario::new().native().topology(servers_and_clients()).client("all.zone").body(ask_all)
}

pub(crate) fn servers_and_clients() -> Topology {
    Topology::new()
        .machine(&format!("server{{1..={SERVERS}}}.zone"), server)
        .host(&format!("client{{1..={CLIENTS}}}.zone"))
}

/// Each client sends its requests to one of the servers, with a pause between.
pub(crate) async fn ask_all(sim: Sim) -> Result {
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|n| {
            let server = format!("server{}.zone:7", 1 + n % SERVERS);
            sim.run_on(&format!("client{n}.zone"), async move {
                let mut stream = TcpStream::connect(server).await?;
                for _ in 0..REQUESTS {
                    round_trips(&mut stream, 1).await;
                    sleep(TEN_MILLIS).await;
                }
                Ok::<_, std::io::Error>(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

/// A message is passed round a ring of machines.
fn ring(machines: u64, passes: u64) -> Spec {
    let mut cluster = Topology::new();
    for n in 0..machines - 1 {
        cluster = cluster.machine(&format!("member{n}.zone"), async move || {
            member(n, machines, None).await?;
            pending::<Result>().await
        });
    }
    // The last machine begins. The one that has the message at the end ends the run; all others still wait.
    let client = format!("member{}.zone", machines - 1);
    Scenario::new().native().topology(cluster).client(client.as_str()).time_limit(LONG).body(
        async move |_: Sim| {
            let rounds = passes.div_ceil(machines) * machines;
            member(machines - 1, machines, Some(rounds)).await
        },
    )
}

async fn member(n: u64, machines: u64, first: Option<u64>) -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    // All machines listen before any connects.
    sleep(TEN_MILLIS).await;
    let next = TcpStream::connect(format!("member{}.zone:7", (n + 1) % machines)).await?;
    let (before, _) = listener.accept().await?;
    match first {
        // An empty ring ends as soon as it is closed.
        Some(0) => sleep(TEN_MILLIS).await,
        Some(passes) => drop(pass_on(before, next, Some(passes - 1)).await),
        None => drop(pass_on(before, next, None).await),
    }
    Ok(())
}

/// The example's scenario over 3G, in the fixed version.
fn inventory() {
    let program = program(inventory_spec);
    let _warm = warm();
    let report = measured(|| program.run(20));
    assert!(report.passed(), "{report}");
    println!("simulated={}", report.simulated().as_secs_f64());
    println!("polls={}", report.polls());
}

fn inventory_spec() -> Spec {
    Scenario::new()
        .native()
        .topology(scenario::cluster_over_3g(Fixed))
        .plan(scenario::monkey())
        .client(BOT)
        .time_limit(Duration::from_secs(20 * 60))
        .body(async |sim: Sim| scenario::walk(sim, Fixed, OVER_3G).await)
}

fn bulk() -> Spec {
    let cluster = Topology::new().machine("server.zone", async || {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let (stream, _) = listener.accept().await?;
        pour(stream, BULK).await;
        pending::<Result>().await
    });
    Scenario::new().native().topology(cluster).time_limit(LONG).body(async |_: Sim| -> Result {
        drink(TcpStream::connect("server.zone:7").await?, BULK).await;
        Ok(())
    })
}

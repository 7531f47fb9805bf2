//! Programs with faults, from plans and from the test itself.

use std::io;

use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::task::spawn;
use simmach::time::{sleep, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "partitions", seeds: 8, spec: partitions },
    Golden { name: "power-offs and a monkey", seeds: 8, spec: power_offs_and_monkey },
    Golden { name: "a plan of the user", seeds: 6, spec: plan_of_the_user },
    Golden { name: "control by the test", seeds: 4, spec: control_by_the_test },
];

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn(async move {
            while let Ok(byte) = stream.read_u8().await {
                if stream.write_u8(byte).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn ask(machine: &str) -> io::Result<u8> {
    let asked = async {
        let mut stream = TcpStream::connect(format!("{machine}:7")).await?;
        stream.write_u8(7).await?;
        stream.read_u8().await
    };
    timeout(500.millis(), asked).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

const SERVERS: &[&str] = &["server1.dc", "server2.dc", "server3.dc"];

async fn ask_all(sim: Sim) -> Result {
    for step in sim.steps(40) {
        let _ = ask(step.choose::<&str>(SERVERS)).await;
        sleep(step.random_range(0..400u64).millis()).await;
    }
    sim.settle().await?;
    assert_eq!(ask("server2.dc").await?, 7);
    Ok(())
}

fn cluster() -> Topology {
    Topology::new().machine("server{1..=3}.dc", echo)
}

fn partitions() -> Spec {
    Scenario::new()
        .topology(cluster())
        .client("app.dc")
        .plan(Partitions::new().every(500.millis()..2.secs()).lasting(200.millis()..3.secs()))
        .body(ask_all)
}

fn power_offs_and_monkey() -> Spec {
    let monkey = GracefulMonkey::new()
        .every(500.millis()..3.secs())
        .grace(0.secs()..1.secs())
        .downtime(100.millis()..1.secs())
        .wipes(0.3);
    Scenario::new()
        .topology(cluster())
        .client("app.dc")
        .plan(monkey)
        .plan(PowerOffs::new().every(1.secs()..4.secs()).downtime(50.millis()..500.millis()))
        .body(ask_all)
}

async fn break_links(sim: Sim) -> Result {
    loop {
        sleep(sim.random_range(200..1_500u64).millis()).await;
        match sim.random_range(0..4) {
            0 => sim.clog("server1.dc", "app.dc")?,
            1 => sim.partition_one_way("app.dc", "server2.dc")?,
            2 => sim.set_link("dc", "dc", NetworkProfile::mobile_3g())?,
            _ => sim.set_link_between("app.dc", "server3.dc", NetworkProfile::internet())?,
        }
        sleep(sim.random_range(200..1_500u64).millis()).await;
        sim.unclog("server1.dc", "app.dc")?;
        sim.heal("app.dc", "server2.dc")?;
        if sim.random_bool(0.3) {
            sim.kill("server3.dc")?;
            sim.start("server3.dc")?;
        }
    }
}

fn plan_of_the_user() -> Spec {
    Scenario::new().topology(cluster()).client("app.dc").plan(break_links).body(ask_all)
}

fn control_by_the_test() -> Spec {
    let topology = cluster().on_exit("server3.dc", OnExit::Restart(1.secs()));
    Scenario::new().topology(topology).client("app.dc").body(async |sim: Sim| -> Result {
        sim.stop("server1.dc", GRACE).await?;
        sim.kill("server3.dc")?;
        assert!(ask("server1.dc").await.is_err());
        sim.wipe("server1.dc")?;
        sim.start("server1.dc")?;
        sim.partition("server1.dc", "app.dc")?;
        assert!(ask("server1.dc").await.is_err());
        sim.heal_all();
        sleep(2.secs()).await;
        ask_all(sim).await
    })
}

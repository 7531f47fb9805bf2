//! Programs with clocks that are wrong, and timers that use these clocks.

#![allow(
    clippy::disallowed_methods,
    reason = "std's clocks show the run's time, which enters the traces"
)]

use simmach::ClockSkew;
use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::time::{Instant, interval, sleep, timeout};

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "heartbeats by wrong clocks", seeds: 6, spec: heartbeats_by_wrong_clocks },
    Golden { name: "clocks that change", seeds: 6, spec: clocks_that_change },
];

/// Sends the times of its machine's clocks ten times a second.
async fn beat() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let began = Instant::now();
    let mut ticks = interval(100.millis());
    loop {
        ticks.tick().await;
        let up = began.elapsed().as_nanos() as u64;
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let beat = [up.to_le_bytes(), (wall.as_nanos() as u64).to_le_bytes()].concat();
        socket.send_to(&beat, "watcher.zone:9").await?;
    }
}

async fn count_beats(wait: Duration) -> std::io::Result<u32> {
    let socket = UdpSocket::bind("0.0.0.0:9").await?;
    let mut count = 0;
    let counted = async {
        let mut beat = [0; 16];
        loop {
            socket.recv_from(&mut beat).await?;
            count += 1;
        }
    };
    let ended: Result<std::io::Result<()>, _> = timeout(wait, counted).await;
    assert!(ended.is_err(), "{ended:?}");
    Ok(count)
}

fn heartbeats_by_wrong_clocks() -> Spec {
    Scenario::new().machine("member{1..=3}.zone", beat).client("watcher.zone").body(
        async |sim: Sim| -> Result {
            sim.set_clock("member1.zone", ClockSkew::exact().drift_ppm(100_000))?;
            sim.set_clock("member2.zone", ClockSkew::exact().behind(90.secs()))?;
            sim.set_clock("watcher.zone", ClockSkew::exact().ahead(60.secs()).drift_ppm(-50_000))?;
            let count = count_beats(5.secs()).await?;
            assert!((100..200).contains(&count), "{count} beats");
            Ok(())
        },
    )
}

fn clocks_that_change() -> Spec {
    Scenario::new()
        .machine("member{1..=3}.zone", beat)
        .client("watcher.zone")
        .plan(async |sim: Sim| -> Result {
            loop {
                sleep(sim.random_range(100..900u64).millis()).await;
                let member = *sim.choose(&["member1.zone", "member2.zone", "member3.zone"]);
                let drift = sim.random_range(-500_000..900_000);
                sim.set_clock(member, ClockSkew::exact().drift_ppm(drift))?;
            }
        })
        .body(async |_: Sim| -> Result {
            assert!(count_beats(10.secs()).await? > 100);
            Ok(())
        })
}

//! A display that shows the datagram that arrived last. The bug: it relies on the order of
//! datagrams.
//!
//! Minimum: two datagrams, of which the first is delayed. A single datagram cannot be overtaken.

use std::cell::Cell;

use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::time::sleep;

use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a protocol over UDP that trusts order",
    bugs: &["went back"],
    minimum: Minimum { machines: 1, faults: 1, steps: 2, reorderings: 0 },
    spec,
};

#[derive(Default)]
struct Shown(Cell<u64>);

async fn display() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:1").await?;
    let mut reading = [0; 8];
    loop {
        socket.recv_from(&mut reading).await?;
        let (sim, reading) = (Sim::current(), u64::from_le_bytes(reading));
        let shown = sim.state::<Shown>();
        if reading < shown.0.replace(reading) {
            sim.fail("went back", format!("reading {reading} is shown after a later one"));
        }
    }
}

fn spec() -> Spec {
    let link = NetworkProfile::fixed(5.millis()).reorder(0.01, 100.millis());
    Scenario::new()
        .machine("display.far", display)
        .client("sensor.near")
        .link("near", "far", link)
        .body(body)
}

async fn body(sim: Sim) -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    for step in sim.steps(40) {
        socket.send_to(&step.number().to_le_bytes(), "display.far:1").await?;
        sleep(10.millis()).await;
    }
    sleep(1.secs()).await;
    Ok(())
}

//! A client that waits for its answer without a timeout, over a network that loses packets. The
//! bug: the run never ends.
//!
//! Minimum: one question that is lost, or whose answer is lost. One of two limits ends the run. If
//! a step has started a watch, this is the limit of virtual time; otherwise, the run stalls.

use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::task::spawn;
use simmach::time::{sleep, timeout};

use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a wait without a timeout",
    bugs: &["time limit", "stall"],
    minimum: Minimum { machines: 1, faults: 1, steps: 1, reorderings: 0 },
    spec,
};

/// Echoes datagrams.
async fn echo() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:1").await?;
    let mut question = [0; 8];
    loop {
        let (_, client) = socket.recv_from(&mut question).await?;
        socket.send_to(&question, client).await?;
    }
}

/// Wakes every few seconds, so that the server always has a timer.
async fn keeper() {
    loop {
        sleep(5.secs()).await;
    }
}

fn spec() -> Spec {
    let lossy = NetworkProfile::uniform(5.millis(), 40.millis()).loss(0.02);
    Scenario::new()
        .machine("server.far/echo", echo)
        .machine("server.far/keeper", keeper)
        .client("client.near")
        .link("near", "far", lossy)
        .time_limit(5.mins())
        .body(body)
}

async fn body(sim: Sim) -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    for step in sim.steps(30) {
        if step.random_bool(0.2) {
            drop(spawn(watch()));
        }
        let mut answer = [0; 8];
        socket.send_to(&step.number().to_le_bytes(), "server.far:1").await?;
        socket.recv_from(&mut answer).await?;
    }
    Ok(())
}

/// Asks from time to time whether the server answers.
async fn watch() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let mut answer = [0; 8];
    loop {
        socket.send_to(&answer, "server.far:1").await?;
        // No answer is a valid result.
        let _ = timeout(1.secs(), socket.recv_from(&mut answer)).await;
        sleep(2.secs()).await;
    }
}

//! A client that repeats a request that got no answer. The bug: the server treats the repetition as
//! a new request.
//!
//! Minimum: one request whose answer is lost. If the request itself were lost, the server would see
//! only the second request.

use std::cell::Cell;

use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::time::timeout;

use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a retry that repeats a request",
    bugs: &["repeated request"],
    minimum: Minimum { machines: 1, faults: 1, steps: 1, reorderings: 0 },
    spec,
};

#[derive(Default)]
struct Counter(Cell<u64>);

async fn counter() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:1").await?;
    let mut request = [0; 8];
    loop {
        let (_, client) = socket.recv_from(&mut request).await?;
        let counted = Sim::current().state::<Counter>();
        counted.0.set(counted.0.get() + 1);
        socket.send_to(&request, client).await?;
    }
}

fn spec() -> Spec {
    let lossy = NetworkProfile::uniform(5.millis(), 40.millis()).loss(0.03);
    Scenario::new()
        .machine("counter.far", counter)
        .client("client.near")
        .link("near", "far", lossy)
        .body(body)
}

async fn body(sim: Sim) -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let mut asked = 0;
    for step in sim.steps(20) {
        let mut answer = [0; 8];
        for _ in 0..5 {
            socket.send_to(&step.number().to_le_bytes(), "counter.far:1").await?;
            if timeout(200.millis(), socket.recv_from(&mut answer)).await.is_ok() {
                break;
            }
        }
        asked += 1;
    }
    let counted = sim.state::<Counter>().0.get();
    if counted > asked {
        sim.fail("repeated request", format!("{asked} requests were counted as {counted}"));
    }
    Ok(())
}

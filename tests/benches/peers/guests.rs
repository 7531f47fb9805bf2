//! The cases on tokio, in guests: programs that do not use simmach do the same work.

use std::future::pending;

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::protocol::*;
use crate::simmach::{LONG, TEN_MILLIS};
use crate::sizes::*;

async fn server() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

/// A client that makes its round trips to one server after another.
pub(crate) fn round_trips_to(servers: u64, trips: u64, profile: NetworkProfile) -> Spec {
    let cluster = Topology::new()
        .machine(&format!("server{{1..={servers}}}.zone"), server)
        .link("zone", "zone", profile);
    Scenario::new().topology(cluster).client("client.zone").time_limit(LONG).body(
        async move |_: Sim| {
            for n in 1..=servers {
                // Connects by address, since tokio looks up names on a separate thread.
                let mut stream = TcpStream::connect(format!("10.0.0.{n}:7")).await?;
                round_trips(&mut stream, trips / servers).await;
            }
            std::io::Result::Ok(())
        },
    )
}

pub(crate) fn idle(machines: u64) -> Spec {
    let cluster = Topology::new().machine(&format!("host{{1..={machines}}}.zone"), pending::<()>);
    Scenario::new().topology(cluster).body(async |_: Sim| sleep(SECONDS.secs()).await)
}

pub(crate) fn sleepers() -> Spec {
    let cluster = Topology::new().machine(&format!("host{{1..={SLEEPERS}}}.zone"), async || {
        loop {
            sleep(TEN_MILLIS).await;
        }
    });
    Scenario::new().topology(cluster).body(async |_: Sim| sleep(SECONDS.secs()).await)
}

//! The simulated scenarios: the cluster, the plan that breaks it, and the bot's workload.
//!
//! Each move of the bot is a step of [`Sim::steps`], so that the shrinker can leave out moves.

use simmach::prelude::*;
use simmach::time::sleep;

use crate::client::Inventory;
use crate::{Version, Walk, backend, commit_log, mover};

/// The address that all services listen on.
const LISTEN: &str = "0.0.0.0:443";

/// The machine that the bot runs on.
pub const BOT: &str = "mover.botnet";

/// The walk of the stable scenario.
pub const STABLE: Walk = Walk { ring: 5, moves: 10, pause: Duration::from_secs(5) };

/// The walk of the scenario over 3G.
pub const OVER_3G: Walk = Walk { ring: 7, moves: 30, pause: Duration::from_secs(4) };

/// The cluster on good links, with a fixed latency of 50 ms.
pub fn cluster(version: Version) -> Topology {
    machines(version).link("botnet", "public", NetworkProfile::ideal_fixed()).link(
        "public",
        "internal",
        NetworkProfile::ideal_fixed(),
    )
}

/// The cluster with its clients on the mobile network.
pub fn cluster_over_3g(version: Version) -> Topology {
    machines(version).link("botnet", "public", NetworkProfile::mobile_3g()).link(
        "public",
        "internal",
        NetworkProfile::azure_intranet(),
    )
}

/// The machines of the cluster. In the buggy version, TCP does not retransmit lost segments.
fn machines(version: Version) -> Topology {
    let retransmit = match version {
        Version::Buggy => false,
        Version::Fixed => true,
    };
    Topology::new()
        .machine("cl.internal", move || commit_log(version, LISTEN))
        .machine("api{1..=2}.public", move || backend(version, LISTEN, "cl.internal:443"))
        .tcp(TcpConfig::new().retransmit(retransmit))
}

/// The plan of the stable scenario: one backend gets a new disk.
///
/// # Errors
///
/// If the cluster has no such machine.
pub async fn reimage(sim: Sim) -> Result {
    sleep(6.secs()).await;
    sim.stop("api1.public", GRACE).await?;
    sim.wipe("api1.public")?;
    sleep(2.secs()).await;
    sim.start("api1.public")?;
    Ok(())
}

/// The plan of the scenario over 3G: it stops backends, wipes some of their disks, and starts them again.
pub fn monkey() -> GracefulMonkey {
    GracefulMonkey::published().machines("api*").every(5.secs()..10.secs())
}

/// A client of the inventory that knows both gateways.
pub fn inventory(version: Version) -> Inventory {
    Inventory::connect(version, ["api1.public:443", "api2.public:443"])
}

/// Runs the bot. An issue that it finds fails the run, with the issue's kind as the key.
pub async fn walk(sim: Sim, version: Version, walk: Walk) {
    let steps = sim.steps(walk.moves);
    if let Err(issue) = mover::walk(inventory(version), version, walk, steps).await {
        sim.fail(issue.kind(), &issue);
    }
}

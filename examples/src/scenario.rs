//! The article's scenarios: the cluster, what breaks it, and what the bot does meanwhile.
//!
//! The bot walks by [`Sim::steps`], so that a run can be made with some of its moves left out.

use simmach::prelude::*;
use simmach::time::sleep;

use crate::client::Inventory;
use crate::{Version, Walk, backend, commit_log, mover};

/// Where all services listen.
const LISTEN: &str = "0.0.0.0:443";

/// The machine that the bot runs on.
pub const BOT: &str = "mover.botnet";

/// The walk of the stable scenario.
pub const STABLE: Walk = Walk { ring: 5, moves: 10, pause: Duration::from_secs(5) };

/// The walk of the scenario over 3G.
pub const OVER_3G: Walk = Walk { ring: 7, moves: 30, pause: Duration::from_secs(4) };

/// The cluster on good links: 50 ms, always.
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

/// The article's network sends nothing twice: what is lost is lost.
fn machines(version: Version) -> Topology {
    let retransmit = match version {
        Version::Article => false,
        Version::Fixed => true,
    };
    Topology::new()
        .machine("cl.internal", move || commit_log(version, LISTEN))
        .machine("api{1..=2}.public", move || backend(version, LISTEN, "cl.internal:443"))
        .tcp(TcpConfig::new().retransmit(retransmit))
}

/// The stable scenario's plan: one of the backends is given a new disk.
///
/// # Errors
///
/// When the cluster has no such machine.
pub async fn reimage(sim: Sim) -> Result {
    sleep(6.secs()).await;
    sim.stop("api1.public", GRACE).await?;
    sim.wipe("api1.public")?;
    sleep(2.secs()).await;
    sim.start("api1.public")?;
    Ok(())
}

/// The plan over 3G: a chaos monkey stops the backends, wipes some of their disks, and starts them again.
pub fn monkey() -> GracefulMonkey {
    GracefulMonkey::published().machines("api*").every(5.secs()..10.secs())
}

/// What the bot's user sees: the inventory, through both gateways.
pub fn inventory(version: Version) -> Inventory {
    Inventory::connect(version, ["api1.public:443", "api2.public:443"])
}

/// The bot at work. What is not as it should be fails the run, under its own name.
pub async fn walk(sim: Sim, version: Version, walk: Walk) {
    let steps = sim.steps(walk.moves);
    if let Err(issue) = mover::walk(inventory(version), version, walk, steps).await {
        sim.fail(issue.kind(), &issue);
    }
}

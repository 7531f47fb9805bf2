//! Tests that the fixed version of the example's inventory passes both scenarios. `chaos.rs` runs
//! more seeds.

use inventory_cluster::Version::Fixed;
use inventory_cluster::scenario::{self, OVER_3G, STABLE};
use simmach::prelude::*;

#[sim_test(
    seeds = 20,
    topology = scenario::cluster(Fixed),
    chaos = scenario::reimage,
    client = "mover.botnet",
)]
async fn stable_scenario_passes(sim: Sim) {
    scenario::walk(sim, Fixed, STABLE).await;
}

#[sim_test(
    seeds = 20,
    topology = scenario::cluster_over_3g(Fixed),
    chaos = scenario::monkey(),
    client = "mover.botnet",
)]
async fn scenario_over_3g_passes(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

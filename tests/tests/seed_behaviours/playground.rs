//! Both scenarios of the article end without an issue of the bot's, in the fixed version. `chaos.rs` has more seeds.

use inventory_cluster::Version::Fixed;
use inventory_cluster::scenario::{self, OVER_3G, STABLE};
use simmach::prelude::*;

#[sim_test(
    seeds = 20,
    topology = scenario::cluster(Fixed),
    chaos = scenario::reimage,
    client = "mover.botnet",
)]
async fn the_stable_scenario(sim: Sim) {
    scenario::walk(sim, Fixed, STABLE).await;
}

#[sim_test(
    seeds = 20,
    topology = scenario::cluster_over_3g(Fixed),
    chaos = scenario::monkey(),
    client = "mover.botnet",
)]
async fn the_scenario_over_3g(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

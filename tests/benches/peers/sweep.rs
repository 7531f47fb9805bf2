//! Tests with a thousand seeds, which measure the gain from a second job. This program is the test
//! binary of these tests.

use std::process::ExitCode;

use inventory_cluster::Version::Fixed;
use inventory_cluster::scenario::{self, OVER_3G, cluster_over_3g, monkey};
use simmach::prelude::*;

use crate::simmach::{ask_all, servers_and_clients};

simmach::main!();

pub(crate) fn run() -> ExitCode {
    main()
}

#[sim_test(seeds = 1000, topology = servers_and_clients(), client = "all.zone", runtime = native)]
async fn c(sim: Sim) -> Result {
    ask_all(sim).await
}

#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Fixed),
    chaos = monkey(),
    client = "mover.botnet",
    runtime = native,
    time_limit = "20m",
)]
async fn f(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

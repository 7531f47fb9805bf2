//! Tests the service's promises under faults: no acknowledged write is lost, reads are
//! linearizable, and the cluster recovers.

use kv::Log;
use simmach::prelude::*;

use crate::cluster::{
    blackouts, configured, kills, partitions, power_offs, production, splits, topology,
};
use crate::workload::Workload;

#[sim_test(seeds = 100, topology = topology(), client = "client.office")]
async fn requests_are_answered_on_good_days(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

/// Twenty seconds of ordinary load. The package's README says how long such a run takes.
#[sim_test(seeds = 50, topology = production(), client = "client.office")]
async fn settings_of_production_work(sim: Sim) -> Result {
    Workload { steps: 76, ..Workload::default() }.run(sim).await
}

#[sim_test(seeds = 250, topology = topology(), client = "client.office", chaos = kills)]
async fn kills_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(seeds = 250, topology = topology(), client = "client.office", chaos = power_offs())]
async fn power_losses_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(seeds = 250, topology = topology(), client = "client.office", chaos = blackouts)]
async fn blackouts_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(seeds = 250, topology = topology(), client = "client.office", chaos = partitions())]
async fn partitions_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(seeds = 250, topology = topology(), client = "client.office", chaos = splits())]
async fn splits_between_nodes_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(
    seeds = 300,
    topology = topology(),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn power_losses_and_partitions_lose_nothing(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

/// The cluster with its logs in plain files.
fn file_logs() -> Topology {
    configured(|config| config.log = Log::File { path: "raft.log".into(), is_synced: true })
}

#[sim_test(seeds = 150, topology = file_logs(), client = "client.office", chaos = blackouts)]
async fn blackouts_lose_nothing_of_a_log_in_a_file(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

#[sim_test(seeds = 150, topology = file_logs(), client = "client.office", chaos = power_offs())]
async fn power_losses_lose_nothing_of_a_log_in_a_file(sim: Sim) -> Result {
    Workload::default().run(sim).await
}

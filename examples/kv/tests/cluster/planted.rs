//! Planted bugs: unsafe settings and requests, which break the promises in `chaos.rs`. The tests
//! must detect them.

use kv::{Flush, Log};
use simmach::prelude::*;

use crate::cluster::{configured, partitions, topology};
use crate::workload::Workload;

/// The bug: nodes report votes, entries and changes as stored before they are on the disk.
fn flushed_late() -> Topology {
    configured(|config| config.flush = Flush::Later(1.secs()))
}

#[sim_test(
    topology = flushed_late(),
    client = "client.office",
    expect_failure(faults <= 1, steps <= 3),
)]
async fn store_that_is_flushed_late_loses_writes(sim: Sim) -> Result {
    Workload { blackouts: true, ..Workload::default() }.run(sim).await
}

/// The bug: a node answers reads from its own state, which may be stale.
#[sim_test(
    topology = topology(),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 8),
)]
async fn local_reads_are_stale(sim: Sim) -> Result {
    Workload { local_reads: true, ..Workload::default() }.run(sim).await
}

/// The bug: a node reports votes and entries as stored, but does not sync the file that they are in.
fn log_without_sync() -> Topology {
    configured(|config| config.log = Log::File { path: "raft.log".into(), is_synced: false })
}

#[sim_test(
    topology = log_without_sync(),
    client = "client.office",
    expect_failure(faults <= 4, steps <= 4),
)]
async fn log_that_is_not_synced_loses_writes(sim: Sim) -> Result {
    Workload { blackouts: true, ..Workload::default() }.run(sim).await
}

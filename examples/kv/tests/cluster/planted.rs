//! Settings and requests that are known to be unsafe. They break the promises of `chaos.rs`, and the tests notice.

use kv::Flush;
use simmach::prelude::*;

use crate::cluster::{configured, partitions, topology};
use crate::workload::Workload;

/// The bug: nodes say that votes, entries and changes are stored before they are on the disk.
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

/// The bug: a node answers from its own state, however old that is.
#[sim_test(
    topology = topology(),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 8),
)]
async fn local_reads_are_stale(sim: Sim) -> Result {
    Workload { local_reads: true, ..Workload::default() }.run(sim).await
}

//! The simulated cluster, and the plans that break it.

use std::collections::BTreeMap;

use kv::{Config, NodeId};
use simmach::prelude::*;

const NODES: std::ops::RangeInclusive<NodeId> = 1..=3;

/// The addresses of the nodes.
pub(crate) fn addresses() -> BTreeMap<NodeId, String> {
    NODES.map(|id| (id, format!("{}:8080", machine(id)))).collect()
}

/// The machine of a node.
fn machine(id: NodeId) -> String {
    format!("kv{id}.zone")
}

/// Three nodes, and a machine for the clients behind a link that loses packets. Logs are short, so
/// that nodes need snapshots. Nodes elect a leader quickly.
pub(crate) fn topology() -> Topology {
    configured(|_| {})
}

/// The cluster of [`topology`], with each node's configuration modified by `change`.
pub(crate) fn configured(change: impl Fn(&mut Config) + Copy + Send + Sync + 'static) -> Topology {
    nodes(move |config| {
        config.snapshot_after = 20;
        config.heartbeat = 100.millis();
        change(config);
    })
}

/// The machines of [`topology`], with the node settings of production.
pub(crate) fn production() -> Topology {
    nodes(|_| {})
}

fn nodes(change: impl Fn(&mut Config) + Copy + Send + Sync + 'static) -> Topology {
    let link = NetworkProfile::uniform(5.millis(), 40.millis()).loss(0.05);
    let clients = Topology::new().host("client.office").link("office", "zone", link);
    NODES.fold(clients, |topology, id| {
        topology.machine(&machine(id), move || async move {
            let mut config = Config::new(id, addresses())?;
            change(&mut config);
            run_node(config).await
        })
    })
}

/// Runs a node. One that openraft stops for [`REPLACED`] stays down until [`Sim::settle`], which stands for the supervisor that
/// starts it again in production.
async fn run_node(config: Config) -> Result {
    let machine = machine(config.id);
    match kv::serve(config).await {
        Err(kv::Error::Raft(fatal)) if fatal.to_string().contains(REPLACED) => {
            Sim::current().kill(machine.as_str())?;
            Ok(())
        }
        ended => Ok(ended?),
    }
}

/// openraft 0.9.25 stops a leader that is replaced in the moment in which it wants to send a snapshot: its replication task has
/// ended because of the new leader, and it takes that for a fault of the disk. Found by these tests.
const REPLACED: &str = "replication channel closed";

/// Kills nodes, which lose their memory and keep their disks, and starts them again.
pub(crate) async fn kills(sim: Sim) -> Result {
    loop {
        simmach::time::sleep(sim.random_range(500..4_000_u64).millis()).await;
        let node = machine(sim.random_range(1..4));
        if sim.is_up(node.as_str()) {
            sim.kill(node.as_str())?;
            simmach::time::sleep(sim.random_range(50..2_000_u64).millis()).await;
            sim.start(node.as_str())?;
        }
    }
}

/// Cuts the power of all nodes at once, and restores it.
pub(crate) async fn blackouts(sim: Sim) -> Result {
    loop {
        simmach::time::sleep(sim.random_range(1_000..6_000_u64).millis()).await;
        sim.power_off("kv*")?;
        simmach::time::sleep(sim.random_range(50..1_000_u64).millis()).await;
        sim.start("kv*")?;
    }
}

pub(crate) fn power_offs() -> PowerOffs {
    PowerOffs::new().machines("kv*").every(500.millis()..4.secs()).downtime(50.millis()..2.secs())
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new().machines("*").every(500.millis()..4.secs()).lasting(100.millis()..3.secs())
}

/// Partitions between nodes that clients do not see: they reach a leader that was replaced, too.
pub(crate) fn splits() -> Partitions {
    Partitions::new().machines("kv*").every(500.millis()..3.secs()).lasting(1.secs()..4.secs())
}

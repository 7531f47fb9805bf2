//! The network and the plans of these tests.

use simmach::prelude::*;

/// Clients in one zone, and services in another beyond a link that loses packets.
pub(crate) fn lossy() -> Topology {
    let link = NetworkProfile::uniform(1.millis(), 20.millis()).loss(0.03);
    Topology::new().host("client.office").link("office", "zone", link)
}

/// Power losses that come in the middle of requests.
pub(crate) fn power_offs() -> PowerOffs {
    PowerOffs::new().every(500.millis()..4.secs()).downtime(50.millis()..2.secs())
}

/// Partitions between all machines, that some connections outlive.
pub(crate) fn partitions() -> Partitions {
    Partitions::new().machines("*").every(500.millis()..4.secs()).lasting(100.millis()..3.secs())
}

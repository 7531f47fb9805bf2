//! Programs with the example's inventory, in both versions.

use inventory_cluster::Version::{Buggy, Fixed};
use inventory_cluster::scenario::{self, BOT, OVER_3G, STABLE};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "inventory over 3G, fixed", seeds: 8, spec: over_3g },
    Golden { name: "inventory over 3G, as published", seeds: 8, spec: over_3g_as_published },
    Golden { name: "inventory under power-offs", seeds: 8, spec: under_power_offs },
    Golden { name: "inventory on good links", seeds: 4, spec: on_good_links },
];

fn over_3g() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Fixed))
        .client(BOT)
        .plan(scenario::monkey())
        .body(|sim| scenario::walk(sim, Fixed, OVER_3G))
}

fn over_3g_as_published() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Buggy))
        .client(BOT)
        .plan(scenario::monkey())
        .body(|sim| scenario::walk(sim, Buggy, OVER_3G))
}

fn under_power_offs() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Fixed))
        .client(BOT)
        .plan(scenario::monkey())
        .plan(PowerOffs::new().every(5.secs()..30.secs()).downtime(1.secs()..5.secs()))
        .body(|sim| scenario::walk(sim, Fixed, OVER_3G))
}

fn on_good_links() -> Spec {
    Scenario::new()
        .topology(scenario::cluster(Fixed))
        .client(BOT)
        .plan(scenario::reimage)
        .body(|sim| scenario::walk(sim, Fixed, STABLE))
}

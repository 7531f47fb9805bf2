//! The buggy inventory over 3G under `GracefulMonkey`, as two programs with a planted bug: its item is lost, or doubled.

use inventory_cluster::Version::Buggy;
use inventory_cluster::scenario::{self, BOT, OVER_3G};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach_tests::planted::{Minimum, Planted};

/// Minimum: both gateways are stopped, one after the other; with one stopped the client uses the other. The
/// client must try both within the 15 s for which it takes one for down. Adding the item and counting it are enough tries, if
/// the strikes fall into them: no move is needed, though a move or two make the failure likelier.
pub(crate) const LOST_ITEM: Planted = Planted {
    name: "the inventory's lost item",
    bugs: &["lost item"],
    minimum: Minimum { machines: 2, faults: 2, steps: 0, reorderings: 0 },
    spec,
};

/// Minimum: one packet with an answer is lost. The bot asks the other gateway again, which takes it for a
/// new request. Adding the item is enough for that: no move is needed.
pub(crate) const DOUBLED_ITEM: Planted = Planted {
    name: "the inventory's doubled item",
    bugs: &["doubled item"],
    minimum: Minimum { machines: 2, faults: 1, steps: 0, reorderings: 0 },
    spec,
};

fn spec() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Buggy))
        .plan(scenario::monkey())
        .client(BOT)
        .time_limit(Duration::from_secs(20 * 60))
        .body(async |sim: Sim| scenario::walk(sim, Buggy, OVER_3G).await)
}

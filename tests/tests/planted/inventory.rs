//! The buggy inventory over 3G under `GracefulMonkey`. It counts as two programs, each with one
//! planted bug: in one, the item is lost; in the other, it is doubled.

use inventory_cluster::Version::Buggy;
use inventory_cluster::scenario::{self, BOT, OVER_3G};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach_tests::planted::{Minimum, Planted};

/// Minimum: both gateways are stopped, one after the other. If only one is stopped, the client uses
/// the other. The client must try both gateways within the 15 s for which it treats a gateway as
/// down. The client tries a gateway when it adds the item, and when it counts it. These tries are
/// enough if the gateways are stopped at these times. So no move is needed, though one or two moves
/// make the failure more likely.
pub(crate) const LOST_ITEM: Planted = Planted {
    name: "the inventory's lost item",
    bugs: &["lost item"],
    minimum: Minimum { machines: 2, faults: 2, steps: 0, reorderings: 0 },
    spec,
};

/// Minimum: one packet with an answer is lost. The bot repeats its request to the other
/// gateway, which treats it as a new request. Adding the item is enough for this, so no move is needed.
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

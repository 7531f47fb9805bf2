//! The article's inventory over 3G under the monkey, as programs with a planted bug: its item is lost, or doubled.

use inventory_cluster::Version::Article;
use inventory_cluster::scenario::{self, BOT, OVER_3G};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach_tests::planted::{Minimum, Planted};

/// Minimum of the lost item: both gateways are stopped, one after the other, since the bot's client has the other while
/// only one is. It must try both within the 15 s for which it takes one for down. Putting the item in and counting it are
/// tries enough, if the strikes fall into them: no move is needed, though a move or two make it likelier.
///
/// Minimum of the doubled item: one packet with an answer is lost. The bot asks again, of the other gateway, which takes
/// it for another request: putting the item in is enough for that, no move is needed.
pub(crate) const ARTICLE: [Planted; 2] = [
    Planted {
        name: "the article's lost item",
        bugs: &["lost item"],
        minimum: Minimum { machines: 2, faults: 2, steps: 0, reorderings: 0 },
        spec,
    },
    Planted {
        name: "the article's doubled item",
        bugs: &["doubled item"],
        minimum: Minimum { machines: 2, faults: 1, steps: 0, reorderings: 0 },
        spec,
    },
];

fn spec() -> Spec {
    Scenario::new()
        .topology(scenario::cluster_over_3g(Article))
        .plan(scenario::monkey())
        .client(BOT)
        .time_limit(Duration::from_secs(20 * 60))
        .body(async |sim: Sim| scenario::walk(sim, Article, OVER_3G).await)
}

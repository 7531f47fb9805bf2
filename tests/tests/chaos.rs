//! The inventory cluster of `examples`, under all that breaks it.
//!
//! The fixed version keeps every item through a thousand runs of each plan. The article's version, under the article's
//! plan, does not: that is shown too, so that a harness that finds nothing is found out.

use std::collections::BTreeMap;
use std::ops::Range;

use inventory_cluster::Version::{Article, Fixed};
use inventory_cluster::scenario::{
    self, OVER_3G, STABLE, cluster, cluster_over_3g, inventory, monkey, reimage,
};
use inventory_cluster::{Error, Location};
use simmach::prelude::*;
use simmach::time::sleep;

simmach::main!();

/// The article's plan, on the article's network.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Fixed),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
async fn nothing_is_lost_under_the_monkey(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

/// Every machine loses its power now and then, the log's too.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Fixed),
    chaos = PowerOffs::new(),
    client = "mover.botnet",
    time_limit = "20m",
)]
async fn nothing_is_lost_when_the_power_goes(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

/// Two clients make moves of all kinds, many of them impossible, while all that can break does. What each is answered
/// must be what happens: a move that is accepted is made once, one that is refused is not made.
#[sim_test(
    seeds = 200,
    topology = cluster_over_3g(Fixed).host("other.botnet"),
    chaos = [monkey(), PowerOffs::new()],
    client = "mover.botnet",
    time_limit = "30m",
)]
async fn what_is_answered_is_what_happens(sim: Sim) -> Result {
    let other = sim.run_on("other.botnet", shuffle(sim, 4..8));
    shuffle(sim, 0..4).await?;
    other.await??;
    assert_eq!(inventory(Fixed).count().await?, 2 * ITEMS);
    Ok(())
}

/// What each client puts in.
const ITEMS: u64 = 2;

/// Moves items among locations that no other client uses, and keeps its own books.
async fn shuffle(sim: Sim, locations: Range<u64>) -> Result {
    let mut items = inventory(Fixed);
    let mut books: BTreeMap<u64, u64> = locations.clone().map(|location| (location, 0)).collect();
    items.add(Location(locations.start), ITEMS).await?;
    *books.entry(locations.start).or_default() += ITEMS;
    for step in sim.steps(20) {
        let (from, to) = (step.choose(locations.clone()), step.choose(locations.clone()));
        let quantity = step.choose(1..ITEMS + 1);
        let there = books[&from] >= quantity;
        match items.move_items(Location(from), Location(to), quantity).await {
            Ok(()) if there => {
                *books.entry(from).or_default() -= quantity;
                *books.entry(to).or_default() += quantity;
            }
            Err(Error::Refused(_)) if !there => {}
            answer => {
                let question = format!("{quantity} from L{from} to L{to}, of {books:?}");
                return Err(format!("moving {question}: {answer:?}").into());
            }
        }
        sleep(step.choose(0..4_000u64).millis()).await;
    }
    Ok(())
}

/// As in the article's picture: no gateway is active when the bot counts, and the article's bot takes that for a count
/// of 0. What the log itself loses is below, in `the_article_forgets_what_it_said_ok_to`.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Article),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 0")]
async fn the_article_loses_its_item(sim: Sim) {
    scenario::walk(sim, Article, OVER_3G).await;
}

/// The article's client repeats what got no answer, and its cluster takes it for another request.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Article),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 2")]
async fn the_article_doubles_its_item(sim: Sim) {
    scenario::walk(sim, Article, OVER_3G).await;
}

/// The article's log says "OK" to what it then forgets with its power: a move is then in one backend's store only.
#[sim_test(
    seeds = 100,
    topology = cluster_over_3g(Article),
    chaos = PowerOffs::new().machines("cl*"),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 2")]
async fn the_article_forgets_what_it_said_ok_to(sim: Sim) {
    scenario::walk(sim, Article, OVER_3G).await;
}

#[sim_test(
    seeds = 100,
    topology = cluster(Fixed),
    chaos = reimage,
    client = "mover.botnet",
)]
async fn a_new_disk_costs_nothing(sim: Sim) {
    scenario::walk(sim, Fixed, STABLE).await;
}

/// On links that lose nothing the article's version does well.
#[sim_test(
    seeds = 100,
    topology = cluster(Article),
    chaos = reimage,
    client = "mover.botnet",
)]
async fn a_new_disk_costs_the_article_nothing(sim: Sim) {
    scenario::walk(sim, Article, STABLE).await;
}

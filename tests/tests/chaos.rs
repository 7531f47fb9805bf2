//! Tests the inventory cluster of `examples` under the library's plans.
//!
//! The fixed version must keep every item in a thousand runs of each plan. The buggy version must
//! fail under the same plans, since the first tests would also pass if the harness found nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use inventory_cluster::Version::{Buggy, Fixed};
use inventory_cluster::scenario::{
    self, OVER_3G, STABLE, cluster, cluster_over_3g, inventory, monkey, reimage,
};
use inventory_cluster::{Error, Location};
use simmach::prelude::*;
use simmach::time::sleep;

simmach::main!();

/// Stops, wipes and restarts backends, while the clients are on the mobile network.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Fixed),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
async fn fixed_loses_nothing_under_the_monkey(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

/// Each machine loses power from time to time, including that of the log.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Fixed),
    chaos = PowerOffs::new(),
    client = "mover.botnet",
    time_limit = "20m",
)]
async fn fixed_loses_nothing_under_power_offs(sim: Sim) {
    scenario::walk(sim, Fixed, OVER_3G).await;
}

/// Two clients make moves of all kinds, many of them impossible, under both plans. Answers must be true: an accepted move is
/// made once, a refused one is not made.
#[sim_test(
    seeds = 200,
    topology = cluster_over_3g(Fixed).host("other.botnet"),
    chaos = [monkey(), PowerOffs::new()],
    client = "mover.botnet",
    time_limit = "30m",
)]
async fn fixed_answers_are_true(sim: Sim) -> Result {
    let other = sim.run_on("other.botnet", shuffle(sim, 4..8));
    shuffle(sim, 0..4).await?;
    other.await??;
    assert_eq!(inventory(Fixed).count().await?, 2 * ITEMS);
    Ok(())
}

/// Number of items that each client adds.
const ITEMS: u64 = 2;

/// Moves items among locations that no other client uses, and checks each answer against its own books.
async fn shuffle(sim: Sim, locations: Range<u64>) -> Result {
    let mut items = inventory(Fixed);
    let mut books: BTreeMap<u64, u64> = locations.clone().map(|location| (location, 0)).collect();
    items.add(Location(locations.start), ITEMS).await?;
    *books.entry(locations.start).or_default() += ITEMS;
    for step in sim.steps(20) {
        let (from, to) =
            (step.random_range(locations.clone()), step.random_range(locations.clone()));
        let quantity = step.random_range(1..ITEMS + 1);
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
        sleep(step.random_range(0..4_000u64).millis()).await;
    }
    Ok(())
}

/// Both gateways are down when the bot counts, and the bot takes that for a count of 0.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Buggy),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 0")]
async fn buggy_client_counts_no_item(sim: Sim) {
    scenario::walk(sim, Buggy, OVER_3G).await;
}

/// The client repeats a request without an answer, and the cluster takes it for a new one.
#[sim_test(
    seeds = 1000,
    topology = cluster_over_3g(Buggy),
    chaos = monkey(),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 2")]
async fn buggy_client_doubles_its_item(sim: Sim) {
    scenario::walk(sim, Buggy, OVER_3G).await;
}

/// The log loses acknowledged commits with its power: a move is then in one backend's store only.
#[sim_test(
    seeds = 100,
    topology = cluster_over_3g(Buggy),
    chaos = PowerOffs::new().machines("cl*"),
    client = "mover.botnet",
    time_limit = "20m",
)]
#[should_panic(expected = "expected finalCount to be 1 but got 2")]
async fn buggy_log_loses_acknowledged_commits(sim: Sim) {
    scenario::walk(sim, Buggy, OVER_3G).await;
}

#[sim_test(
    seeds = 100,
    topology = cluster(Fixed),
    chaos = reimage,
    client = "mover.botnet",
)]
async fn fixed_survives_a_new_disk(sim: Sim) {
    scenario::walk(sim, Fixed, STABLE).await;
}

/// On links that lose no packets the buggy version passes.
#[sim_test(
    seeds = 100,
    topology = cluster(Buggy),
    chaos = reimage,
    client = "mover.botnet",
)]
async fn buggy_survives_a_new_disk_on_good_links(sim: Sim) {
    scenario::walk(sim, Buggy, STABLE).await;
}

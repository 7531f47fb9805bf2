//! Seven stores, one of which has a different durability. The bug: only this store loses
//! acknowledged writes.
//!
//! Minimum: one write to that store, and one power-off of its machine. Faults of the other six
//! machines do not matter.

use std::collections::BTreeSet;

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::storage::Durability;
use simmach::time::sleep;

use super::unflushed::{HAS, PUT, numbers};
use super::wire::ask;
use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a bug of one machine among seven",
    bugs: &["lost write"],
    minimum: Minimum { machines: 1, faults: 1, steps: 1, reorderings: 0 },
    spec,
};

fn spec() -> Spec {
    let sound = || numbers(Durability::EveryCommit);
    Scenario::new()
        .machine("n{1..=3}", sound)
        .machine("n4", || numbers(Durability::Periodic(2.secs())))
        .machine("n{5..=7}", sound)
        .plan(PowerOffs::new().every(200.millis()..1.secs()))
        .body(body)
}

async fn body(sim: Sim) -> Result {
    let mut acknowledged = BTreeSet::new();
    for step in sim.steps(60) {
        let node = step.random_range(1..8u64);
        if ask(&format!("n{node}"), [PUT, step.number()]).await.is_ok() {
            acknowledged.insert((node, step.number()));
        }
        sleep(200.millis()).await;
    }
    sim.settle().await?;
    for (node, number) in acknowledged {
        if ask(&format!("n{node}"), [HAS, number]).await?[0] == 0 {
            sim.fail("lost write", format!("n{node} acknowledged {number} and lost it"));
        }
    }
    Ok(())
}

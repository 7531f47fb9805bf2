//! A store that acknowledges writes before they are durable. The bug: a power-off loses
//! acknowledged writes.
//!
//! Minimum: one write, and one power-off in the half second before the next flush. Without a
//! power-off, no data is lost; without a write, there is no data to lose.

use std::collections::BTreeSet;

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{U64, Unit};
use simmach::storage::{Durability, Options, Store};
use simmach::time::sleep;

use super::wire::{Words, ask, serve};
use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a write that is acknowledged before it is durable",
    bugs: &["lost write"],
    minimum: Minimum { machines: 1, faults: 1, steps: 1, reorderings: 0 },
    spec,
};

/// The two commands: store a number, and query whether it is stored.
pub(super) const PUT: u64 = 0;
pub(super) const HAS: u64 = 1;

/// A service that stores numbers.
pub(super) async fn numbers(durability: Durability) -> Result {
    let db = Options::new().durability(durability).open("db").await?;
    serve(|question| answer(db.clone(), question)).await
}

async fn answer(db: Store, [what, number]: Words) -> Result<Words> {
    if what == PUT {
        db.write(move |txn| {
            let table = txn.table::<U64<BE>, Unit>("numbers")?;
            Ok(table.put(txn, &number, &())?)
        })
        .await?;
        return Ok([1, number]);
    }
    let has = db.read(move |txn| match txn.table::<U64<BE>, Unit>("numbers")? {
        Some(table) => Ok(table.get(txn, &number)?.is_some()),
        None => Ok(false),
    });
    Ok([u64::from(has.await?), number])
}

fn spec() -> Spec {
    with(Scenario::new().plan(PowerOffs::new().every(2.secs()..6.secs())))
}

/// The program under the plans of a scenario.
pub(super) fn with(plans: Scenario) -> Spec {
    plans.machine("db", || numbers(Durability::Periodic(500.millis()))).body(body)
}

async fn body(sim: Sim) -> Result {
    let mut acknowledged = BTreeSet::new();
    for step in sim.steps(30) {
        if ask("db", [PUT, step.number()]).await.is_ok() {
            acknowledged.insert(step.number());
        }
        sleep(300.millis()).await;
    }
    sim.settle().await?;
    for number in acknowledged {
        if ask("db", [HAS, number]).await?[0] == 0 {
            sim.fail("lost write", format!("{number} was acknowledged and is gone"));
        }
    }
    Ok(())
}

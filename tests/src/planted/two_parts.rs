//! A transfer in two transactions: the first takes money from one account, the second adds it to
//! the other. The bug: a crash between them loses the money.
//!
//! Minimum: one transfer, and one power-off between its two commits. Each commit is durable by
//! itself.

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{Str, U64};
use simmach::storage::{self, Store};
use simmach::time::sleep;

use super::wire::{Words, ask, serve};
use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a crash in the middle of an update in two parts",
    bugs: &["money gone"],
    minimum: Minimum { machines: 1, faults: 1, steps: 1, reorderings: 0 },
    spec,
};

const TRANSFER: u64 = 0;
const TOTAL: u64 = 1;
const OPENING: u64 = 1_000;

async fn bank() -> Result {
    let db = storage::open("db").await?;
    serve(|question| answer(db.clone(), question)).await
}

async fn answer(db: Store, [what, amount]: Words) -> Result<Words> {
    if what == TRANSFER {
        add(&db, "one", amount.wrapping_neg()).await?;
        sleep(5.millis()).await;
        add(&db, "other", amount).await?;
        return Ok([0, amount]);
    }
    let one = add(&db, "one", 0).await?;
    let other = add(&db, "other", 0).await?;
    Ok([one + other, 0])
}

async fn add(db: &Store, account: &'static str, amount: u64) -> storage::Result<u64> {
    db.write(move |txn| {
        let accounts = txn.table::<Str, U64<BE>>("accounts")?;
        let balance = accounts.get(txn, account)?.unwrap_or(OPENING).wrapping_add(amount);
        accounts.put(txn, account, &balance)?;
        Ok(balance)
    })
    .await
}

fn spec() -> Spec {
    Scenario::new()
        .machine("bank", bank)
        .plan(PowerOffs::new().every(1.secs()..3.secs()))
        .body(body)
}

async fn body(sim: Sim) -> Result {
    for step in sim.steps(40) {
        let _ = ask("bank", [TRANSFER, step.random_range(1..10u64)]).await;
        sleep(step.random_range(0..200u64).millis()).await;
    }
    sim.settle().await?;
    let [total, _] = ask("bank", [TOTAL, 0]).await?;
    if total != 2 * OPENING {
        sim.fail("money gone", format!("there are {total} of {}", 2 * OPENING));
    }
    Ok(())
}

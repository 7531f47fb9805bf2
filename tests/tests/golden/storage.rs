//! Programs with storage, on machines that lose power, are wiped or have full disks.

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{Str, U64};
use simmach::storage::{Durability, Options, Store};
use simmach::time::sleep;

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "stores and power-offs", seeds: 8, spec: stores_and_power_offs },
    Golden { name: "stores on a small disk", seeds: 4, spec: stores_on_a_small_disk },
];

type Words = U64<BE>;

async fn put(store: &Store, key: u64, value: String) -> simmach::storage::Result<()> {
    store
        .write(move |txn| {
            let table = txn.table::<Words, Str>("words")?;
            table.put(txn, &key, &value)?;
            if key % 5 == 4 {
                table.delete(txn, &(key - 2))?;
            }
            Ok(())
        })
        .await
}

async fn count(store: &Store) -> simmach::storage::Result<u64> {
    store
        .read(|txn| match txn.table::<Words, Str>("words")? {
            Some(table) => Ok(table.len(txn)?),
            None => Ok(0),
        })
        .await
}

/// Writes to two stores in a loop. One store is durable at each commit, the other is not.
async fn write_on() -> Result {
    let periodic = Durability::Periodic(300.millis());
    let safe = Options::new().open("safe").await?;
    let fast = Options::new().durability(periodic).open("fast").await?;
    let first = count(&safe).await?;
    for key in first.. {
        put(&safe, key, format!("safe {key}")).await?;
        put(&fast, key, format!("fast {key}")).await?;
        sleep(50.millis()).await;
    }
    Ok(())
}

fn stores_and_power_offs() -> Spec {
    let monkey = GracefulMonkey::new().every(1.secs()..3.secs()).downtime(10.millis()..1.secs());
    Scenario::new()
        .topology(Topology::new().machine("db{1..=2}.zone", write_on))
        .plan(PowerOffs::new().every(500.millis()..2.secs()).downtime(10.millis()..1.secs()))
        .plan(monkey.wipes(0.5))
        .body(async |sim: Sim| -> Result {
            sleep(15.secs()).await;
            Ok(sim.settle().await?)
        })
}

fn stores_on_a_small_disk() -> Spec {
    let disk = DiskProfile::ssd().capacity(256 << 10);
    let topology = Topology::new().host("db.zone").disk("db.zone", disk);
    Scenario::new().topology(topology).client("db.zone").body(async |_: Sim| -> Result {
        let store = Options::new().open("words").await?;
        let mut refused = 0;
        for key in 0..60 {
            refused += u32::from(put(&store, key, "word ".repeat(2_000)).await.is_err());
        }
        assert!(refused > 0, "the disk never fills up");
        Ok(())
    })
}

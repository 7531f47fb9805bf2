//! Tests of sled on machines that lose power.

use simmach::{Sim, sim_test};
use sled::Db;

use crate::{Engine, lose_power};

#[derive(Clone, Copy)]
struct Sled;

impl Engine for Sled {
    type Database = Db;

    fn open(self) -> Db {
        let config = sled::Config::new().path("records.sled").flush_every_ms(None);
        config.cache_capacity(1 << 20).open().expect("the database can be opened")
    }

    fn add(database: &Db, number: u64) -> Box<dyn FnOnce() + '_> {
        let payload = vec![number as u8; 900];
        database.insert(number.to_be_bytes(), payload).expect("the record is inserted");
        Box::new(|| {
            database.flush().expect("the record is flushed");
        })
    }

    fn records(self) -> Vec<u64> {
        let number = |key: &[u8]| u64::from_be_bytes(key.try_into().expect("a key has 8 bytes"));
        let rows = self.open().iter();
        rows.map(|row| number(&row.expect("the record can be read").0)).collect()
    }
}

/// sled calls `sync_file_range`, which does not wait for the disk's cache or the file's size. So its `flush` is not durable.
#[sim_test(seeds = 40, expect_failure(steps <= 3), machines("db" => std::future::pending::<()>))]
async fn sled_flush_is_found_to_lose(sim: Sim) -> simmach::Result {
    lose_power(sim, Sled).await
}

//! Tests redb.

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use simmach::{Sim, sim_test};

use crate::{At, Engine, lose_power, lose_power_from_creation_on};

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

#[derive(Clone, Copy)]
struct Redb;

impl Engine for Redb {
    type Database = Database;

    fn open(self) -> Database {
        let path = "records.redb";
        Database::create(path).expect("it is opened")
    }

    fn add(database: &Database, number: u64) -> Box<dyn FnOnce() + '_> {
        let mut transaction = database.begin_write().expect("nobody else writes");
        transaction.set_durability(Durability::Immediate).expect("it is the default");
        let payload = vec![number as u8; 900];
        let mut table = transaction.open_table(RECORDS).expect("nobody else has it");
        table.insert(number, &payload[..]).expect("it is added");
        drop(table);
        Box::new(|| transaction.commit().expect("it is committed"))
    }

    fn records(self) -> Vec<u64> {
        let mut database = self.open();
        // It may have to repair what belongs to no record: the allocator's state, for example.
        let _was_clean = database.check_integrity().expect("the database is sound, or repaired");
        let transaction = database.begin_read().expect("it is read");
        let Ok(table) = transaction.open_table(RECORDS) else { return Vec::new() };
        let rows = table.iter().expect("it is read");
        rows.map(|row| row.expect("it is read").0.value()).collect()
    }
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn redb_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Redb).await
}

/// redb 3 does not open a file that has its size and not its first bytes.
#[sim_test(seeds = 300, expect_failure(steps <= 1, faults <= 0), machines("db" => std::future::pending::<()>))]
async fn redb_is_found_not_to_open_a_half_created_database(sim: Sim) -> simmach::Result {
    lose_power_from_creation_on(sim, Redb, At::AnyCall).await
}

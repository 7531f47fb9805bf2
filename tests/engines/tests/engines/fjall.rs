//! Tests of fjall on machines that lose power.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use simmach::{Sim, sim_test};

use crate::{At, Engine, lose_power, lose_power_from_creation_on};

#[derive(Clone, Copy)]
struct Fjall(PersistMode);

pub(crate) struct Opened {
    database: Database,
    records: Keyspace,
    mode: PersistMode,
}

impl Engine for Fjall {
    type Database = Opened;

    fn open(self) -> Opened {
        let database = Database::builder("records.fjall").worker_threads(1).open();
        let database = database.expect("the database can be opened");
        let records = database.keyspace("records", KeyspaceCreateOptions::default);
        Opened { database, records: records.expect("the keyspace can be opened"), mode: self.0 }
    }

    fn add(opened: &Opened, number: u64) -> Box<dyn FnOnce() + '_> {
        let payload = vec![number as u8; 900];
        opened.records.insert(number.to_be_bytes(), payload).expect("the record is inserted");
        Box::new(|| opened.database.persist(opened.mode).expect("the record is persisted"))
    }

    fn records(self) -> Vec<u64> {
        let opened = self.open();
        let number = |key: &[u8]| u64::from_be_bytes(key.try_into().expect("a key has 8 bytes"));
        let rows = opened.records.iter();
        rows.map(|row| number(&row.key().expect("the record can be read"))).collect()
    }
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn fjall_sync_all_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Fjall(PersistMode::SyncAll)).await
}

/// `Buffer` promises nothing.
#[sim_test(seeds = 40, expect_failure(steps <= 3), machines("db" => std::future::pending::<()>))]
async fn fjall_buffer_is_found_to_lose(sim: Sim) -> simmach::Result {
    lose_power(sim, Fjall(PersistMode::Buffer)).await
}

/// fjall 3.1 writes the journal of a new database into space that it has allocated before, and takes
/// a damaged batch at the end for corruption. So it does not open such a journal if a sector in the
/// middle of its last write is missing.
#[sim_test(seeds = 300, expect_failure(steps <= 1, faults <= 2), machines("db" => std::future::pending::<()>))]
async fn fjall_is_found_not_to_open_a_torn_journal(sim: Sim) -> simmach::Result {
    lose_power_from_creation_on(sim, Fjall(PersistMode::SyncAll), At::Polls).await
}

/// fjall 3.1 does not open a database if the power failed while the database was created.
#[sim_test(seeds = 300, expect_failure(steps <= 1, faults <= 0), machines("db" => std::future::pending::<()>))]
async fn fjall_is_found_not_to_open_a_half_created_database(sim: Sim) -> simmach::Result {
    lose_power_from_creation_on(sim, Fjall(PersistMode::SyncAll), At::AnyCall).await
}

//! Tests of LMDB, used directly through heed, on machines that lose power.

use std::fs::{self, File};

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use simmach::{Sim, sim_test};

use crate::{At, Engine, lose_power, lose_power_from_creation_on};

#[derive(Clone, Copy)]
struct Lmdb(EnvFlags);

pub(crate) struct Opened {
    environment: Env,
    records: Database<U64<BigEndian>, Bytes>,
}

impl Engine for Lmdb {
    type Database = Opened;

    fn open(self) -> Opened {
        fs::create_dir_all("lmdb").expect("the folder can be created");
        File::open(".").and_then(|folder| folder.sync_all()).expect("the folder can be synced");
        let mut options = EnvOpenOptions::new();
        options.map_size(4 << 20);
        // SAFETY: only this process of the machine uses the files, and it opens them once.
        let environment = unsafe { options.flags(self.0).open("lmdb") };
        let environment = environment.expect("the environment can be opened");
        let mut transaction = environment.write_txn().expect("there is no other writer");
        let records = environment.create_database(&mut transaction, None);
        let records = records.expect("the database can be opened");
        transaction.commit().expect("the transaction is committed");
        Opened { environment, records }
    }

    fn add(opened: &Opened, number: u64) -> Box<dyn FnOnce() + '_> {
        let mut transaction = opened.environment.write_txn().expect("there is no other writer");
        let payload = vec![number as u8; 900];
        opened.records.put(&mut transaction, &number, &payload).expect("the record is inserted");
        Box::new(|| transaction.commit().expect("the transaction is committed"))
    }

    fn records(self) -> Vec<u64> {
        let opened = self.open();
        let transaction = opened.environment.read_txn().expect("there is a free reader");
        let rows = opened.records.iter(&transaction).expect("the records can be read");
        rows.map(|row| row.expect("the record can be read").0).collect()
    }
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn lmdb_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Lmdb(EnvFlags::empty())).await
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn lmdb_write_map_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Lmdb(EnvFlags::WRITE_MAP)).await
}

/// `NO_SYNC` promises nothing, so the tests above do not pass only because nothing is ever lost.
#[sim_test(seeds = 40, expect_failure(steps <= 3), machines("db" => std::future::pending::<()>))]
async fn lmdb_no_sync_is_found_to_lose(sim: Sim) -> simmach::Result {
    lose_power(sim, Lmdb(EnvFlags::NO_SYNC)).await
}

/// LMDB writes the first two pages of a new database without a sync. It does not open a file in which
/// one of them is missing.
#[sim_test(seeds = 1_000, expect_failure(steps <= 1, faults <= 3), machines("db" => std::future::pending::<()>))]
async fn lmdb_is_found_not_to_open_a_half_created_database(sim: Sim) -> simmach::Result {
    lose_power_from_creation_on(sim, Lmdb(EnvFlags::WRITE_MAP), At::AnyCall).await
}

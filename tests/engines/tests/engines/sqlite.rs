//! Tests SQLite with several journal modes.

use rusqlite::Connection;
use simmach::{Sim, sim_test};

use crate::{At, Engine, lose_power, lose_power_from_creation_on};

/// Resets SQLite's random number generator. It belongs to the OS process, so its state would
/// otherwise pass from run to run.
pub(crate) fn reset_generator() {
    // SAFETY: with these arguments, the call only clears the generator's state. SQLite seeds it
    // again on the next use.
    unsafe { rusqlite::ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

#[derive(Clone, Copy)]
struct Sqlite {
    journal_mode: &'static str,
    synchronous: &'static str,
}

impl Engine for Sqlite {
    type Database = Connection;

    fn open(self) -> Connection {
        let connection = Connection::open("records.sqlite").expect("it is opened");
        connection.pragma_update(None, "journal_mode", self.journal_mode).expect("it is a mode");
        connection.pragma_update(None, "synchronous", self.synchronous).expect("it is a mode");
        let create =
            "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, payload BLOB)";
        connection.execute(create, ()).expect("it is created");
        connection
    }

    fn add(connection: &Connection, number: u64) -> Box<dyn FnOnce() + '_> {
        connection.execute("BEGIN IMMEDIATE", ()).expect("nobody else writes");
        let payload = vec![number as u8; 900];
        let insert = "INSERT INTO records (number, payload) VALUES (?1, ?2)";
        connection.execute(insert, (number as i64, payload)).expect("it is added");
        Box::new(|| {
            connection.execute("COMMIT", ()).expect("it is committed");
        })
    }

    fn records(self) -> Vec<u64> {
        let connection = self.open();
        let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let check = connection.query_row("PRAGMA integrity_check", (), check).expect("it is read");
        assert_eq!(check, "ok");
        let mut statement = connection
            .prepare("SELECT number FROM records ORDER BY number")
            .expect("there is the table");
        let rows = statement.query_map((), |row| row.get::<_, i64>(0)).expect("it is read");
        rows.map(|row| row.expect("it is read") as u64).collect()
    }
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn sqlite_wal_full_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Sqlite { journal_mode: "WAL", synchronous: "FULL" }).await
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn sqlite_delete_extra_keeps_what_it_acknowledged(sim: Sim) -> simmach::Result {
    lose_power(sim, Sqlite { journal_mode: "DELETE", synchronous: "EXTRA" }).await
}

#[sim_test(seeds = 100, check = true, machines("db" => std::future::pending::<()>))]
async fn sqlite_wal_full_survives_its_creation(sim: Sim) -> simmach::Result {
    let engine = Sqlite { journal_mode: "WAL", synchronous: "FULL" };
    lose_power_from_creation_on(sim, engine, At::AnyCall).await
}

/// `OFF` promises nothing, so the tests above do not pass only because nothing is ever lost.
#[sim_test(seeds = 40, expect_failure(steps <= 3), machines("db" => std::future::pending::<()>))]
async fn sqlite_off_is_found_to_lose(sim: Sim) -> simmach::Result {
    lose_power(sim, Sqlite { journal_mode: "DELETE", synchronous: "OFF" }).await
}

/// The folder is not synced after the journal is deleted, so the last commit may be rolled back, as SQLite documents.
#[sim_test(seeds = 300, expect_failure(steps <= 3), machines("db" => std::future::pending::<()>))]
async fn sqlite_delete_full_is_found_to_lose_its_last_commit(sim: Sim) -> simmach::Result {
    lose_power(sim, Sqlite { journal_mode: "DELETE", synchronous: "FULL" }).await
}

//! Tests unmodified storage engines on machines that lose power. Acknowledged records must survive
//! if the engine's settings promise it.
//!
//! Each engine writes numbered records, one per transaction, with pauses within and between
//! transactions. The test notes each number when the engine acknowledges it. The machine loses
//! power while the engine writes. All records up to the last noted one must still exist.

#![cfg(target_os = "linux")]

mod fjall;
mod lmdb;
mod redb;
mod sled;
mod sqlite;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use simmach::Sim;
use simmach::task::yield_now;
use simmach::time::sleep;

/// Maximum number of records that an engine writes.
const RECORDS: u64 = 40;

/// A storage engine with its settings.
trait Engine: Copy + 'static {
    /// An open database.
    type Database: 'static;

    fn open(self) -> Self::Database;

    /// Begins a transaction that adds a record. Returns a function that ends the transaction.
    fn add(database: &Self::Database, number: u64) -> Box<dyn FnOnce() + '_>;

    /// Checks that the database is sound, and returns the numbers of all records.
    fn records(self) -> Vec<u64>;
}

/// Writes records until the machine loses power.
async fn write(engine: impl Engine, acknowledged: Rc<Cell<u64>>) {
    let database = engine.open();
    for number in acknowledged.get() + 1..=RECORDS {
        add(&database, &engine, number).await;
        // If the power fails within a call, the code runs on until it awaits something.
        yield_now().await;
        acknowledged.set(number);
        sleep(Duration::from_millis(2)).await;
    }
}

async fn add<E: Engine>(database: &E::Database, _: &E, number: u64) {
    let commit = E::add(database, number);
    sleep(Duration::from_millis(1)).await;
    commit();
}

/// Where the power may fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between polls and within the engine's calls.
    AnyCall,
    /// Between polls.
    Polls,
}

/// Powers the machine of a database with one record off three times, half of the times within a call,
/// and checks the records after each time.
async fn lose_power<E: Engine>(sim: Sim, engine: E) -> simmach::Result {
    sqlite::reset_generator();
    sim.run_on("db", async move { E::add(&engine.open(), 1)() }).await?;
    check_three_times(sim, engine, At::AnyCall, 1).await
}

/// The same, for a database that is created while the machine may lose power.
async fn lose_power_from_creation_on(sim: Sim, engine: impl Engine, at: At) -> simmach::Result {
    sqlite::reset_generator();
    check_three_times(sim, engine, at, 0).await
}

async fn check_three_times(
    sim: Sim,
    engine: impl Engine,
    at: At,
    acknowledged: u64,
) -> simmach::Result {
    let acknowledged = Rc::new(Cell::new(acknowledged));
    for step in sim.steps(3) {
        let writer = sim.run_on("db", write(engine, Rc::clone(&acknowledged)));
        if at == At::AnyCall && step.random_bool(0.5) {
            sim.power_off_at_call("db", step.random_range(1..100))?;
        }
        sleep(Duration::from_micros(step.random_range(0..40_000))).await;
        sim.power_off("db")?;
        sim.start("db")?;
        drop(writer);
        let records = sim.run_on("db", async move { engine.records() }).await?;
        let last = records.last().copied().unwrap_or(0);
        let all: Vec<u64> = (1..=last).collect();
        assert_eq!(records, all, "the records are a prefix of those that were written");
        assert!(last >= acknowledged.get(), "{last} records of {} are left", acknowledged.get());
        acknowledged.set(last);
    }
    Ok(())
}

//! Tests of sled on a machine that loses power.
//!
//! sled keeps the threads that write in a `static`, and never starts them again. So each run needs
//! an OS process of its own. Within a run, threads end with the process that started them. So the
//! test's body uses sled before all others, since its process lives as long as the run.
//!
//! The order in which `parking_lot` 0.11 wakes sled's threads depends on memory addresses. So two runs
//! of a seed may differ, and the tests do not check that they are the same.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use simmach::task::yield_now;
use simmach::time::sleep;
use simmach::{ControlError, Sim, sim_test};
use sled::{Config, Db};
use tokio::task::spawn_blocking;

use crate::RECORDS;

/// Calls `f` on a thread, since sled's calls wait for its other threads.
async fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(f).await.expect("the call does not panic")
}

/// Opens a database without a thread that flushes it.
fn open() -> Db {
    let config = Config::new().path("records.sled").flush_every_ms(None);
    config.open().expect("the database can be opened")
}

fn add(database: &Db, number: u64) {
    let payload = vec![number as u8; 900];
    database.insert(number.to_be_bytes(), payload).expect("the record is inserted");
    database.flush().expect("the records are flushed");
}

/// The numbers of all records.
fn records() -> Vec<u64> {
    let number = |key: &[u8]| u64::from_be_bytes(key.try_into().expect("a key has 8 bytes"));
    open().iter().keys().map(|key| number(&key.expect("the record can be read"))).collect()
}

/// Writes records until the machine loses power.
async fn write(acknowledged: Rc<Cell<u64>>) {
    let database = on_a_thread(open).await;
    for number in acknowledged.get() + 1..=RECORDS {
        let own = database.clone();
        on_a_thread(move || add(&own, number)).await;
        yield_now().await;
        acknowledged.set(number);
        sleep(Duration::from_millis(2)).await;
    }
}

/// Stops the machine's processes three times by `stop`, and opens the database again each time. All
/// acknowledged records must be there.
async fn restart(sim: Sim, stop: impl Fn() -> Result<(), ControlError>) -> simmach::Result {
    on_a_thread(|| drop(open())).await;
    let acknowledged = Rc::new(Cell::new(0));
    for step in sim.steps(3) {
        let writer = sim.run_on("db", write(Rc::clone(&acknowledged)));
        sleep(Duration::from_micros(step.random_range(0..40_000))).await;
        stop()?;
        sim.start("db")?;
        drop(writer);
        let records = sim.run_on("db", on_a_thread(records)).await?;
        let last = records.last().copied().unwrap_or(0);
        assert!(last >= acknowledged.get(), "{last} records of {} are left", acknowledged.get());
        acknowledged.set(last);
    }
    Ok(())
}

/// The process ends, and the machine keeps its power. A writer that has ended has no effect on the one that follows.
#[sim_test(seeds = 40, check = false, own_process = true, machines("db" => std::future::pending::<()>))]
async fn sled_keeps_what_it_acknowledged_when_it_is_killed(sim: Sim) -> simmach::Result {
    restart(sim, || sim.kill("db")).await
}

/// `flush` writes the records with `sync_file_range`, which does not make them durable.
#[sim_test(seeds = 40, check = false, own_process = true, machines("db" => std::future::pending::<()>))]
#[should_panic(expected = " are left")]
async fn sled_flush_is_found_not_to_be_durable(sim: Sim) -> simmach::Result {
    restart(sim, || sim.power_off("db")).await
}

/// sled syncs none of the files with which a database begins.
#[sim_test(seeds = 40, check = false, own_process = true, machines("db" => std::future::pending::<()>))]
#[should_panic(expected = "the database can be opened: Corruption")]
async fn sled_is_found_not_to_open_a_half_created_database(sim: Sim) -> simmach::Result {
    restart(sim, || sim.power_off("db")).await
}

//! Tests SQLite in memory: C code that uses the C library's mutexes.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use simmach::prelude::*;
use tokio::task::JoinSet;

#[sim_test(seeds = 50, check = true)]
async fn connection_is_shared_by_threads(sim: Sim) -> rusqlite::Result<()> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("CREATE TABLE counts (number INTEGER, turn INTEGER)")?;
    let connection = Arc::new(Mutex::new(connection));
    let mut threads = JoinSet::new();
    for number in 0..4 {
        let connection = Arc::clone(&connection);
        threads.spawn_blocking(move || {
            for turn in 0..5 {
                let mut connection = connection.lock().expect("no panic");
                let transaction = connection.transaction()?;
                transaction.execute("INSERT INTO counts VALUES (?, ?)", (number, turn))?;
                thread::sleep(Duration::from_millis(1));
                transaction.commit()?;
            }
            Ok::<_, rusqlite::Error>(())
        });
    }
    while let Some(ended) = threads.join_next().await {
        ended.expect("it returns")?;
    }
    let connection = connection.lock().expect("no panic");
    let mut found = connection.prepare("SELECT number FROM counts ORDER BY rowid")?;
    let order: Vec<u32> = found.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    assert_eq!(order.len(), 20);
    sim.log(format!("{order:?}"));
    Ok(())
}

/// Opens a connection to an in-memory database that all connections of the process share.
fn open() -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_FULL_MUTEX
        | OpenFlags::SQLITE_OPEN_SHARED_CACHE;
    Connection::open_with_flags("file:shared?mode=memory", flags)
}

/// Begins a transaction once no other connection writes. Returns how often one did.
fn begin(connection: &Connection) -> rusqlite::Result<u32> {
    let mut locked = 0;
    loop {
        let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") else { return Ok(locked) };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseLocked | ErrorCode::DatabaseBusy) => locked += 1,
            _ => return Err(error),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[sim_test(seeds = 50, check = true)]
async fn connections_share_a_cache(sim: Sim) -> rusqlite::Result<()> {
    let first = open()?;
    first.execute_batch("CREATE TABLE counts (number INTEGER)")?;
    let mut threads = JoinSet::new();
    for number in 0..4 {
        threads.spawn_blocking(move || {
            let connection = open()?;
            let mut locked = 0;
            for _ in 0..5 {
                locked += begin(&connection)?;
                connection.execute("INSERT INTO counts VALUES (?)", [number])?;
                thread::sleep(Duration::from_millis(1));
                connection.execute_batch("COMMIT")?;
            }
            Ok::<_, rusqlite::Error>(locked)
        });
    }
    let mut locked = 0;
    while let Some(ended) = threads.join_next().await {
        locked += ended.expect("it returns")?;
    }
    let count: u32 = first.query_row("SELECT count(*) FROM counts", [], |row| row.get(0))?;
    assert_eq!(count, 20);
    assert!(locked > 0);
    sim.log(format!("locked {locked} times"));
    Ok(())
}

/// SQLite holds the mutex of the shared cache while a function runs: the others wait in `pthread_mutex_lock`.
#[sim_test(seeds = 50, check = true)]
async fn functions_sleep_while_the_cache_is_locked(sim: Sim) -> rusqlite::Result<()> {
    let first = open()?;
    first.execute_batch("CREATE TABLE counts (number INTEGER); INSERT INTO counts VALUES (1)")?;
    let before = Instant::now();
    let mut threads = JoinSet::new();
    for number in 0..4u32 {
        threads.spawn_blocking(move || {
            let connection = open()?;
            connection.create_scalar_function("nap", 0, FunctionFlags::SQLITE_UTF8, |_| {
                thread::sleep(Duration::from_millis(3));
                Ok(1)
            })?;
            for _ in 0..3 {
                connection.query_row("SELECT nap() FROM counts", [], |_| Ok(()))?;
            }
            Ok::<_, rusqlite::Error>(number)
        });
    }
    let mut order = Vec::new();
    while let Some(ended) = threads.join_next().await {
        order.push(ended.expect("it returns")?);
    }
    // One after the other.
    assert!(before.elapsed() >= Duration::from_millis(36), "{:?}", before.elapsed());
    sim.log(format!("{order:?}"));
    Ok(())
}

//! Tests that services start, stop and restart.

use std::cell::Cell;
use std::future::pending;

use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::signal;
use simmach::storage::types::Str;
use simmach::storage::{self, Store};
use simmach::task::spawn_local;
use simmach::time::{Instant, sleep};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Counts of what services did. They are state of the run, so they survive the services.
#[derive(Default)]
struct Counters {
    launches: Cell<u32>,
    cleanups: Cell<u32>,
    effects: Cell<u32>,
}

fn count(which: impl Fn(&Counters) -> &Cell<u32>) {
    let counters = Sim::current().state::<Counters>();
    let cell = which(&counters);
    cell.set(cell.get() + 1);
}

async fn launched() {
    count(|counters| &counters.launches);
    signal::stopped().await;
}

/// A reboot runs the service's function again from its beginning.
#[sim_test(seeds = 5, machines("server" => launched))]
async fn reboot_launches_the_service_again(sim: Sim) -> Result {
    sim.stop("server", 1.secs()).await?;
    sim.start("server")?;
    sleep(1.secs()).await;
    assert_eq!(sim.state::<Counters>().launches.get(), 2);
    Ok(())
}

/// After its grace time no code of a service runs but its destructors, and these have no effect.
#[sim_test(seeds = 20, machines("server" => stubborn))]
async fn service_that_ignores_the_stop_signal_is_killed(sim: Sim) -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let (mut stream, _) = listener.accept().await?;
    let began = Instant::now();
    sim.stop("server", 2.secs()).await?;
    assert_eq!(began.elapsed(), 2.secs());
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    assert_eq!(heard, b"begun", "nothing was sent by a destructor");
    sleep(10.secs()).await;
    assert_eq!(sim.state::<Counters>().cleanups.get(), 0, "no code after the stop signal has run");
    assert_eq!(sim.state::<Counters>().effects.get(), 0, "no task of a destructor has run");
    sim.start("server")?;
    sleep(1.secs()).await;
    Ok(())
}

async fn stubborn() -> Result {
    let db = storage::open("db").await?;
    let left = db.read(|txn| Ok(txn.table::<Str, Str>("left")?.is_some())).await?;
    assert!(!left, "nothing was stored by a destructor");
    let mut stream = TcpStream::connect("client:80").await?;
    stream.write_all(b"begun").await?;
    let _guard = Guard { stream, db };
    signal::stopped().await;
    // It ignores the signal.
    pending::<()>().await;
    count(|counters| &counters.cleanups);
    Ok(())
}

/// Its destructor tries to send, to spawn and to store.
struct Guard {
    stream: TcpStream,
    db: Store,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.stream.try_write(b", and ended");
        let db = self.db.clone();
        drop(spawn_local(async move {
            count(|counters| &counters.effects);
            db.write(|txn| txn.table::<Str, Str>("left").map(|_| ())).await
        }));
    }
}

/// A service that obeys the stop signal uses none of its grace time.
#[sim_test(seeds = 5, machines("server" => launched))]
async fn service_that_obeys_stops_at_once(sim: Sim) -> Result {
    let began = Instant::now();
    sim.stop("server", 10.secs()).await?;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!sim.is_up("server"));
    Ok(())
}

//! Services as they are started and stopped.

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

/// What services did, in the run's own memory: no crash takes it away.
#[derive(Default)]
struct Seen {
    launches: Cell<u32>,
    clean_ups: Cell<u32>,
    effects: Cell<u32>,
}

fn count(which: impl Fn(&Seen) -> &Cell<u32>) {
    let seen = Sim::current().state::<Seen>();
    let cell = which(&seen);
    cell.set(cell.get() + 1);
}

async fn launched() {
    count(|seen| &seen.launches);
    signal::stopped().await;
}

/// A reboot runs the service's function anew, from its beginning.
#[sim_test(seeds = 5, machines("server" => launched))]
async fn a_reboot_launches_twice(sim: Sim) -> Result {
    sim.stop("server", 1.secs()).await?;
    sim.start("server")?;
    sleep(1.secs()).await;
    assert_eq!(sim.state::<Seen>().launches.get(), 2);
    Ok(())
}

/// Past its grace nothing of a service runs again: not what stands behind its loop, and what its destructors do has no
/// effect on anything.
#[sim_test(seeds = 20, machines("server" => stubborn))]
async fn a_service_that_ignores_its_token_is_killed(sim: Sim) -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let (mut stream, _) = listener.accept().await?;
    let began = Instant::now();
    sim.stop("server", 2.secs()).await?;
    assert_eq!(began.elapsed(), 2.secs());
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    assert_eq!(heard, b"begun", "nothing was sent by a destructor");
    sleep(10.secs()).await;
    assert_eq!(sim.state::<Seen>().clean_ups.get(), 0, "nothing behind the loop has run");
    assert_eq!(sim.state::<Seen>().effects.get(), 0, "no task of a destructor has run");
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
    // It was told, and does not care.
    pending::<()>().await;
    count(|seen| &seen.clean_ups);
    Ok(())
}

/// Its destructor tries all that a process could do.
struct Guard {
    stream: TcpStream,
    db: Store,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.stream.try_write(b", and ended");
        let db = self.db.clone();
        drop(spawn_local(async move {
            count(|seen| &seen.effects);
            db.write(|txn| txn.table::<Str, Str>("left").map(|_| ())).await
        }));
    }
}

/// A service that obeys costs none of its grace.
#[sim_test(seeds = 5, machines("server" => launched))]
async fn one_that_obeys_stops_at_once(sim: Sim) -> Result {
    let began = Instant::now();
    sim.stop("server", 10.secs()).await?;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!sim.is_up("server"));
    Ok(())
}

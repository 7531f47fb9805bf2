//! Tests a bug that needs a power-off in the millisecond between two commits. The program has one
//! connection for all steps, so leaving out a step shifts the times of later steps.
//!
//! Minimum: one payment, one power-off between its two commits, and a retry by the client.

use std::io;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::program::{Program, Scenario, Spec};
use simmach::storage::byteorder::BE;
use simmach::storage::types::{Str, U64, Unit};
use simmach::storage::{self, Store};
use simmach::time::{sleep, timeout};

const AMOUNT: u64 = 10;

/// Adds an amount for each number. The bug: a retry may add it twice.
async fn bank() -> Result {
    let db = storage::open("db").await?;
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let db = db.clone();
        simmach::task::spawn(async move { serve(&db, stream).await });
    }
}

async fn serve(db: &Store, mut stream: TcpStream) -> Result {
    loop {
        let number = read(&mut stream).await?;
        let done = db.read(move |txn| match txn.table::<U64<BE>, Unit>("done")? {
            Some(done) => Ok(done.get(txn, &number)?.is_some()),
            None => Ok(false),
        });
        if number != 0 && !done.await? {
            add(db, AMOUNT).await?;
            sleep(1.millis()).await;
            let done = db.write(move |txn| {
                let done = txn.table::<U64<BE>, Unit>("done")?;
                Ok(done.put(txn, &number, &())?)
            });
            done.await?;
        }
        let balance = add(db, 0).await?;
        write(&mut stream, balance).await?;
    }
}

async fn add(db: &Store, amount: u64) -> storage::Result<u64> {
    db.write(move |txn| {
        let accounts = txn.table::<Str, U64<BE>>("accounts")?;
        let balance = accounts.get(txn, "one")?.unwrap_or(0) + amount;
        accounts.put(txn, "one", &balance)?;
        Ok(balance)
    })
    .await
}

/// A client that keeps its connection, and asks again until it has an answer.
#[derive(Default)]
struct Client {
    stream: Option<TcpStream>,
}

impl Client {
    async fn pay(&mut self, number: u64) -> u64 {
        loop {
            match timeout(200.millis(), self.ask(number)).await {
                Ok(Ok(balance)) => return balance,
                Ok(Err(_)) | Err(_) => self.stream = None,
            }
            sleep(50.millis()).await;
        }
    }

    async fn ask(&mut self, number: u64) -> io::Result<u64> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(TcpStream::connect("bank.b:1").await?),
        };
        write(stream, number).await?;
        read(stream).await
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes).await?;
    Ok(u64::from_le_bytes(bytes))
}

async fn write(stream: &mut TcpStream, number: u64) -> io::Result<()> {
    stream.write_all(&number.to_le_bytes()).await
}

fn spec() -> Spec {
    let link = NetworkProfile::uniform(1.millis(), 9.millis());
    Scenario::new()
        .topology(Topology::new().machine("bank.b", bank).link("a", "b", link))
        .client("client.a")
        .plan(PowerOffs::new().every(500.millis()..2.secs()).downtime(1.millis()..500.millis()))
        .body(async |sim: Sim| {
            let mut client = Client::default();
            let mut paid = 0;
            for step in sim.steps(40) {
                client.pay(step.number() + 1).await;
                paid += AMOUNT;
                sleep(Duration::from_millis(step.random_range(10..100))).await;
            }
            sim.settle().await?;
            let balance = client.pay(0).await;
            if balance != paid {
                sim.fail("paid twice", format!("{balance} instead of {paid}"));
            }
            Ok::<_, BoxError>(())
        })
}

#[test]
fn power_off_between_two_commits() {
    let program = Program::new(spec).log(false);
    let mut seeds = 0..1_000;
    for _ in 0..10 {
        let seed = program.find(seeds.clone()).expect("some power-off hits the millisecond");
        seeds.start = seed + 1;
        let smaller = program.shrink(seed, 2_000).expect("it fails again");
        let (before, after) = (smaller.before(), smaller.after());
        assert!(before.steps > 1, "{before:?}");
        let story = smaller.story();
        assert_eq!((after.faults, after.steps), (1, 1), "seed {seed}, {before:?}\n{story}");
    }
}

//! Tests with twenty steps, of which one fails by chance because of a value that it spawns, opens
//! or draws. These are numbered within the step, so the other steps can be left out.

use simmach::net::{NetworkProfile, TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::program::{Program, Scenario, Spec};
use simmach::storage::Options;
use simmach::storage::byteorder::BE;
use simmach::storage::types::{U64, Unit};
use simmach::time::Instant;

/// One step in this many fails.
const ODDS: u64 = 200;

/// Shrinks the first failing runs of a body in which one step is unlucky by chance.
#[track_caller]
fn shrinks_to_one_step(spec: fn() -> Spec) {
    shrinks_to(1, spec);
}

#[track_caller]
fn shrinks_to(steps: u64, spec: fn() -> Spec) {
    let program = Program::new(spec).log(false);
    let mut seeds = 0..10_000;
    for _ in 0..5 {
        let seed = program.find(seeds.clone()).expect("one step in 200 fails");
        seeds.start = seed + 1;
        let smaller = program.shrink(seed, 2_000).expect("it fails again");
        assert_eq!(smaller.report().failure_key(), Some("unlucky"), "seed {seed}");
        let after = smaller.after();
        assert_eq!((after.steps, after.faults), (steps, 0), "seed {seed}: {}", smaller.story());
    }
}

/// Fails the run if `drawn` is unlucky, that is, a multiple of [`ODDS`].
fn check(sim: Sim, drawn: u64) {
    if drawn.is_multiple_of(ODDS) {
        sim.fail("unlucky", format!("{drawn}"));
    }
}

#[test]
fn spawned_tasks() {
    shrinks_to_one_step(|| {
        Scenario::new().body(async |sim: Sim| {
            for _ in sim.steps(20) {
                let child = simmach::task::spawn(async {
                    simmach::task::spawn(async { simmach::rand::random() }).await
                });
                check(sim, child.await??);
            }
            Ok::<_, BoxError>(())
        })
    });
}

#[test]
fn draws_of_the_body() {
    shrinks_to_one_step(|| {
        Scenario::new().body(async |sim: Sim| {
            for _ in sim.steps(20) {
                check(sim, simmach::rand::random());
                check(sim, sim.random_range(1..u64::MAX));
            }
        })
    });
}

#[test]
fn clients_on_another_machine() {
    shrinks_to_one_step(|| {
        Scenario::new().machine("other", async || {}).body(async |sim: Sim| {
            for _ in sim.steps(20) {
                check(sim, sim.run_on("other", async { simmach::rand::random() }).await?);
            }
            Ok::<_, BoxError>(())
        })
    });
}

/// The minimum is one step and the step within it.
#[test]
fn sequences_within_steps() {
    shrinks_to(2, || {
        Scenario::new().body(async |sim: Sim| {
            for _ in sim.steps(20) {
                let mut sum = 0;
                for inner in sim.steps(1) {
                    sum = inner.random_range(0..1 << 40);
                }
                check(sim, sum + 1);
            }
        })
    });
}

/// How long a connect takes is the sum of two latencies of 1 to 11 ms, which has a triangular distribution.
#[test]
fn connections() {
    shrinks_to_one_step(|| {
        let link = NetworkProfile::uniform(1.millis(), 11.millis());
        Scenario::new()
            .topology(Topology::new().machine("server.b", accept).link("a", "b", link))
            .client("client.a")
            .body(async |sim: Sim| {
                for _ in sim.steps(20) {
                    let began = Instant::now();
                    drop(TcpStream::connect("server.b:1").await?);
                    let part = (began.elapsed().as_secs_f64() - 0.002) / 0.020;
                    if part > 1.0 - (0.5 / ODDS as f64).sqrt() {
                        sim.fail("unlucky", format!("{part}"));
                    }
                }
                Ok::<_, BoxError>(())
            })
    });
}

async fn accept() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    loop {
        drop(listener.accept().await?);
    }
}

/// A commit takes 1 to 10 ms.
#[test]
fn transactions() {
    shrinks_to_one_step(|| {
        let disk = DiskProfile::default().commit_latency(1.millis(), 2.millis(), 10.millis());
        Scenario::new().topology(Topology::new().host("client").disk("client", disk)).body(
            async |sim: Sim| {
                let db = Options::new().open("db").await?;
                let took = async |number: u64| {
                    let began = Instant::now();
                    db.write(move |txn| {
                        let table = txn.table::<U64<BE>, Unit>("numbers")?;
                        Ok(table.put(txn, &number, &())?)
                    })
                    .await?;
                    Ok::<_, BoxError>(began.elapsed())
                };
                for step in sim.steps(20) {
                    if took(step.number()).await? > 9_500.micros() {
                        sim.fail("unlucky", "a slow commit");
                    }
                }
                Ok::<_, BoxError>(())
            },
        )
    });
}

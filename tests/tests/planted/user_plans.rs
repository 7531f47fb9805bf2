//! Tests that faults of a user's plan are removed together with their repairs, and weakened.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::program::{Effect, Program, Scenario, Spec};
use simmach::time::{Instant, sleep};

async fn echo() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_ok() {
            let _ = stream.write_all(&byte).await;
        }
    }
}

async fn ask(machine: &str) -> std::io::Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(format!("{machine}:7")).await?;
    stream.write_all(b"x").await?;
    stream.read_exact(&mut [0]).await?;
    Ok(began.elapsed())
}

/// Makes twenty requests. A request that takes longer than 300 ms fails the test.
async fn body(sim: Sim) -> Result {
    for step in sim.steps(20) {
        let machine = *step.choose(&["a1", "a2", "a3"]);
        if ask(machine).await.is_ok_and(|took| took > 300.millis()) {
            sim.fail("late", format!("{machine} answers late"));
        }
        sleep(100.millis()).await;
    }
    Ok(())
}

fn spec(plan: impl Plan) -> Spec {
    Scenario::new().machine("a{1..=3}", echo).plan(plan).body(body)
}

#[track_caller]
fn shrinks_to_one(spec: fn() -> Spec, effect: Effect) {
    let program = Program::new(spec).log(false);
    let mut seeds = 0..1_000;
    let mut minimal = 0;
    for _ in 0..5 {
        let seed = program.find(seeds.clone()).expect("one fails");
        seeds.start = seed + 1;
        let smaller = program.shrink(seed, 2_000).expect("it fails again");
        let (before, after, story) = (smaller.before(), smaller.after(), smaller.story());
        // A second step may stay that only gives the act its time.
        assert_eq!(after.faults, 1, "seed {seed}, {before:?}\n{story}");
        assert!(after.steps <= 2, "seed {seed}, {before:?}\n{story}");
        minimal += u64::from(after.steps == 1);
        assert!(!smaller.needs_plans(), "seed {seed}");
        let effects: Vec<_> = smaller.report().faults().map(|fault| fault.effect).collect();
        assert_eq!(effects, [effect], "seed {seed}");
    }
    assert!(minimal >= 1, "{minimal} of 5");
}

#[test]
fn pause() {
    shrinks_to_one(
        || {
            spec(async |sim: Sim| {
                loop {
                    sleep(sim.random_range(50..400u64).millis()).await;
                    let victim = *sim.choose(&["a1", "a2", "a3"]);
                    sim.pause(victim)?;
                    sleep(sim.random_range(1..900u64).millis()).await;
                    sim.resume(victim)?;
                }
                #[expect(unreachable_code, reason = "it gives the type of the error")]
                Ok::<_, BoxError>(())
            })
        },
        Effect::Pause,
    );
}

#[test]
fn partition_of_a_helper_task() {
    shrinks_to_one(
        || {
            spec(async |sim: Sim| {
                loop {
                    sleep(sim.random_range(50..400u64).millis()).await;
                    let victim = *sim.choose(&["a1", "a2", "a3"]);
                    simmach::task::spawn_local(async move {
                        let _ = sim.partition(victim, "client");
                        sleep(sim.random_range(1..900u64).millis()).await;
                        let _ = sim.heal(victim, "client");
                    });
                }
                #[expect(unreachable_code, reason = "it gives the type of the error")]
                Ok::<_, BoxError>(())
            })
        },
        Effect::Partition,
    );
}

#[test]
fn decisions_of_a_packet_filter() {
    let program = Program::new(|| {
        spec(async |sim: Sim| {
            let filter = sim.filter_packets("a*", "client", move |packet| {
                match packet.length > 0 && sim.random_bool(0.1) {
                    true => simmach::net::PacketFate::Delay(400.millis()),
                    false => simmach::net::PacketFate::Pass,
                }
            })?;
            std::future::pending::<()>().await;
            drop(filter);
            Ok::<_, BoxError>(())
        })
    });
    let seed = program.find(0..100).expect("one fails");
    let smaller = program.log(false).shrink(seed, 2_000).expect("it fails again");
    let (after, story) = (smaller.after(), smaller.story());
    assert_eq!((after.faults, after.steps), (1, 1), "{story}");
    assert!(!smaller.needs_plans(), "{story}");
}

//! Tests that `Swarm` mixes all kinds of faults, spares a majority, and has only faults that the
//! test claims to survive.

use std::collections::BTreeSet;

use crate::net::{TcpListener, TcpStream};
use crate::run::tests::*;

async fn serves() -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        drop(listener.accept().await?);
    }
}

/// A run of 20 s with five machines of one service, and one machine of another service. The body
/// checks that a majority of the five is up.
fn ran(seed: u64, plan: fn() -> Swarm) -> Outcome {
    outcome(seed, move || {
        let spec = SpecBuilder::new().machine("kv{1..=5}", serves).machine("web", obeys);
        spec.plan(plan()).body(async |sim: Sim| {
            for turn in 0..400 {
                sleep(50.millis()).await;
                let up = (1..=5).filter(|n| sim.is_up(format!("kv{n}"))).count();
                assert!(up >= 3, "{up} are up");
                if turn % 20 == 0 {
                    drop(crate::time::timeout(10.millis(), TcpStream::connect("kv1:7")).await);
                }
            }
        })
    })
}

#[test]
fn swarm_spares_a_majority_and_what_is_not_claimed() {
    let mut seen = BTreeSet::new();
    let (mut calm, mut early, mut late) = (0, 0, 0);
    for seed in 0..300 {
        let ran = ran(seed, Swarm::new);
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
        match ran.faults.first() {
            None => calm += 1,
            Some(first) if first.at < 100_000_000 => early += 1,
            Some(first) if first.at > 5_000_000_000 => late += 1,
            Some(_) => {}
        }
        seen.extend(ran.effects.iter().map(|(effect, _)| effect));
        for unclaimed in [Effect::Wipe, Effect::ClockStep] {
            assert_eq!(ran.effects.count(unclaimed), 0, "seed {seed}");
        }
    }
    assert!(calm > 10 && early > 30 && late > 3, "{calm} {early} {late}");
    let all = [
        Effect::Stop,
        Effect::Kill,
        Effect::PowerOff,
        Effect::Pause,
        Effect::Restart,
        Effect::Partition,
        Effect::Clog,
        Effect::ClockDrift,
    ];
    assert!(all.iter().all(|effect| seen.contains(effect)), "{seen:?}");
}

#[test]
fn swarm_does_what_is_claimed() {
    fn claimed() -> Swarm {
        let swarm = Swarm::new().machines("kv*").at_once(2);
        swarm.survives(Hardship::Wipe).survives(Hardship::ClockSteps)
    }
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let ran = ran(seed, claimed);
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
        seen.extend(ran.effects.iter().map(|(effect, _)| effect));
    }
    assert!(seen.contains(&Effect::ClockStep), "{seen:?}");
    let blackouts = (0..60).filter(|seed| {
        let ran = ran(*seed, || Swarm::new().survives(Hardship::Blackout));
        ran.verdict != Verdict::Passed
    });
    assert!(blackouts.count() > 5, "all five are down at once");
}

/// What a strike did is undone, whatever comes in between: in the end all is as it was.
#[test]
fn swarm_undoes_what_it_did() {
    for seed in 0..100 {
        let ran = outcome(seed, || {
            let spec = SpecBuilder::new().machine("kv{1..=3}", serves).plan(Swarm::new());
            spec.body(async |sim: Sim| {
                sleep(10.secs()).await;
                sim.settle().await?;
                for n in 1..=3 {
                    TcpStream::connect(format!("kv{n}:7")).await?;
                }
                Result::<()>::Ok(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
    }
}

#[test]
fn swarm_that_can_never_strike_is_a_mistake() {
    let broken = |swarm: fn() -> Swarm| {
        let spec =
            move || SpecBuilder::new().machine("kv1", serves).plan(swarm()).body(async |_| ());
        let Verdict::Broken(message) = outcome(0, spec).verdict else { panic!("it can strike") };
        message
    };
    assert!(broken(|| Swarm::new().at_once(0)).contains("`at_once`"));
    assert!(broken(|| Swarm::new().machines("kvv*")).contains("kvv*"));
}

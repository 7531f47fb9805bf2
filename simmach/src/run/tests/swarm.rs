//! Tests that `Swarm` mixes all kinds of faults, spares a majority, and has only faults that the
//! test claims to survive.

use std::collections::BTreeSet;

use crate::engine::record::deviations::RecordLevel;
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
        for unclaimed in [Effect::Wipe, Effect::ClockStep, Effect::StuckClock] {
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
        Effect::SlowCpu,
        Effect::Impairment,
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
    assert!(seen.contains(&Effect::ClockStep) && seen.contains(&Effect::StuckClock), "{seen:?}");
    let blackouts = (0..60).filter(|seed| {
        let ran = ran(*seed, || Swarm::new().survives(Hardship::Blackout));
        ran.verdict != Verdict::Passed
    });
    assert!(blackouts.count() > 5, "all five are down at once");
}

/// Writes, syncs and reads a file every 20 ms, and has a connection to the next machine.
async fn uses_files(own: u32) -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    spawn_local(async move {
        let mut accepted = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            accepted.push(stream);
        }
    });
    let next = format!("kv{}:7", own % 5 + 1);
    let mut stream = None;
    loop {
        sleep(20.millis()).await;
        let written = std::fs::File::create("f").and_then(|mut file| {
            std::io::Write::write_all(&mut file, &[7; 5_000])?;
            file.sync_all()?;
            std::fs::read("f")
        });
        drop(written);
        if stream.is_none() {
            stream = TcpStream::connect(&*next).await.ok();
        }
        if let Some(open) = &mut stream
            && futures::AsyncWriteExt::write_all(open, b"x").await.is_err()
        {
            stream = None;
        }
    }
}

/// The texts of the faults that runs of a program that uses files and connections have, and the names of their acts.
fn texts(plan: fn() -> Swarm) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    for seed in 0..60 {
        let spec = move || {
            let add =
                |spec: SpecBuilder, own| spec.machine(&format!("kv{own}"), move || uses_files(own));
            let spec = (1..=5).fold(SpecBuilder::new(), add);
            spec.plan(plan()).body(async |_| sleep(5.secs()).await)
        };
        let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
        let ran = run_spec(spec, seed, Overlay::default(), keep, Arc::default());
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
        texts.extend(ran.faults.into_iter().map(|fault| fault.text));
        let name = |act| format!("{act:?}").split(' ').next().unwrap_or_default().to_owned();
        texts.extend(ran.acts.into_iter().map(|one| name(one.act)));
    }
    texts
}

#[test]
fn swarm_stalls_disks_and_has_other_faults_of_disks_if_they_are_claimed() {
    let has = |texts: &BTreeSet<String>, text: &str| texts.iter().any(|one| one.contains(text));
    let errors =
        ["the next sync of its disk fails", "reads of its disk fail", "writes to its disk fail"];
    let unclaimed = texts(Swarm::new);
    for text in ["disk stalled", "PowerOffAtCall", "Filter", "SlowCpu", "packets arrive twice"] {
        assert!(has(&unclaimed, text), "{text}: {unclaimed:?}");
    }
    assert!(!errors.iter().any(|error| has(&unclaimed, error)), "{unclaimed:?}");
    assert!(!has(&unclaimed, "disk filled"));
    let claimed =
        texts(|| Swarm::new().survives(Hardship::DiskErrors).survives(Hardship::FullDisk));
    assert!(errors.iter().all(|error| has(&claimed, error)), "{claimed:?}");
    assert!(has(&claimed, "disk filled"));
}

/// A run whose kinds of faults need files has others if the program has no files.
#[test]
fn swarm_has_other_faults_in_place_of_those_that_have_no_effect() {
    let needs_files = ["stalled disks", "power-offs within calls", "cut connections"];
    let mut runs = 0;
    for seed in 0..400 {
        let ran = outcome(seed, || {
            let spec = SpecBuilder::new().machine("kv{1..=3}", ignores).plan(Swarm::new());
            spec.body(async |_| sleep(120.secs()).await)
        });
        let kinds = &ran.plans[0].kinds.drawn;
        if !kinds.is_empty() && kinds.iter().all(|kind| needs_files.contains(&kind.as_str())) {
            assert!(!ran.faults.is_empty(), "seed {seed}: {kinds:?}");
            runs += 1;
        }
    }
    assert!(runs > 2, "{runs}");
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

//! A core that is healed while everything else stays broken, and what must succeed then.

use crate::net::{PacketFate, TcpListener, TcpStream};
use crate::run::tests::*;
use crate::sim::ControlError;
use crate::time::timeout;

async fn answers() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        drop(listener.accept().await?);
    }
}

async fn reaches(sim: Sim, from: &str, to: &str) -> bool {
    let to = format!("{to}:7");
    let connect = timeout(1.secs(), TcpStream::connect(to));
    matches!(sim.run_on(from, connect).await, Ok(Ok(Ok(_))))
}

#[test]
fn core_is_healed_and_the_rest_stays_broken() {
    for seed in 0..10 {
        let ran = outcome(seed, || {
            let plan = async |sim: Sim| {
                sim.power_off("kv1")?;
                sim.kill("kv2")?;
                sim.pause("kv3")?;
                sim.partition("kv4", "*")?;
                sim.clog("kv5", "*")?;
                sim.set_clock("*", crate::ClockSkew::exact().ahead(5.secs()))?;
                let _lost = sim.filter_packets("*", "*", |_| PacketFate::Drop)?;
                loop {
                    sleep(1.secs()).await;
                    sim.kill("kv1")?;
                }
                #[allow(unreachable_code, reason = "it names the type")]
                Result::<()>::Ok(())
            };
            let spec = SpecBuilder::new().machine("kv{1..=5}", answers).plan(plan);
            spec.body(async |sim: Sim| {
                sleep(2500.millis()).await;
                let core = sim.heal_core("kv*", 3).await?;
                assert_eq!(core.len(), 3);
                for (from, to) in core.iter().flat_map(|a| core.iter().map(move |b| (a, b))) {
                    assert!(reaches(sim, from, to).await, "{from} {to}");
                }
                for to in &core {
                    assert!(reaches(sim, "client", to).await, "client {to}");
                }
                let rest = |name: &&str| !core.iter().any(|core| core == name);
                for name in ["kv1", "kv2"].iter().filter(|name| rest(name)) {
                    assert!(!sim.is_up(*name), "{name} stays down");
                }
                for name in ["kv4"].iter().filter(|name| rest(name)) {
                    assert!(!reaches(sim, "client", name).await, "{name} stays cut off");
                }
                sleep(5.secs()).await;
                assert!(core.iter().all(|name| sim.is_up(name.as_str())), "the plan has ended");
                Result::<()>::Ok(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
    }
}

/// A core whose disks fail, or whose power is about to fail, could not serve.
#[test]
fn core_has_disks_without_faults() {
    async fn writes() -> std::io::Result<()> {
        loop {
            sleep(100.millis()).await;
            let is_written = std::fs::write("/data", "text").is_ok();
            Sim::current().state::<Cell<bool>>().set(is_written);
        }
    }
    pass(|| {
        SpecBuilder::new().machine("kv1", writes).body(async |sim: Sim| {
            let is_written = || sim.state::<Cell<bool>>().get();
            sim.fail_writes("kv1")?;
            sleep(1.secs()).await;
            assert!(!is_written());
            sim.heal_core("kv1", 1).await?;
            assert!(is_written(), "the disk is repaired");
            sim.power_off_at_call("kv1", 20)?;
            sim.heal_core("kv1", 1).await?;
            sleep(10.secs()).await;
            assert!(sim.is_up("kv1"), "the power failure is cancelled");
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn core_of_too_many_or_of_none_is_an_error() {
    pass(|| {
        SpecBuilder::new().machine("kv{1..=3}", obeys).body(async |sim: Sim| {
            for n in [0, 4] {
                let error = sim.heal_core("kv*", n).await.expect_err("too many, or none");
                assert!(matches!(error, ControlError::Core { machines: 3, .. }), "{error}");
            }
            assert!(sim.heal_core("vk*", 1).await.is_err());
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn core_that_is_stuck_is_named_with_what_it_waits_for() {
    let failure = fail(|| {
        SpecBuilder::new().machine("kv{1..=3}", answers).body(async |sim: Sim| {
            sim.kill("*")?;
            sim.heal_core("kv*", 2).await?;
            sim.must_succeed("an easy part", 1.secs(), sleep(500.millis())).await;
            sim.must_succeed("a write", 5.secs(), std::future::pending::<()>()).await;
            Result::<()>::Ok(())
        })
    });
    assert_eq!(failure.kind, FailureKind::Named("no progress: a write".to_owned()));
    assert_eq!(failure.message, "a write did not succeed within 5s");
    let servers = failure.waiting.iter().filter(|line| line.starts_with("kv")).count();
    assert_eq!(servers, 2, "{:?}", failure.waiting);
}

//! Tests of the library's plans: they hit only allowed machines and undo only their own faults, and
//! `settle` ends them.

use crate::engine::draws::overlay::{Rule, RuleAction};
use crate::engine::record::deviations::RecordLevel;
use crate::engine::record::effects::Fault;
use crate::engine::{Family, MachineId};
use crate::net::{TcpListener, TcpStream};
use crate::run::tests::*;
use crate::time::timeout;

/// The plans hit all machines often, except the machine of the body.
#[test]
fn plan_leaves_out_the_bodys_machine() {
    for seed in 0..10 {
        let ran = outcome(seed, || {
            let power = PowerOffs::new().every(1.secs()..3.secs());
            let named = PowerOffs::new().machines("n*").every(1.secs()..3.secs());
            let monkey = GracefulMonkey::new().every(1.secs()..3.secs()).wipes(1.0);
            let cuts = Partitions::new().every(1.secs()..3.secs());
            let spec = SpecBuilder::new().machine("n{1..=3}/x", obeys);
            let spec = spec.machine("n{1..=3}/y", stores).client("n1");
            let spec = spec.plan(power).plan(named).plan(monkey).plan(cuts);
            spec.body(async |sim: Sim| {
                for _ in 0..60 {
                    sleep(1.secs()).await;
                    assert!(sim.is_up("n1"));
                }
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
        assert!(ran.effects.count(Effect::PowerOff) > 5 && ran.effects.count(Effect::Wipe) > 0);
        assert!(ran.effects.count(Effect::Partition) > 0);
        let is_spared = |fault: &Fault| {
            // The first machine is n1.
            fault.machine != Some(MachineId(0)) && !fault.text.contains("n1")
        };
        assert!(ran.faults.iter().all(is_spared), "{:?}", ran.faults);
    }
}

/// A plan that names the body's machine stops the services there. It does not stop the body or wipe
/// the disk.
#[test]
fn plan_hits_the_bodys_machine_if_named() {
    let ran = pass(|| {
        let monkey = GracefulMonkey::new().machines("n1").every(1.secs()).wipes(1.0);
        let spec = SpecBuilder::new().machine("n1", obeys).client("n1").plan(monkey);
        spec.body(async |_| sleep(60.secs()).await)
    });
    assert!(ran.effects.count(Effect::Stop) > 3);
    assert_eq!(ran.effects.count(Effect::Wipe), 0);
}

async fn answers() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        listener.accept().await?;
    }
}

#[test]
fn plan_keeps_partitions_of_the_test() {
    let ran = pass(|| {
        let cuts = Partitions::new().every(1.secs()).lasting(1.secs());
        let spec = SpecBuilder::new().machine("db{1..=2}", answers).plan(cuts);
        spec.body(async |sim: Sim| {
            sim.partition("db1", "db2")?;
            let connect = || {
                let connect = timeout(50.secs(), TcpStream::connect("db2:7"));
                sim.run_on("db1", connect)
            };
            assert!(connect().await?.is_err(), "no strike that heals joins them");
            sim.heal("db1", "db2")?;
            assert!(connect().await?.is_ok_and(|connected| connected.is_ok()));
            Result::<()>::Ok(())
        })
    });
    assert!(ran.effects.count(Effect::Partition) > 5);
}

/// One service runs, one has returned, one was killed by the test.
fn three_services() -> SpecBuilder {
    three_services_and(Topology::new())
}

fn three_services_and(topology: Topology) -> SpecBuilder {
    let done = async || sleep(1.millis()).await;
    let spec = SpecBuilder::new().topology(topology).machine("a/x", ignores);
    spec.machine("a/done", done).machine("a/killed", ignores)
}

#[test]
fn plan_starts_only_what_it_took_down() {
    let monkey = || GracefulMonkey::new().every(2.secs()).grace(0.secs()).downtime(1.secs());
    let power = || PowerOffs::new().every(2.secs()).downtime(1.secs());
    let body = async |sim: Sim| {
        sleep(1.secs()).await;
        sim.kill("a/killed")?;
        for _ in 0..60 {
            sleep(1.secs()).await;
            assert!(!sim.is_up("a/done") && !sim.is_up("a/killed"));
        }
        Result::<()>::Ok(())
    };
    for ran in [
        pass(move || three_services().plan(monkey()).body(body)),
        pass(move || three_services().plan(power()).body(body)),
    ] {
        assert!(ran.effects.count(Effect::Restart) > 10, "{:?}", ran.faults);
    }
}

/// A plan does not start a service that the test killed meanwhile.
#[test]
fn plan_does_not_start_what_the_test_ended() {
    for (at, power_off) in [(1, false), (4, false), (4, true)] {
        pass(move || {
            let monkey = GracefulMonkey::new().machines("a").every(2.secs());
            let monkey = monkey.grace(1.secs()).downtime(5.secs()).wipes(0.0);
            SpecBuilder::new().machine("a", ignores).plan(monkey).body(async move |sim: Sim| {
                sleep(Duration::from_millis(at * 1_000 + 1_500)).await;
                if power_off {
                    sim.power_off("a")?
                } else {
                    sim.kill("a")?
                }
                for _ in 0..30 {
                    sleep(1.secs()).await;
                    assert!(!sim.is_up("a"));
                }
                sim.start("a")?;
                Result::<()>::Ok(())
            })
        });
    }
}

#[test]
fn settle_ends_every_task_of_plans() {
    pass(|| {
        let plan = async |sim: Sim| {
            spawn_local(async move {
                loop {
                    sleep(1.secs()).await;
                    let _ = sim.kill("a");
                }
            });
            sleep(2.secs()).await;
        };
        SpecBuilder::new().machine("a", ignores).plan(plan).body(async |sim: Sim| {
            sleep(5500.millis()).await;
            assert!(!sim.is_up("a"));
            sim.settle().await?;
            sleep(20.secs()).await;
            assert!(sim.is_up("a"));
            Result::<()>::Ok(())
        })
    });
    // Called by a plan, it ends the others and not itself.
    pass(|| {
        let settles = async |sim: Sim| {
            sleep(3.secs()).await;
            sim.settle().await?;
            note("settled");
            Result::<()>::Ok(())
        };
        let kills = async |sim: Sim| -> Result {
            loop {
                sleep(2.secs()).await;
                sim.kill("a")?;
            }
        };
        let spec = SpecBuilder::new().machine("a", ignores).plan(settles).plan(kills);
        spec.body(async |sim: Sim| {
            sleep(20.secs()).await;
            assert!(sim.is_up("a") && notes().borrow().contains(&"settled".to_owned()));
        })
    });
}

#[test]
fn settle_starts_only_what_was_taken_down() {
    pass(|| {
        let spec = three_services_and(Topology::new().host("bot"));
        spec.body(async |sim: Sim| {
            sleep(1.secs()).await;
            sim.kill("a/killed")?;
            sim.power_off("bot")?;
            sim.settle().await?;
            assert!(sim.is_up("a/x") && sim.is_up("a/killed") && !sim.is_up("a/done"));
            assert!(sim.start("bot").is_err(), "it has power");
            sim.power_off("a")?;
            sim.settle().await?;
            assert!(sim.is_up("a/x") && sim.is_up("a/killed") && !sim.is_up("a/done"));
            sim.start("a/done")?;
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn settle_restores_link_profiles() {
    pass(|| {
        let slow = NetworkProfile::fixed(10.secs());
        let plan = async move |sim: Sim| sim.set_link("client", "a", slow);
        SpecBuilder::new().machine("a", answers).plan(plan).body(async |sim: Sim| {
            sleep(1.secs()).await;
            let connect = || timeout(5.secs(), TcpStream::connect("a:7"));
            assert!(connect().await.is_err(), "the link is slow");
            sim.settle().await?;
            // What is on the wire still arrives, and before what is sent later.
            sleep(20.secs()).await;
            assert!(connect().await.is_ok(), "and is no more");
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn link_with_a_bad_profile_is_an_error() {
    pass(|| {
        SpecBuilder::new().machine("a.x", answers).body(async |sim: Sim| {
            let bad = NetworkProfile::lan().loss(-1.0);
            let error = sim.set_link("x", "x", bad.clone()).expect_err("out of range");
            let text = "invalid link profile: `loss` must be a probability in 0..=1, got -1";
            assert_eq!(error.to_string(), text);
            assert_eq!(sim.set_link_between("a.x", "a.x", bad), Err(error));
            Result::<()>::Ok(())
        })
    });
}

/// Each fault of a user's plan can be left out; undoing it then has no effect.
#[test]
fn acts_of_a_users_plan_can_be_left_out() {
    const DONE: [&str; 6] = [
        "clocks changed",
        "packet filter added: [a.x] -> [b.x]",
        "link profile changed: [x] -> [x]",
        "link profile changed: [a.x] -> [b.x]",
        "killed",
        "disk wiped",
    ];
    let plan = async |sim: Sim| {
        sim.set_clock("a.x", crate::ClockSkew::exact().ahead(5.secs()))?;
        let rule = sim.filter_packets("a.x", "b.x", |_| crate::net::PacketFate::Drop)?;
        sim.set_link("x", "x", NetworkProfile::fixed(1.secs()))?;
        sim.set_link_between("a.x", "b.x", NetworkProfile::fixed(2.secs()))?;
        sleep(10.secs()).await;
        sim.kill("b.x")?;
        sim.wipe("b.x")?;
        sim.start("b.x")?;
        sleep(10.secs()).await;
        sim.set_clock("a.x", crate::ClockSkew::exact())?;
        sim.set_link("x", "x", NetworkProfile::lan())?;
        sim.set_link_between("a.x", "b.x", NetworkProfile::lan())?;
        drop(rule);
        Result::<()>::Ok(())
    };
    let made = |left_out: Option<(u64, u64)>, opens: bool| {
        let calm = Rule {
            address: [None, left_out, None],
            ..Rule::all(Some(Family::Fault), RuleAction::Calm)
        };
        let overlay: Overlay = left_out.map(|_| calm).into_iter().collect();
        let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
        let spec = move || {
            let spec = SpecBuilder::new().machine("a.x", answers).machine("b.x/x", answers);
            spec.machine("b.x/y", stores).plan(plan).body(async move |sim: Sim| {
                sleep(1.secs()).await;
                let connect = || timeout(1.secs(), TcpStream::connect("b.x:7"));
                assert_eq!(sim.run_on("a.x", connect()).await?.is_ok(), opens);
                sleep(30.secs()).await;
                assert!(sim.run_on("a.x", connect()).await?.is_ok());
                Result::<()>::Ok(())
            })
        };
        let outcome = run_spec(spec, 0, overlay, keep, Arc::default());
        assert_eq!(outcome.verdict, Verdict::Passed, "{left_out:?}");
        outcome
    };
    let texts = |outcome: &Outcome| {
        let faults =
            outcome.deviations.iter().filter(|deviation| deviation.family == Family::Fault);
        faults.map(|deviation| deviation.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&made(None, false)), DONE);
    for (nth, left_out) in (1..).zip(DONE) {
        let outcome = made(Some((nth, nth)), false);
        let mut expected = DONE.to_vec();
        // A disk is wiped only where its machine has been taken down.
        expected.retain(|text| *text != left_out && (nth != 5 || *text != DONE[5]));
        assert_eq!(texts(&outcome), expected);
    }
    let calm = made(Some((0, u64::MAX)), true);
    assert_eq!(calm.size.map(|size| size.faults), Some(0));
    assert_eq!(calm.effects.count(Effect::ClockStep) + calm.effects.count(Effect::Wipe), 0);
}

//! Faults that come and go.

use crate::chaos::{Hit, Target};
use crate::faults::{Drift, Duplicate, Flapping, Isolate, Kill, Stop};
use crate::run::tests::faults::network::{ALL, Arrivals, all_paths, cluster, seen};
use crate::run::tests::faults::*;
use crate::sim::ControlError;

fn flapping(fault: impl Fault) -> FaultPlan {
    once(Flapping::new(fault, 20.millis()..40.millis()))
}

/// The times of faults of a kind, in milliseconds.
fn times(ran: &Outcome, effect: Effect) -> Vec<u64> {
    let own = ran.faults.iter().filter(|fault| fault.effect == effect);
    own.map(|fault| fault.at / 1_000_000).collect()
}

#[test]
fn fault_comes_and_goes_while_the_strike_lasts() {
    for seed in 0..4 {
        let (ran, seen) = seen(seed, 3, || flapping(Isolate));
        let times = times(&ran, Effect::Partition);
        assert!((3..=5).contains(&times.len()) && times[0] == 100, "{times:?}");
        assert!(times.is_sorted_by(|one, next| (40..=80).contains(&(next - one))), "{times:?}");
        let heals = acts(&ran).into_iter().filter(|act| matches!(act, Act::Heal { .. })).count();
        assert_eq!(heals, times.len());
        let Act::Partition { from, .. } = &ran.acts[0].act else { panic!("{:?}", ran.acts) };
        let victim = from[0].0 as u8 + 1;
        let on_time = seen.sent_within(ALL).filter(|one| one.path.0 == victim).count();
        assert!((2 * 80..2 * 95).contains(&on_time), "{on_time}");
        assert_eq!(seen.paths(300..1_000), all_paths(3));
        assert_eq!(seen.sent_within(300..1_000).count(), 6 * 70, "it is over");
    }
}

/// Each time, the values are drawn anew, and a guard of the fault is dropped.
#[test]
fn each_time_has_draws_of_its_own() {
    let (ran, seen) = seen(0, 3, || flapping(Duplicate::up_to(100)));
    let drawn: Vec<_> = ran
        .acts
        .iter()
        .filter_map(|one| match &one.act {
            Act::Impair { from, impairment, .. } => Some((from.clone(), *impairment)),
            _ => None,
        })
        .collect();
    assert!(drawn.len() > 2 && drawn.iter().any(|one| *one != drawn[0]), "{drawn:?}");
    assert!(seen.doubled(300..1_000).is_empty());
}

#[test]
fn machine_goes_down_and_comes_back_again_and_again() {
    let ran = repeats(0, || {
        let spec =
            SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(flapping(Kill));
        spec.body(async |sim: Sim| {
            sleep(310.millis()).await;
            assert!(sim.is_up("kv1"));
        })
    });
    let kills = ran.effects.count(Effect::Kill);
    assert!(kills > 2 && ran.effects.count(Effect::Restart) == kills, "{:?}", ran.faults);
    // A stop takes as long as it takes. Its duration is counted from then on.
    let ran = repeats(0, || {
        let stops = flapping(Stop::new().grace(90.millis()));
        let spec = SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(stops);
        spec.body(async |sim: Sim| {
            sleep(700.millis()).await;
            assert!(sim.is_up("kv1"));
        })
    });
    let kills = ran.effects.count(Effect::Kill);
    assert!((2..=3).contains(&kills) && ran.effects.count(Effect::Restart) == kills);
}

/// A fault of the test. The number is that of the machines that have it at present.
#[derive(Debug)]
struct Lies;

#[derive(Default)]
struct Liars(Cell<i64>);

impl Fault for Lies {
    fn name(&self) -> &str {
        "lies"
    }

    fn begin(&self, hit: &Hit) -> std::result::Result<(), ControlError> {
        let liars = &hit.sim().state::<Liars>().0;
        liars.set(liars.get() + 1 + hit.below(0, 5) as i64);
        Ok(())
    }

    fn end(&self, hit: &Hit) -> std::result::Result<(), ControlError> {
        let liars = &hit.sim().state::<Liars>().0;
        liars.set(liars.get() - 1 - hit.below(0, 5) as i64);
        Ok(())
    }
}

#[test]
fn own_fault_comes_and_goes() {
    let ran = repeats(5, || {
        SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(flapping(Lies)).body(
            async |sim: Sim| {
                let liars = sim.state::<Liars>();
                for _ in 0..40 {
                    sleep(10.millis()).await;
                    sim.log(liars.0.get());
                }
                assert_eq!(liars.0.get(), 0);
            },
        )
    });
    assert!((3..=5).contains(&ran.effects.count(Effect::Own)));
    assert!(logged(&ran).iter().any(|liars| liars == "0"));
    let own = |act: &&Act| matches!(act, Act::Own { .. } | Act::EndOwn { .. });
    assert_eq!(acts(&ran).iter().filter(|act| !own(act)).count(), 0);
    // Within a strike that settles.
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(flapping(Lies)).body(
            async |sim: Sim| {
                sleep(110.millis()).await;
                assert!(sim.state::<Liars>().0.get() > 0);
                sim.settle().await?;
                assert_eq!(sim.state::<Liars>().0.get(), 0);
                Result::<()>::Ok(())
            },
        )
    });
}

/// Of all the times, one is left.
#[test]
fn flapping_fault_shrinks_to_one_time() {
    let story = shrinks(1, || {
        let plan = FaultPlan::new(Flapping::new(Isolate, 20.millis()..40.millis()));
        let plan = plan.when(Cadence::every(50.millis())).lasting(400.millis());
        cluster(3).plan(plan.on(Target::from("kv*"))).body(async |sim: Sim| {
            sleep(800.millis()).await;
            let arrived = sim.state::<Arrivals>().0.borrow().len();
            assert!(arrived >= 6 * 80, "datagrams are missing");
        })
    });
    assert!(story.contains("partitioned: "), "{story}");
    let story = shrinks(1, || {
        let plan = flapping(Lies).lasting(400.millis());
        SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(plan).body(
            async |sim: Sim| {
                for _ in 0..40 {
                    sleep(10.millis()).await;
                    assert!(sim.state::<Liars>().0.get() < 3, "too many lies");
                }
            },
        )
    });
    assert!(story.contains("lies: "), "{story}");
}

#[test]
fn mistakes_of_flapping_are_told() {
    let mistakes = |fault: Flapping| fault.mistakes().join("\n");
    assert!(mistakes(Flapping::new(Drift::up_to(0), 1.secs())).contains("`Drift::up_to`"));
    assert!(
        mistakes(Flapping::new(Kill, 2.secs()..1.secs())).contains("`Flapping::new`: the range")
    );
    assert!(mistakes(Flapping::new(Kill, 0.secs()..1.secs())).contains("longer than zero"));
    assert_eq!(mistakes(Flapping::new(Kill, 1.secs())), "");
    let two = || {
        #[derive(Debug)]
        struct Others;
        impl Fault for Others {
            fn name(&self) -> &str {
                "lies"
            }
            fn begin(&self, _: &Hit) -> std::result::Result<(), ControlError> {
                Ok(())
            }
            fn end(&self, _: &Hit) -> std::result::Result<(), ControlError> {
                Ok(())
            }
        }
        let spec =
            SpecBuilder::new().identical_hardware().machine("kv1", ignores).plan(flapping(Lies));
        spec.plan(flapping(Others)).body(async |_| ())
    };
    let Verdict::Broken(message) = outcome(0, two).verdict else { panic!("two have one name") };
    assert!(message.contains("two faults of plans have the name `lies`"), "{message}");
}

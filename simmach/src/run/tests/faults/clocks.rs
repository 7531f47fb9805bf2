//! Clocks that stand still.

use crate::ClockSkew;
use crate::faults::StuckClock;
use crate::run::tests::faults::*;

/// What the two clocks showed, in milliseconds since the start: the time, the wall clock, the monotonic clock.
type Reading = (u64, u64, u64);

#[derive(Default)]
struct Readings(RefCell<Vec<Reading>>);

/// Reads both clocks every 10 ms, from 5 ms on.
#[allow(clippy::disallowed_methods, reason = "std's clocks in a run")]
async fn reads_clocks() {
    let (wall, monotonic) = (std::time::SystemTime::now(), std::time::Instant::now());
    sleep(5.millis()).await;
    loop {
        let wall = wall.elapsed().map_or(0, |since| since.as_millis() as u64);
        let reading = (now(), wall, monotonic.elapsed().as_millis() as u64);
        Sim::current().state::<Readings>().0.borrow_mut().push(reading);
        sleep(10.millis()).await;
    }
}

#[test]
fn wall_clock_stands_still_while_the_fault_lasts() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&seen);
    let ran = repeats(0, move || {
        let there = Arc::clone(&there);
        let spec = SpecBuilder::new()
            .identical_hardware()
            .machine("kv1", reads_clocks)
            .plan(once(StuckClock));
        spec.body(async move |sim: Sim| {
            sleep(500.millis()).await;
            let readings = sim.state::<Readings>();
            sim.log(format!("{:?}", readings.0.borrow()));
            there.lock().expect("no panic").clone_from(&readings.0.borrow());
        })
    });
    let seen: Vec<Reading> = seen.lock().expect("no panic").clone();
    let expected = |at: u64| (at, if (100..300).contains(&at) { 100 } else { at }, at);
    let expected: Vec<_> = (5..500).step_by(10).map(expected).collect();
    assert_eq!(seen, expected);
    assert_eq!(ran.effects.count(Effect::StuckClock), 1);
    let [Act::FreezeClock { .. }, Act::Clock { offset: 0, drift: 0, .. }] = acts(&ran)[..] else {
        panic!("one act, and one that undoes it: {:?}", ran.acts);
    };
}

/// Clocks that the test has set are not hit, and a stuck clock counts as set.
#[test]
fn clocks_of_the_test_stay() {
    let last = |prepare: fn(Sim)| {
        let seen = Arc::new(Mutex::new((0, 0, 0)));
        let there = Arc::clone(&seen);
        pass(move || {
            let drifts = once(crate::faults::ClockStep::by(1.secs()));
            let spec = SpecBuilder::new()
                .identical_hardware()
                .machine("kv1", reads_clocks)
                .plan(once(StuckClock));
            spec.plan(drifts).body(async move |sim: Sim| {
                sleep(10.millis()).await;
                prepare(sim);
                sleep(390.millis()).await;
                let readings = sim.state::<Readings>();
                *there.lock().expect("no panic") = *readings.0.borrow().last().expect("some");
            })
        });
        *seen.lock().expect("no panic")
    };
    assert_eq!(last(|sim| sim.freeze_clock("kv1").expect("it exists")), (395, 10, 395));
    let ahead = |sim: Sim| {
        let ahead = ClockSkew::exact().ahead(7.secs());
        sim.set_clock("kv1", ahead).expect("it is in range");
    };
    assert_eq!(last(ahead), (395, 7_395, 395));
}

#[test]
fn settle_sets_stuck_clocks() {
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", reads_clocks).body(
            async |sim: Sim| {
                sleep(100.millis()).await;
                sim.freeze_clock("kv1")?;
                sim.settle().await?;
                let last = *sim.state::<Readings>().0.borrow().last().expect("some");
                assert_eq!(last, (1_095, 1_095, 1_095));
                Result::<()>::Ok(())
            },
        )
    });
}

#[test]
fn stuck_clock_shrinks_to_one_strike() {
    let story = shrinks(1, || {
        let plan = FaultPlan::new(StuckClock).when(Cadence::every(50.millis()));
        let spec = SpecBuilder::new().identical_hardware().machine("kv{1..=3}", reads_clocks);
        spec.plan(plan.lasting(100.millis())).body(async |sim: Sim| {
            sleep(500.millis()).await;
            let readings = sim.state::<Readings>();
            assert!(
                readings.0.borrow().iter().all(|one| one.1 + 20 > one.2),
                "a clock stands still"
            );
        })
    });
    assert!(story.contains("wall clock stands still"), "{story}");
}

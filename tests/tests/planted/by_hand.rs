//! Tests that a plan written by hand shrinks like an equivalent plan of the library.

use std::time::Duration;

use simmach::prelude::*;
use simmach::program::{Effect, Program, Report, Scenario, Smaller};
use simmach::time::sleep;
use simmach_tests::planted;

/// Returns when the power-offs of a run began, and how long they lasted.
fn power_offs(report: &Report) -> Vec<(Duration, Duration)> {
    let mut strikes: Vec<(Duration, Duration)> = Vec::new();
    for fault in report.faults() {
        match (fault.effect, strikes.last_mut()) {
            (Effect::PowerOff, _) => strikes.push((fault.at, Duration::MAX)),
            (Effect::Restart, Some((at, down))) => *down = fault.at - *at,
            _ => {}
        }
    }
    strikes
}

/// The program with the planted bug, with this plan instead of `PowerOffs`.
fn with_plan(strikes: Vec<(Duration, Duration)>) -> Program {
    Program::new(move || {
        let strikes = strikes.clone();
        let plan = async move |sim: Sim| {
            for (at, down) in strikes {
                sleep(at.saturating_sub(sim.elapsed())).await;
                sim.power_off("db")?;
                sleep(down).await;
                sim.start("db")?;
            }
            Ok::<_, BoxError>(())
        };
        planted::unflushed(Scenario::new().plan(plan))
    })
    .log(false)
}

/// Returns the acts without the restarts, since the test itself starts everything that is down at
/// its end.
fn acts(smaller: &Smaller) -> Vec<(Duration, Effect)> {
    let faults = smaller.report().faults().map(|fault| (fault.at, fault.effect));
    faults.filter(|(_, effect)| *effect != Effect::Restart).collect()
}

#[test]
fn plan_by_hand_shrinks_to_the_same_acts() {
    let library = Program::new(planted::UNFLUSHED.spec).log(false);
    let mut seeds = 0..1_000;
    for _ in 0..5 {
        let seed = library.find(seeds.clone()).expect("one fails");
        seeds.start = seed + 1;
        let strikes = power_offs(&library.run(seed));
        let by_hand = with_plan(strikes);
        let [one, other] = [&library, &by_hand]
            .map(|program| program.shrink(seed, 2_000).expect("it fails with the same strikes"));
        assert!(!one.needs_plans() && !other.needs_plans());
        assert_eq!(acts(&one), acts(&other), "seed {seed}");
        assert_eq!((one.after().faults, one.after().steps), (1, 1), "seed {seed}");
        assert!(other.runs() <= 2 * one.runs(), "{} {}", one.runs(), other.runs());
    }
}

//! What the control does to machines and clients, and what it says of that.

use super::*;

/// Takes three seconds to obey.
async fn obeys_late() {
    signal::stopped().await;
    sleep(3.secs()).await;
}

fn stops_and_kills(outcome: &Outcome) -> (u64, u64) {
    (outcome.effects.count(Effect::Stop), outcome.effects.count(Effect::Kill))
}

/// What a process was told is not how it ended.
#[test]
fn a_stop_is_a_process_that_obeyed() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a{1..=2}", obeys_late).body(async |sim: Sim| {
            let stops = futures::future::join(sim.stop("a1", 9.secs()), sim.stop("a2", 9.secs()));
            let breaks = async {
                sleep(1.secs()).await;
                sim.power_off("a1")?;
                sim.kill("a2")
            };
            let (stopped, broken) = futures::join!(stops, breaks);
            stopped.0.and(stopped.1).and(broken)
        })
    });
    assert_eq!(stops_and_kills(&ran), (0, 1));
    assert_eq!(ran.effects.count(Effect::PowerOff), 1);
    assert!(ran.faults.iter().all(|fault| !fault.text.contains("stopped")), "{:?}", ran.faults);
}

#[test]
fn two_stops_of_one_machine_are_one() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", obeys_late).body(async |sim: Sim| {
            let (one, other) = futures::join!(sim.stop("a", 5.secs()), sim.stop("a", 9.secs()));
            one.and(other)
        })
    });
    assert_eq!(stops_and_kills(&ran), (1, 0));
    let ran = pass(|| {
        SpecBuilder::new().machine("a", obeys_late).body(async |sim: Sim| {
            let (one, other) = futures::join!(sim.stop("a", 1.secs()), sim.stop("a", 9.secs()));
            one.and(other)
        })
    });
    assert_eq!(stops_and_kills(&ran), (0, 1));
}

//! Fault points: strikes within the code that passes them, bound to the pass when a run is shrunk.

use std::io;

use crate::engine::acts::{Act, AnchorEvent, Script};
use crate::engine::points::Points;
use crate::engine::record::deviations::RecordLevel;
use crate::fault_point;
use crate::program::{Program, Scenario};
use crate::run::tests::*;
use crate::sim::Want;

/// Writes every second, and notes what it does before and after the point.
async fn writes() {
    loop {
        sleep(1.secs()).await;
        note("before");
        fault_point!("written").await;
        note("after");
    }
}

fn noted() -> (usize, usize) {
    let notes = notes();
    let count = |what: &str| notes.borrow().iter().filter(|note| **note == what).count();
    (count("before"), count("after"))
}

fn clusters() -> [fn() -> SpecBuilder; 2] {
    [SpecBuilder::new, || SpecBuilder::new().native()]
}

#[test]
fn point_is_where_a_machine_loses_power() {
    for spec in clusters() {
        let ran = pass(move || {
            let plan = async |sim: Sim| sim.at_point("written", "kv*").nth(3).power_off().await;
            let spec = spec().identical_hardware();
            let spec = spec.machine("kv1", writes).plan(async move |sim: Sim| {
                assert_eq!(plan(sim).await?, "kv1");
                note("struck");
                Result::<()>::Ok(())
            });
            spec.body(async |_| {
                sleep(10.secs()).await;
                assert_eq!(noted(), (3, 2), "the code does not go on");
                assert!(notes().borrow().contains(&"struck".to_owned()));
            })
        });
        let at: Vec<_> = ran.faults.iter().map(|fault| (fault.effect, fault.at)).collect();
        assert_eq!(at, [(Effect::PowerOff, 3_000_000_000)]);
    }
}

/// What follows a point that is not awaited has no effect if the process was killed there.
#[test]
fn point_that_is_not_awaited_ends_what_its_process_can_do() {
    async fn stores_after_the_point() -> Result {
        let db = crate::storage::open("db").await?;
        sleep(1.secs()).await;
        fault_point!("now");
        // A commit without latency would be done in this poll.
        let written = db.write(|txn| txn.table::<Str, Str>("t").map(drop)).await;
        note(&format!("{}", written.is_ok()));
        Ok(())
    }
    for spec in clusters() {
        pass(move || {
            let plan = async |sim: Sim| sim.at_point("now", "kv1").kill().await.map(drop);
            let spec = spec().machine("kv1", stores_after_the_point).plan(plan);
            spec.body(async |sim: Sim| {
                sleep(10.secs()).await;
                assert!(!sim.is_up("kv1") && !notes().borrow().contains(&"true".to_owned()));
            })
        });
    }
}

#[test]
fn point_fails_or_is_delayed() {
    fn fails() -> io::Result<()> {
        fault_point!("write", return Err(io::Error::other("disk")));
        Ok(())
    }
    let ran = pass(|| {
        let serves = async || {
            for _ in 0..4 {
                sleep(1.secs()).await;
                let start = Instant::now();
                let fails = fault_point!("slow").await.fails();
                note(&format!("{:?} {fails} {}", start.elapsed(), fails_text(fails_now())));
            }
        };
        fn fails_now() -> bool {
            fails().is_err()
        }
        fn fails_text(fails: bool) -> &'static str {
            if fails { "error" } else { "ok" }
        }
        let plan = async |sim: Sim| {
            sim.at_point("slow", "kv1").nth(2).delay(7.millis()).await?;
            sim.at_point("write", "kv1").nth(2).fail().await?;
            Result::<()>::Ok(())
        };
        SpecBuilder::new().machine("kv1", serves).plan(plan).body(async |_| {
            sleep(10.secs()).await;
            let expected = ["0ns false ok", "7ms false ok", "0ns false error", "0ns false ok"];
            assert_eq!(*notes().borrow(), expected);
        })
    });
    assert_eq!(ran.effects.count(Effect::PointFault), 2);
    let texts: Vec<_> = ran.faults.iter().map(|fault| fault.text.as_str()).collect();
    assert_eq!(texts, ["code delayed by 7ms at `slow`", "code fails at `write`"]);
}

#[test]
fn point_outside_a_run_does_nothing() {
    assert!(!fault_point!("nowhere").fails());
    let waits = async { fault_point!("nowhere").await.fails() };
    assert_eq!(futures::FutureExt::now_or_never(waits), Some(false));
    crate::role::enter("leader");
    crate::role::leave("leader");
}

#[test]
fn point_that_is_never_passed_is_noted() {
    let unmet = |name: &'static str| {
        let ran = pass(move || {
            let plan = async move |sim: Sim| sim.at_point(name, "kv1").passed().await.map(drop);
            let spec = SpecBuilder::new().machine("kv1", writes).plan(plan);
            spec.body(async |_| sleep(10.secs()).await)
        });
        ran.plans.into_iter().flat_map(|plan| plan.unmet).collect::<Vec<_>>()
    };
    assert_eq!(unmet("written"), []);
    assert_eq!(unmet("writen"), [Want::Point("writen".to_owned())]);
}

/// The acts of a plan at points are bound to the passes.
#[test]
fn point_is_the_anchor_of_a_strike_in_a_script() {
    let spec = || {
        let plan = async |sim: Sim| {
            sim.at_point("written", "kv*").nth(4).power_off().await?;
            sim.at_point("written", "kv*").delay(30.millis()).await?;
            sim.at_point("written", "kv*").nth(2).kill().await?;
            Result::<()>::Ok(())
        };
        SpecBuilder::new().machine("kv{1..=3}", writes).plan(plan).body(async |sim: Sim| {
            sleep(10.secs()).await;
            let (before, after) = noted();
            sim.log(format!("{before} {after}"));
        })
    };
    let kept = |overlay| {
        let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
        run_spec(spec, 5, overlay, keep, Arc::default())
    };
    let whole = kept(Overlay::default());
    let point = Points::number("written");
    let is_bound = |nth: usize| {
        let anchor = whole.acts[nth].when.anchor.expect("an event");
        matches!(anchor.event, AnchorEvent::Point { point: at, .. } if at == point)
    };
    assert_eq!(whole.acts.len(), 3, "{:?}", whole.acts);
    assert!((0..3).all(is_bound), "{:?}", whole.acts);
    assert!(matches!(whole.acts[1].act, Act::Point { .. }));
    let script = Script::of(&whole.acts);
    let scripted = kept(Overlay::default().with_script(Some(script)));
    let faults = |run: &Outcome| -> Vec<_> {
        run.faults.iter().map(|fault| (fault.at, fault.effect, fault.machine)).collect()
    };
    assert_eq!(faults(&whole), faults(&scripted));
    let notes = |run: &Outcome| run.log.iter().filter(|line| line.text.contains(' ')).count();
    assert_eq!(notes(&whole), notes(&scripted));
    assert_eq!(whole.virtual_nanos, scripted.virtual_nanos);
}

/// A bug between two points that are passed in one poll: no strike at a time can find it.
#[test]
fn point_within_a_poll_shrinks_to_one_strike() {
    let program = Program::new(|| {
        let serves = async || {
            let is_torn = Sim::current().state::<Cell<bool>>();
            if is_torn.get() {
                Sim::current().fail("torn", "started after a fault between the two");
            }
            loop {
                sleep(100.millis()).await;
                is_torn.set(true);
                fault_point!("between");
                is_torn.set(crate::engine::live_scope().is_none());
            }
        };
        let plan = async |sim: Sim| {
            for _ in 0..10 {
                sleep(sim.random_range(100..900u64).millis()).await;
                sim.at_point("between", "kv*").power_off().await?;
                sleep(50.millis()).await;
                sim.start("kv*")?;
            }
            Result::<()>::Ok(())
        };
        Scenario::new().machine("kv1", serves).plan(plan).body(async |sim: Sim| {
            for _ in sim.steps(20) {
                sleep(200.millis()).await;
            }
            sleep(1.secs()).await;
        })
    })
    .log(false);
    let seed = program.find(0..20).expect("one fails");
    let smaller = program.shrink(seed, 400).expect("it fails");
    assert_eq!((smaller.after().faults, smaller.after().steps), (1, 0), "{}", smaller.story());
    assert!(smaller.story().contains("of `between` on kv1"), "{}", smaller.story());
}

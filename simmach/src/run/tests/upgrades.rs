//! Other versions of a service on the same disk, by the test and by a rolling plan.

use std::collections::BTreeSet;

use crate::chaos::RollingUpgrade;
use crate::engine::acts::Script;
use crate::engine::record::deviations::RecordLevel;
use crate::run::tests::*;
use crate::sim::ControlError;

/// Appends its version to a list on disk, and serves until it is stopped.
async fn serve(version: &'static str) -> Result {
    let db = crate::storage::open("db").await?;
    let versions = db.write(move |txn| {
        let table = txn.table::<Str, Str>("versions")?;
        let versions = format!("{}{version}", table.get(txn, "all")?.unwrap_or_default());
        table.put(txn, "all", &versions)?;
        Ok(versions)
    });
    note(&versions.await?);
    signal::stopped().await;
    Ok(())
}

async fn v1() -> Result {
    serve("1").await
}

async fn v2() -> Result {
    serve("2").await
}

#[test]
fn version_starts_on_the_disk_that_the_one_before_has_left() {
    pass(|| {
        SpecBuilder::new().machine("kv1", v1).body(async |sim: Sim| {
            sleep(1.secs()).await;
            assert_eq!(sim.start_as("kv1", v2), Err(ControlError::AlreadyRunning("kv1".into())));
            assert!(matches!(sim.start_as("kv2", v2), Err(ControlError::NoMatch { .. })));
            sim.stop("kv1", 1.secs()).await?;
            sim.start_as("kv1", v2)?;
            sleep(1.secs()).await;
            // Later starts run this version, too.
            sim.power_off("kv1")?;
            sim.start("kv1")?;
            sleep(1.secs()).await;
            assert_eq!(*notes().borrow(), ["1", "12", "122"]);
            Result::<()>::Ok(())
        })
    });
}

fn rolls() -> Spec {
    let plan = RollingUpgrade::to(v2).every(1.secs()..2.secs()).and_back_to(v1);
    SpecBuilder::new().machine("kv{1..=3}", v1).plan(plan).body(async |sim: Sim| {
        for _ in 0..2_000 {
            sleep(10.millis()).await;
            let up = (1..=3).filter(|nth| sim.is_up(format!("kv{nth}"))).count();
            assert!(up >= 2, "{up} are up");
        }
        let all: Vec<String> = notes().borrow().clone();
        sim.log(all.join(" "));
        let count = |versions: &str| all.iter().filter(|note| *note == versions).count();
        assert_eq!([count("1"), count("12"), count("121")], [3, 3, 3], "{all:?}");
        let second = all.iter().rposition(|note| note == "12");
        assert!(second < all.iter().position(|note| note == "121"), "one version after the other");
        Result::<()>::Ok(())
    })
}

#[test]
fn rolling_upgrade_takes_one_machine_after_the_other_and_goes_back() {
    let mut firsts = BTreeSet::new();
    for seed in 0..5 {
        let kept = |overlay| {
            let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
            run_spec(rolls, seed, overlay, keep, Arc::default())
        };
        let whole = kept(Overlay::default());
        assert_eq!(whole.verdict, Verdict::Passed, "seed {seed}");
        firsts.insert(whole.faults[0].machine);
        assert_eq!(whole.acts.iter().filter(|one| one.act.is_fault()).count(), 6);
        // The acts repeat it without the plan.
        let scripted = kept(Overlay::default().with_script(Some(Script::of(&whole.acts))));
        assert_eq!(scripted.verdict, Verdict::Passed, "seed {seed}");
    }
    assert!(firsts.len() > 1, "the order is drawn");
}

/// A replay finds an upgrade by its name, which contains the machines.
#[test]
fn rolling_upgrades_of_several_services_are_replayed() {
    fn spec() -> SpecBuilder {
        let upgrade = |machines: &str| {
            RollingUpgrade::to(v2).every(1.secs()).machines(machines).grace(100.millis())
        };
        let spec =
            SpecBuilder::new().machine("a{1..=2}", v1).machine("b{1..=2}", async || v1().await);
        spec.plan(upgrade("a*")).plan(upgrade("b*"))
    }
    let rolls = || {
        spec().body(async |sim: Sim| {
            sleep(20.secs()).await;
            sim.log(notes().borrow().join(" "));
        })
    };
    let kept = |overlay| {
        let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
        run_spec(rolls, 1, overlay, keep, Arc::default())
    };
    let whole = kept(Overlay::default());
    assert_eq!(whole.verdict, Verdict::Passed);
    let ends = whole.deviations.iter().filter(|act| act.text == "ended: upgrade of a*");
    assert_eq!(ends.count(), 2);
    let scripted = kept(Overlay::default().with_script(Some(Script::of(&whole.acts))));
    let versions = |run: &Outcome| run.log.last().map(|line| line.text.clone());
    assert!(versions(&whole).is_some_and(|versions| versions.matches("12").count() == 4));
    assert_eq!(versions(&whole), versions(&scripted));
    // Two plans for the same machines cannot be told apart.
    let twice = move || {
        let plan = RollingUpgrade::to(v1).machines("a*");
        spec().plan(plan).body(async |_| sleep(1.secs()).await)
    };
    let Verdict::Broken(message) = outcome(0, twice).verdict else { panic!("it runs") };
    assert!(message.contains("two faults of plans have the name `upgrade of a*`"), "{message}");
}

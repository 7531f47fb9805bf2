//! Plans aim at machines that have a role, and the summary names roles that no machine had.

use crate::program::Effect;
use crate::role;
use crate::run::tests::*;
use crate::sim::Want;

/// A service that has the role `leader` for the second half of each second, if `leads` says so.
async fn leads_at_times(leads: bool) {
    loop {
        sleep(500.millis()).await;
        if leads {
            role::enter("leader");
        }
        sleep(500.millis()).await;
        role::leave("leader");
    }
}

/// The machines that were hit in 60 s by a plan, and what it missed.
fn hit(
    seed: u64,
    leader: Option<u32>,
    plan: impl FnOnce() -> PowerOffs + Send + 'static,
) -> (Vec<u32>, Vec<Want>) {
    let ran = outcome(seed, move || {
        let mut spec = SpecBuilder::new();
        for nth in 0..3 {
            let leads = leader == Some(nth);
            spec = spec.machine(&format!("kv{nth}"), async move || leads_at_times(leads).await);
        }
        let plan = plan().every(1.secs()..2.secs()).downtime(10.millis());
        spec.plan(plan).body(async |_| sleep(60.secs()).await)
    });
    assert_eq!(ran.verdict, Verdict::Passed);
    let faults = ran.faults.iter().filter(|fault| fault.effect == Effect::PowerOff);
    let machines = faults.filter_map(|fault| Some(fault.machine?.0)).collect();
    (machines, ran.plans[0].unmet.clone())
}

#[test]
fn role_required_by_a_plan_is_the_only_target() {
    let (machines, unmet) = hit(0, Some(1), || PowerOffs::new().role("leader"));
    assert!(machines.len() > 5 && machines.iter().all(|machine| *machine == 1), "{machines:?}");
    assert!(machines.len() < 30, "half of the strikes find no leader: {machines:?}");
    assert_eq!(unmet, []);
}

#[test]
fn role_preferred_by_a_plan_is_hit_while_a_machine_has_it() {
    let (machines, unmet) = hit(0, Some(2), || PowerOffs::new().prefer_role("leader"));
    let leader = machines.iter().filter(|machine| **machine == 2).count();
    assert!(leader * 2 > machines.len() && leader < machines.len(), "{machines:?}");
    assert_eq!(unmet, []);
}

#[test]
fn role_that_is_never_given_is_noted() {
    let leader = || vec![Want::Role("leader".to_owned())];
    let (machines, unmet) = hit(0, None, || PowerOffs::new().role("leader"));
    assert_eq!((machines, unmet), (vec![], leader()));
    let (machines, unmet) = hit(0, None, || PowerOffs::new().prefer_role("leader"));
    assert!(machines.len() > 20, "it hits others");
    assert_eq!(unmet, leader());
    let (_, unmet) = hit(0, None, PowerOffs::new);
    assert_eq!(unmet, []);
}

#[test]
fn role_without_a_name_is_a_mistake() {
    let spec = || SpecBuilder::new().machine("a", obeys).plan(PowerOffs::new().role(""));
    let ran = outcome(0, move || spec().body(async |_| ()));
    let Verdict::Broken(message) = ran.verdict else { panic!("it runs") };
    assert!(message.contains("`role`: the name of the role is empty"), "{message}");
}

#[test]
fn role_ends_with_its_process() {
    pass(|| {
        let leads = async || {
            role::enter("leader");
            obeys().await;
        };
        SpecBuilder::new().machine("a{1..=2}", leads).body(async |sim: Sim| {
            let leaders = || sim.machines_with_role("leader");
            assert_eq!(leaders().len(), 2);
            sim.power_off("a1")?;
            assert_eq!(leaders(), ["a2"]);
            sim.start("a1")?;
            sleep(1.secs()).await;
            assert_eq!(leaders(), ["a2", "a1"], "it has entered it again");
            role::enter("leader");
            role::leave("leader");
            assert_eq!(leaders(), ["a2", "a1"], "the body is on another machine");
            sim.role("leader", "a2")?;
            assert_eq!(leaders(), ["a2"]);
            sim.kill("a2")?;
            assert_eq!(leaders(), ["a2"], "the test has said so");
            sim.clear_role("leader");
            assert!(leaders().is_empty());
            assert!(sim.role("leader", "a3").is_err());
            Result::<()>::Ok(())
        })
    });
}

/// Swarm aims at roles in half of its runs.
#[test]
fn role_is_hit_more_often_by_swarm() {
    let share = |gives: bool| {
        let (mut leader, mut all) = (0, 0);
        for seed in 0..120 {
            let ran = outcome(seed, move || {
                let spec = SpecBuilder::new().machine("kv{1..=5}", obeys).plan(Swarm::new());
                spec.body(async move |sim: Sim| {
                    if gives {
                        sim.role("leader", "kv1")?;
                    }
                    sleep(10.secs()).await;
                    Result::<()>::Ok(())
                })
            });
            assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
            let own = ran.faults.iter().filter_map(|fault| fault.machine);
            let own: Vec<_> = own.collect();
            leader += own.iter().filter(|machine| machine.0 == 0).count();
            all += own.len();
        }
        leader * 100 / all
    };
    let [with, without] = [share(true), share(false)];
    assert!(with > 30 && (12..28).contains(&without), "{with} % and {without} %");
}

#[test]
fn role_required_of_swarm_is_the_only_target() {
    let mut faults = 0;
    for seed in 0..30 {
        let ran = outcome(seed, || {
            let plan = Swarm::new().role("leader");
            let spec = SpecBuilder::new().machine("kv{1..=5}", obeys).plan(plan);
            spec.body(async |sim: Sim| {
                sim.role("leader", "kv3")?;
                sleep(10.secs()).await;
                Result::<()>::Ok(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
        let mut hit = ran.faults.iter().filter_map(|fault| fault.machine);
        assert!(hit.all(|machine| machine.0 == 2), "seed {seed}: {:?}", ran.faults);
        faults += ran.faults.len();
    }
    assert!(faults > 50, "{faults}");
}

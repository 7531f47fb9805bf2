//! Plans of parts: cadences, targets, faults and budgets, and plans of plans.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::chaos::{Budget, Cadence, Fault, FaultPlan, Hit, InSequence, OneOf, SideBySide, Target};
use crate::engine::MachineId;
use crate::engine::acts::{Act, Script};
use crate::engine::record::deviations::RecordLevel;
use crate::fault_point;
use crate::faults::*;
use crate::program::{Program, Scenario};
use crate::role;
use crate::run::tests::*;
use crate::sim::{ControlError, Idle, Want};

/// Commits ten times a second.
async fn commits() -> crate::storage::Result<()> {
    let db = crate::storage::open("db").await?;
    loop {
        sleep(100.millis()).await;
        db.write(|txn| txn.table::<Str, Str>("table").map(drop)).await?;
        fault_point!("committed").await;
    }
}

fn five() -> SpecBuilder {
    SpecBuilder::new().machine("kv{1..=5}", obeys)
}

/// The faults of machines, as seconds and machine, counted from 1.
fn hits(ran: &Outcome) -> Vec<(u64, u32)> {
    let hits = ran.faults.iter().filter(|fault| fault.effect != Effect::Restart);
    hits.filter_map(|fault| Some((fault.at / 1_000_000_000, fault.machine?.0 + 1))).collect()
}

fn kills() -> FaultPlan {
    FaultPlan::new(Kill).lasting(1.secs())
}

macro_rules! plan {
    ($plan:expr) => {
        pass(|| five().plan($plan).body(async |_| sleep(60.secs()).await))
    };
}

#[test]
fn cadence_is_every_so_often_once_or_within_a_span() {
    let every = hits(&plan!(kills().when(Cadence::every(9.secs()))));
    assert_eq!(every.iter().map(|hit| hit.0).collect::<Vec<_>>(), [9, 19, 29, 39, 49, 59]);
    let once = hits(&plan!(kills().when(Cadence::once(7.secs()))));
    assert_eq!(once.iter().map(|hit| hit.0).collect::<Vec<_>>(), [7]);
    let within = hits(&plan!(kills().when(Cadence::every(4.secs()).within(20.secs()..31.secs()))));
    assert_eq!(within.iter().map(|hit| hit.0).collect::<Vec<_>>(), [24, 29]);
    let twice = hits(&plan!(kills().when(Cadence::every(1.secs()).times(2))));
    assert_eq!(twice.len(), 2);
}

/// The plan ends with the span, even if it waits for an event.
#[test]
fn cadence_within_a_span_ends_a_wait_for_an_event() {
    let waits: [fn() -> Cadence; 3] = [
        || Cadence::at_point("nowhere", 1..=1),
        || Cadence::at_commit(1..=1),
        || Cadence::at_step(1..=1),
    ];
    for cadence in waits {
        let after = || kills().when(Cadence::once(1.secs()));
        let plan = move || {
            let waits = kills().when(cadence().within(0.secs()..5.secs()));
            InSequence::new().plan(waits).plan(after())
        };
        let ran = pass(move || five().plan(plan()).body(async |_| sleep(10.secs()).await));
        assert_eq!(hits(&ran).iter().map(|hit| hit.0).collect::<Vec<_>>(), [6]);
    }
}

#[test]
fn cadence_depends_on_a_condition() {
    let held = hits(&plan!(
        kills().when(Cadence::every(1.secs()).only_while(|sim| sim.elapsed() > 50.secs()))
    ));
    assert!(!held.is_empty() && held.iter().all(|hit| hit.0 >= 50), "{held:?}");
    let never = plan!(kills().when(Cadence::every(1.secs()).only_while(|_| false)));
    assert!(matches!(&never.plans[0].idle, Some(Idle::NoEvent(why)) if why.contains("condition")));
}

#[test]
fn cadence_is_at_a_commit_a_packet_a_step_or_a_point() {
    let at = |cadence: fn() -> Cadence| {
        pass(move || {
            let plan = FaultPlan::new(PowerOff).lasting(1.secs()).when(cadence());
            let spec = SpecBuilder::new().machine("kv{1..=2}", commits).plan(plan);
            spec.body(async |sim: Sim| {
                for _ in sim.steps(10) {
                    sleep(1.secs()).await;
                    drop(crate::net::TcpStream::connect("kv1:7").await);
                }
            })
        })
    };
    let commit = at(|| Cadence::at_commit(5..=5).times(1));
    let [fault, _] = &commit.faults[..] else { panic!("{:?}", commit.faults) };
    assert!((200_000_000..400_000_000).contains(&fault.at), "{fault:?}");
    let packet = at(|| Cadence::at_packet(1..=1).times(1));
    assert!((1_000_000_000..1_100_000_000).contains(&packet.faults[0].at), "{:?}", packet.faults);
    let step = at(|| Cadence::at_step(4..=4).times(1));
    // The body may begin its first step before the plan waits.
    assert!((3_000_000_000..4_100_000_000).contains(&step.faults[0].at), "{:?}", step.faults);
    let point = at(|| Cadence::at_point("committed", 1..=3));
    assert!(point.effects.count(Effect::PowerOff) > 4, "{:?}", point.faults);
    let none = at(|| Cadence::at_point("comitted", 1..=3));
    assert_eq!(none.plans[0].unmet, [Want::Point("comitted".to_owned())]);
    assert!(matches!(&none.plans[0].idle, Some(Idle::NoEvent(why)) if why.contains("`comitted`")));
}

#[test]
fn target_is_named_in_a_zone_or_of_some_size() {
    let sizes = |target: fn() -> Target| -> (BTreeSet<usize>, BTreeSet<u32>) {
        let ran = pass(move || {
            let plan = FaultPlan::new(Kill).on(target()).lasting(1.secs());
            let spec = SpecBuilder::new().machine("kv{1..=5}.dc", obeys).machine("web.dmz", obeys);
            spec.plan(plan.when(Cadence::every(1.secs()))).body(async |_| sleep(60.secs()).await)
        });
        let hits = hits(&ran);
        let at = |second| hits.iter().filter(|hit| hit.0 == second).count();
        let seconds: BTreeSet<u64> = hits.iter().map(|hit| hit.0).collect();
        (seconds.into_iter().map(at).collect(), hits.iter().map(|hit| hit.1).collect())
    };
    assert_eq!(sizes(Target::new), ([1].into(), (1..=6).collect()));
    assert_eq!(sizes(|| "kv2*".into()), ([1].into(), [2].into()));
    assert_eq!(sizes(|| Target::new().zone("dmz")), ([1].into(), [6].into()));
    assert_eq!(sizes(|| Target::new().zone("dc").all()), ([5].into(), (1..=5).collect()));
    assert_eq!(sizes(|| Target::from("kv*").minority()).0, [1, 2].into());
    assert_eq!(sizes(|| Target::from("kv*").majority()).0, [3].into());
}

/// The greatest number of machines that were down at a time: of `a-1` to `a-3`, and of `b-1` to `b-5`.
fn most_down(budget: fn() -> Option<Budget>) -> (usize, usize) {
    #[derive(Default)]
    struct Most(Cell<(usize, usize)>);
    let ran = outcome(0, move || {
        let plan = || {
            let plan = FaultPlan::new(Kill).on(Target::new().all()).lasting(3.secs());
            let plan = plan.when(Cadence::every(100.millis()..1.secs()));
            budget().into_iter().fold(plan, FaultPlan::budget)
        };
        let spec = SpecBuilder::new().machine("a-{1..=3}", obeys).machine("b-{1..=5}", ignores);
        let both = SideBySide::new().plan(plan()).plan(plan());
        spec.plan(both).body(async |sim: Sim| {
            let most = sim.state::<Most>();
            for _ in 0..600 {
                sleep(100.millis()).await;
                let down = |of: &str| {
                    sim.machines(of).iter().filter(|name| !sim.is_up(name.as_str())).count()
                };
                let (a, b) = most.0.get();
                most.0.set((a.max(down("a-*")), b.max(down("b-*"))));
            }
            let (a, b) = most.0.get();
            sim.fail("most", format!("{a} {b}"));
            std::future::pending::<()>().await;
        })
    });
    let Verdict::Failed(failure) = ran.verdict else { panic!("it says how many") };
    let (a, b) = failure.message.split_once(' ').expect("two numbers");
    (a.parse().expect("a number"), b.parse().expect("a number"))
}

#[test]
fn budget_limits_all_plans_together() {
    assert_eq!(most_down(|| None), (3, 5));
    assert_eq!(most_down(|| Some(Budget::minority())), (1, 2));
    assert_eq!(most_down(|| Some(Budget::minority_of("b-*"))), (3, 2));
    let both = || Some(Budget::minority_of("a-*").and(Budget::at_most(4, "b-*")));
    assert_eq!(most_down(both), (1, 4));
}

/// A machine that the test powered off or paused counts, and one without services does not.
#[test]
fn budget_counts_machines_that_are_down_or_paused() {
    let victims = |most: usize, prepare: fn(Sim) -> std::result::Result<(), ControlError>| {
        let ran = pass(move || {
            let budget = Budget::at_most(most, "kv*");
            let pauses = FaultPlan::new(Pause).lasting(1.secs()).budget(budget);
            let plan = pauses.when(Cadence::every(1.secs()));
            let spec = SpecBuilder::new().identical_hardware().machine("kv{1..=3}", obeys);
            spec.client("kv4").plan(plan).body(async move |sim: Sim| {
                prepare(sim)?;
                sleep(60.secs()).await;
                Result::<()>::Ok(())
            })
        });
        let pauses =
            ran.faults.iter().filter(|fault| fault.effect == Effect::Pause && fault.at > 0);
        pauses.filter_map(|fault| Some(fault.machine?.0 + 1)).collect::<BTreeSet<u32>>()
    };
    assert_eq!(victims(1, |_| Ok(())), BTreeSet::from([1, 2, 3]));
    assert_eq!(victims(1, |sim| sim.power_off("kv1")), BTreeSet::new());
    assert_eq!(victims(1, |sim| sim.pause("kv1")), BTreeSet::new());
    assert_eq!(victims(2, |sim| sim.pause("kv1")), BTreeSet::from([2, 3]));
}

#[test]
fn strike_of_several_faults_hits_one_victim() {
    let ran = pass(|| {
        let plan = FaultPlan::new(Isolate).and(ClockStep::by(1.secs()..9.secs())).lasting(1.secs());
        let plan = plan.when(Cadence::once(1.secs()));
        let spec = five().identical_hardware().plan(plan);
        spec.body(async |_| sleep(10.secs()).await)
    });
    let effects: Vec<_> = ran.faults.iter().map(|fault| (fault.effect, fault.at)).collect();
    assert_eq!(effects, [(Effect::Partition, 1_000_000_000), (Effect::ClockStep, 1_000_000_000)]);
    let victim = ran.faults[1].machine.expect("a machine").0 + 1;
    assert!(
        ran.faults[0].text.starts_with(&format!("partitioned: [kv{victim}]")),
        "{:?}",
        ran.faults
    );
}

#[test]
fn plans_are_combined_side_by_side_in_sequence_or_one_of_them() {
    let once = |after: u64, target: &'static str| {
        kills().on(target).when(Cadence::once(Duration::from_secs(after)))
    };
    let beside = hits(&plan!(
        SideBySide::new()
            .plan(kills().on("kv1").when(Cadence::once(3.secs())))
            .plan(kills().on("kv2").when(Cadence::once(3.secs())))
    ));
    assert_eq!(beside.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([(3, 1), (3, 2)]));
    let sequence = pass(move || {
        let plan = InSequence::new().plan(once(3, "kv1")).plan(once(3, "kv2"));
        five().plan(plan).body(async |_| sleep(60.secs()).await)
    });
    assert_eq!(hits(&sequence), [(3, 1), (7, 2)]);
    assert_eq!(sequence.plans.len(), 2, "each part is in the summary");
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let ran = outcome(seed, move || {
            let plan = OneOf::new().plan(once(3, "kv1")).plan(once(3, "kv2"));
            five().plan(plan).body(async |_| sleep(60.secs()).await)
        });
        let hits = hits(&ran);
        assert_eq!(hits.len(), 1);
        let idle = ran.plans.iter().filter(|plan| plan.idle == Some(Idle::NotDrawn)).count();
        assert_eq!((ran.plans.len(), idle), (2, 1));
        seen.insert(hits[0].1);
    }
    assert_eq!(seen, BTreeSet::from([1, 2]));
}

#[test]
fn plan_that_can_never_strike_is_a_mistake() {
    let mistakes = |plan: &dyn Plan| plan.mistakes(&["kv1", "kv2"]).join("\n");
    let cadence = |cadence: Cadence| mistakes(&kills().when(cadence));
    for (mistakes, said) in [
        (cadence(Cadence::every(2.secs()..1.secs())), "`every`: the range 2s to 1s is empty"),
        (
            cadence(Cadence::drawn().within(5.secs()..2.secs())),
            "`within`: the span from 5s to 2s is empty",
        ),
        (cadence(Cadence::every(9.secs()).within(1.secs()..5.secs())), "set a shorter time"),
        (cadence(Cadence::every(Duration::MAX).within(1.secs()..5.secs())), "set a shorter time"),
        (cadence(Cadence::drawn().times(0)), "`times`: with 0 times"),
        (cadence(Cadence::at_commit(RangeInclusive::new(5, 2))), "`at_commit`: the range 5..=2"),
        (cadence(Cadence::at_point("", 1..=2)), "the name of the point is empty"),
        (mistakes(&kills().on("vk*")), "no machine matches `vk*`"),
        (mistakes(&kills().on(Target::new().zone("dc"))), "no machine is in the zone `dc`"),
        (mistakes(&kills().on(Target::new().role(""))), "the name of the role is empty"),
        (mistakes(&kills().lasting(2.secs()..1.secs())), "`lasting`: the range"),
        (mistakes(&kills().budget(Budget::at_most(0, "kv*"))), "with 0 machines of `kv*`"),
        (mistakes(&kills().budget(Budget::minority_of("vk*"))), "`budget`: no machine matches"),
        (mistakes(&FaultPlan::new(Loss::up_to(101))), "`Loss::up_to` must be a percentage"),
        (mistakes(&FaultPlan::new(Drift::up_to(0))), "`Drift::up_to` must be in 1..="),
        (mistakes(&SideBySide::new()), "`SideBySide` has no plans"),
        (
            mistakes(&InSequence::new().plan(PowerOffs::new()).plan(kills())),
            "PowerOffs does not end by itself",
        ),
        (mistakes(&OneOf::new().plan(kills().on("vk*"))), "FaultPlan: `machines`: no machine"),
    ] {
        assert!(mistakes.contains(said), "{said}: {mistakes}");
    }
    assert_eq!(
        mistakes(&InSequence::new().plan(kills().when(Cadence::once(1.secs()))).plan(kills())),
        ""
    );
}

/// A fault of the test: the servers answer wrong prices.
#[derive(Debug)]
struct WrongPrices;

#[derive(Default)]
struct Percent(Cell<u64>);

impl Fault for WrongPrices {
    fn name(&self) -> &str {
        "wrong prices"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        // A part of the fault is not an act of its own.
        hit.sim().pause(hit.victims())?;
        hit.sim().state::<Percent>().0.set(1 + hit.below(0, 50));
        Ok(())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        assert_eq!(hit.sim().state::<Percent>().0.get(), 1 + hit.below(0, 50));
        hit.sim().state::<Percent>().0.set(0);
        hit.sim().resume(hit.victims())
    }
}

fn wrong_prices() -> FaultPlan {
    let plan = FaultPlan::new(WrongPrices).when(Cadence::every(1.secs()..2.secs()));
    plan.lasting(200.millis()..800.millis())
}

#[test]
fn own_fault_is_one_act_that_a_script_repeats() {
    let spec = || {
        five().plan(wrong_prices()).body(async |sim: Sim| {
            for _ in 0..100 {
                sleep(100.millis()).await;
                sim.log(sim.state::<Percent>().0.get());
            }
            sim.settle().await?;
            assert_eq!(sim.state::<Percent>().0.get(), 0, "settle undoes it");
            Result::<()>::Ok(())
        })
    };
    for seed in 0..5 {
        let kept = |overlay| {
            let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
            run_spec(spec, seed, overlay, keep, Arc::default())
        };
        let whole = kept(Overlay::default());
        assert_eq!(whole.verdict, Verdict::Passed);
        let own = |act: &Act| matches!(act, Act::Own { .. } | Act::EndOwn { .. } | Act::Settle);
        assert!(whole.acts.iter().all(|one| own(&one.act)), "{:?}", whole.acts);
        assert!(whole.effects.count(Effect::Own) > 2);
        let scripted = kept(Overlay::default().with_script(Some(Script::of(&whole.acts))));
        assert_eq!(scripted.verdict, Verdict::Passed);
        let percents = |run: &Outcome| -> Vec<String> {
            let own = run.log.iter().filter(|line| line.text.parse::<u64>().is_ok());
            own.map(|line| line.text.clone()).collect()
        };
        assert_eq!(percents(&whole), percents(&scripted), "seed {seed}");
    }
}

#[test]
fn own_fault_shrinks_to_one_strike_with_small_draws() {
    let program = Program::new(|| {
        let scenario = Scenario::new().machine("kv{1..=5}", obeys).plan(wrong_prices());
        scenario.plan(kills().when(Cadence::every(1.secs()))).body(async |sim: Sim| {
            for _ in sim.steps(20) {
                sleep(500.millis()).await;
                let percent = sim.state::<Percent>().0.get();
                assert!(percent < 10, "too expensive");
            }
        })
    })
    .log(false);
    let seed = program.find(0..20).expect("one fails");
    let smaller = program.shrink(seed, 400).expect("it fails");
    assert_eq!((smaller.after().faults, smaller.after().steps), (1, 1), "{}", smaller.story());
    assert!(
        !smaller.needs_plans() && smaller.story().contains("wrong prices"),
        "{}",
        smaller.story()
    );
}

/// The leader is hit within its code, if the plan says so.
#[test]
fn point_is_hit_on_the_machine_that_has_the_role() {
    let ran = pass(|| {
        let leads = async || {
            role::enter("leader");
            commits().await
        };
        let plan = FaultPlan::new(PowerOff).on(Target::new().role("leader")).lasting(100.millis());
        let plan = plan.when(Cadence::at_point("committed", 1..=4));
        let spec = SpecBuilder::new().machine("kv{1..=2}", commits).machine("kv3", leads);
        spec.plan(plan).body(async |_| sleep(10.secs()).await)
    });
    let off = ran.faults.iter().filter(|fault| fault.effect == Effect::PowerOff);
    let machines: Vec<_> = off.map(|fault| fault.machine).collect();
    assert!(machines.len() > 3, "{machines:?}");
    assert!(machines.iter().all(|machine| *machine == Some(MachineId(2))), "{machines:?}");
}

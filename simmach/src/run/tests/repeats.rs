//! Tests that calls of `Sim` that change nothing leave no log line, effect or event. Also tests how
//! partitions and links are described.

use crate::engine::draws::overlay::{Rule, RuleAction};
use crate::engine::record::deviations::RecordLevel;
use crate::engine::{Event, Family};
use crate::net::PacketFate;
use crate::report::event::describe;
use crate::run::tests::*;

fn keep() -> Keep {
    Keep { log: true, deviations: RecordLevel::All, ..Keep::default() }
}

fn cluster() -> SpecBuilder {
    SpecBuilder::new()
        .machine("a.zone", ignores)
        .machine("b.zone", ignores)
        .machine("c.zone", ignores)
}

/// A call that acts on the cluster.
type Call = fn(Sim) -> Result;

fn lays_a_rule(sim: Sim) -> Result {
    sim.filter_packets("a.zone", "b.zone", |_| PacketFate::Drop)?.keep();
    Ok(())
}

/// Runs a body and keeps its log and deviations.
fn kept(overlay: Overlay, spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    let outcome = run_spec(spec, 0, overlay, keep(), Arc::default());
    assert_eq!(outcome.verdict, Verdict::Passed);
    outcome
}

fn lines(outcome: &Outcome) -> Vec<&str> {
    outcome.log.iter().map(|line| line.text.as_str()).collect()
}

fn faults_of(outcome: &Outcome) -> Vec<(u64, &str)> {
    let faults = outcome.deviations.iter().filter(|deviation| deviation.family == Family::Fault);
    faults.map(|fault| (fault.address[1], fault.text.as_str())).collect()
}

/// Every call of `Sim` that changes nothing.
async fn changes_nothing(sim: Sim) -> Result {
    sim.heal("a.zone", "b.zone")?;
    sim.heal_all();
    sim.unclog("a.zone", ["b.zone", "c.zone"])?;
    sim.partition("a.zone", "a.zone")?;
    sim.clog("a.zone", "a.zone")?;
    sim.set_clock("*", crate::ClockSkew::exact())?;
    sim.set_link("zone", "zone", NetworkProfile::lan())?;
    sim.set_link_between("a.zone", "b.zone", NetworkProfile::lan())?;
    sim.power_off("dark")?;
    sim.kill("down")?;
    sim.stop("down", GRACE).await?;
    sim.wipe(["down", "empty"])?;
    assert!(sim.start("a.zone").is_err());
    Ok(())
}

#[test]
fn control_that_changes_nothing_leaves_no_trace() {
    let spec = |nothing: bool, in_a_plan: bool| {
        let repeat = async move |sim: Sim| {
            sim.kill("down")?;
            sim.power_off("dark")?;
            for _ in 0..2 {
                if nothing {
                    changes_nothing(sim).await?;
                }
            }
            Result::<()>::Ok(())
        };
        let topology = Topology::new().machine("down", ignores).host("empty").host("dark");
        let spec = cluster().topology(topology);
        if in_a_plan {
            spec.plan(repeat).body(async |_| sleep(2.secs()).await)
        } else {
            spec.body(async move |sim: Sim| {
                repeat(sim).await?;
                sleep(2.secs()).await;
                Result::<()>::Ok(())
            })
        }
    };
    for in_a_plan in [false, true] {
        let with = kept(Overlay::default(), move || spec(true, in_a_plan));
        let without = kept(Overlay::default(), move || spec(false, in_a_plan));
        assert_eq!(lines(&with), ["service killed", "loses power"]);
        assert_eq!(with.log, without.log);
        assert_eq!(with.effects, without.effects);
        assert_eq!(with.deviations, without.deviations);
        assert_eq!(with.trace_hash, without.trace_hash, "in a plan: {in_a_plan}");
    }
}

#[test]
fn control_twice_is_logged_once() {
    let ran = kept(Overlay::default(), || {
        let body = async |sim: Sim| {
            let rule = sim.filter_packets("a.zone", "b.zone", |_| PacketFate::Drop)?;
            rule.keep();
            for _ in 0..2 {
                sim.partition(["a.zone", "c.zone"], "b.zone")?;
                sim.partition("b.zone", ["c.zone", "a.zone"])?;
                sim.partition_one_way("a.zone", "b.zone")?;
            }
            for _ in 0..2 {
                sim.heal("a.zone", "b.zone")?;
            }
            (0..2).for_each(|_| sim.heal_all());
            for _ in 0..2 {
                sim.clog(["a.zone", "c.zone"], "b.zone")?;
                sim.clog("c.zone", "b.zone")?;
            }
            (0..2).try_for_each(|_| sim.unclog("zone", "b.zone"))?;
            for _ in 0..2 {
                sim.set_clock("c.zone", crate::ClockSkew::exact().ahead(5.secs()))?;
            }
            (0..2).try_for_each(|_| sim.wipe("disk"))?;
            for _ in 0..2 {
                sim.settle().await?;
            }
            Result::<()>::Ok(())
        };
        cluster().machine("disk", stores).body(async move |sim: Sim| {
            sleep(1.secs()).await;
            body(sim).await
        })
    });
    assert_eq!(
        lines(&ran),
        [
            "partitioned: [a.zone, c.zone] | [b.zone]",
            "healed: [a.zone] | [b.zone]",
            "healed: all partitions",
            "clogged: [a.zone, c.zone] -> [b.zone]",
            "unclogged: [zone] -> [b.zone]",
            "wall clock jumps ahead by 5s",
            "disk wiped",
            "clocks reset",
            "cluster settled: all faults repaired, all services started",
        ]
    );
    let count = |effect| ran.effects.count(effect);
    use Effect::{ClockStep, Clog, Partition, Wipe};
    assert_eq!([Partition, Clog, ClockStep, Wipe].map(count), [1, 1, 1, 1]);
}

/// Restoring the topology's profile is logged, too.
#[test]
fn changed_links_are_logged_once() {
    let ran = kept(Overlay::default(), || {
        let slow = || NetworkProfile::mobile_3g();
        cluster().machine("d.east", ignores).body(async move |sim: Sim| {
            for _ in 0..2 {
                sim.set_link("zone", "zone", slow())?;
                sim.set_link("zone", "east", slow())?;
                sim.set_link_between(["a.zone", "b.zone"], "d.east", NetworkProfile::lan())?;
            }
            for _ in 0..2 {
                sim.set_link("zone", "zone", NetworkProfile::lan())?;
                sim.set_link("zone", "east", NetworkProfile::lan())?;
            }
            sim.set_link("nowhere", "east", slow()).expect_err("no such zone");
            sim.settle().await?;
            sim.set_link_between("a.zone", "d.east", NetworkProfile::lan())?;
            Result::<()>::Ok(())
        })
    });
    assert_eq!(
        lines(&ran),
        [
            "link profile changed: [zone] -> [zone]",
            "link profile changed: [zone] -> [east]",
            "link profile changed: [a.zone, b.zone] -> [d.east]",
            "link profile changed: [zone] -> [zone]",
            "link profile changed: [zone] -> [east]",
        ]
    );
}

/// A link cut twice heals, and is logged as healed, only after both partitions are healed.
#[test]
fn heal_is_logged_when_packets_flow_again() {
    const CUT: &str = "partitioned: [a.zone] | [b.zone]";
    let logged = |body: fn(Sim) -> Result<()>, until: u64| {
        // Of two machines every other strike cuts nothing.
        let first = (0..100).find_map(|seed| {
            let spec = move || {
                let plan = Partitions::new().machines(["a.zone", "b.zone"]);
                let plan = plan.every(1.secs()).lasting(5.secs());
                cluster().identical_hardware().plan(plan).body(async move |sim: Sim| {
                    sleep(2.secs()).await;
                    body(sim)?;
                    sleep(until.secs()).await;
                    Result::<()>::Ok(())
                })
            };
            let ran = run_spec(spec, seed, Overlay::default(), keep(), Arc::default());
            let has_cut = ran.faults.first().is_some_and(|fault| fault.at == 1_000_000_000);
            (has_cut && lines(&ran)[0] == CUT)
                .then(|| lines(&ran).into_iter().map(str::to_owned).collect::<Vec<_>>())
        });
        first.expect("some strike cuts a.zone from b.zone")
    };
    // The test's own ends first, then the plan's.
    assert_eq!(
        logged(
            |sim| {
                sim.partition("a.zone", "b.zone")?;
                sim.heal("b.zone", "a.zone")?;
                Ok(())
            },
            4
        )[..4],
        [
            CUT,
            CUT,
            "still partitioned by Partitions: [b.zone] | [a.zone]",
            "healed: [a.zone] | [b.zone]",
        ]
    );
    // The plan's ends first.
    assert_eq!(
        logged(|sim| Ok(sim.partition("a.zone", ["b.zone", "c.zone"])?), 4)[..3],
        [
            CUT,
            "partitioned: [a.zone] | [b.zone, c.zone]",
            "still partitioned by the test: [a.zone] | [b.zone]",
        ]
    );
    // Only a part of what the test has cut is the plan's as well.
    assert_eq!(
        logged(
            |sim| {
                sim.partition("a.zone", ["b.zone", "c.zone"])?;
                sim.heal("a.zone", ["b.zone", "c.zone"])?;
                sim.heal("a.zone", "c.zone")?;
                Ok(())
            },
            1
        )[..3],
        [
            CUT,
            "partitioned: [a.zone] | [b.zone, c.zone]",
            "partly healed: [a.zone] | [b.zone, c.zone]; still partitioned by Partitions",
        ]
    );
    // One way of two.
    assert_eq!(
        logged(
            |sim| {
                sim.partition_one_way("b.zone", "c.zone")?;
                sim.heal("b.zone", "c.zone")?;
                Ok(())
            },
            1
        )[1..3],
        ["partitioned: [b.zone] -> [c.zone]", "healed: [b.zone] | [c.zone]"]
    );
}

/// After drift the monotonic clock stays different, but the skew is exact again.
#[test]
fn clock_drift_is_corrected_once() {
    let ran = kept(Overlay::default(), || {
        cluster().body(async |sim: Sim| {
            for _ in 0..2 {
                sim.set_clock("a.zone", crate::ClockSkew::exact().drift_ppm(500_000))?;
            }
            sleep(10.secs()).await;
            for _ in 0..2 {
                sim.set_clock("a.zone", crate::ClockSkew::exact())?;
                sim.settle().await?;
            }
            Result::<()>::Ok(())
        })
    });
    assert_eq!(lines(&ran), ["clocks drift by 500000 ppm", "clocks reset"]);
}

/// `settle` logs a line for each kind of fault that it undoes.
#[test]
fn settle_is_logged_when_it_changes_something() {
    let breaks: [Call; 7] = [
        |sim| Ok(sim.partition("a.zone", "b.zone")?),
        |sim| Ok(sim.clog("a.zone", "b.zone")?),
        |sim| Ok(sim.set_link("zone", "zone", NetworkProfile::mobile_3g())?),
        |sim| Ok(sim.set_link_between("a.zone", "b.zone", NetworkProfile::mobile_3g())?),
        |sim| Ok(sim.kill("a.zone")?),
        |sim| Ok(sim.power_off("b.zone")?),
        lays_a_rule,
    ];
    for broken in breaks {
        let ran = kept(Overlay::default(), move || {
            cluster().body(async move |sim: Sim| {
                broken(sim)?;
                sim.settle().await?;
                sim.settle().await?;
                Result::<()>::Ok(())
            })
        });
        let settled = lines(&ran)
            .into_iter()
            .filter(|line| *line == "cluster settled: all faults repaired, all services started");
        assert_eq!(settled.count(), 1, "{:?}", lines(&ran));
    }
    // So does a plan that ends.
    let ran = kept(Overlay::default(), || {
        cluster().plan(PowerOffs::new()).body(async |sim: Sim| sim.settle().await)
    });
    assert_eq!(lines(&ran), ["cluster settled: all faults repaired, all services started"]);
}

/// Leaving an act out does not change the numbers of later ones.
#[test]
fn acts_keep_their_numbers_when_one_is_left_out() {
    let spec = || {
        let plan = async |sim: Sim| {
            sim.kill("c.zone")?;
            sim.kill("c.zone")?;
            sim.partition("a.zone", "b.zone")?;
            sim.partition("a.zone", "b.zone")?;
            sim.clog("a.zone", "b.zone")?;
            Result::<()>::Ok(())
        };
        cluster().plan(plan).body(async |_| sleep(1.secs()).await)
    };
    let (killed, cut) = ("killed", "partitioned: [a.zone] | [b.zone]");
    let clogged = (5, "clogged: [a.zone] -> [b.zone]");
    let all = kept(Overlay::default(), spec);
    assert_eq!(faults_of(&all), [(1, killed), (3, cut), clogged]);
    for (left_out, expected) in
        [(1, [(2, killed), (3, cut), clogged]), (3, [(1, killed), (4, cut), clogged])]
    {
        let calm = Rule {
            address: [None, Some((left_out, left_out)), None],
            ..Rule::all(Some(Family::Fault), RuleAction::Calm)
        };
        assert_eq!(faults_of(&kept([calm].into_iter().collect(), spec)), expected);
    }
}

/// The log, the list of faults and the story use the same description.
#[test]
fn partition_is_described_by_its_sides_everywhere() {
    let of_ones_own = |way: Call| {
        let ran = kept(Overlay::default(), move || {
            let plan = async move |sim: Sim| way(sim);
            cluster().plan(plan).body(async |_| sleep(1.secs()).await)
        });
        let (_, fault) = faults_of(&ran)[0];
        let faults = ran.faults.iter().map(|fault| fault.text.as_str());
        // A changed link is no fault yet.
        assert!(faults.chain(lines(&ran)).all(|text| text == fault), "{fault}: {:?}", ran.log);
        fault.to_owned()
    };
    let ways: [(Call, &str); 6] = [
        (
            |sim| Ok(sim.partition(["a.zone", "c.zone"], "b.zone")?),
            "partitioned: [a.zone, c.zone] | [b.zone]",
        ),
        (
            |sim| Ok(sim.partition_one_way(["a.zone", "c.zone"], "b.zone")?),
            "partitioned: [a.zone, c.zone] -> [b.zone]",
        ),
        (|sim| Ok(sim.clog("a.zone", "c.zone")?), "clogged: [a.zone] -> [c.zone]"),
        (
            |sim| Ok(sim.set_link("zone", "zone", NetworkProfile::mobile_3g())?),
            "link profile changed: [zone] -> [zone]",
        ),
        (
            |sim| Ok(sim.set_link_between("a.zone", "zone", NetworkProfile::mobile_3g())?),
            "link profile changed: [a.zone] -> [zone]",
        ),
        (lays_a_rule, "packet filter added: [a.zone] -> [b.zone]"),
    ];
    for (way, expected) in ways {
        assert_eq!(of_ones_own(way), expected);
    }
}

#[test]
fn partitions_of_the_plan_are_described_by_their_sides() {
    let mut sides = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let spec = || {
            let plan = Partitions::new().every(1.secs()).lasting(1.secs());
            cluster().plan(plan).body(async |_| sleep(10.secs()).await)
        };
        let ran = run_spec(spec, seed, Overlay::default(), keep(), Arc::default());
        let strikes = ran.deviations.iter().filter(|deviation| deviation.family == Family::Strike);
        let strikes: Vec<_> = strikes.filter(|strike| !strike.text.is_empty()).collect();
        let cuts: Vec<_> = ran.faults.iter().map(|fault| fault.text.as_str()).collect();
        let healed: Vec<_> =
            lines(&ran).into_iter().filter(|line| line.starts_with("healed")).collect();
        assert_eq!(strikes.iter().map(|strike| strike.text.as_str()).collect::<Vec<_>>(), cuts);
        for (cut, healed) in cuts.iter().zip(&healed) {
            assert_eq!(cut.strip_prefix("partitioned: "), healed.strip_prefix("healed: "));
        }
        sides.extend(cuts.iter().map(|cut| (*cut).to_owned()));
    }
    assert!(sides.contains("partitioned: [a.zone, c.zone] | [b.zone]"), "{sides:?}");
    assert!(sides.iter().all(|text| text.contains("] | [")), "{sides:?}");
}

/// As the report on a difference between two runs shows them.
#[test]
fn events_of_links_are_described_by_their_sides() {
    let spec = || {
        cluster().machine("n{0..30}.east", ignores).body(async |sim: Sim| {
            sim.partition(["a.zone", "c.zone"], "b.zone")?;
            sim.partition_one_way("n*", "a.zone")?;
            sim.heal("c.zone", "b.zone")?;
            sim.heal_all();
            sim.clog("a.zone", "b.zone")?;
            sim.unclog("a.zone", "b.zone")?;
            sim.set_link_between("a.zone", "b.zone", NetworkProfile::mobile_3g())?;
            sim.set_link("zone", "east", NetworkProfile::mobile_3g())?;
            Result::<()>::Ok(())
        })
    };
    let keep = Keep { events: true, ..Keep::default() };
    let ran = run_spec(spec, 0, Overlay::default(), keep, Arc::default());
    assert_eq!(ran.verdict, Verdict::Passed);
    let is_of_links =
        |event: &Event| matches!(event, Event::LinksChanged { .. } | Event::ZoneLinkChanged { .. });
    let events = ran.events.iter().flatten().map(|event| &event.event);
    let described: Vec<_> =
        events.filter(|event| is_of_links(event)).map(|event| describe(event, 0, &ran)).collect();
    let all = (0..30).map(|n| format!("n{n}.east")).collect::<Vec<_>>().join(", ");
    assert_eq!(
        described,
        [
            "partitioned: [a.zone, c.zone] -> [b.zone]",
            "partitioned: [b.zone] -> [a.zone, c.zone]",
            &format!("partitioned: [{all}] -> [a.zone]"),
            "healed: [c.zone] -> [b.zone]",
            "healed: [b.zone] -> [c.zone]",
            "healed: all partitions",
            "clogged: [a.zone] -> [b.zone]",
            "unclogged: [a.zone] -> [b.zone]",
            "link profile changed: [a.zone] -> [b.zone]",
            "link profile changed",
        ]
    );
}

//! Tests of what differs between machines: when they boot, and how fast their clocks run.
#![cfg(all(feature = "tokio", target_os = "linux"))]

use crate::engine;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::net::{TcpListener, TcpStream};
use crate::program::{Program, Scenario};
use crate::run::tests::*;
use crate::sim::has_exact_clocks;
use crate::time::interval;

/// Longest boot delay.
const LONGEST: Duration = Duration::from_millis(50);

/// What a run of three machines shows: when each service started, and when the body did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Starts {
    services: Vec<Duration>,
    body: Duration,
    /// What the monotonic clock of each machine, and then of the body, showed after 100 s.
    clocks: Vec<Duration>,
}

async fn notes_its_start() {
    let sim = Sim::current();
    sim.state::<RefCell<Starts>>().borrow_mut().services.push(sim.elapsed());
    std::future::pending().await
}

async fn notes_clocks(sim: Sim) {
    let starts = sim.state::<RefCell<Starts>>();
    starts.borrow_mut().body = sim.elapsed();
    sleep(Duration::from_secs(100) - sim.elapsed()).await;
    for machine in [0, 1, 2, 3].map(MachineId) {
        assert!(has_exact_clocks(machine), "an oscillator is no fault");
        let clocks =
            |engine: &Engine| engine.clock.machine_clocks.monotonic(machine, engine::now());
        let shown = context::try_with(|engine| clocks(engine)).unwrap();
        starts.borrow_mut().clocks.push(Duration::from_nanos(shown));
    }
}

fn three(seed: u64, overlay: Overlay, change: fn(SpecBuilder) -> SpecBuilder) -> (Starts, u64) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let spec = move || {
        let spec = SpecBuilder::new().machine("n{1..=3}.zone", notes_its_start);
        change(spec).body(async move |sim: Sim| {
            notes_clocks(sim).await;
            sender.send(sim.state::<RefCell<Starts>>().take()).unwrap();
        })
    };
    let outcome = run_spec(spec, seed, overlay, Keep::default(), Arc::default());
    assert_eq!(outcome.verdict, Verdict::Passed);
    (receiver.recv().unwrap(), outcome.trace_hash)
}

#[test]
fn hardware_of_guests_varies_with_the_seed() {
    let exact = Duration::from_secs(100);
    let (mut together, mut all_apart, mut short) = (0, 0, 0);
    for seed in 0..100 {
        let (starts, trace) = three(seed, Overlay::default(), |spec| spec);
        assert_eq!((starts.clone(), trace), three(seed, Overlay::default(), |spec| spec));
        let Starts { services, body, clocks } = starts;
        assert!(services.is_sorted() && services.len() == 3);
        assert_eq!(body, services[2], "the body begins when the last machine has booted");
        assert!(body <= LONGEST);
        together += u32::from(services[0] == services[2]);
        all_apart += u32::from(services[0] < services[1] && services[1] < services[2]);
        short += services.iter().filter(|at| (1..1_000_000).contains(&at.as_nanos())).count();
        assert_eq!(clocks[3], exact, "the clock of the body is exact");
        let errors = clocks[..3].iter().map(|clock| clock.abs_diff(exact));
        assert!(errors.clone().all(|error| error <= Duration::from_millis(10)), "100 ppm");
        assert!(errors.clone().any(|error| error >= Duration::from_millis(1)), "{clocks:?}");
    }
    assert!((15..=35).contains(&together), "{together} runs in which all boot at once");
    assert!(all_apart >= 20, "{all_apart} runs in which no two boot at once");
    assert!(short >= 10, "{short} delays of less than 1 ms");
}

#[test]
fn hardware_can_be_identical() {
    let calm = Overlay::calm;
    for seed in 0..10 {
        let expected = Starts {
            services: vec![Duration::ZERO; 3],
            body: Duration::ZERO,
            clocks: vec![Duration::from_secs(100); 4],
        };
        let native = three(seed, Overlay::default(), SpecBuilder::native);
        let identical = three(seed, Overlay::default(), SpecBuilder::identical_hardware);
        assert_eq!(identical.0, expected);
        assert_eq!(identical, native, "such guests make the same runs as native processes");
        assert_eq!(three(seed, calm(), |spec| spec).0, expected, "the calm values are none");
    }
}

/// A single service would only delay the body.
#[test]
fn boot_of_a_single_service_is_not_delayed() {
    for seed in 0..20 {
        let spec = || {
            let topology = Topology::new().machine("a.zone", notes_its_start).host("b.zone");
            SpecBuilder::new()
                .topology(topology)
                .body(async |sim: Sim| assert_eq!(sim.elapsed(), Duration::ZERO))
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
    }
}

async fn listens() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        drop(listener.accept().await?);
    }
}

/// Notes how long a connection to the other machine takes.
async fn connects() -> Result {
    let sim = Sim::current();
    let began = sim.elapsed();
    TcpStream::connect("b.zone:80").await?;
    sim.state::<Cell<Duration>>().set(sim.elapsed() - began);
    std::future::pending().await
}

/// A machine that boots does not answer: a SYN is sent again after a second, and no connection is refused.
#[test]
fn connection_to_a_booting_machine_is_delayed() {
    let mut delayed = 0;
    for seed in 0..40 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let spec = move || {
            let spec = SpecBuilder::new().machine("a.zone", connects).machine("b.zone", listens);
            spec.body(async move |sim: Sim| -> Result {
                TcpStream::connect("b.zone:80").await?;
                assert!(sim.elapsed() < 60.millis(), "the body connects at once");
                sleep(5.secs()).await;
                sender.send(sim.state::<Cell<Duration>>().get())?;
                Ok(())
            })
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
        let took = receiver.recv().unwrap();
        assert!(!took.is_zero() && took < 1_200.millis(), "{took:?}");
        delayed += u32::from(took > 900.millis());
    }
    assert!((5..=25).contains(&delayed), "{delayed}");
}

/// The seeds in which the machine `b` boots later than `a`, which boots at once.
fn seeds_with_a_late_machine() -> Vec<u64> {
    let is_late = |seed: &u64| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let spec = move || {
            let starts_late = move || {
                let sender = sender.clone();
                async move { sender.send(Sim::current().elapsed()).unwrap() }
            };
            let early = async || assert_eq!(Sim::current().elapsed(), Duration::ZERO);
            SpecBuilder::new().machine("a", early).machine("b", starts_late).body(async |_| {})
        };
        outcome(*seed, spec).verdict == Verdict::Passed
            && receiver.recv().is_ok_and(|at| !at.is_zero())
    };
    let seeds: Vec<u64> = (0..60).filter(is_late).collect();
    assert!(seeds.len() >= 5, "{seeds:?}");
    seeds
}

#[test]
fn booting_machine_can_lose_its_power() {
    for seed in seeds_with_a_late_machine() {
        let spec = || {
            let cuts = async || {
                Sim::current().power_off("b").unwrap();
                std::future::pending::<()>().await;
            };
            SpecBuilder::new().machine("a", cuts).machine("b", listens).body(async |sim: Sim| {
                sleep(1.secs()).await;
                assert!(!sim.is_up("b"), "the power-off ends the boot");
                sim.start("b")?;
                assert!(sim.is_up("b"));
                Result::<()>::Ok(())
            })
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
    }
}

#[test]
fn booting_machine_can_be_started() {
    for seed in seeds_with_a_late_machine() {
        let spec = || {
            let starts = async || {
                Sim::current().start("b").unwrap();
                assert!(Sim::current().is_up("b"));
                std::future::pending::<()>().await;
            };
            SpecBuilder::new().machine("a", starts).machine("b", notes_its_start).body(
                async |sim: Sim| {
                    sleep(1.secs()).await;
                    let starts = sim.state::<RefCell<Starts>>().take();
                    assert_eq!(starts.services, [Duration::ZERO], "it boots only once");
                },
            )
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
    }
}

/// While machines boot, the limits of the run hold, and a failure of a service fails it.
#[test]
fn run_can_fail_while_machines_boot() {
    let seed = seeds_with_a_late_machine()[0];
    let failure = |spec: fn() -> Spec| match outcome(seed, spec).verdict {
        Verdict::Failed(failure) => failure,
        other => panic!("expected a failure: {other:?}"),
    };
    let failed = failure(|| {
        let fails = async || Err::<(), _>("no disk");
        SpecBuilder::new().machine("a", fails).machine("b", listens).body(async |_| {})
    });
    assert_eq!((failed.kind, failed.at), (FailureKind::Service, 0));
    let failed = failure(|| {
        let spec = SpecBuilder::new().machine("a", listens).machine("b", listens);
        spec.time_limit(Duration::from_nanos(1)).body(async |_| {})
    });
    assert_eq!(failed.kind, FailureKind::TimeLimit);
    let failed = failure(|| {
        let spins = async || {
            loop {
                crate::task::yield_now().await;
            }
        };
        let spec = SpecBuilder::new().machine("a", spins).machine("b", listens);
        spec.poll_limit(200_000).body(async |_| {})
    });
    assert_eq!(failed.kind, FailureKind::PollLimit);
}

/// The time limit on progress does not count boots.
#[test]
fn boot_is_no_stall() {
    for seed in seeds_with_a_late_machine() {
        let spec = || {
            let spec = SpecBuilder::new().machine("a", listens).machine("b", listens);
            spec.stall_limit(Duration::from_nanos(1)).body(async |_| {})
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
    }
}

/// A fault of the clocks comes on top of the oscillator's error, and its end leaves the clocks as they are without a fault.
#[test]
fn clock_faults_end_at_the_clocks_of_the_oscillator() {
    for seed in 0..20 {
        let spec = || {
            let topology = Topology::new().machine("n{1..=2}.zone", notes_its_start);
            SpecBuilder::new().topology(topology).body(async |sim: Sim| {
                let wall = |machine| {
                    context::try_with(|engine| {
                        engine.clock.machine_clocks.wall(machine, engine::now())
                    })
                    .unwrap()
                };
                let ids = [0, 1].map(MachineId);
                for skew in [
                    ClockSkew::exact().ahead(5.secs()),
                    ClockSkew::exact().drift_ppm(200_000),
                    ClockSkew::exact().drift_ppm(-333).behind(7.secs()),
                ] {
                    sim.set_clock("n1.zone", skew)?;
                    assert!(!has_exact_clocks(ids[0]) && has_exact_clocks(ids[1]));
                    sleep(77.secs()).await;
                    sim.set_clock("*", ClockSkew::exact())?;
                    assert!(ids.into_iter().all(has_exact_clocks));
                    let apart = i128::from(engine::now()) - wall(ids[0]);
                    assert!(
                        apart.unsigned_abs() <= u128::from(engine::now() / 10_000 + 2),
                        "{apart}"
                    );
                    sleep(1_234_567.micros()).await;
                    assert!(
                        ids.into_iter().all(has_exact_clocks),
                        "no rounding error counts as a step"
                    );
                }
                Result::<()>::Ok(())
            })
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
    }
}

/// Becomes the leader unless another candidate is there within the same tick: then the votes are split, and all try again.
/// Candidates look at their timeouts once in 100 ms.
async fn candidate() {
    let sim = Sim::current();
    let mut ticks = interval(100.millis());
    loop {
        ticks.tick().await;
        let now = sim.elapsed();
        let others = sim.state::<RefCell<Vec<Duration>>>();
        others.borrow_mut().retain(|at| at.abs_diff(now) < 1.secs());
        others.borrow_mut().push(now);
        // The other machine hears of the candidacy after the latency of the network.
        sleep(1.millis()).await;
        let rivals = |at: &&Duration| at.abs_diff(now) < 1.millis();
        if others.borrow().iter().filter(rivals).count() == 1 {
            sim.state::<Cell<bool>>().set(true);
            return;
        }
    }
}

/// Two machines that check their timeouts at the same moments split the votes in each round. Machines
/// that boot at different times, or whose clocks differ, elect a leader.
#[test]
fn machines_do_not_stay_in_step() {
    let elects = |seed, change: fn(SpecBuilder) -> SpecBuilder| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let spec = move || {
            let spec = SpecBuilder::new().machine("n{1..=2}.zone", candidate);
            change(spec).body(async move |sim: Sim| {
                sleep(10.mins()).await;
                sender.send(sim.state::<Cell<bool>>().get()).unwrap();
            })
        };
        assert_eq!(outcome(seed, spec).verdict, Verdict::Passed);
        receiver.recv().unwrap()
    };
    assert!(!(0..5).any(|seed| elects(seed, SpecBuilder::identical_hardware)));
    let elected = (0..40).filter(|seed| elects(*seed, |spec| spec)).count();
    assert!(elected >= 39, "{elected} of 40 runs elect a leader");
}

/// A follower that starts before its leader has no leader, which is the bug. A plan and latencies do not matter.
fn needs_a_boot_order() -> Spec {
    async fn starts() {
        let sim = Sim::current();
        sleep(10.millis()).await;
        sim.state::<Cell<Option<Duration>>>().set(Some(sim.elapsed()));
        std::future::pending().await
    }
    async fn follows() {
        let sim = Sim::current();
        if sim.elapsed() > 0.secs() {
            return;
        }
        sleep(30.millis()).await;
        if sim.state::<Cell<Option<Duration>>>().get().is_none() {
            sim.fail("no leader", "the follower started before the leader");
        }
    }
    let scenario = Scenario::new().machine("leader", starts).machine("follower", follows);
    scenario.machine("other{1..=2}", listens).plan(PowerOffs::new().machines("other*")).body(
        async |_: Sim| {
            for _ in 0..10 {
                let _ = TcpStream::connect("other1:80").await;
                sleep(1.secs()).await;
            }
        },
    )
}

/// The shrunk run has only the boot delay that the failure needs.
#[test]
fn shrinking_keeps_a_boot_order_that_the_failure_needs() {
    let program = Program::new(needs_a_boot_order);
    let seed = program.find(0..400).expect("one fails");
    let smaller = program.shrink(seed, 300).expect("it fails");
    assert_eq!(smaller.report().failure(), Some("the follower started before the leader"));
    assert_eq!((smaller.after().faults, smaller.after().machines), (0, 0));
    assert_eq!(smaller.after().delays, 1, "{}", smaller.story());
    let story = smaller.story();
    assert!(story.contains("leader: boots ") && !story.contains("other"), "{story}");
}

/// Acts of plans are counted from the beginning of the body, so they are carried out at the same times when boots are calm.
#[test]
fn acts_do_not_depend_on_boot_delays() {
    async fn serves() {
        std::future::pending().await
    }
    let spec = || {
        let plan = async |sim: Sim| {
            sleep(3.secs()).await;
            sim.power_off("n2.zone")
        };
        SpecBuilder::new().machine("n{1..=3}.zone", serves).plan(plan).body(async |sim: Sim| {
            let began = sim.elapsed();
            while sim.is_up("n2.zone") {
                sleep(1.millis()).await;
            }
            let after = sim.elapsed() - began;
            let is_at_its_time = (2_999.millis()..=3_001.millis()).contains(&after);
            assert!(!is_at_its_time, "the power-off is at its time");
        })
    };
    let program = Program::new(spec);
    let late = |seed: &u64| !three(*seed, Overlay::default(), |spec| spec).0.body.is_zero();
    let seed = (0..20).find(late).expect("a run with a boot delay");
    let smaller = program.shrink(seed, 300).expect("it fails");
    assert_eq!((smaller.after().faults, smaller.after().delays), (1, 0), "{}", smaller.story());
}

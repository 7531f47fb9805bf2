//! Tests of whole runs without a network: machines and how they go down, plans, and how a run ends.

mod acts;
mod causes;
mod clocks;
mod control;
mod disk_faults;
mod disk_profiles;
mod endless_loops;
mod fault_plans;
mod faults;
mod files;
mod hardware;
mod instants;
mod liveness;
mod network;
mod outputs;
mod pauses;
mod plan_pace;
mod plans;
mod points;
mod power_in_calls;
mod records;
mod repeats;
mod roles;
mod shape;
mod sleeps;
mod stalls;
mod swarm;
mod task_names;
mod upgrades;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Mutex;

use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::record::effects::Effect;
use crate::prelude::*;
use crate::run::*;
use crate::signal;
use crate::spec::SpecBuilder;
use crate::storage::types::Str;
use crate::task::{spawn, spawn_local};
use crate::time::{Instant, sleep};

/// Keeps the folder for the disks of this process's runs: `Program` deletes the folder when no run
/// is in progress.
fn run_spec(
    spec: impl FnOnce() -> Spec + Send + 'static,
    seed: u64,
    overlay: Overlay,
    keep: Keep,
    shared: Arc<RunStatus>,
) -> Outcome {
    let _folder = crate::program::folder().expect("a folder for the disks of runs");
    super::run_spec(spec, seed, overlay, keep, shared)
}

fn outcome(seed: u64, spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    run_spec(spec, seed, Overlay::default(), Keep::default(), Arc::default())
}

#[track_caller]
fn pass(spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    let outcome = outcome(0, spec);
    assert_eq!(outcome.verdict, Verdict::Passed);
    outcome
}

#[track_caller]
fn fail(spec: impl FnOnce() -> Spec + Send + 'static) -> Failure {
    match outcome(0, spec).verdict {
        Verdict::Failed(failure) => failure,
        other => panic!("expected a failure: {other:?}"),
    }
}

/// The notes of services and bodies: state of the run outside all machines.
type Notes = Rc<RefCell<Vec<String>>>;

fn notes() -> Notes {
    Rc::clone(&Sim::current().state::<Notes>())
}

fn note(text: &str) {
    notes().borrow_mut().push(text.to_owned());
}

/// Writes into the notes when it is dropped, if its destructor can reach the run.
struct Finally;

impl Drop for Finally {
    fn drop(&mut self) {
        if crate::engine::live_scope().is_some() {
            note("finally");
        }
    }
}

async fn obeys() {
    let _finally = Finally;
    note("up");
    signal::stopped().await;
    note("told");
}

/// Writes to its machine's disk.
async fn stores() -> crate::storage::Result<()> {
    let db = crate::storage::open("db").await?;
    db.write(|txn| txn.table::<Str, Str>("table").map(drop)).await
}

async fn ignores() {
    let _finally = Finally;
    note("up");
    std::future::pending::<()>().await;
}

#[test]
fn machines_run_before_the_body() {
    pass(|| {
        SpecBuilder::new().machine("a{1..=3}", obeys).body(async |_| {
            assert_eq!(notes().borrow().len(), 3);
        })
    });
}

/// The start order of machines depends on the seed.
#[test]
fn start_order_depends_on_the_seed() {
    fn order(seed: u64) -> Vec<String> {
        static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let ran = outcome(seed, || {
            let named = |name: &'static str| move || async move { note(name) };
            let spec = SpecBuilder::new().machine("a", named("a")).machine("b", named("b"));
            spec.machine("c", named("c")).machine("d", named("d")).body(async |_| {
                *SEEN.lock().unwrap() = notes().borrow().clone();
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        SEEN.lock().unwrap().clone()
    }
    let first = order(0);
    assert_eq!(first, order(0));
    assert!((1..10).any(|seed| order(seed) != first));
}

/// The calm start order is that of the spec.
#[test]
fn calm_start_order_is_the_declared_one() {
    let named = |name: &'static str| async move || note(name);
    let spec = move || {
        let spec = SpecBuilder::new().machine("a/one", named("one")).machine("b", named("b"));
        let spec = spec.machine("a/two", named("two")).machine("a/three", named("three"));
        spec.body(async |_| assert_eq!(*notes().borrow(), ["one", "two", "three", "b"]))
    };
    let ran = run_spec(spec, 3, Overlay::calm(), Keep::default(), Arc::default());
    assert_eq!(ran.verdict, Verdict::Passed);
}

#[test]
fn stop_lets_a_service_clean_up() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", obeys).body(async |sim| {
            let start = Instant::now();
            sim.stop("a", 2.secs()).await?;
            assert_eq!(start.elapsed(), 0.secs());
            assert_eq!(*notes().borrow(), ["up", "told", "finally"]);
            assert!(!sim.is_up("a"));
            Result::<()>::Ok(())
        })
    });
    assert_eq!((ran.effects.count(Effect::Stop), ran.effects.count(Effect::Kill)), (1, 0));
}

#[test]
fn stop_kills_a_service_that_ignores_the_signal() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", ignores).body(async |sim| {
            let start = Instant::now();
            sim.stop("a", 2.secs()).await?;
            assert_eq!(start.elapsed(), 2.secs());
            assert_eq!(*notes().borrow(), ["up"]);
            Result::<()>::Ok(())
        })
    });
    assert_eq!((ran.effects.count(Effect::Stop), ran.effects.count(Effect::Kill)), (0, 1));
}

/// What a guest waits for may be a signal of tokio's, which does not come.
#[test]
fn killed_guest_that_did_not_wait_for_the_signal_is_explained() {
    async fn listens() {
        futures::join!(signal::stopped(), std::future::pending::<()>());
    }
    let warned = |spec: fn() -> SpecBuilder| {
        let stops = move || {
            spec().machine("a", ignores).machine("b", listens).body(async |sim| {
                sim.stop(["a", "b"], 2.secs()).await?;
                Result::<()>::Ok(())
            })
        };
        let keep = Keep { log: true, ..Keep::default() };
        let log = run_spec(stops, 0, Overlay::default(), keep, Arc::default()).log;
        let warnings = log.into_iter().filter(|line| line.text.contains("`tokio::signal`"));
        warnings.map(|line| line.text).collect::<Vec<_>>()
    };
    let explained = warned(SpecBuilder::new);
    if cfg!(all(feature = "tokio", target_os = "linux")) {
        assert!(
            matches!(&explained[..], [only] if only.starts_with("service was killed")),
            "{explained:?}"
        );
    }
    assert_eq!(warned(|| SpecBuilder::new().native()), [""; 0]);
}

/// Kill and power-off are immediate and drop all tasks of the machine.
#[test]
fn kill_ends_every_task_of_a_process() {
    async fn ticks() {
        let _finally = Finally;
        spawn_local(async {
            loop {
                sleep(1.secs()).await;
                note("tick");
            }
        });
        std::future::pending::<()>().await;
    }
    for power_off in [false, true] {
        pass(move || {
            SpecBuilder::new().machine("a", ticks).body(async move |sim| {
                sleep(2500.millis()).await;
                if power_off {
                    sim.power_off("a")?
                } else {
                    sim.kill("a")?
                };
                sleep(10.secs()).await;
                assert_eq!(*notes().borrow(), ["tick", "tick"]);
                sim.start("a")?;
                sleep(1500.millis()).await;
                assert_eq!(notes().borrow().len(), 3, "the next incarnation ticks");
                Result::<()>::Ok(())
            })
        });
    }
}

#[test]
fn process_ends_with_its_main_task() {
    async fn leaves_a_task() {
        spawn(async {
            sleep(1.secs()).await;
            note("late");
        });
    }
    pass(|| {
        SpecBuilder::new().machine("a", leaves_a_task).body(async |sim| {
            sleep(5.secs()).await;
            assert!(notes().borrow().is_empty());
            assert!(!sim.is_up("a"));
        })
    });
}

#[test]
fn service_failure_fails_the_run_by_name() {
    async fn fails() -> std::io::Result<()> {
        sleep(1.secs()).await;
        Err(std::io::Error::other("no luck"))
    }
    async fn panics() {
        panic!("at start");
    }
    let waits = || async |_| sleep(1.hours()).await;
    let failure = fail(move || {
        SpecBuilder::new().identical_hardware().machine("a.zone", fails).body(waits())
    });
    assert_eq!(failure.kind, FailureKind::Service);
    assert_eq!(failure.message, "the service a.zone ended with an error: no luck");
    assert_eq!((failure.machine.as_deref(), failure.at), (Some("a.zone"), 1_000_000_000));
    let failure = fail(move || SpecBuilder::new().machine("b", panics).body(waits()));
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "at start"));
    assert_eq!(failure.machine.as_deref(), Some("b"));
}

/// With `restart` and `stay_down` a panic only crashes its process, also in a spawned task.
#[test]
fn crash_can_be_tolerated() {
    async fn crashes_in_a_task() {
        note("up");
        spawn(async {
            sleep(1.secs()).await;
            panic!("crash");
        });
        std::future::pending::<()>().await;
    }
    let ran = pass(|| {
        let cluster = Topology::new()
            .machine("a", crashes_in_a_task)
            .machine("b", crashes_in_a_task)
            .on_exit("a", OnExit::Restart(3.secs()))
            .on_exit("b", OnExit::StayDown);
        SpecBuilder::new().topology(cluster).body(async |sim| {
            sleep(3.secs()).await;
            assert!(!sim.is_up("a") && !sim.is_up("b"));
            sleep(1500.millis()).await;
            assert!(sim.is_up("a") && !sim.is_up("b"));
        })
    });
    assert_eq!(ran.effects.count(Effect::Restart), 1);
}

#[test]
fn control_errors_are_described() {
    pass(|| {
        SpecBuilder::new().machine("a", ignores).machine("b/x", ignores).body(async |sim| {
            let error = sim.kill("d*").unwrap_err();
            assert_eq!(
                error.to_string(),
                "no machine or service matches `d*`; known machines: a, b, client"
            );
            assert_eq!(sim.start("a"), Err(ControlError::AlreadyRunning("a".to_owned())));
            assert_eq!(sim.wipe("b"), Err(ControlError::InUse("b".to_owned())));
            assert!(sim.kill("b/y").is_err());
            sim.kill("b/x")?;
            sim.wipe("b")?;
            sim.start("*")?;
            Result::<()>::Ok(())
        })
    });
}
use crate::ControlError;

#[test]
fn services_on_one_machine_are_separate() {
    pass(|| {
        SpecBuilder::new().machine("a/x", ignores).machine("a/y", ignores).body(async |sim| {
            sim.kill("a/x")?;
            assert!(!sim.is_up("a/x") && sim.is_up("a/y") && sim.is_up("a"));
            sim.power_off("a")?;
            assert!(!sim.is_up("a"));
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn invalid_spec_is_broken() {
    let broken = |spec: fn() -> Spec| match outcome(0, spec).verdict {
        Verdict::Broken(message) => message,
        other => panic!("expected Broken: {other:?}"),
    };
    let said = broken(|| {
        SpecBuilder::new()
            .machine("a", obeys)
            .machine("a", obeys)
            .machine("n{5..=1}", obeys)
            .link("a", "nowhere", NetworkProfile::lan())
            .body(async |_| {})
    });
    for part in [
        "`a` is declared twice",
        "the range {5..=1} is empty",
        "no machine is in the zone `nowhere`",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = broken(|| {
        SpecBuilder::new()
            .machine("a.x", obeys)
            .machine("b.y", obeys)
            .link("x", "y", NetworkProfile::lan())
            .client("me.z")
            .body(async |_| {})
    });
    assert!(
        said.contains("the test's body runs on `me.z` in the zone `z`, from which no link leads"),
        "{said}"
    );
    let said = broken(|| {
        let profile = NetworkProfile::lan().loss(2.0).mtu(10);
        let topology = Topology::new()
            .machine("a.x", obeys)
            .link("x", "x", profile.clone())
            .link_between("a.x", "a.x", profile)
            .tcp(TcpConfig::new().mss(1))
            .tcp_of("a.x", TcpConfig::new().send_buffer(0))
            .disk("a.x", DiskProfile::ssd().commit_latency(3.secs(), 2.secs(), 1.secs()));
        SpecBuilder::new().topology(topology).body(async |_| {})
    });
    for part in [
        "the link from `x` to `x`: `loss` must be a probability in 0..=1, got 2",
        "the link from `x` to `x`: `mtu` must be at least 576 bytes, got 10",
        "link_between `a.x` and `a.x`: `loss`",
        "tcp: `mss` must be at least 64 bytes, got 1",
        "tcp_of `a.x`: `send_buffer`",
        "disk of `a.x`: `commit_latency` must have min <= median <= max",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = broken(|| panic!("no spec"));
    assert!(said.contains("such as `topology` or `chaos`, panicked: no spec"), "{said}");
}

#[test]
fn body_decides_the_verdict() {
    let failure = fail(|| SpecBuilder::new().body(async |_| Err::<(), _>("wrong total")));
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "wrong total"));
    let failure = fail(|| SpecBuilder::new().body(async |_| assert_eq!(1, 2, "sums")));
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.location.expect("a place").contains("run/tests.rs"));
    let failure = fail(|| {
        SpecBuilder::new().body(async |sim: Sim| {
            sim.fail("lost item", "expected 1 but got 0");
            sleep(1.secs()).await;
        })
    });
    assert_eq!(failure.kind, FailureKind::Named("lost item".to_owned()));
    assert_eq!(failure.fingerprint(), "lost item");
}

#[test]
fn limits_fail_a_run() {
    let failure =
        fail(|| SpecBuilder::new().time_limit(10.secs()).body(async |_| sleep(11.secs()).await));
    assert_eq!((failure.kind, failure.at), (FailureKind::TimeLimit, 10_000_000_000));
    let failure = fail(|| {
        SpecBuilder::new().poll_limit(100).body(async |_| {
            loop {
                sleep(1.millis()).await;
            }
        })
    });
    assert_eq!(failure.kind, FailureKind::PollLimit);
    assert!(failure.waiting[0].starts_with("client: the test's body"), "{:?}", failure.waiting);
}

#[test]
fn plans_run_side_by_side_until_settle() {
    let ran = pass(|| {
        let monkey = GracefulMonkey::new().machines("a*").every(1.secs()).grace(0.secs());
        let plan = async |sim: Sim| {
            sleep(3.secs()).await;
            sim.kill("b")?;
            Result::<()>::Ok(())
        };
        let spec = SpecBuilder::new().machine("a{1..=3}/x", obeys).machine("a{1..=3}/y", stores);
        let spec = spec.machine("b", ignores);
        spec.plan(monkey).plan(plan).body(async |sim| {
            sleep(60.secs()).await;
            assert!(!sim.is_up("b"), "the plan killed it, and nobody starts it");
            sim.settle().await?;
            for machine in ["a1", "a2", "a3", "b"] {
                assert!(sim.is_up(machine), "{machine}");
            }
            let before = notes().borrow().len();
            sleep(50.secs()).await;
            assert_eq!(notes().borrow().len(), before, "no plan strikes after settle");
            Result::<()>::Ok(())
        })
    });
    assert!(ran.effects.count(Effect::Wipe) > 0);
    assert!(ran.effects.count(Effect::Stop) + ran.effects.count(Effect::Kill) > 5);
}

#[test]
fn plan_failure_fails_the_run() {
    let failure = fail(|| {
        let plan = async |sim: Sim| sim.kill("nobody");
        SpecBuilder::new().plan(plan).body(async |_| sleep(1.secs()).await)
    });
    assert!(failure.message.contains("no machine or service matches `nobody`"));
}

#[test]
fn client_machine_runs_several_clients() {
    pass(|| {
        let cluster = Topology::new().host("bot{1..=2}");
        SpecBuilder::new().topology(cluster).body(async |sim: Sim| {
            let one = sim.run_on("bot1", async { 1 });
            let two = sim.run_on("bot2", async { 2 });
            assert_eq!(one.await.unwrap() + two.await.unwrap(), 3);
        })
    });
    pass(|| {
        SpecBuilder::new().topology(Topology::new().host("bot")).body(async |sim: Sim| {
            let client = sim.run_on("bot", std::future::pending::<()>());
            sleep(1.secs()).await;
            sim.power_off("bot")?;
            assert!(client.await.unwrap_err().is_cancelled(), "a client ends with its machine");
            let refused = sim.power_off("*").unwrap_err().to_string();
            assert!(refused.contains("`client` is the machine of the test's body"), "{refused}");
            Result::<()>::Ok(())
        })
    });
    let missing = outcome(0, || {
        SpecBuilder::new().body(async |sim: Sim| drop(sim.run_on("nobody", async {})))
    });
    assert!(matches!(missing.verdict, Verdict::Broken(message) if message.contains("`nobody`")));
}

/// The same seed twice, on several threads: runs share no state.
#[test]
fn seed_determines_the_trace() {
    fn spec() -> Spec {
        let monkey = GracefulMonkey::new().every(1.secs()..5.secs());
        SpecBuilder::new().machine("a{1..=5}", obeys).plan(monkey).body(async |sim: Sim| {
            for step in sim.steps(30) {
                sleep(step.random_range(1..1_000u64).millis()).await;
            }
        })
    }
    let hashes: Vec<u64> = (0..20).map(|seed| outcome(seed, spec).trace_hash).collect();
    let again: Vec<u64> = (0..20).rev().map(|seed| outcome(seed, spec).trace_hash).collect();
    assert_eq!(hashes, again.into_iter().rev().collect::<Vec<_>>());
    let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len(), "other seeds are other runs");
}

#[test]
fn log_is_kept_on_request() {
    async fn logs() {
        tracing::info!(answer = 42, "hello");
        sleep(35.millis()).await;
        tracing::warn!("careful");
    }
    let keep = Keep { log: true, events: true, ..Keep::default() };
    let spec = || {
        SpecBuilder::new()
            .identical_hardware()
            .machine("a", logs)
            .body(async |_| sleep(1.secs()).await)
    };
    let ran = run_spec(spec, 0, Overlay::default(), keep, Arc::default());
    let lines: Vec<_> = ran.log.iter().map(|line| (line.at, line.text.as_str())).collect();
    assert_eq!(lines, [(0, "hello answer=42"), (35_000_000, "careful")]);
    assert!(ran.events.is_some_and(|events| events.len() > 3));
    let quiet = run_spec(spec, 0, Overlay::default(), Keep::default(), Arc::default());
    assert!(quiet.log.is_empty());
    assert_eq!(quiet.trace_hash, ran.trace_hash, "keeping a log changes nothing");
}

/// Destructors that panic, spawn and use the run after its end.
#[test]
fn tear_down_survives_panics_in_destructors() {
    struct Bomb(Cell<bool>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0.get(), "in a destructor");
        }
    }
    pass(|| {
        SpecBuilder::new()
            .machine("a", || async {
                let _bomb = Bomb(Cell::new(true));
                std::future::pending::<()>().await;
            })
            .body(async |sim: Sim| {
                let kept = sim.state::<RefCell<Vec<Bomb>>>();
                kept.borrow_mut().push(Bomb(Cell::new(false)));
            })
    });
}

/// A panic while a run is set up leaves no state in its thread.
#[test]
fn panic_during_set_up_leaves_no_state() {
    struct Breaks;
    impl crate::chaos::Plan for Breaks {
        fn run(
            self: Box<Self>,
            _: Sim,
        ) -> futures::future::LocalBoxFuture<'static, Result<(), String>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn settings(&self) -> String {
            panic!("no settings")
        }
    }
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let ran = outcome(0, move || {
        let service = move || {
            let kept = Arc::clone(&kept);
            async move { drop(kept) }
        };
        SpecBuilder::new().machine("a", service).plan(Breaks).body(async |_| {})
    });
    match ran.verdict {
        Verdict::Broken(text) => assert!(text.contains("set-up panicked: no settings"), "{text}"),
        Verdict::Passed | Verdict::Failed(_) => panic!("{:?}", ran.verdict),
    }
    assert_eq!(Arc::strong_count(&held), 1);
}

//! Tests of failures that belong to the run instead of a process. Endless loops and stalls fail the
//! run; long sleeps of the test do not.

use crate::run::tests::*;
use crate::task::yield_now;
use crate::time::timeout;

/// Time does not advance while a task is ready, so this loop needs a bound.
#[test]
fn yield_loop_is_a_stall() {
    let failure =
        fail(|| SpecBuilder::new().machine("a", idle_loop).body(async |_| sleep(1.secs()).await));
    assert_eq!(failure.kind, FailureKind::Stall);
    assert!(failure.message.contains("at one moment of virtual time"), "{}", failure.message);
    let culprit = |task: &String| task.starts_with("a: ") && task.contains("is ready to run");
    assert!(failure.waiting.iter().any(culprit), "{:?}", failure.waiting);
}

async fn idle_loop() {
    loop {
        yield_now().await;
    }
}

/// Code that spins until a deadline must reach it.
#[test]
fn yield_loop_that_reads_the_clock_ends() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let end = Instant::now() + 10.millis();
            while Instant::now() < end {
                yield_now().await;
            }
        })
    });
}

#[test]
fn crash_loop_without_a_pause_is_invalid() {
    let spec = || {
        let topology = Topology::new().machine("a", crashes);
        let topology = topology.on_exit("a", OnExit::Restart(0.secs()));
        SpecBuilder::new().topology(topology).body(async |_| sleep(1.secs()).await)
    };
    let Verdict::Broken(said) = outcome(0, spec).verdict else { panic!("it goes on") };
    assert!(said.contains("on_exit of `a`: the restart delay must be greater than zero"), "{said}");
}

async fn crashes() -> Result<(), &'static str> {
    Err("no luck")
}

/// A cluster is not stalled while the test itself sleeps.
#[test]
fn long_sleep_of_the_test_is_no_stall() {
    pass(|| {
        SpecBuilder::new().body(async |sim| {
            for _ in 0..20 {
                sleep(10.secs()).await;
            }
            sim.run_on("client", async { sleep(90.secs()).await }).await?;
            spawn(sleep(90.secs())).await?;
            let never = std::future::pending::<()>();
            assert!(timeout(90.secs(), never).await.is_err());
            Result::<()>::Ok(())
        })
    });
}

/// Polling for something that never comes is a stall, and so is a service that only sleeps.
#[test]
fn polling_loop_without_an_end_is_a_stall() {
    let failure = fail(|| {
        SpecBuilder::new().body(async |_| {
            loop {
                sleep(100.millis()).await;
            }
        })
    });
    assert_eq!((failure.kind, failure.at / 1_000_000_000), (FailureKind::Stall, 60));
    let sleeps = async || {
        loop {
            sleep(10.secs()).await;
        }
    };
    let failure = fail(move || {
        SpecBuilder::new().machine("a", sleeps).body(async |_| std::future::pending::<()>().await)
    });
    assert_eq!(failure.kind, FailureKind::Stall);
}

/// `Sim::fail` in a service fails the run, even if the machine tolerates crashes.
#[test]
fn sim_fail_fails_the_run_from_any_task() {
    for on_exit in [OnExit::StayDown, OnExit::Restart(1.secs())] {
        let failure = fail(move || {
            let looks = async || Sim::current().fail("lost item", "there is none");
            let topology = Topology::new().machine("a", looks).on_exit("a", on_exit);
            SpecBuilder::new().topology(topology).body(async |_| sleep(5.secs()).await)
        });
        assert_eq!(failure.kind, FailureKind::Named("lost item".to_owned()));
    }
}

/// A panic that is unobserved at the end of the run is ignored if the machine tolerates crashes.
#[test]
fn task_panic_is_handled_by_its_machines_policy() {
    let keeps_the_handle = async || {
        let _handle = spawn(async { panic!("in a task") });
        std::future::pending::<()>().await;
    };
    let spec = move |on_exit| {
        let topology = Topology::new().machine("a", keeps_the_handle).on_exit("a", on_exit);
        SpecBuilder::new().topology(topology).body(async |_| sleep(1.secs()).await)
    };
    pass(move || spec(OnExit::StayDown));
    assert_eq!(fail(move || spec(OnExit::Fail)).message, "in a task");
}

/// A failure before the body begins does not satisfy `#[should_panic]`.
#[test]
fn service_failure_at_start_is_marked() {
    let at_once =
        fail(|| SpecBuilder::new().machine("a", crashes).body(async |_| sleep(1.secs()).await));
    assert!(at_once.at_start);
    let later = async || {
        sleep(1.millis()).await;
        crashes().await
    };
    let later =
        fail(move || SpecBuilder::new().machine("a", later).body(async |_| sleep(1.secs()).await));
    assert!(!later.at_start);
}

/// Each pattern must match: a typo in one must not hide behind another.
#[test]
fn selector_without_a_match_is_invalid() {
    let broken = |spec: fn() -> Spec| match outcome(0, spec).verdict {
        Verdict::Broken(message) => message,
        other => panic!("expected Broken: {other:?}"),
    };
    let said = broken(|| {
        let plan = PowerOffs::new().machines(["a", "cl{3..=1}"]);
        SpecBuilder::new().machine("a", obeys).plan(plan).body(async |_| {})
    });
    assert!(
        said.contains("PowerOffs: `machines`: `cl{3..=1}`: the range {3..=1} is empty"),
        "{said}"
    );
    let said = broken(|| {
        let plan = Partitions::new().machines(["a", "tpyo"]);
        SpecBuilder::new().machine("a", obeys).plan(plan).body(async |_| {})
    });
    assert!(
        said.contains(
            "Partitions: `machines`: no machine matches `tpyo`; known machines: a, client"
        ),
        "{said}"
    );
    let said = broken(|| {
        let topology = Topology::new().machine("API.x", obeys).machine("api.x", obeys);
        SpecBuilder::new()
            .topology(topology.host("h").host("h").machine("localhost", obeys))
            .body(async |_| {})
    });
    for part in [
        "`API.x` and `api.x` are the same name",
        "`h` is declared twice: `host` adds a machine without services",
        "`localhost` cannot be",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    pass(|| {
        SpecBuilder::new().machine("a", obeys).body(async |sim| {
            let error = sim.kill(["a", "tpyo"]).unwrap_err().to_string();
            assert!(error.contains("`tpyo`") && sim.is_up("a"), "{error}");
        })
    });
}

/// The client's zone is a network too, and repeated builder calls add up.
#[test]
fn spec_builder_collects_all_calls() {
    pass(|| {
        let topology = Topology::new().machine("a.internal", obeys).machine("b.db", obeys);
        let spec = SpecBuilder::new().machine("cl.public", obeys).client("bot.public");
        let topology = topology.link("internal", "db", NetworkProfile::lan());
        spec.topology(topology).body(async |sim| {
            let mut machines = sim.machines("*");
            machines.sort();
            assert_eq!(machines, ["a.internal", "b.db", "bot.public", "cl.public"]);
        })
    });
}

/// A process that ends in its own poll is dead from then on: it can bind no port and spawn no task.
#[test]
fn task_that_ended_its_own_process_cannot_affect_the_run() {
    use crate::net::TcpListener;
    type Starts = Rc<Cell<u32>>;
    let once = async || {
        let starts = Rc::clone(&Sim::current().state::<Starts>());
        starts.set(starts.get() + 1);
        if starts.get() == 1 {
            let panics = spawn(async { panic!("in a task") });
            sleep(1.secs()).await;
            // Nobody has asked for the panic: the process crashes, here.
            drop(panics);
            let bound = futures::FutureExt::now_or_never(TcpListener::bind("0.0.0.0:80"));
            assert!(bound.is_none_or(|bound| bound.is_err()), "the dead bind nothing");
            drop(spawn(async { Sim::current().fail("zombie", "it runs") }));
            starts.set(10);
        }
        let _listener = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
        std::future::pending::<()>().await;
    };
    pass(move || {
        let topology = Topology::new().machine("a", once).on_exit("a", OnExit::Restart(1.secs()));
        SpecBuilder::new().topology(topology).body(async |sim: Sim| {
            sleep(5.secs()).await;
            assert_eq!(sim.state::<Starts>().get(), 11, "it came so far, and once more");
        })
    });
}

/// A packet filter belongs to the test: its panic is not a crash of the sending machine.
#[test]
fn filter_panic_fails_the_run() {
    use crate::net::{PacketInfo, TcpStream};
    let talks = async || {
        sleep(1.secs()).await;
        let _ = TcpStream::connect("b:80").await;
    };
    let failure = fail(move || {
        let restart = OnExit::Restart(1.secs());
        let topology = Topology::new().machine("a", talks).host("b").on_exit("a", restart);
        SpecBuilder::new().topology(topology).body(async |sim: Sim| {
            let wrong = |_: &PacketInfo<'_>| panic!("the rule is wrong");
            sim.filter_packets("a", "b", wrong).expect("they are there").keep();
            sleep(5.secs()).await;
        })
    });
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Panic, "the rule is wrong"));
}

/// A panic in a destructor of the run's state fails the run.
#[test]
fn panic_in_the_runs_state_fails_it() {
    #[derive(Default)]
    struct Oracle(std::cell::Cell<bool>);
    impl Drop for Oracle {
        fn drop(&mut self) {
            assert!(!self.0.get(), "something was left");
        }
    }
    let failure =
        fail(|| SpecBuilder::new().body(async |sim: Sim| sim.state::<Oracle>().0.set(true)));
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Panic, "something was left"));
}

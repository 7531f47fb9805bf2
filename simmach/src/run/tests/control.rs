//! Tests that `Sim` stops, kills and starts machines and clients, and counts and logs these
//! operations.

use crate::run::tests::*;

/// A service that takes three seconds to stop.
async fn obeys_late() {
    signal::stopped().await;
    sleep(3.secs()).await;
}

fn stops_and_kills(outcome: &Outcome) -> (u64, u64) {
    (outcome.effects.count(Effect::Stop), outcome.effects.count(Effect::Kill))
}

/// A process that got the stop signal may not obey it and must be killed later.
#[test]
fn stop_counts_only_processes_that_obeyed() {
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
fn stop_twice_is_one_stop() {
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

async fn crashes_soon() {
    sleep(1.secs()).await;
    panic!("crash");
}

/// A crashed service that is stopped, killed or wiped is not restarted.
#[test]
fn restart_is_cancelled_when_the_service_is_ended() {
    let cluster = || {
        let cluster = Topology::new().machine("a", crashes_soon);
        SpecBuilder::new().topology(cluster.on_exit("a", OnExit::Restart(10.secs())))
    };
    for how in 0..5 {
        let ran = pass(move || {
            cluster().body(async move |sim: Sim| {
                sleep(2.secs()).await;
                match how {
                    0 => sim.stop("a", GRACE).await?,
                    1 => sim.kill("a")?,
                    2 => sim.wipe("a")?,
                    3 => {
                        sim.power_off("a")?;
                        sleep(1.secs()).await;
                        sim.start("a")?;
                        sim.kill("a")?;
                    }
                    _ => sim.start("a")?,
                }
                sleep(9500.millis()).await;
                assert!(!sim.is_up("a"), "{how}");
                Result::<()>::Ok(())
            })
        });
        assert_eq!(ran.effects.count(Effect::Restart), u64::from(how >= 3), "{how}");
    }
    let crashes_when_told = async || {
        signal::stopped().await;
        panic!("crash");
    };
    let ran = pass(move || {
        let cluster = Topology::new().machine("a", crashes_when_told);
        let spec = SpecBuilder::new().topology(cluster.on_exit("a", OnExit::Restart(1.secs())));
        spec.body(async |sim: Sim| {
            sim.stop("a", GRACE).await?;
            sleep(10.secs()).await;
            assert!(!sim.is_up("a"));
            Result::<()>::Ok(())
        })
    });
    assert_eq!(stops_and_kills(&ran), (0, 0));
}

#[test]
fn clients_are_stopped_and_killed_with_their_machine() {
    let ran = pass(|| {
        let cluster = Topology::new().host("host1").machine("a", ignores);
        SpecBuilder::new().topology(cluster).body(async |sim: Sim| {
            let client = sim.run_on("host1", std::future::pending::<()>());
            sleep(1.secs()).await;
            sim.kill("host1")?;
            assert!(client.await.unwrap_err().is_cancelled());
            let client = sim.run_on("host1", obeys());
            let other = sim.run_on("a", std::future::pending::<()>());
            sim.kill("a")?;
            assert!(other.await.unwrap_err().is_cancelled());
            sleep(1.secs()).await;
            let before = sim.elapsed();
            sim.stop("host1", GRACE).await?;
            client.await?;
            assert_eq!(sim.elapsed(), before);
            sim.kill("host1")?;
            Result::<()>::Ok(())
        })
    });
    assert_eq!(stops_and_kills(&ran), (1, 3));
}

#[test]
fn body_cannot_be_ended() {
    pass(|| {
        let cluster = Topology::new().machine("n{1..=2}", ignores).host("host1");
        SpecBuilder::new().topology(cluster).client("me").body(async |sim: Sim| {
            let body = Err(ControlError::Body("me".to_owned()));
            assert_eq!(sim.kill("me"), body);
            assert_eq!(sim.stop("me", GRACE).await, body);
            assert_eq!(sim.wipe("me"), body);
            sim.kill("*")?;
            assert!(!sim.is_up("n*"));
            Result::<()>::Ok(())
        })
    });
    pass(|| {
        SpecBuilder::new().machine("n1", ignores).client("n1").body(async |sim: Sim| {
            sim.kill("n1")?;
            assert!(!sim.is_up("n1"));
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn wipe_refuses_a_disk_in_use() {
    pass(|| {
        let cluster = Topology::new().host("host1");
        SpecBuilder::new().topology(cluster).body(async |sim: Sim| {
            let client = sim.run_on("host1", sleep(5.secs()));
            let refused = sim.wipe("host1").unwrap_err().to_string();
            assert!(
                refused.contains("the disk of `host1`: a client of `Sim::run_on` is running"),
                "{refused}"
            );
            client.await?;
            sim.wipe("host1")?;
            let client = sim.run_on("host1", std::future::pending::<()>());
            client.abort();
            sleep(1.secs()).await;
            sim.wipe("host1")?;
            Result::<()>::Ok(())
        })
    });
}

/// A machine without services can lose power and get it back.
#[test]
fn start_restores_power_of_a_client_machine() {
    pass(|| {
        SpecBuilder::new().topology(Topology::new().host("bot")).body(async |sim: Sim| {
            assert_eq!(sim.start("bot"), Err(ControlError::AlreadyRunning("bot".to_owned())));
            sim.power_off("bot")?;
            sim.start("bot")?;
            assert_eq!(sim.run_on("bot", async { 1 }).await?, 1);
            Result::<()>::Ok(())
        })
    });
}

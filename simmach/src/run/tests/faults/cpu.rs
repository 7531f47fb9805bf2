//! Slow CPUs.

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::faults::SlowCpu;
use crate::net::{TcpListener, TcpStream};
use crate::run::tests::faults::*;
use crate::sim::ControlError;

#[derive(Default)]
struct Ticks(RefCell<Vec<u64>>);

impl Ticks {
    fn within(&self, within: std::ops::Range<u64>) -> Vec<u64> {
        self.0.borrow().iter().copied().filter(|at| within.contains(at)).collect()
    }
}

/// Notes the time every 10 ms, from 5 ms on.
async fn ticks() {
    sleep(5.millis()).await;
    loop {
        Sim::current().state::<Ticks>().0.borrow_mut().push(now());
        sleep(10.millis()).await;
    }
}

/// Processes run from 0 to 30 ms in each period of 100 ms.
#[test]
fn processes_run_for_their_quota_of_each_period() {
    let ran = pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ticks).machine("kv2", ignores).body(
            async |sim: Sim| {
                sleep(100.millis()).await;
                sim.slow_cpu("*", 30.millis(), 100.millis())?;
                // A client on the machine is slowed down, too, and the body is not.
                let client = sim.run_on("kv2", async {
                    sleep(50.millis()).await;
                    now()
                });
                assert_eq!((client.await?, now()), (200, 200));
                sleep(150.millis()).await;
                sim.restore_cpu("*")?;
                sleep(150.millis()).await;
                let seen = sim.state::<Ticks>().within(100..500);
                let expected = [105, 115, 125, 200, 210, 220, 300, 310, 320, 350, 360, 370];
                assert_eq!(seen[..12], expected, "{seen:?}");
                assert_eq!(seen.len(), 12 + 13 - 1);
                Result::<()>::Ok(())
            },
        )
    });
    assert_eq!(ran.effects.count(Effect::SlowCpu), 3);
}

/// A process that is started meanwhile is slow, too, and one that is killed in its pause does no harm.
#[test]
fn slow_cpu_is_that_of_the_machine() {
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ticks).body(async |sim: Sim| {
            sim.slow_cpu("kv1", 10.millis(), 100.millis())?;
            sleep(50.millis()).await;
            sim.kill("kv1")?;
            sim.start("kv1")?;
            sleep(140.millis()).await;
            assert_eq!(sim.state::<Ticks>().within(50..190), [105]);
            sim.settle().await?;
            assert_eq!(sim.state::<Ticks>().within(190..230), [190, 200, 210, 220]);
            Result::<()>::Ok(())
        })
    });
}

/// A slow process that waits for an event that never comes makes no timers: that is a deadlock.
#[test]
fn idle_process_with_a_slow_cpu_costs_nothing() {
    let failure = fail(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ignores).body(async |sim: Sim| {
            sim.slow_cpu("kv1", 1.millis(), 10.millis())?;
            std::future::pending::<()>().await;
            Result::<()>::Ok(())
        })
    });
    assert!(failure.message.contains("deadlock"), "{}", failure.message);
}

/// The kernel accepts connections and acknowledges data while the process is paused.
#[test]
fn kernel_goes_on_while_the_processes_are_slow() {
    async fn echoes() -> Result {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let (mut stream, _) = listener.accept().await?;
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() {
            stream.write_all(&byte).await?;
        }
        std::future::pending().await
    }
    let ran = pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", echoes).body(async |sim: Sim| {
            sim.slow_cpu("kv1", 1.millis(), 1.secs())?;
            sleep(100.millis()).await;
            let mut stream = TcpStream::connect("kv1:7").await?;
            assert_eq!(now(), 100, "the kernel accepts");
            stream.write_all(&[7]).await?;
            stream.read_exact(&mut [0]).await?;
            assert_eq!(now(), 1_000);
            Result::<()>::Ok(())
        })
    });
    assert_eq!(ran.effects.count(Effect::Retransmission), 0);
}

fn slow(percent: u32) -> FaultPlan {
    once(SlowCpu::down_to(percent).period(50.millis()))
}

#[test]
fn timers_come_late_while_the_fault_lasts() {
    let mut fewest = usize::MAX;
    for seed in 0..8 {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let there = Arc::clone(&seen);
        let ran = repeats(seed, move || {
            let there = Arc::clone(&there);
            SpecBuilder::new().identical_hardware().machine("kv1", ticks).plan(slow(10)).body(
                async move |sim: Sim| {
                    sleep(500.millis()).await;
                    let ticks = sim.state::<Ticks>();
                    sim.log(format!("{:?}", ticks.0.borrow()));
                    there.lock().expect("no panic").clone_from(&ticks.0.borrow());
                },
            )
        });
        let ticks = Ticks(RefCell::new(seen.lock().expect("no panic").clone()));
        assert_eq!((ticks.within(0..100).len(), ran.effects.count(Effect::SlowCpu)), (10, 1));
        assert!(ticks.within(300..500).len() >= 19, "{:?}", ticks.0);
        fewest = fewest.min(ticks.within(100..300).len());
        let [Act::SlowCpu { .. }, Act::RestoreCpu { .. }] = acts(&ran)[..] else {
            panic!("one act, and one that undoes it: {:?}", ran.acts);
        };
    }
    assert!((4..10).contains(&fewest), "{fewest}");
}

#[test]
fn slow_cpu_of_the_test_stays() {
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ticks).plan(slow(10)).body(
            async |sim: Sim| {
                sim.slow_cpu("kv1", 1.millis(), 100.millis())?;
                sleep(450.millis()).await;
                assert_eq!(sim.state::<Ticks>().within(300..450), [300, 400]);
                Result::<()>::Ok(())
            },
        )
    });
}

#[test]
fn slow_cpu_shrinks_to_one_strike() {
    let story = shrinks(1, || {
        let plan = FaultPlan::new(SlowCpu::down_to(5)).when(Cadence::every(50.millis()));
        let spec = SpecBuilder::new()
            .identical_hardware()
            .machine("kv{1..=3}", ticks)
            .plan(plan.lasting(100.millis()));
        spec.body(async |sim: Sim| {
            sleep(500.millis()).await;
            assert!(sim.state::<Ticks>().0.borrow().len() >= 3 * 50, "ticks are late");
        })
    });
    assert!(
        story.contains("CPU slowed: runs for ") && story.contains("; CPU at full speed again "),
        "{story}"
    );
}

#[test]
fn mistakes_of_slow_cpus_are_told() {
    let mistakes = |fault: SlowCpu| fault.mistakes().join("\n");
    assert!(mistakes(SlowCpu::down_to(0)).contains("a percentage in 1..=99, got 0"));
    assert!(mistakes(SlowCpu::down_to(100)).contains("got 100"));
    assert!(mistakes(SlowCpu::down_to(5).period(2.secs()..1.secs())).contains("`SlowCpu::period`"));
    assert!(mistakes(SlowCpu::down_to(5).period(0.secs()..1.secs())).contains("at least 100µs"));
    assert_eq!(mistakes(SlowCpu::down_to(99)), "");
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("kv1", ticks).body(async |sim: Sim| {
            for quota in [0.secs(), 1.secs()] {
                let error = sim.slow_cpu("kv1", quota, 1.secs()).expect_err("it is out of range");
                assert!(matches!(error, ControlError::Cpu { .. }));
                assert!(error.to_string().contains("shorter than the period"));
            }
            assert!(matches!(sim.restore_cpu("kv2"), Err(ControlError::NoMatch { .. })));
        })
    });
}

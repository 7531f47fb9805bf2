//! Tests of waits by a machine's clock when the clock is changed: a wait ends when the clock shows
//! its deadline.
#![allow(clippy::disallowed_methods, reason = "std's clock in a run is what is compared with")]

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::time::Instant as StdInstant;

use futures::future::{FutureExt, LocalBoxFuture, join_all};

use crate::run::tests::*;
use crate::time::{interval, interval_at, sleep_until, timeout, timeout_at};
use crate::{ClockSkew, storage};

const WAIT: Duration = Duration::from_secs(10);

type Waits = fn() -> LocalBoxFuture<'static, ()>;

/// All functions that wait by their machine's clock. Each of these waits for [`WAIT`].
const WAITS: [(&str, Waits); 15] = [
    ("sleep", || sleep(WAIT).boxed_local()),
    ("sleep_until", || sleep_until(Instant::now() + WAIT).boxed_local()),
    ("std's instant", || sleep_until(Instant::from_std(StdInstant::now() + WAIT)).boxed_local()),
    ("timeout", || {
        timeout(WAIT, pending::<()>()).map(|ended| assert!(ended.is_err())).boxed_local()
    }),
    ("timeout_at", || {
        timeout_at(Instant::now() + WAIT, pending::<()>())
            .map(|ended| assert!(ended.is_err()))
            .boxed_local()
    }),
    ("interval", || {
        async {
            let mut interval = interval(WAIT / 4);
            for nth in 0..5 {
                let begin = Instant::now();
                let due = interval.tick().await;
                assert!(due >= begin || nth == 0);
            }
        }
        .boxed_local()
    }),
    ("interval_at", || {
        async {
            let _ = interval_at(Instant::now() + WAIT, WAIT).tick().await;
        }
        .boxed_local()
    }),
    ("reset", || {
        async {
            let mut sleep = pin!(sleep(WAIT / 2));
            let deadline = Instant::now() + WAIT;
            assert!(timeout(WAIT / 4, &mut sleep).await.is_err());
            sleep.as_mut().reset(deadline);
            sleep.await;
        }
        .boxed_local()
    }),
    ("a channel with a timeout", || {
        async {
            let (_sender, receiver) = futures::channel::oneshot::channel::<()>();
            timeout(WAIT, receiver).await.unwrap_err();
        }
        .boxed_local()
    }),
    ("wakers of their own", || join_all((1..=10).map(|n| sleep(WAIT / n))).map(drop).boxed_local()),
    ("select!", || {
        async {
            crate::select! {
                () = sleep(WAIT) => {}
                () = sleep(WAIT * 20) => panic!("the longer of two"),
            }
        }
        .boxed_local()
    }),
    ("a task", || spawn(sleep(WAIT)).map(Result::unwrap).boxed_local()),
    ("a task of a task", || {
        spawn(async { spawn(sleep(WAIT)).await.unwrap() }).map(Result::unwrap).boxed_local()
    }),
    ("work", || crate::task::work(WAIT).boxed_local()),
    ("a commit", || {
        async {
            let store = storage::open("store").await.unwrap();
            store.write(|_| Ok(())).await.unwrap();
        }
        .boxed_local()
    }),
];

/// Changes of the clock: true milliseconds since the wait began, and the drift.
type Settings = &'static [(u64, i32)];

const TIMES: [Settings; 9] = [
    &[(1_000, 9_000_000)],
    &[(1_000, -900_000)],
    &[(0, 9_000_000), (500, 0)],
    &[(0, -500_000), (4_000, 0)],
    &[(2_000, 9_000_000), (2_000, -500_000)],
    &[(2_000, -500_000), (4_000, 9_000_000)],
    &[(1_000, 9_000_000), (1_900, 0)],
    &[(1_000, 1), (2_000, -1), (3_000, 333_333), (4_000, -333_333), (5_000, 0)],
    &[(9_999, 9_000_000), (60_000, 0)],
];

/// Calculates how long a wait takes.
fn true_time(settings: Settings) -> Duration {
    let (mut at, mut left, mut speed) = (0.0, WAIT.as_secs_f64(), 1.0);
    for (millis, drift) in settings {
        let set_at = *millis as f64 / 1_000.0;
        let passes = (set_at - at) * speed;
        if passes >= left {
            break;
        }
        (at, left, speed) = (set_at, left - passes, 1.0 + f64::from(*drift) / 1_000_000.0);
    }
    Duration::from_secs_f64(at + left / speed)
}

fn spec(name: &'static str, waits: Waits, settings: Settings) -> Spec {
    let disk = DiskProfile::ideal().commit_latency(WAIT, WAIT, WAIT);
    let topology = Topology::new().host("api").disk("api", disk);
    SpecBuilder::new()
        .identical_hardware()
        .topology(topology)
        .time_limit(1.hours())
        .stall_limit(1.hours())
        .body(async move |sim| {
            let timers = sim.timers();
            let there = async move {
                let (begin, own, std) = (sim.elapsed(), Instant::now(), StdInstant::now());
                waits().await;
                (sim.elapsed() - begin, own.elapsed(), std.elapsed())
            };
            let waiting = sim.run_on("api", there);
            let begin = Instant::now();
            for (millis, drift) in settings {
                sleep_until(begin + millis.millis()).await;
                sim.set_clock("api", ClockSkew::exact().drift_ppm(*drift))?;
            }
            let (passed, own, std) = waiting.await?;
            // At ten times the speed a clock shows every tenth nanosecond.
            let exact = WAIT..WAIT + 10.nanos();
            assert!(exact.contains(&own) && exact.contains(&std), "{name}: {own:?} {std:?}");
            let expected = true_time(settings);
            assert!(passed.abs_diff(expected) < 1.micros(), "{name}: {passed:?} {expected:?}");
            assert_eq!(sim.timers(), timers);
            Result::<()>::Ok(())
        })
}

#[test]
fn waits_follow_a_changed_clock() {
    for (name, waits) in WAITS {
        for settings in TIMES {
            pass(move || spec(name, waits, settings));
        }
    }
}

/// Offsets do not affect waits: the monotonic clock is never stepped.
#[test]
fn waits_do_not_follow_the_wall_clock() {
    pass(|| {
        SpecBuilder::new().identical_hardware().topology(Topology::new().host("api")).body(
            async |sim| {
                let there = sim.run_on("api", async {
                    let own = Instant::now();
                    timeout(WAIT, pending::<()>()).await.unwrap_err();
                    own.elapsed()
                });
                for secs in [1, 2, 3] {
                    sleep(1.secs()).await;
                    sim.set_clock("api", ClockSkew::exact().ahead((1_000 * secs).secs()))?;
                    sleep(1.secs()).await;
                    sim.set_clock("api", ClockSkew::exact().behind((1_000 * secs).secs()))?;
                }
                assert_eq!(there.await?, WAIT);
                assert_eq!(sim.elapsed(), WAIT);
                Result::<()>::Ok(())
            },
        )
    });
}

/// Moving a timer does not wake its task.
#[test]
fn setting_a_clock_wakes_no_task() {
    pass(|| {
        SpecBuilder::new().topology(Topology::new().host("api")).body(async |sim| {
            let there = sim.run_on("api", async {
                let mut sleep = pin!(sleep(WAIT));
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    sleep.as_mut().poll(cx)
                })
                .await;
                polls
            });
            for drift in [9_000_000, -900_000, 3, 0] {
                sleep(100.millis()).await;
                sim.set_clock("api", ClockSkew::exact().drift_ppm(drift))?;
            }
            assert_eq!(there.await?, 2);
            Result::<()>::Ok(())
        })
    });
}

/// Thousands of timers on two machines, some dropped: each fires when its machine's clock shows its time.
#[test]
fn many_waits_keep_their_order() {
    const MANY: u64 = 3_000;
    pass(|| {
        let topology = Topology::new().host("fast").host("exact");
        SpecBuilder::new().topology(topology).body(async |sim| {
            let wait_on = |machine| {
                let all = (0..MANY).map(move |nth| async move {
                    let millis = 2_000 + nth * 7_919 % 20_000;
                    let due = Instant::now() + millis.millis();
                    if nth % 3 == 0 {
                        let patient = timeout(1.secs(), sleep_until(due)).await;
                        patient.unwrap_err();
                        return;
                    }
                    sleep_until(due).await;
                    let late = due.elapsed();
                    assert!(late < 10.nanos(), "{millis} ms: {late:?}");
                });
                sim.run_on(machine, async move {
                    let begin = Instant::now();
                    join_all(all.map(spawn_local))
                        .await
                        .into_iter()
                        .for_each(|ended| ended.unwrap());
                    begin.elapsed()
                })
            };
            let (fast, exact) = (wait_on("fast"), wait_on("exact"));
            for drift in [9_000_000, -900_000, 1_000_000, 2_000_000] {
                sleep(500.millis()).await;
                sim.set_clock("fast", ClockSkew::exact().drift_ppm(drift))?;
            }
            let (fast, last) = (fast.await?, 2_000 + 19_999);
            assert!(fast >= (last - 10).millis() && fast < (last + 1).millis(), "{fast:?}");
            assert!(sim.elapsed() < 10.secs(), "{:?}", sim.elapsed());
            assert_eq!(exact.await?.as_secs(), last / 1_000);
            Result::<()>::Ok(())
        })
    });
}

/// The ticks of a running interval, and of one with missed ticks.
#[test]
fn interval_follows_a_changed_clock() {
    pass(|| {
        SpecBuilder::new().identical_hardware().topology(Topology::new().host("api")).body(
            async |sim| {
                let there = sim.run_on("api", async move {
                    let begin = Instant::now();
                    let mut interval = interval(1.secs());
                    let mut ticks = Vec::new();
                    for nth in 0..20u64 {
                        assert_eq!(interval.tick().await - begin, nth.secs());
                        assert!(begin.elapsed() - nth.secs() < 10.nanos());
                        ticks.push(sim.elapsed().as_millis());
                    }
                    ticks
                });
                sleep(2_500.millis()).await;
                sim.set_clock("api", ClockSkew::exact().drift_ppm(9_000_000))?;
                sleep(500.millis()).await;
                sim.set_clock("api", ClockSkew::exact())?;
                sleep(2.secs()).await;
                sim.set_clock("api", ClockSkew::exact().drift_ppm(-500_000))?;
                let expected = [
                    0, 1_000, 2_000, 2_550, 2_650, 2_750, 2_850, 2_950, 3_500, 4_500, 6_000, 8_000,
                ];
                assert_eq!(there.await?[..expected.len()], expected);
                Result::<()>::Ok(())
            },
        )
    });
}

/// The clock belongs to the machine and survives a restart of its processes.
#[test]
fn clock_survives_a_restart() {
    async fn serves() {
        let (sim, begin) = (Sim::current(), Instant::now());
        let since = sim.elapsed();
        sleep(WAIT).await;
        assert_eq!(begin.elapsed(), WAIT);
        note(&format!("{:?}", sim.elapsed() - since));
        pending::<()>().await;
    }
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("api", serves).body(async |sim| {
            sim.set_clock("api", ClockSkew::exact().drift_ppm(1_000_000))?;
            sleep(6.secs()).await;
            sim.kill("api")?;
            sim.start("api")?;
            sleep(6.secs()).await;
            sim.power_off("api")?;
            sim.start("api")?;
            sleep(6.secs()).await;
            assert_eq!(*notes().borrow(), ["5s", "5s", "5s"]);
            Result::<()>::Ok(())
        })
    });
}

/// Packets and TCP's timers use true time.
#[test]
fn network_does_not_follow_machine_clocks() {
    /// How long an unanswered connect takes to fail, in true time and by the machine's clock.
    fn takes(drift: i32) -> (Duration, Duration) {
        static TOOK: Mutex<Option<(Duration, Duration)>> = Mutex::new(None);
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap();
        pass(move || {
            let topology = Topology::new().host("db.far");
            let spec = SpecBuilder::new().topology(topology).client("api.near");
            spec.stall_limit(1.hours()).body(async move |sim| {
                sim.set_clock("api.near", ClockSkew::exact().drift_ppm(drift))?;
                sim.partition("api.near", "db.far")?;
                let (own, begin) = (Instant::now(), sim.elapsed());
                crate::net::TcpStream::connect("db.far:80").await.unwrap_err();
                *TOOK.lock().unwrap() = Some((sim.elapsed() - begin, own.elapsed()));
                Result::<()>::Ok(())
            })
        });
        TOOK.lock().unwrap().take().unwrap()
    }
    let (exact, own) = takes(0);
    assert!(exact > 60.secs() && own == exact, "{exact:?} {own:?}");
    assert_eq!(takes(9_000_000), (exact, exact * 10));
}

/// The same seed produces the same run when clocks change while many tasks wait.
#[test]
fn runs_with_changed_clocks_repeat() {
    let run = |seed| {
        outcome(seed, || {
            let topology = Topology::new().machine("api{1..=3}", || async {
                let mut tasks: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
                for nth in 1..50u64 {
                    tasks.push(sleep((nth % 7).secs()).boxed());
                }
                join_all(tasks.into_iter().map(spawn)).await;
            });
            SpecBuilder::new().topology(topology).body(async |sim| {
                for drift in [9_000_000, -900_000, 0, 5, -500_000] {
                    sleep(600.millis()).await;
                    sim.set_clock("api2", ClockSkew::exact().drift_ppm(drift))?;
                    sim.set_clock("api*", ClockSkew::exact().drift_ppm(drift / 2))?;
                }
                sleep(10.secs()).await;
                Result::<()>::Ok(())
            })
        })
    };
    for seed in 0..5 {
        let (one, two) = (run(seed), run(seed));
        assert_eq!(one.verdict, Verdict::Passed);
        assert_eq!((one.trace_hash, one.polls), (two.trace_hash, two.polls));
    }
}

fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap()
}

/// A skew out of range is an error, not clamped.
#[test]
fn clock_skew_out_of_range_is_an_error() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    type Set = fn(ClockSkew) -> ClockSkew;
    const OUT_OF_RANGE: [(Set, &str); 9] = [
        (|clock| clock.ahead(YEAR * 293), "9223372036 s ahead"),
        (|clock| clock.ahead(YEAR * 600), "9223372036 s ahead"),
        (|clock| clock.ahead(Duration::MAX), "9223372036 s ahead"),
        // The first second that has passed is allowed.
        (|clock| clock.behind(YEAR * 57), "1767225601 s behind"),
        (|clock| clock.behind(Duration::MAX), "1767225601 s behind"),
        (|clock| clock.drift_ppm(-1_000_000), "-900000 (a tenth of the speed)"),
        (|clock| clock.drift_ppm(i32::MIN), "-900000 (a tenth of the speed)"),
        (|clock| clock.drift_ppm(9_000_001), "9000000 (ten times)"),
        (|clock| clock.ahead(1.secs()).drift_ppm(i32::MAX), "9000000 (ten times)"),
    ];
    pass(|| {
        let topology = Topology::new().host("api{1..=2}");
        SpecBuilder::new().identical_hardware().topology(topology).client("api3").body(
            async |sim| {
                sleep(1.secs()).await;
                let before = ClockSkew::exact().ahead(YEAR * 200).drift_ppm(1_000_000);
                sim.set_clock("api*", before)?;
                let (wall, own) = (since_1970(), Instant::now());
                for (set, words) in OUT_OF_RANGE {
                    let error = sim.set_clock("api*", set(ClockSkew::exact())).unwrap_err();
                    let text = error.to_string();
                    assert!(matches!(error, crate::ControlError::Clock { .. }), "{error:?}");
                    assert!(text.starts_with("cannot set the clocks of `api*`: "), "{text}");
                    assert!(text.contains(words), "{text}");
                }
                sleep(2.secs()).await;
                assert_eq!((since_1970() - wall, own.elapsed()), (2.secs(), 2.secs()));
                let (there, here) =
                    (sim.run_on("api1", async { since_1970() }).await?, since_1970());
                assert_eq!(there, here, "what was set before stays");
                Result::<()>::Ok(())
            },
        )
    });
}

/// Each allowed skew has its exact effect, up to both ends of the range.
#[test]
fn clock_skew_in_range_is_shown() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    pass(|| {
        SpecBuilder::new().client("api").body(async |sim| {
            let right = since_1970();
            for by in [Duration::ZERO, 1.nanos(), 3.secs(), YEAR * 50, YEAR * 292] {
                sim.set_clock("api", ClockSkew::exact().ahead(by))?;
                assert_eq!(since_1970(), right + by);
                if by <= right {
                    sim.set_clock("api", ClockSkew::exact().behind(by))?;
                    assert_eq!(since_1970(), right - by);
                }
            }
            sim.set_clock("api", ClockSkew::exact().behind(right))?;
            assert_eq!(since_1970(), Duration::ZERO);
            sleep(1.secs()).await;
            assert_eq!(since_1970(), 1.secs());
            Result::<()>::Ok(())
        })
    });
}

/// A clock set within range keeps running past the end of the range.
#[test]
fn wall_clock_continues_past_2554() {
    let last = Duration::from_nanos(u64::MAX);
    let epoch = std::time::SystemTime::UNIX_EPOCH + last;
    pass(move || {
        SpecBuilder::new().epoch(epoch).client("api").body(async move |sim| {
            assert_eq!(since_1970(), last);
            sleep(10.secs()).await;
            assert_eq!(since_1970(), last + 10.secs());
            // SAFETY: the function accepts null.
            assert_eq!(unsafe { libc::time(std::ptr::null_mut()) }, 18_446_744_083);
            sim.set_clock("api", ClockSkew::exact().ahead(1.secs())).unwrap_err();
            sim.set_clock("api", ClockSkew::exact().behind(1.secs()).drift_ppm(1_000_000))?;
            sleep(10.secs()).await;
            assert_eq!(since_1970(), last + 19.secs());
            sim.settle().await?;
            assert_eq!(since_1970(), last + sim.elapsed());
            Result::<()>::Ok(())
        })
    });
    let past = outcome(0, move || SpecBuilder::new().epoch(epoch + 1.secs()).body(async |_| {}));
    match past.verdict {
        Verdict::Broken(words) => {
            assert!(words.contains("1970") && words.contains("2554"), "{words}")
        }
        other => panic!("expected a broken run: {other:?}"),
    }
}

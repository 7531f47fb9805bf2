//! Tests of `Instant`s near the start of a run and near the limits of their range.
#![allow(clippy::disallowed_methods, reason = "std's clock in a run is what is compared with")]

use std::panic::catch_unwind;
use std::time::{Duration, Instant as StdInstant};

use proptest::prelude::*;

use crate::run::tests::*;
use crate::time::{MissedTickBehavior, interval, interval_at, sleep_until, timeout, timeout_at};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Subtracts a minute from an `Instant` 5 s after the start of the run.
fn looks_back() {
    let minute = 60.secs();
    let now = Instant::now();
    let earlier = now - minute;
    assert_eq!(earlier.elapsed(), minute);
    assert_eq!((now - earlier, now.duration_since(earlier)), (minute, minute));
    assert_eq!(now.checked_duration_since(earlier), Some(minute));
    assert_eq!(earlier.checked_duration_since(now), None);
    assert_eq!(earlier.saturating_duration_since(now), Duration::ZERO);
    assert_eq!(now.checked_sub(minute), Some(earlier));
    assert_eq!(earlier + minute, now);
    assert!(earlier < now && earlier - minute < earlier, "points before the start are in order");
    let mut due = now;
    due -= minute;
    assert_eq!(due, earlier);

    let std = StdInstant::now();
    assert_eq!((std - minute).elapsed(), minute);
    assert_eq!(Instant::from_std(std - minute), earlier);
}

#[test]
fn instants_before_the_start_exist() {
    pass(|| {
        let serves = || async {
            sleep(5.secs()).await;
            looks_back();
        };
        SpecBuilder::new().machine("api", serves).body(async |_| {
            sleep(5.secs()).await;
            looks_back();
            spawn(async { looks_back() }).await.unwrap();
            sleep(1.secs()).await;
        })
    });
}

#[test]
fn instants_before_the_start_exist_in_a_destructor() {
    struct LooksBack;
    impl Drop for LooksBack {
        fn drop(&mut self) {
            looks_back();
            note("looked");
        }
    }
    pass(|| {
        SpecBuilder::new().body(async |_| {
            sleep(5.secs()).await;
            drop(LooksBack);
            let task = spawn_local(async {
                let _looks = LooksBack;
                std::future::pending::<()>().await;
            });
            crate::task::yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(*notes().borrow(), ["looked", "looked"]);
        })
    });
}

/// A job that is due immediately: `last = now - period`.
#[test]
fn period_that_began_before_the_start_is_over() {
    pass(|| {
        SpecBuilder::new().body(async |sim| {
            let period = 1.hours();
            let last = Instant::now() - period;
            assert!(last.elapsed() >= period);
            sleep_until(last + period).await;
            timeout_at(last, std::future::pending::<()>()).await.unwrap_err();
            assert_eq!(sim.elapsed(), Duration::ZERO);
        })
    });
}

/// Three ticks were missed before the run began; they report their times.
#[test]
fn interval_can_begin_before_the_start() {
    pass(|| {
        SpecBuilder::new().body(async |sim| {
            let now = Instant::now();
            for (behavior, ticks) in [
                (MissedTickBehavior::Burst, [-25, -15, -5, 5]),
                (MissedTickBehavior::Delay, [-25, 10, 20, 30]),
                (MissedTickBehavior::Skip, [-25, 5, 15, 25]),
            ] {
                let start = sim.elapsed();
                let begin = Instant::now();
                let mut interval = interval_at(begin - 25.millis(), 10.millis());
                interval.set_missed_tick_behavior(behavior);
                for tick in ticks {
                    let due = interval.tick().await;
                    let millis = due.saturating_duration_since(begin).as_millis() as i64
                        - begin.saturating_duration_since(due).as_millis() as i64;
                    assert_eq!(millis, tick, "{behavior:?}");
                }
                assert_eq!(sim.elapsed() - start, (ticks[3] as u64).millis(), "{behavior:?}");
            }
            assert!(now.elapsed() > Duration::ZERO);
        })
    });
}

#[test]
fn instants_are_those_of_std() {
    pass(|| {
        SpecBuilder::new().client("api").body(async |sim| {
            for _ in 0..3 {
                let (own, std) = (Instant::now(), StdInstant::now());
                assert_eq!(own.into_std(), std);
                assert_eq!(StdInstant::from(own), std);
                assert_eq!(Instant::from(std), own);
                assert_eq!(format!("{own:?}"), format!("{std:?}"));
                sleep(7.nanos()).await;
                sim.set_clock("api", crate::ClockSkew::exact().drift_ppm(333_333))?;
            }
            let start = StdInstant::now();
            assert!(start.checked_sub(YEAR).is_some());
            let mut up = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the clock exists, and the pointer has room for its time.
            assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut up) }, 0);
            assert!(up.tv_sec >= 365 * 86_400, "unsigned numbers have room below: {}", up.tv_sec);
            Result::<()>::Ok(())
        })
    });
}

/// The panic's location is in the user's code, as in tokio.
#[test]
fn instant_operators_panic_out_of_range() {
    const ADDING: &str = "overflow when adding duration to instant";
    const SUBTRACTING: &str = "overflow when subtracting duration from instant";
    type Operation = fn(Instant) -> Instant;
    let operations: [(Operation, &str); 4] = [
        (|at| at + Duration::MAX, ADDING),
        (|at| at - Duration::MAX, SUBTRACTING),
        (
            |mut at| {
                at += Duration::MAX;
                at
            },
            ADDING,
        ),
        (
            |mut at| {
                at -= Duration::MAX;
                at
            },
            SUBTRACTING,
        ),
    ];
    for (operation, message) in operations {
        let operate = move || -> () { panic!("{:?}", operation(Instant::now())) };
        let in_body = fail(move || SpecBuilder::new().body(async move |_| operate()));
        let spawned = fail(move || {
            SpecBuilder::new().body(async move |_| {
                drop(spawn(async move { operate() }));
                sleep(1.secs()).await;
            })
        });
        for failure in [in_body, spawned] {
            assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, message));
            assert!(
                failure.location.as_ref().unwrap().starts_with(file!()),
                "{:?}",
                failure.location
            );
        }
    }
}

/// Durations that tokio limits to 30 years are limited, others are not.
#[test]
fn longest_waits_end_as_in_tokio() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let now = Instant::now();
            assert_eq!(sleep(Duration::MAX).deadline(), now + YEAR * 30);
            assert_eq!(sleep(YEAR * 29).deadline(), now + YEAR * 29);
            let far = now + YEAR * 100_000;
            assert_eq!(sleep_until(far).deadline(), far);
            assert_eq!(crate::time::interval(Duration::MAX).period(), YEAR * 30);
            let mut interval = interval_at(far, 1.secs());
            let never = timeout(1.secs(), interval.tick()).await;
            never.unwrap_err();
            interval.reset_after(Duration::MAX);
            timeout(1.secs(), interval.tick()).await.unwrap_err();
            timeout(Duration::MAX, sleep(1.secs())).await.unwrap();
            timeout(YEAR * 1_000, sleep(1.secs())).await.unwrap();
            timeout_at(far, sleep(1.secs())).await.unwrap();
        })
    });
    let waits = |time: Duration| {
        fail(move || {
            SpecBuilder::new().body(async move |_| {
                timeout(time, std::future::pending::<()>()).await.unwrap();
            })
        })
    };
    assert_eq!(waits(Duration::MAX).kind, FailureKind::Deadlock, "it has no timer");
    assert_eq!(waits(YEAR * 1_000).kind, FailureKind::TimeLimit);
}

#[test]
fn interval_refuses_a_period_of_zero() {
    for at in [false, true] {
        let failure = fail(move || {
            SpecBuilder::new().body(async move |_| {
                let start = Instant::now();
                if at {
                    interval_at(start, Duration::ZERO)
                } else {
                    interval(Duration::ZERO)
                };
            })
        });
        assert_eq!(failure.message, "`period` must be non-zero.");
        assert!(failure.location.as_ref().unwrap().starts_with(file!()), "{:?}", failure.location);
    }
}

/// Nanoseconds since the origin, in numbers that cannot overflow.
fn signed(instant: Instant, origin: Instant) -> i128 {
    let after = instant.saturating_duration_since(origin).as_nanos() as i128;
    after - origin.saturating_duration_since(instant).as_nanos() as i128
}

/// Durations of any length, most of them near a limit: std's seconds, 64-bit nanoseconds, one second.
fn duration() -> impl Strategy<Value = Duration> {
    let seconds = prop_oneof![
        0..3u64,
        (0..5u64).prop_map(|less| i64::MAX as u64 - less),
        (0..5u64).prop_map(|more| i64::MAX as u64 + more),
        (0..5u64).prop_map(|less| u64::MAX - less),
        (0..5u64).prop_map(|near| u64::MAX / 1_000_000_000 - 2 + near),
        any::<u64>(),
    ];
    let nanos = prop_oneof![Just(0), Just(999_999_999), 0..1_000_000_000u32];
    (seconds, nanos).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

proptest! {
    /// Instants match plain arithmetic; out of range `checked_…` returns `None` and the operators panic.
    #[test]
    fn instants_behave_as_numbers(
        steps in prop::collection::vec((any::<bool>(), duration()), 1..12),
    ) {
        // The smallest and the largest of std's, found as a user would.
        let origin = StdInstant::now();
        let secs = |from: StdInstant, later: bool| {
            (0..64).rev().map(|bit| Duration::from_secs(1 << bit)).fold(from, |at, step| {
                let next = if later { at.checked_add(step) } else { at.checked_sub(step) };
                next.unwrap_or(at)
            })
        };
        let span = Duration::from_nanos(999_999_999);
        let origin = Instant::simulated(origin);
        let last = Instant::simulated(secs(origin.into_std(), true));
        let first = Instant::simulated(secs(origin.into_std(), false));
        let range = signed(first, origin) - span.as_nanos() as i128
            ..=signed(last, origin) + span.as_nanos() as i128;
        let (mut at, mut model) = (origin, 0i128);
        for (later, duration) in steps {
            let nanos = duration.as_nanos() as i128;
            let (next, expected) = match later {
                true => (at.checked_add(duration), model + nanos),
                false => (at.checked_sub(duration), model - nanos),
            };
            let panics = catch_unwind(|| if later { at + duration } else { at - duration }).ok();
            prop_assert_eq!(next, panics);
            // Within a second of the ends it depends on the origin's own nanoseconds.
            if let Some(next) = next {
                prop_assert!(range.contains(&expected));
                prop_assert_eq!(signed(next, origin), expected);
                prop_assert_eq!(next.cmp(&at), expected.cmp(&model));
                prop_assert_eq!(signed(next, at), expected - model);
                (at, model) = (next, expected);
            } else {
                let inner = range.start() + 1_000_000_000..=range.end() - 1_000_000_000;
                prop_assert!(!inner.contains(&expected), "{expected} is in range");
            }
        }
    }
}

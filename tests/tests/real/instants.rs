//! Tests `Instant`: outside a run it is tokio's, and its arithmetic is the same in a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant as StdInstant};

use simmach::prelude::*;
use simmach::time::{Instant, interval, sleep, sleep_until, timeout};
use simmach::{sim_test, task};

use crate::run_for_real;

/// Durations near the limits of std's seconds and of 64-bit nanoseconds.
fn durations() -> Vec<Duration> {
    let seconds = [
        0,
        1,
        60,
        86_400 * 365 * 30,
        86_400 * 365 * 1_000,
        u64::MAX / 1_000_000_000,
        u64::MAX / 1_000_000_000 + 1,
        i64::MAX as u64 - 86_400 * 366,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX,
    ];
    seconds
        .iter()
        .flat_map(|&seconds| [0, 999_999_999].map(|n| Duration::new(seconds, n)))
        .collect()
}

fn message<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|payload| payload.downcast::<String>().map(|text| *text).unwrap_or_default())
}

/// Compares every operation on an instant of simmach and an instant of tokio that show the same
/// moment.
fn compare() {
    let own = Instant::now();
    let tokio = tokio::time::Instant::from_std(own.into_std());
    let same = |own: Instant, tokio: tokio::time::Instant| own.into_std() == tokio.into_std();
    for duration in durations() {
        let (later, expected) = (own.checked_add(duration), tokio.checked_add(duration));
        assert_eq!(later.is_some(), expected.is_some(), "{duration:?} later");
        let (earlier, before) = (own.checked_sub(duration), tokio.checked_sub(duration));
        assert_eq!(earlier.is_some(), before.is_some(), "{duration:?} earlier");
        for (point, expected) in [later.zip(expected), earlier.zip(before)].into_iter().flatten() {
            assert!(same(point, expected), "{point:?} {expected:?}");
            assert_eq!(point.cmp(&own), expected.cmp(&tokio));
            assert_eq!(point - own, expected - tokio);
            assert_eq!(own - point, tokio - expected);
            assert_eq!(point.duration_since(own), expected.duration_since(tokio));
            assert_eq!(own.checked_duration_since(point), tokio.checked_duration_since(expected));
            assert_eq!(format!("{point:?}"), format!("{expected:?}"));
            assert_eq!(sleep_until(point).deadline(), point);
        }
        let (sum, expected) = (message(|| own + duration), message(|| tokio + duration));
        assert_eq!(sum.map(Instant::into_std), expected.map(tokio::time::Instant::into_std));
        let (sum, expected) = (message(|| own - duration), message(|| tokio - duration));
        assert_eq!(sum.map(Instant::into_std), expected.map(tokio::time::Instant::into_std));
    }
}

#[test]
fn arithmetic_is_tokio_s_outside_a_run() {
    run_for_real(async { compare() });
}

#[sim_test(seeds = 1)]
async fn arithmetic_is_tokio_s_in_a_run() {
    compare();
    sleep(5.secs()).await;
    compare();
    task::spawn(async { compare() }).await.expect("the task does not panic");
}

/// Waits for deadlines in the past.
async fn look_back() {
    sleep(20.millis()).await;
    let (own, std) = (Instant::now() - 60.secs(), StdInstant::now() - 60.secs());
    let (own, std) = (own.elapsed(), std.elapsed());
    assert!(own >= 60.secs() && std >= 60.secs(), "{own:?} {std:?}");
    assert!(own < 61.secs() && std < 61.secs(), "{own:?} {std:?}");
    sleep_until(Instant::now() - 60.secs()).await;
    let now = StdInstant::now();
    assert_eq!(Instant::from_std(now).into_std(), now);
    assert!(Instant::now() >= Instant::from(now));
}

#[test]
fn deadlines_in_the_past_outside_a_run() {
    run_for_real(look_back());
}

#[sim_test(seeds = 5, machines("api" => look_back))]
async fn deadlines_in_the_past_in_a_run() {
    look_back().await;
}

async fn wait_long() {
    let now = Instant::now();
    let cut = sleep(Duration::MAX).deadline() - now;
    assert!(cut >= 30 * 365 * 24.hours() && cut < 31 * 365 * 24.hours());
    assert_eq!(interval(Duration::MAX).period(), 30 * 365 * 24.hours());
    assert!(timeout(Duration::MAX, sleep(10.millis())).await.is_ok());
    assert!(timeout(1_000 * 365 * 24.hours(), sleep(10.millis())).await.is_ok());
}

#[test]
fn longest_waits_outside_a_run() {
    run_for_real(wait_long());
}

#[sim_test(seeds = 1)]
async fn longest_waits_in_a_run() {
    wait_long().await;
}

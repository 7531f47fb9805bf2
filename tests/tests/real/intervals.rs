//! Tests that intervals tick like tokio's. The same steps are executed with tokio's intervals on
//! its paused clock, with simmach's intervals outside a run on that clock, and with simmach's
//! intervals in a run.

use std::thread;
use std::time::Duration;

use simmach::{interpose::allow_threads, sim_test};

/// One step of an interval's script.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sleeps for this number of nanoseconds.
    Pass(u64),
    /// Awaits the next tick.
    Tick,
    /// Awaits this number of ticks.
    Ticks(u32),
    Burst,
    Delay,
    Skip,
    Reset,
    ResetImmediately,
    ResetAfter(Duration),
    /// Resets to this number of milliseconds after the start.
    ResetAt(u64),
}

use Step::{Burst, Delay, Pass, Reset, ResetAfter, ResetAt, ResetImmediately, Skip, Tick, Ticks};

const MS: u64 = 1_000_000;

/// For each tick, when it was due and when it was received, in nanoseconds since the start.
type Seen = Vec<(u128, u128)>;

macro_rules! take {
    ($steps:expr, $start:expr, $period:expr, $time:path, $pass:expr) => {
        async {
            use $time as time;
            let origin = time::Instant::now();
            let since = |at: time::Instant| (at + Duration::from_secs(1) - origin).as_nanos();
            let mut interval = time::interval_at(origin + $start, $period);
            let mut seen = Seen::new();
            for step in $steps {
                match *step {
                    Pass(nanos) => $pass(Duration::from_nanos(nanos)).await,
                    Tick | Ticks(_) => {
                        for _ in 0..if let Ticks(count) = *step { count } else { 1 } {
                            let due = interval.tick().await;
                            seen.push((since(due), since(time::Instant::now())));
                        }
                    }
                    Burst => interval.set_missed_tick_behavior(time::MissedTickBehavior::Burst),
                    Delay => interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay),
                    Skip => interval.set_missed_tick_behavior(time::MissedTickBehavior::Skip),
                    Reset => interval.reset(),
                    ResetImmediately => interval.reset_immediately(),
                    ResetAfter(after) => interval.reset_after(after),
                    ResetAt(millis) => interval.reset_at(origin + Duration::from_millis(millis)),
                }
            }
            assert_eq!(interval.period(), $period.min(Duration::from_secs(30 * 365 * 86_400)));
            seen
        }
    };
}

/// Runs the steps outside a run, on tokio's paused clock, which jumps to the next timer.
fn paused(steps: &[Step], start: Duration, period: Duration) -> (Seen, Seen) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let advance = tokio::time::advance;
    let tokio = runtime().block_on(take!(steps, start, period, tokio::time, advance));
    let real = runtime().block_on(take!(steps, start, period, simmach::time, advance));
    (tokio, real)
}

async fn compare(steps: Vec<Step>, start: Duration, period: Duration) -> Seen {
    let own = steps.clone();
    let outside = allow_threads(|| thread::spawn(move || paused(&own, start, period)).join());
    let (tokio, real) = outside.expect("it is compared, not asserted");
    let run = take!(&steps, start, period, simmach::time, simmach::time::sleep).await;
    assert_eq!(run, tokio, "in a run: {steps:?}");
    assert_eq!(real, tokio, "outside: {steps:?}");
    run
}

const TEN: Duration = Duration::from_millis(10);

/// Delays near the tolerance of 5 ms and near whole periods, in each behaviour, before the first tick and between ticks.
#[sim_test(seeds = 1, time_limit = "24h", stall_limit = "24h")]
async fn ticks_after_a_late_one_are_tokio_s() {
    let late = [
        0, 1, 3, 4, 5, 6, 7, 9, 10, 11, 14, 15, 16, 17, 19, 20, 21, 25, 26, 30, 34, 35, 36, 99, 105,
    ];
    for behavior in [Burst, Delay, Skip] {
        for start in [Duration::ZERO, Duration::from_millis(7)] {
            for millis in late {
                let pass = Pass(millis * MS);
                let steps =
                    vec![behavior, pass, Tick, pass, Tick, Ticks(3), pass, pass, Ticks(14), pass];
                compare(steps, start, TEN).await;
                let early = vec![behavior, Ticks(2), pass, Tick, Pass(3 * MS), Ticks(12)];
                compare(early, start, TEN).await;
            }
        }
    }
}

/// A case reported by a user: the first tick is polled 3 ms late.
#[sim_test(seeds = 1)]
async fn tick_within_the_tolerance_is_not_missed() {
    let dues = async |behavior, late| {
        let seen = compare(vec![behavior, Pass(late), Ticks(3)], Duration::ZERO, TEN).await;
        seen.into_iter().map(|(due, _)| (due - 1_000_000_000) as u64).collect::<Vec<_>>()
    };
    for behavior in [Burst, Delay, Skip] {
        assert_eq!(dues(behavior, 3 * MS).await, [0, 10 * MS, 20 * MS]);
        assert_eq!(dues(behavior, 5 * MS).await, [0, 10 * MS, 20 * MS]);
    }
    assert_eq!(dues(Burst, 6 * MS).await, [0, 10 * MS, 20 * MS]);
    assert_eq!(dues(Delay, 6 * MS).await, [0, 16 * MS, 26 * MS]);
    assert_eq!(dues(Skip, 6 * MS).await, [0, 10 * MS, 20 * MS]);
}

/// Exact to the nanosecond. Each tick is late, so that tokio's granularity of 1 ms does not matter.
#[sim_test(seeds = 1)]
async fn tolerance_is_exact_to_the_nanosecond() {
    for behavior in [Burst, Delay, Skip] {
        for nanos in [4_999_999, 5_000_000, 5_000_001, 9_999_999, 10_000_000, 10_000_001] {
            let steps = vec![behavior, Pass(nanos), Tick, Pass(40 * MS), Tick, Pass(77 * MS), Tick];
            compare(steps, Duration::ZERO, TEN).await;
        }
    }
}

#[sim_test(seeds = 1, time_limit = "24h", stall_limit = "24h")]
async fn resets_are_tokio_s() {
    let secs = Duration::from_secs;
    for behavior in [Burst, Delay, Skip] {
        for late in [0, 2, 5, 6, 23].map(|millis| Pass(millis * MS)) {
            for reset in [
                Reset,
                ResetImmediately,
                ResetAfter(Duration::ZERO),
                ResetAfter(Duration::from_millis(4)),
                ResetAfter(secs(3)),
                ResetAt(0),
                ResetAt(31),
                ResetAt(2_000),
            ] {
                let steps = vec![behavior, Tick, late, reset, late, Ticks(4), reset, Ticks(2)];
                compare(steps, Duration::ZERO, TEN).await;
            }
        }
    }
    compare(vec![ResetAfter(Duration::MAX), ResetAt(5), Tick], secs(1), Duration::MAX).await;
}

/// Random scripts with steps of every kind, from a fixed seed.
#[sim_test(seeds = 1, time_limit = "24h", stall_limit = "24h")]
async fn random_scripts_tick_as_tokio_s() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let period = Duration::from_millis(random.u64(1..60));
        let start = Duration::from_millis(random.u64(0..100));
        let steps = (0..40).map(|_| match random.u8(0..16) {
            0 => Burst,
            1 => Delay,
            2 => Skip,
            3 => Reset,
            4 => ResetImmediately,
            5 => ResetAfter(Duration::from_millis(random.u64(0..90))),
            6 => ResetAt(random.u64(0..2_000)),
            7..10 => Pass(random.u64(0..12) * MS),
            10 => Pass(random.u64(0..300) * MS),
            _ => Tick,
        });
        compare(steps.collect(), start, period).await;
    }
}

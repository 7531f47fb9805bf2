//! Tests of tasks, timers and scheduling together, as the code under test uses them.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{FailureKind, Verdict};
use crate::engine::rig;
use crate::task::*;
use crate::time::{DurationUnits, Instant, interval, sleep, timeout};

fn kind(verdict: &Verdict) -> Option<FailureKind> {
    match verdict {
        Verdict::Failed(failure) => Some(failure.kind.clone()),
        Verdict::Passed | Verdict::Broken(_) => None,
    }
}

#[test]
fn time_jumps_to_the_next_event() {
    let ran = rig::pass(0, async || {
        let start = Instant::now();
        sleep(3.hours() / 4).await;
        assert_eq!(start.elapsed(), 45.mins());
    });
    assert_eq!(ran.nanos, 45 * 60 * 1_000_000_000);
}

/// The handle may be created while the task runs, or after the task has ended.
#[test]
fn abort_handle_reports_the_end_whenever_it_was_created() {
    rig::pass(0, async || {
        let task = spawn(async { sleep(1.secs()).await });
        let early = task.abort_handle();
        assert!(!early.is_finished() && !task.is_finished());
        sleep(2.secs()).await;
        assert!(early.is_finished() && task.is_finished());
        assert!(task.abort_handle().is_finished());
        let late = spawn(async {});
        sleep(1.secs()).await;
        assert!(late.abort_handle().is_finished(), "the first that is asked for");
    });
}

/// The order of ready tasks is the same for the same seed, and differs between seeds.
#[test]
fn task_order_is_drawn_from_the_seed() {
    fn order(seed: u64, overlay: Overlay) -> (Vec<u32>, u64) {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&order);
        let ran = rig::run_with(
            seed,
            overlay,
            || {},
            async move || {
                let mut set = JoinSet::new();
                for n in 0..6 {
                    let seen = Arc::clone(&seen);
                    set.spawn(async move {
                        sleep(10.millis()).await;
                        seen.lock().unwrap().push(n);
                    });
                }
                set.join_all().await;
            },
            || {},
        );
        let order = order.lock().unwrap().clone();
        (order, ran.hash)
    }
    let of = |seed| order(seed, Overlay::default());
    assert_eq!(of(1), of(1));
    assert!((2..20).any(|seed| of(seed).0 != of(1).0), "some seed must order them otherwise");
    assert_ne!(of(1).1, of(2).1, "another order is another trace");
    assert_eq!(order(1, Overlay::calm()).0, [0, 1, 2, 3, 4, 5], "calm is first in, first out");
}

#[test]
fn timeout_leaves_no_timer_behind() {
    let ran = rig::pass(0, async || {
        timeout(5.secs(), sleep(1.secs())).await.expect("one second is in time");
        timeout(1.secs(), sleep(5.secs())).await.expect_err("five are not");
        assert!(timeout(1.secs(), sleep(1.secs())).await.is_ok(), "the deadline itself is in time");
    });
    assert_eq!(ran.timers_left, 0);
}

#[test]
fn aborted_task_is_dropped_and_reports_cancellation() {
    rig::pass(0, async || {
        let guard = Rc::new(());
        let held = Rc::clone(&guard);
        let task = spawn_local(async move {
            let _held = held;
            sleep(1.hours()).await;
        });
        sleep(1.secs()).await;
        task.abort();
        assert!(task.await.expect_err("aborted").is_cancelled());
        assert_eq!(Rc::strong_count(&guard), 1);
        assert_eq!(Instant::now().elapsed(), 0.secs());
    });
}

/// The panic of a task is never lost: awaiting returns it, otherwise it fails the run.
#[test]
fn panic_fails_the_run_unless_it_is_awaited() {
    rig::pass(0, async || {
        let error = spawn(async { panic!("heard") }).await.expect_err("it panicked");
        assert!(error.is_panic() && error.to_string().ends_with("heard"));
    });
    let detached = rig::run(0, async || {
        drop(spawn(async { panic!("detached") }));
        sleep(1.secs()).await;
    });
    assert_eq!(kind(&detached.verdict), Some(FailureKind::Panic));
    let dropped_after = rig::run(0, async || {
        let handle = spawn(async { panic!("dropped after") });
        sleep(1.secs()).await;
        drop(handle);
        sleep(1.secs()).await;
    });
    assert_eq!(kind(&dropped_after.verdict), Some(FailureKind::Panic));
    let held_to_the_end = rig::run(0, async || {
        let handle = spawn(async { panic!("held") });
        sleep(1.secs()).await;
        std::mem::forget(handle);
    });
    assert_eq!(kind(&held_to_the_end.verdict), Some(FailureKind::Panic));
}

/// A task that panics while it holds a lock makes other tasks and the body panic, whose handles are dropped in another order.
#[test]
fn first_of_several_panics_is_reported() {
    let message = |verdict: &Verdict| match verdict {
        Verdict::Failed(failure) => failure.message.clone(),
        other => panic!("{other:?}"),
    };
    let panics = || {
        let of = |millis: u64| {
            spawn(async move {
                sleep(millis.millis()).await;
                panic!("after {millis} ms");
            })
        };
        [3, 1, 2].map(of)
    };
    for drops_handles in [true, false] {
        let ran = rig::run(0, async move || {
            let handles = panics();
            sleep(1.secs()).await;
            match drops_handles {
                true => drop(handles),
                false => std::mem::forget(handles),
            }
        });
        assert_eq!(message(&ran.verdict), "after 1 ms", "{drops_handles}");
    }
    let awaited = rig::run(0, async move || {
        let [three, one, two] = panics();
        sleep(1.secs()).await;
        assert!(one.await.is_err());
        drop((three, two));
    });
    assert_eq!(message(&awaited.verdict), "after 2 ms", "what was awaited is observed");
}

#[test]
fn failure_names_its_location() {
    let ran = rig::run(0, async || {
        spawn(async { panic!("number {}", 7) });
        sleep(1.secs()).await;
    });
    let Verdict::Failed(failure) = ran.verdict else { panic!("it failed") };
    assert_eq!(failure.message, "number 7");
    assert!(failure.location.expect("a location").contains("task/tests.rs:"));
    assert!(failure.task.expect("a task").contains("task/tests.rs:"));
}

#[test]
fn deadlock_lists_the_blocked_tasks() {
    let ran = rig::run(0, async || {
        let waits = spawn(std::future::pending::<()>());
        let _ = waits.await;
    });
    let Verdict::Failed(failure) = ran.verdict else { panic!("it can't end") };
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert_eq!(failure.waiting.len(), 2);
    assert!(failure.waiting.iter().any(|line| line.contains("a task to end")));
}

/// Polling with timers is not progress. A long sleep of the body is.
#[test]
fn stall_is_reported_only_without_progress() {
    let ran = rig::run(0, async || {
        spawn(async {
            let mut ticks = interval(100.millis());
            loop {
                ticks.tick().await;
            }
        });
        std::future::pending::<()>().await;
    });
    assert_eq!(kind(&ran.verdict), Some(FailureKind::Stall));
}

/// Runs `f` on a real thread, and waits for its end.
fn on_real_thread(f: impl FnOnce() + Send) {
    crate::interpose::allow_threads(|| {
        std::thread::scope(|threads| {
            threads.spawn(f);
        });
    });
}

/// Wakes from a real thread must not affect a run. They are dropped, and the report counts them.
#[test]
fn wakes_from_other_threads_are_dropped_and_counted() {
    let ran = rig::run(0, async || {
        let (send, receive) = futures::channel::oneshot::channel();
        on_real_thread(move || send.send(()).expect("the receiver is alive"));
        let (late, never) = futures::channel::oneshot::channel::<()>();
        receive.await.expect("sent before the first poll");
        let waits = spawn(async move { never.await.is_ok() });
        yield_now().await;
        sleep(1.secs()).await;
        on_real_thread(move || drop(late));
        waits.await.expect("never woken");
    });
    let Verdict::Failed(failure) = ran.verdict else { panic!("nobody wakes it") };
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert!(failure.waiting.last().expect("lines").contains("that simmach does not schedule: 1;"));
}

#[test]
fn join_set_returns_tasks_as_they_end() {
    rig::pass(3, async || {
        let mut set = JoinSet::new();
        for n in [3u64, 1, 2] {
            set.spawn(async move {
                sleep(n.secs()).await;
                n
            });
        }
        let mut ended = Vec::new();
        while let Some(n) = set.join_next().await {
            ended.push(n.expect("no task fails"));
        }
        assert_eq!(ended, [1, 2, 3]);
        assert!(set.is_empty());
    });
}

#[test]
fn join_set_aborts_its_tasks_on_drop() {
    rig::pass(0, async || {
        let ran = Arc::new(AtomicU32::new(0));
        let mut set = JoinSet::new();
        let count = Arc::clone(&ran);
        set.spawn(async move {
            sleep(1.secs()).await;
            count.fetch_add(1, Ordering::Relaxed);
        });
        yield_now().await;
        drop(set);
        sleep(5.secs()).await;
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    });
}

/// Calls from destructors at the end of a run have no effect, and do not crash the harness.
#[test]
fn destructors_at_the_end_of_a_run_have_no_effect() {
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    static SPAWNED: AtomicU32 = AtomicU32::new(0);
    struct Busy;
    impl Drop for Busy {
        fn drop(&mut self) {
            drop(spawn_local(async { SPAWNED.fetch_add(1, Ordering::Relaxed) }));
            drop(sleep(1.secs()));
            let _ = crate::rand::random();
            DROPPED.fetch_add(1, Ordering::Relaxed);
            panic!("and panics");
        }
    }
    rig::pass(0, async || {
        let busy = Busy;
        spawn_local(async move {
            let _busy = busy;
            std::future::pending::<()>().await;
        });
        yield_now().await;
    });
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1, "all futures are dropped");
    assert_eq!(SPAWNED.load(Ordering::Relaxed), 0, "and start nothing");
}

#[test]
fn blocking_work_costs_virtual_time() {
    rig::pass(0, async || {
        let start = Instant::now();
        assert_eq!(spawn_blocking(|| 6 * 7).await.expect("the task does not panic"), 42);
        let took = start.elapsed();
        assert!(took >= 20.micros() && took <= 200.micros(), "{took:?}");
    });
}

/// The numbers of a task do not depend on what other tasks draw, and differ between tasks.
#[test]
fn generators_of_tasks_are_independent() {
    fn drawn(noise: bool) -> Arc<std::sync::Mutex<Vec<u64>>> {
        let numbers = Arc::new(std::sync::Mutex::new(Vec::new()));
        let out = Arc::clone(&numbers);
        rig::pass(5, async move || {
            let first = spawn(async move {
                if noise {
                    (0..10).for_each(|_| drop(crate::rand::rng()));
                }
                crate::rand::random()
            });
            let second = spawn(async { (crate::rand::random(), crate::rand::random()) });
            let _ = first.await;
            let (a, b) = second.await.expect("the task does not panic");
            out.lock().unwrap().extend([a, b]);
        });
        numbers
    }
    let (calm, noisy) = (drawn(false), drawn(true));
    assert_eq!(*calm.lock().unwrap(), *noisy.lock().unwrap());
    let numbers = calm.lock().unwrap();
    assert_ne!(numbers[0], numbers[1]);
}

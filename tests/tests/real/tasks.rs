//! Tests tasks, time and randomness outside a run.

use std::collections::BTreeSet;
use std::time::Duration;

use simmach::task::{self, JoinSet};
use simmach::time::{self, Instant, MissedTickBehavior, sleep, timeout};
use simmach::{rand, select};

use crate::run_for_real;

#[test]
fn tasks_end_as_tokio_s_do() {
    run_for_real(async {
        assert_eq!(task::spawn(async { 7 }).await.expect("the task does not panic"), 7);
        assert_eq!(task::spawn_local(async { 8 }).await.expect("the task does not panic"), 8);
        let here = std::thread::current().id();
        let there = task::spawn_blocking(|| std::thread::current().id())
            .await
            .expect("the task does not panic");
        assert_ne!(here, there);
        let panicked = task::spawn(async { panic!("loud") }).await.expect_err("it panicked");
        assert!(panicked.is_panic() && panicked.to_string().ends_with("loud"));
        let endless = task::spawn(std::future::pending::<()>());
        let abort = endless.abort_handle();
        assert!(!abort.is_finished());
        abort.abort();
        assert!(endless.await.expect_err("it was aborted").is_cancelled());
        assert!(abort.is_finished());
        task::yield_now().await;
        let began = Instant::now();
        task::work(Duration::from_secs(60)).await;
        assert!(began.elapsed() < Duration::from_secs(30), "the work itself takes the time");
    });
}

#[test]
fn join_set_aborts_its_tasks_on_drop() {
    struct Told(std::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    run_for_real(async {
        let (tells, hears) = std::sync::mpsc::channel();
        let mut set = JoinSet::new();
        set.spawn(async move {
            let _told = Told(tells);
            std::future::pending::<()>().await;
        });
        set.spawn(async {});
        assert!(set.join_next().await.expect("two tasks").is_ok());
        drop(set);
        sleep(Duration::from_millis(20)).await;
        hears.try_recv().expect("it was dropped");
    });
}

#[test]
fn time_passes() {
    run_for_real(async {
        let began = Instant::now();
        sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert!(timeout(Duration::from_millis(5), std::future::pending::<()>()).await.is_err());
        assert_eq!(timeout(Duration::from_secs(5), async { 1 }).await, Ok(1));
        let mut ticks = time::interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Skip);
        let first = ticks.tick().await;
        let second = ticks.tick().await;
        assert_eq!(second.duration_since(first), Duration::from_millis(10));
        let mut late = Box::pin(time::sleep_until(began + Duration::from_secs(3600)));
        late.as_mut().reset(Instant::now());
        late.await;
    });
}

/// A future that is always ready does not starve the deadline. (With tokio's cooperative budget it would.)
#[test]
fn timeout_of_a_future_that_never_yields() {
    let ran = run_for_real(async {
        let busy = async {
            loop {
                let (sends, receives) = tokio::sync::oneshot::channel();
                sends.send(()).expect("it is awaited");
                receives.await.expect("it was sent");
            }
        };
        timeout(Duration::from_millis(20), busy).await
    });
    assert!(ran.is_err());
}

#[test]
fn select_starts_at_any_branch() {
    let firsts: BTreeSet<_> = run_for_real(async {
        let mut firsts = BTreeSet::new();
        for _ in 0..200 {
            firsts.insert(select! {
                () = async {} => 1,
                () = async {} => 2,
                () = async {} => 3,
            });
        }
        firsts
    });
    assert_eq!(firsts, BTreeSet::from([1, 2, 3]));
}

#[test]
fn generators_differ() {
    let drawn: BTreeSet<u64> = (0..100).map(|_| rand::random()).collect();
    assert_eq!(drawn.len(), 100);
}

//! Tasks, time and chance outside a run.

use std::collections::BTreeSet;
use std::time::Duration;

use simmach::task::{self, JoinSet};
use simmach::time::{self, Instant, MissedTickBehavior, sleep, timeout};
use simmach::{rand, select};

use crate::really;

#[test]
fn tasks_end_as_tokio_s_do() {
    really(async {
        assert_eq!(task::spawn(async { 7 }).await.expect("no panic"), 7);
        assert_eq!(task::spawn_local(async { 8 }).await.expect("no panic"), 8);
        let here = std::thread::current().id();
        let there = task::spawn_blocking(|| std::thread::current().id()).await.expect("no panic");
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
fn a_set_of_tasks_ends_with_its_owner() {
    struct Told(std::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    really(async {
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
fn time_passes_by_itself() {
    really(async {
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

/// One that is always ready does not keep a deadline from being noticed: tokio's budget would.
#[test]
fn who_never_pauses_is_timed_out() {
    let ran = really(async {
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
fn any_branch_may_be_the_first() {
    let firsts: BTreeSet<_> = really(async {
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
fn no_two_generators_are_the_same() {
    let drawn: BTreeSet<u64> = (0..100).map(|_| rand::random()).collect();
    assert_eq!(drawn.len(), 100);
}

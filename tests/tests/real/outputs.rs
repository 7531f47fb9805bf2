//! Tests task outputs whose destructor panics. Neither tokio nor a run passes such a panic on to
//! the code that drops the handle.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use simmach::prelude::*;
use simmach::task::{self, JoinHandle, JoinSet};
use simmach::time::sleep;

use crate::run_for_real;

/// Panics on drop, and counts its drops.
struct Bomb(Arc<AtomicU32>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a bomb was dropped");
    }
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

impl Count {
    fn bomb(&self) -> Bomb {
        Bomb(Arc::clone(&self.0))
    }

    fn is(&self, count: u32) {
        assert_eq!(self.0.load(Ordering::Relaxed), count, "bombs were dropped");
    }
}

async fn a_while() {
    sleep(20.millis()).await;
}

async fn of_a_handle_that_goes_when_its_task_is_over() {
    let count = Count::default();
    let bomb = count.bomb();
    let handle = task::spawn(async move { bomb });
    a_while().await;
    assert!(handle.is_finished());
    drop(handle);
    count.is(1);
    a_while().await;
}

async fn of_a_handle_that_goes_before_its_task_is_over() {
    let count = Count::default();
    let bomb = count.bomb();
    let handle = task::spawn(async move {
        a_while().await;
        bomb
    });
    let abort = handle.abort_handle();
    drop(handle);
    a_while().await;
    a_while().await;
    count.is(1);
    assert!(abort.is_finished());
}

async fn of_a_handle_that_was_aborted_too_late() {
    let count = Count::default();
    let bomb = count.bomb();
    let handle = task::spawn(async move { bomb });
    a_while().await;
    handle.abort();
    a_while().await;
    count.is(0);
    drop(handle);
    count.is(1);
}

async fn of_a_set() {
    let count = Count::default();
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let bomb = count.bomb();
        set.spawn(async move { bomb });
    }
    set.spawn(pending());
    a_while().await;
    count.is(0);
    drop(set);
    count.is(3);
    a_while().await;
}

async fn of_a_set_whose_tasks_go_on() {
    let count = Count::default();
    let mut set = JoinSet::new();
    for wait in [false, true, false] {
        let bomb = count.bomb();
        set.spawn(async move {
            if wait {
                a_while().await;
                a_while().await;
            }
            bomb
        });
    }
    a_while().await;
    set.detach_all();
    count.is(2);
    assert!(set.is_empty());
    for _ in 0..3 {
        a_while().await;
    }
    count.is(3);
}

async fn of_local_and_blocking_tasks() {
    let count = Count::default();
    let bomb = count.bomb();
    let local = task::spawn_local(async move { bomb });
    let bomb = count.bomb();
    let blocking = task::spawn_blocking(move || bomb);
    while !(local.is_finished() && blocking.is_finished()) {
        a_while().await;
    }
    drop((local, blocking));
    count.is(2);
}

/// In the destructor of a user's type, and during another panic.
async fn of_a_handle_in_a_destructor() {
    struct Owner(JoinHandle<Bomb>, Option<JoinHandle<Bomb>>);
    impl Drop for Owner {
        fn drop(&mut self) {
            drop(self.1.take());
        }
    }
    let count = Count::default();
    let owner = |count: &Count| {
        let (one, two) = (count.bomb(), count.bomb());
        Owner(task::spawn(async move { one }), Some(task::spawn(async move { two })))
    };
    let (first, second) = (owner(&count), owner(&count));
    a_while().await;
    assert!(first.0.is_finished());
    drop(first);
    count.is(2);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _second = second;
        panic!("on its way");
    }));
    let words = unwound.expect_err("it panicked").downcast::<&str>().expect("text");
    assert_eq!(*words, "on its way");
    count.is(4);
}

/// An output that was returned by the handle belongs to the caller.
async fn of_one_that_was_handed_over() {
    let count = Count::default();
    let bomb = count.bomb();
    let handed = task::spawn(async move { bomb }).await.unwrap_or_else(|_| panic!("it ended well"));
    count.is(0);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(handed)));
    dropped.expect_err("it is dropped here");
    count.is(1);
}

/// A hand-written future that still holds a value when it is ready: a panic of its destructor is the task's panic, and the
/// output is dropped.
async fn of_a_future_that_is_over() {
    struct Seven(#[allow(dead_code, reason = "it is held to be dropped")] Bomb, Count);
    impl Future for Seven {
        type Output = Count;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Count> {
            Poll::Ready(self.1.clone())
        }
    }
    let (count, output) = (Count::default(), Count::default());
    let ended = task::spawn(Seven(count.bomb(), output.clone())).await;
    let error = ended.err().expect("it panicked");
    assert!(error.is_panic() && error.to_string().ends_with("a bomb was dropped"), "{error}");
    count.is(1);
    assert_eq!(Arc::strong_count(&output.0), 1);
}

/// A waker that panics harms neither the task nor its output.
async fn of_a_waker() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panicked");
        }
    }
    let mut handle = pin!(task::spawn(async {
        a_while().await;
        7
    }));
    let waker = Waker::from(Arc::new(Panics));
    assert!(handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    a_while().await;
    a_while().await;
    let polled = poll_fn(|cx| handle.as_mut().poll(cx)).await;
    assert_eq!(polled.expect("no panic of the task"), 7);
}

/// Makes two tests of each scenario: on tokio, and in a run.
macro_rules! both_ways {
    ($($scenario:ident),* $(,)?) => {
        mod outside {
            $(#[test]
            fn $scenario() {
                super::run_for_real(super::$scenario());
            })*
        }

        mod in_runs {
            $(#[simmach::sim_test(seeds = 5, machines("api" => super::$scenario))]
            async fn $scenario() {
                super::$scenario().await;
                super::sleep(std::time::Duration::from_secs(1)).await;
            })*
        }
    };
}

both_ways! {
    of_a_handle_that_goes_when_its_task_is_over,
    of_a_handle_that_goes_before_its_task_is_over,
    of_a_handle_that_was_aborted_too_late,
    of_a_set,
    of_a_set_whose_tasks_go_on,
    of_local_and_blocking_tasks,
    of_a_handle_in_a_destructor,
    of_one_that_was_handed_over,
    of_a_future_that_is_over,
    of_a_waker,
}

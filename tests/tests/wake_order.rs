//! Tests crates that wake their waiters in an order that does not come from the seed. A calm run
//! must not depend on this order.
//!
//! Each test of the zoo fails with the order in which its tasks ran. The test must shrink to a run
//! without deviations, and always to the same token. This shows that the order in which wakers are
//! called has no effect.
#![allow(clippy::disallowed_types, reason = "what a run must not depend on is used on purpose")]

#[allow(dead_code, reason = "the harness's tests use all of it")]
#[path = "harness/child.rs"]
mod child;

use std::collections::BTreeSet;

use child::Door;

mod zoo {
    use std::collections::HashMap;
    use std::future::{Future, poll_fn};
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Wake, Waker};

    use futures::FutureExt;
    use futures::channel::oneshot;
    use simmach::prelude::*;
    use simmach::task::{spawn, yield_now};
    use simmach::time::sleep;
    use tokio::sync::{Notify, watch};

    const WAITERS: u32 = 6;

    /// Spawns the waiters and lets them wait. Then wakes them, and fails with the order in which
    /// they ran.
    async fn fails_with_the_order<F>(waits: impl Fn(u32) -> F, wakes: impl AsyncFnOnce())
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..WAITERS {
            let (order, wait) = (Arc::clone(&order), waits(number));
            drop(spawn(async move {
                wait.await;
                order.lock().unwrap().push(number);
            }));
        }
        sleep(1.millis()).await;
        wakes().await;
        sleep(1.millis()).await;
        panic!("order {:?}", order.lock().unwrap());
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn watch_changed() {
        let (sender, receiver) = watch::channel(0);
        let waits = |_| {
            let mut receiver = receiver.clone();
            async move { receiver.changed().await.unwrap() }
        };
        fails_with_the_order(waits, async || sender.send(1).unwrap()).await;
    }

    /// The sender is dropped in a spawned task.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn watch_closed() {
        let (sender, receiver) = watch::channel(0);
        let waits = |_| {
            let mut receiver = receiver.clone();
            async move { assert!(receiver.changed().await.is_err(), "the sender is gone") }
        };
        let owner = spawn(async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        });
        fails_with_the_order(waits, async move || owner.abort()).await;
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn notify_waiters() {
        let notify = Arc::new(Notify::new());
        let waits = |_| {
            let notify = Arc::clone(&notify);
            async move { notify.notified().await }
        };
        fails_with_the_order(waits, async || notify.notify_waiters()).await;
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn shared_future() {
        let (sender, receiver) = oneshot::channel::<()>();
        let shared = receiver.shared();
        let waits = |_| shared.clone().map(|sent| sent.unwrap());
        fails_with_the_order(waits, async move || sender.send(()).unwrap()).await;
    }

    /// A list of wakers that wakes them in an order that does not come from the seed.
    #[derive(Default)]
    struct Waiting {
        is_open: bool,
        wakers: HashMap<usize, Waker>,
    }

    #[derive(Clone, Default)]
    struct Gate(Arc<Mutex<Waiting>>);

    impl Gate {
        async fn wait(self) {
            poll_fn(|cx| {
                let mut waiting = self.0.lock().unwrap();
                if waiting.is_open {
                    return Poll::Ready(());
                }
                waiting.wakers.insert(cx.waker().data().addr(), cx.waker().clone());
                Poll::Pending
            })
            .await
        }

        /// Wakes in the order of the wakers' addresses, reversed every other time.
        fn open(&self) {
            static OPENED: AtomicUsize = AtomicUsize::new(0);
            let mut waiting = self.0.lock().unwrap();
            waiting.is_open = true;
            let mut wakers: Vec<(usize, Waker)> = waiting.wakers.drain().collect();
            drop(waiting);
            let opened = OPENED.fetch_add(1, Ordering::Relaxed);
            wakers.sort_by_key(|(address, _)| {
                let mut hasher = DefaultHasher::new();
                (address, opened, std::process::id()).hash(&mut hasher);
                hasher.finish()
            });
            wakers.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    impl Drop for OpensWhenDropped {
        fn drop(&mut self) {
            self.0.open();
        }
    }

    struct OpensWhenDropped(Gate);

    impl Wake for OpensWhenDropped {
        fn wake(self: Arc<Self>) {
            self.0.open();
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn wakers_by_address() {
        let gate = Gate::default();
        fails_with_the_order(|_| gate.clone().wait(), async || gate.open()).await;
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn wakers_by_address_in_a_spawned_task() {
        let gate = Gate::default();
        let opens = async || {
            let gate = gate.clone();
            spawn(async move {
                yield_now().await;
                gate.open();
            })
            .await
            .unwrap();
        };
        fails_with_the_order(|_| gate.clone().wait(), opens).await;
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn wakers_by_address_in_a_destructor() {
        let gate = Gate::default();
        let opens = OpensWhenDropped(gate.clone());
        let owner = spawn(async move {
            let _opens = opens;
            std::future::pending::<()>().await;
        });
        fails_with_the_order(|_| gate.clone().wait(), async move || owner.abort()).await;
    }

    /// A timer's waker wakes all of them.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn wakers_by_address_at_an_event() {
        let gate = Gate::default();
        let waker = Waker::from(Arc::new(OpensWhenDropped(gate.clone())));
        let mut timer = pin!(sleep(1_500.micros()));
        assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        fails_with_the_order(|_| gate.clone().wait(), async || sleep(1.millis()).await).await;
    }
}

/// Checks repeated shrinking, at several numbers of jobs.
#[track_caller]
fn shrinks_to_one_run(name: &str) {
    let mut tokens = BTreeSet::new();
    for jobs in ["1", "2", "2"] {
        let ran = Door::Libtest.run(name, &[("SIMMACH_JOBS", jobs)]);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        for part in [
            "\n  order [0, 1, 2, 3, 4, 5]\n",
            "Shrunk to the test's body alone ",
            "Reproduced in a fresh OS process.",
        ] {
            assert!(ran.text.contains(part), "{jobs} jobs: no {part:?} in:\n{}", ran.text);
        }
        let (_, token) = ran.text.split_once("SIMMACH_REPLAY=").expect("a token");
        let token = token.split_whitespace().next().expect("a token").to_owned();
        let again = Door::Libtest.run(name, &[("SIMMACH_REPLAY", &token)]);
        assert!(again.text.contains("Reproduced exactly."), "{}", again.text);
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 1, "{name}: {tokens:?}");
}

#[test]
fn waiters_of_watch_run_in_spawn_order() {
    shrinks_to_one_run("watch_changed");
    shrinks_to_one_run("watch_closed");
}

#[test]
fn waiters_of_notify_and_shared_run_in_spawn_order() {
    shrinks_to_one_run("notify_waiters");
    shrinks_to_one_run("shared_future");
}

#[test]
fn waiters_of_a_handmade_list_run_in_spawn_order() {
    shrinks_to_one_run("wakers_by_address");
    shrinks_to_one_run("wakers_by_address_in_a_spawned_task");
    shrinks_to_one_run("wakers_by_address_in_a_destructor");
    shrinks_to_one_run("wakers_by_address_at_an_event");
}

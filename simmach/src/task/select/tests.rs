//! Tests that `select!` behaves as tokio documents its own, and that its order is drawn from the
//! seed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use futures::FutureExt;

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::engine::rig;
use crate::task::yield_now;
use crate::time::{DurationUnits, Instant, sleep};

/// Repeats a `select!` of four ready branches twenty times, in a run with this seed. Returns which
/// branch was first each time.
fn firsts(seed: u64, overlay: Overlay) -> Vec<u32> {
    let found: Arc<Mutex<Vec<u32>>> = Arc::default();
    let inside = Arc::clone(&found);
    let body = move || async move {
        for _ in 0..20 {
            let first = select! {
                _ = ready(()) => 0,
                _ = ready(()) => 1,
                _ = ready(()) => 2,
                _ = ready(()) => 3,
            };
            inside.lock().unwrap().push(first);
        }
    };
    assert_eq!(rig::run_with(seed, overlay, || {}, body, || {}).verdict, Verdict::Passed);
    Arc::into_inner(found).unwrap().into_inner().unwrap()
}

#[test]
fn order_is_drawn_from_the_seed() {
    let first = firsts(0, Overlay::default());
    assert_eq!(first, firsts(0, Overlay::default()));
    assert!((1..5).all(|seed| firsts(seed, Overlay::default()) != first));
}

#[test]
fn branches_are_first_equally_often() {
    let mut counts = BTreeMap::new();
    for seed in 0..200 {
        for first in firsts(seed, Overlay::default()) {
            *counts.entry(first).or_insert(0) += 1;
        }
    }
    // 4,000 draws of one in four: about 1,000 each, within five standard deviations.
    assert!(counts.values().all(|count| (860..1_140).contains(count)), "{counts:?}");
    assert_eq!(counts.len(), 4);
}

#[test]
fn calm_and_biased_orders_are_those_of_the_source() {
    assert_eq!(firsts(0, Overlay::calm()), [0; 20]);
    rig::pass(0, || async {
        for _ in 0..20 {
            let first = select! {
                biased;
                _ = ready(()) => 0,
                _ = ready(()) => 1,
                _ = ready(()) => 2,
            };
            assert_eq!(first, 0);
        }
    });
}

#[test]
fn first_ready_branch_wins() {
    rig::pass(0, || async {
        let start = Instant::now();
        let won = select! {
            () = sleep(3.secs()) => "three",
            () = sleep(2.secs()) => "two",
            () = pending() => "never",
        };
        assert_eq!((won, start.elapsed()), ("two", 2.secs()));
    });
}

/// Blocks with and without a comma, expressions, a last branch without a comma, and all kinds of patterns.
#[test]
#[allow(
    clippy::match_single_binding,
    reason = "a handler that is a match needs no comma behind it"
)]
fn syntax_is_that_of_tokio() {
    struct Point {
        x: i32,
        #[allow(dead_code)]
        y: i32,
    }
    rig::pass(0, || async {
        for nth in 0..5 {
            let found = select! {
                Some(mut n) = ready(Some(1)), if nth == 0 => { n += 1; n }
                (a, _) = ready((10, 0)), if nth == 1 => { a },
                Point { x, .. } = ready(Point { x: 20, y: 0 }), if nth == 2 => x,
                Ok(n @ 0..=9) | Err(n) = ready(Err::<i32, i32>(30)), if nth == 3 => match n { n => n },
                [ref first, ..] = ready([40, 41]), if nth == 4 => *first
            };
            assert_eq!(found, [2, 10, 20, 30, 40][nth]);
        }
        let only = select!(n = async { 5 } => n);
        assert_eq!(only, 5);
        assert_eq!(select!(else => 6), 6);
        assert_eq!(select! { biased; _ = ready(()) => { 7 } }, 7);
    });
}

#[test]
fn branch_with_mismatched_output_is_disabled() {
    rig::pass(3, || async {
        let found = select! {
            Some(n) = ready(None::<u32>) => n,
            Ok(n) = async { sleep(1.secs()).await; Ok::<u32, ()>(7) } => n,
            else => unreachable!("one is still in"),
        };
        assert_eq!(found, 7);
        let found = select! {
            Some(n) = ready(None::<u32>) => n,
            Ok(n) = async { sleep(1.secs()).await; Err::<u32, ()>(()) } => n,
            else => 9,
        };
        assert_eq!(found, 9);
    });
}

/// The future of a disabled branch is created but never polled.
#[test]
fn disabled_branch_is_not_polled() {
    rig::pass(0, || async {
        let (made, polled) = (Cell::new(false), Rc::new(Cell::new(false)));
        let make = || {
            made.set(true);
            let polled = Rc::clone(&polled);
            async move { polled.set(true) }
        };
        select! {
            () = make(), if false => unreachable!("it is off"),
            () = sleep(1.secs()) => {}
        }
        assert_eq!((made.get(), polled.get()), (true, false));
    });
}

#[test]
fn all_branches_disabled_without_else_panics() {
    rig::pass(0, || async {
        let panicked = std::panic::AssertUnwindSafe(async {
            select! {
                _ = ready(()), if false => {}
                Some(()) = ready(None) => {}
            }
        });
        let words = panicked.catch_unwind().await.unwrap_err();
        let words = words.downcast_ref::<&str>().unwrap();
        assert_eq!(*words, "all branches are disabled and there is no else branch");
    });
}

/// Handlers may use `?`, `return`, `break` and `continue`.
#[test]
fn handlers_can_use_control_flow() {
    async fn question() -> Result<u32, String> {
        loop {
            let n: u32 = select! {
                text = ready("12x") => text.parse().map_err(|_| text.to_owned())?,
            };
            assert_eq!(n, 0, "never reached");
        }
    }
    #[allow(clippy::needless_return, reason = "that it does is what is tested")]
    async fn returns() -> u32 {
        select! { _ = ready(()) => return 4 }
    }
    rig::pass(0, || async {
        assert_eq!(question().await, Err("12x".to_owned()));
        assert_eq!(returns().await, 4);
        let mut turns = 0;
        loop {
            select! {
                _ = yield_now(), if turns < 3 => { turns += 1; continue }
                else => break,
            }
        }
        assert_eq!(turns, 3);
    });
}

/// Handlers can change what the futures borrow. A handler may also await.
#[test]
fn futures_are_dropped_before_the_handler_runs() {
    struct Tells<'a>(&'a RefCell<Vec<&'static str>>);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped");
        }
    }
    rig::pass(0, || async {
        let log = RefCell::new(Vec::new());
        let slow = |tells| async move {
            let _tells = tells;
            pending::<()>().await;
        };
        let mut text = String::new();
        select! {
            _ = slow(Tells(&log)) => {}
            _ = async { sleep(1.secs()).await; text.push('a'); } => {
                log.borrow_mut().push("handler");
                sleep(1.secs()).await;
                text.push('b');
            }
        }
        assert_eq!((text.as_str(), &log.into_inner()[..]), ("ab", &["dropped", "handler"][..]));
    });
}

/// A future that is passed by reference can be polled further afterwards.
#[test]
fn borrowed_future_is_not_dropped() {
    rig::pass(0, || async {
        let start = Instant::now();
        let mut long = std::pin::pin!(sleep(3.secs()));
        let mut ticks = 0;
        loop {
            select! {
                () = &mut long => break,
                () = sleep(1_100.millis()) => ticks += 1,
            }
        }
        assert_eq!((ticks, start.elapsed()), (2, 3.secs()));
    });
}

#[test]
fn select_can_be_nested() {
    rig::pass(0, || async {
        let found = select! {
            n = async { select! { n = ready(1) => n, () = pending() => 0 } } => {
                select! { m = ready(n + 1) => m, else => 0 }
            }
        };
        assert_eq!(found, 2);
    });
}

#[test]
fn join_waits_for_all() {
    rig::pass(0, || async {
        let start = Instant::now();
        let both = crate::join!(
            async {
                sleep(2.secs()).await;
                1
            },
            async {
                sleep(1.secs()).await;
                2
            }
        );
        assert_eq!((both, start.elapsed()), ((1, 2), 2.secs()));
        let failed = crate::try_join!(
            async {
                sleep(1.secs()).await;
                Err::<(), _>(3)
            },
            async {
                sleep(9.secs()).await;
                Ok(())
            }
        );
        assert_eq!((failed, start.elapsed()), (Err(3), 3.secs()));
    });
}

//! Tests code that sets panic hooks, as crates do that print their own reports. This must not
//! change the failures of other tests, and each report must have the source location of the panic.

#[allow(dead_code, reason = "the harness's tests use all of it")]
#[path = "harness/child.rs"]
mod child;

use std::panic;
use std::process;

use child::Door;
use simmach::prelude::*;
use simmach::time::sleep;

fn silent() {
    panic::set_hook(Box::new(|_| {}));
}

/// Sets a hook that calls the previous one, as many crates do.
fn chains() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| before(info)));
}

/// Sets a hook that keeps the previous hook but never calls it.
fn keeps() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |_| _ = &before));
}

/// Drops the previous hook before it sets its own.
fn throws_away() {
    drop(panic::take_hook());
    panic::set_hook(Box::new(|_| {}));
}

fn panics() {
    panic::set_hook(Box::new(|_| panic!("in the hook")));
}

fn exits() {
    panic::set_hook(Box::new(|_| process::exit(0)));
}

/// Sets a hook that calls the previous one and exits, as servers do that end at any task's panic.
fn chains_and_exits() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        process::exit(0);
    }));
}

macro_rules! zoo {
    ($($hook:ident)*) => {
        mod zoo {$(
            mod $hook {
                use super::super::*;

                async fn installs() {
                    super::super::$hook();
                    std::future::pending().await
                }

                async fn installs_and_dies() {
                    super::super::$hook();
                    sleep(1.millis()).await;
                    panic!("boom");
                }

                /// Sets a hook and panics in the same poll, before simmach's hook is in front again.
                async fn installs_and_dies_at_once() {
                    super::super::$hook();
                    panic!("boom");
                }

                async fn dies() {
                    sleep(1.millis()).await;
                    panic!("boom");
                }

                #[sim_test(seeds = 20, machines("server.zone" => installs))]
                #[ignore = "for the tests below"]
                async fn a_installs() {
                    super::super::$hook();
                    sleep(1.secs()).await;
                }

                #[sim_test(seeds = 20, machines("server.zone" => dies))]
                #[ignore = "for the tests below"]
                async fn b_fails() {
                    sleep(1.secs()).await;
                }

                #[sim_test(seeds = 20, machines("server.zone" => installs))]
                #[ignore = "for the tests below"]
                async fn c_installs_again() {
                    sleep(1.secs()).await;
                }

                #[sim_test(seeds = 20, machines("server.zone" => installs_and_dies_at_once))]
                #[ignore = "for the tests below"]
                async fn fails_at_once() {
                    sleep(1.secs()).await;
                }

                #[sim_test(seeds = 20, machines("server.zone" => installs_and_dies))]
                #[ignore = "for the tests below"]
                async fn fails_by_itself() {
                    sleep(1.secs()).await;
                }
            }
        )*}
    };
}

zoo! { silent chains keeps throws_away panics exits chains_and_exits }

const HOOKS: [&str; 7] =
    ["silent", "chains", "keeps", "throws_away", "panics", "exits", "chains_and_exits"];

/// Checks that there is one failure, reported with machine, task and source location.
#[track_caller]
fn assert_reported(text: &str, test: &str) {
    for part in [
        &format!("{test} failed with seed 0\n"),
        "\n  boom\n",
        "panic at tests/tests/panic_hooks.rs:",
        "on server.zone",
        "Reproduced in a fresh OS process.",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.contains("NOT REPRODUCIBLE"), "{text}");
}

#[test]
fn hook_of_one_test_does_not_change_failures_of_others() {
    for hook in HOOKS {
        // In one process, by one worker at a time, and side by side.
        for (jobs, threads) in [("1", "1"), ("2", "1"), ("2", "3")] {
            let filter =
                [format!("zoo::{hook}::a"), format!("zoo::{hook}::b"), format!("zoo::{hook}::c")];
            let threads = format!("--test-threads={threads}");
            let mut arguments = vec!["--include-ignored", &threads];
            arguments.extend(filter.iter().map(String::as_str));
            let ran = Door::Libtest.with(&arguments, &[("SIMMACH_JOBS", jobs)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_reported(&ran.text, &format!("zoo::{hook}::b_fails"));
            for installs in ["a_installs", "c_installs_again"] {
                let passed = format!("test zoo::{hook}::{installs} ... ok");
                assert!(ran.text.contains(&passed), "no {passed:?} in:\n{}", ran.text);
            }
        }
    }
}

#[test]
fn hook_of_the_same_run_keeps_the_location() {
    for hook in HOOKS {
        for jobs in ["1", "2"] {
            let name = format!("{hook}::fails_by_itself");
            let ran = Door::Libtest.run(&name, &[("SIMMACH_JOBS", jobs)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_reported(&ran.text, &format!("zoo::{name}"));
        }
    }
}

/// If the code removes the previous hook, its own stays until the end of the poll.
#[test]
fn hook_of_the_same_poll_keeps_the_location() {
    for hook in ["silent", "chains", "throws_away", "panics", "exits"] {
        for jobs in ["1", "2"] {
            let name = format!("{hook}::fails_at_once");
            let ran = Door::Libtest.run(&name, &[("SIMMACH_JOBS", jobs)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_reported(&ran.text, &format!("zoo::{name}"));
        }
    }
}

/// A hook that is set outside of runs is called for panics outside of runs only.
#[test]
fn hook_of_the_process_is_called_outside_of_runs_only() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use simmach::program::{Program, Scenario};

    let program = Program::new(|| Scenario::new().body(async |_: Sim| panic!("boom")));
    let fails = || {
        let report = program.run(0).to_string();
        assert!(report.contains("panic_hooks.rs:"), "{report}");
    };
    fails();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        count.fetch_add(1, Ordering::Relaxed);
        // This test's own panic must not be printed.
        if !std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("a_hook_of_the_process"))
        {
            before(info);
        }
    }));
    for _ in 0..3 {
        fails();
        let panicked = panic::catch_unwind(|| panic!("outside"));
        assert!(panicked.is_err());
    }
    assert_eq!(called.load(Ordering::Relaxed), 3);
}

/// Runs of one process that are in progress at the same time do not hide each other's panics.
#[test]
fn panics_of_parallel_runs_keep_their_locations() {
    use simmach::program::{Program, Scenario};

    let run_often = || {
        let program = Program::new(|| {
            Scenario::new().native().body(async |_: Sim| {
                simmach::task::spawn(async {}).await.expect("it ends");
                panic!("boom")
            })
        });
        for seed in 0..2_000 {
            let report = program.run(seed).to_string();
            assert!(report.contains("panic at tests/tests/panic_hooks.rs:"), "{report}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(run_often);
        }
    });
}

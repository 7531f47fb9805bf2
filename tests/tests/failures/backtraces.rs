//! Tests the origin of a panic in reports: the first frame of the user's code, and the backtrace if
//! `RUST_BACKTRACE` is set.

use super::super::{assert_has, assert_has_not, line_of, run};

const FILE: &str = "tests/tests/failures/backtraces.rs";
const SOURCE: &str = include_str!("backtraces.rs");

pub(super) mod zoo {
    use std::collections::VecDeque;

    use simmach::prelude::*;
    use simmach::time::sleep;

    fn swaps() {
        VecDeque::from([1, 2]).swap(0, 7); // swap
    }

    #[sim_test(seeds = 2, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn in_std() {
        sleep(1.secs()).await;
        swaps();
    }

    async fn serves() {
        drop(simmach::task::spawn(async { swaps() }));
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 2, machines("server.zone" => serves))]
    #[ignore = "for the tests below"]
    async fn in_std_in_a_spawned_task() {
        sleep(1.secs()).await;
    }

    struct Swaps;

    impl Drop for Swaps {
        fn drop(&mut self) {
            swaps();
        }
    }

    #[sim_test(seeds = 2)]
    #[ignore = "for the tests below"]
    async fn in_std_in_a_destructor() {
        let _swaps = Swaps;
        sleep(1.secs()).await;
    }

    #[sim_test(seeds = 2)]
    #[ignore = "for the tests below"]
    async fn in_a_dependency() {
        let mut bytes = bytes::Bytes::from_static(b"four");
        sleep(1.secs()).await;
        let _ = bytes.split_to(5); // split
    }

    fn adds(numbers: &[u8], number: usize) -> u8 {
        numbers[number] // index
    }

    #[sim_test(seeds = 2)]
    #[ignore = "for the tests below"]
    async fn in_user_code() {
        sleep(1.secs()).await;
        adds(&[1, 2], std::hint::black_box(2)); // adds
    }

    /// A refusal that happens inside std.
    #[sim_test(seeds = 2, runtime = native)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it is refused")]
    async fn thread() {
        let _ = std::thread::Builder::new().spawn(|| ()); // thread
    }

    /// Several panics in a run, of which all but the last are caught.
    #[sim_test(seeds = 2)]
    #[ignore = "for the tests below"]
    async fn caught_before() {
        for _ in 0..20 {
            assert!(std::panic::catch_unwind(swaps).is_err());
        }
        VecDeque::from([1]).range(3..); // range
    }
}

fn swap() -> String {
    format!("called from {}:32", line_of(FILE, SOURCE, "swap"))
}

#[test]
fn panic_in_std_names_the_caller() {
    let swap = swap();
    for name in ["in_std", "in_std_in_a_spawned_task", "in_std_in_a_destructor"] {
        for jobs in ["1", "2"] {
            let ran = run("backtraces", name, &[("SIMMACH_JOBS", jobs)]);
            assert_has(&ran, &[&swap, "/library/alloc/src/collections/vec_deque/mod.rs:"]);
            assert_has_not(&ran, &["Backtrace:", "NOT REPRODUCIBLE", "not deterministic"]);
        }
    }
}

#[test]
fn panic_in_a_dependency_names_the_caller() {
    let split = line_of(FILE, SOURCE, "split");
    let ran = run("backtraces", "in_a_dependency", &[]);
    assert_has(&ran, &["/bytes-1.", &format!(", called from {split}:"), "split_to out of bounds"]);
}

#[test]
fn panic_in_user_code_names_no_caller() {
    let ran = run("backtraces", "in_user_code", &[]);
    assert_has(&ran, &[&format!("panic at {}:9, on", line_of(FILE, SOURCE, "index"))]);
    assert_has_not(&ran, &["called from", "Backtrace:"]);
}

#[test]
fn latest_of_many_panics_names_its_caller() {
    let ran = run("backtraces", "caught_before", &[]);
    let place = line_of(FILE, SOURCE, "range");
    assert_has(&ran, &[&place]);
    assert_has_not(&ran, &[&swap()]);
}

#[test]
fn refusal_names_the_caller() {
    let ran = run("backtraces", "thread", &[]);
    assert_has(&ran, &[&format!(" s, in {}", line_of(FILE, SOURCE, "thread"))]);
}

#[test]
fn backtrace_is_trimmed_of_executor_and_runtime() {
    for jobs in ["1", "2"] {
        let ran =
            run("backtraces", "in_user_code", &[("RUST_BACKTRACE", "1"), ("SIMMACH_JOBS", jobs)]);
        let [index, adds] = ["index", "adds"].map(|mark| line_of(FILE, SOURCE, mark));
        assert_has(&ran, &["Backtrace:\n", &index, &adds]);
        let backtrace = ran.text.split("Backtrace:").nth(1).expect("it has one");
        let frames = backtrace.split("Run it again").next().expect("its frames");
        for foreign in ["panicking.rs", "simmach/src/", "start_thread", "futures-util"] {
            assert!(!frames.contains(foreign), "{foreign:?} in:\n{frames}");
        }
    }
}

#[test]
fn full_backtrace_has_everything() {
    let ran = run("backtraces", "in_std", &[("RUST_BACKTRACE", "full")]);
    let parts = ["Backtrace:\n", "std/src/panicking.rs", "simmach/src/run.rs", "start_thread"];
    assert_has(&ran, &parts);
    assert_has(&ran, &[&swap()]);
}

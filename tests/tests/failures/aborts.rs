//! Tests panics that abort the process. The report must show their message and source location.

use super::super::{assert_has, assert_has_not, line_of, run, start};

const FILE: &str = "tests/tests/failures/aborts.rs";
const SOURCE: &str = include_str!("aborts.rs");

pub(super) mod zoo {
    use std::ffi::{c_int, c_void};

    use simmach::prelude::*;
    use simmach::time::sleep;

    struct Second;

    impl Drop for Second {
        fn drop(&mut self) {
            panic!("the second panic"); // second
        }
    }

    fn panics_twice() {
        let _second = Second;
        panic!("the first panic"); // first
    }

    async fn idles() {
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 3, machines("a.zone" => idles), client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn destructor_in_the_body() {
        sleep(2.secs()).await;
        panics_twice(); // twice
    }

    async fn serves() {
        let task = simmach::task::spawn(async {
            sleep(1.secs()).await;
            panics_twice();
        });
        let _ = task.await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => serves), hardware = identical)]
    #[ignore = "for the tests below"]
    async fn destructor_in_a_spawned_task() {
        sleep(2.secs()).await;
    }

    /// The future is dropped by the poll's own panic.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn destructor_of_a_dependencys_future() {
        let inner = async {
            let _second = Second;
            futures::future::lazy(|_| panic!("the first panic")).await // lazy
        };
        futures::future::join(inner, std::future::pending::<()>()).await;
    }

    extern "C" fn compares(_: *const c_void, _: *const c_void) -> c_int {
        panic!("no order") // callback
    }

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn callback_of_the_c_library() {
        let mut numbers = [2u8, 1];
        // SAFETY: the array has two numbers of one byte each.
        unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 2, 1, Some(compares)) };
    }

    extern "C" fn calls_back(number: u8) -> u8 {
        assert!(number > 1, "too small a number"); // extern
        number
    }

    async fn serves_and_calls_back() {
        drop(simmach::task::spawn(async { calls_back(1) }));
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => serves_and_calls_back))]
    #[ignore = "for the tests below"]
    async fn extern_function_in_a_spawned_task() {
        sleep(1.secs()).await;
    }

    struct CallsBack;

    impl Drop for CallsBack {
        fn drop(&mut self) {
            calls_back(0);
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn extern_function_in_a_destructor() {
        let _calls = CallsBack;
        sleep(1.secs()).await;
    }

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn violated_precondition() {
        let numbers = [1u8, 2];
        let index = std::hint::black_box(7);
        // SAFETY: none: it is out of bounds.
        std::hint::black_box(unsafe { numbers.get_unchecked(index) }); // unchecked
    }

    /// A panic that was caught in an earlier poll is unrelated to the failure.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn after_a_panic_that_was_caught() {
        assert!(std::panic::catch_unwind(|| panic!("an earlier panic")).is_err());
        sleep(1.secs()).await;
        panics_twice();
    }
}

/// Runs a test with workers, and in the process itself, where no process is left to report.
fn both_ways(name: &str, parts: &[&str]) {
    for jobs in ["1", "2"] {
        let ran = start("aborts", name, &[("SIMMACH_JOBS", jobs)]).die();
        assert_has(&ran, parts);
        let test = format!("in failures::aborts::zoo::{name} with seed 0, on ");
        assert_has(&ran, &[&test]);
    }
}

#[test]
fn panic_in_a_destructor_shows_both_panics() {
    let [first, second] = ["first", "second"].map(|mark| line_of(FILE, SOURCE, mark));
    let first = format!("panic at {first}:9:\n");
    let second = format!("panic at {second}:13:\n");
    let both = [first.as_str(), "the first panic\n", &second, "the second panic\n"];
    both_ways("destructor_in_the_body", &[&both[..], &["on client.zone, at 2s"]].concat());
    let scene = "on server.zone, in the task spawned at tests/tests/failures/aborts.rs:";
    both_ways("destructor_in_a_spawned_task", &[&both[..], &[scene, ", at 1s\n"]].concat());
    both_ways("after_a_panic_that_was_caught", &both);
}

#[test]
fn panic_in_a_destructor_of_a_dependencys_future_shows_both_panics() {
    let lazy = format!("panic at {}:", line_of(FILE, SOURCE, "lazy"));
    both_ways(
        "destructor_of_a_dependencys_future",
        &[&lazy, "the first panic\n", "the second panic\n"],
    );
}

#[test]
fn panic_in_an_extern_function_has_its_place() {
    let callback = format!("panic at {}:9:\n", line_of(FILE, SOURCE, "callback"));
    both_ways("callback_of_the_c_library", &[&callback, "no order\n", "on client.zone, at 0ns\n"]);
    let place = format!("panic at {}:9:\n", line_of(FILE, SOURCE, "extern"));
    let parts = [place.as_str(), "too small a number\n"];
    both_ways("extern_function_in_a_spawned_task", &[&parts[..], &["on server.zone"]].concat());
    both_ways("extern_function_in_a_destructor", &parts);
}

#[test]
fn violated_precondition_of_unsafe_code_has_its_place() {
    let place = line_of(FILE, SOURCE, "unchecked");
    both_ways("violated_precondition", &["unsafe precondition(s) violated", &place]);
}

#[test]
fn panic_that_was_caught_before_is_not_shown() {
    for jobs in ["1", "2"] {
        let name = "after_a_panic_that_was_caught";
        let ran = start("aborts", name, &[("SIMMACH_JOBS", jobs)]).die();
        assert_has_not(&ran, &["an earlier panic"]);
    }
}

#[test]
fn backtraces_are_shown_where_they_are_asked_for() {
    let ran = run("aborts", "destructor_in_the_body", &[("RUST_BACKTRACE", "1")]);
    assert_has(&ran, &["    0: ", &format!("at {}", line_of(FILE, SOURCE, "twice"))]);
}

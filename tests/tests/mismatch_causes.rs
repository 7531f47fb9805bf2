//! Tests programs that are not deterministic. The harness must detect each of them and name the
//! cause.
//!
//! These programs are the tests of the *zoo*. Child processes of this test binary run the zoo; in
//! this process, its tests are ignored.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do on purpose what must be caught"
)]

#[allow(dead_code, reason = "the harness's tests use all of it")]
#[path = "harness/child.rs"]
mod child;

use child::{Door, Ran};

mod zoo {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, OnceLock};
    use std::thread;
    use std::time::SystemTime;

    use regex::Regex;
    use simmach::net::UdpSocket;
    use simmach::prelude::*;
    use simmach::task::spawn;
    use simmach::time::sleep;

    /// Puts a number into the trace by sleeping for that number of nanoseconds.
    async fn shows(number: u64) {
        sleep((number % 1_000_000).nanos()).await;
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_map_hashed_by_addresses() {
        let map: ahash::AHashMap<u64, ()> = (0..30).map(|key| (key, ())).collect();
        for key in map.keys() {
            shows(*key).await;
        }
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn an_unbiased_select() {
        for _ in 0..30 {
            let branch = tokio::select! {
                () = std::future::ready(()) => 1,
                () = std::future::ready(()) => 2,
            };
            shows(branch).await;
        }
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_static_counter() {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        shows(COUNTER.fetch_add(1, Ordering::Relaxed)).await;
    }

    fn order_of_a_map() -> u64 {
        let map: HashMap<u64, ()> = (0..30).map(|key| (key, ())).collect();
        map.keys().fold(0, |order, key| order.wrapping_mul(31).wrapping_add(*key))
    }

    #[sim_test(seeds = 40, check = true, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_map_behind_a_static_regex() {
        static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\w+\s").unwrap());
        assert!(WORD.is_match("word "));
        shows(order_of_a_map()).await;
    }

    #[sim_test(seeds = 40, check = true, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_map_behind_a_pool_of_maps() {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let takes_from_a_pool = || {
            if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(5) {
                order_of_a_map();
            }
            order_of_a_map()
        };
        let task = spawn(async move { takes_from_a_pool() });
        shows(task.await.unwrap()).await;
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_cell_that_the_first_run_fills(sim: Sim) {
        static CELL: OnceLock<u64> = OnceLock::new();
        shows(*CELL.get_or_init(|| sim.seed())).await;
    }

    async fn listens() -> Result {
        let socket = UdpSocket::bind("0.0.0.0:7").await?;
        loop {
            socket.recv_from(&mut [0; 100]).await?;
        }
    }

    #[sim_test(seeds = 40, runtime = native, machines("listener" => listens))]
    #[ignore = "for the tests below"]
    async fn an_address_in_a_message() -> Result {
        static SOMETHING: u8 = 0;
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        let text = format!("it is at {:p}", &raw const SOMETHING);
        socket.send_to(text.as_bytes(), "listener:7").await?;
        sleep(1.secs()).await;
        Ok(())
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_thread_that_is_refused() {
        let _ = thread::Builder::new().spawn(|| {});
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_thread_that_is_allowed() {
        let real = || SystemTime::now().elapsed().map_or(0, |since| since.as_nanos() as u64);
        let work = move || {
            let before = SystemTime::now();
            (0..100).map(|_| real()).sum::<u64>()
                + before.elapsed().map_or(0, |since| since.as_nanos() as u64)
        };
        let took = simmach::interpose::allow_threads(|| thread::spawn(work).join());
        shows(took.unwrap_or(0)).await;
    }

    #[cfg(target_arch = "x86_64")]
    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn the_processors_clock() {
        // SAFETY: every processor of this kind has it.
        shows(unsafe { core::arch::x86_64::_rdtsc() }).await;
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_file_of_the_systems() -> Result {
        shows(u64::from_ne_bytes(bytes_from_outside()?)).await;
        Ok(())
    }

    /// A number from a file that no run answers: the CPU time of the OS process, in nanoseconds.
    fn bytes_from_outside() -> std::io::Result<[u8; 8]> {
        let text = std::fs::read_to_string("/proc/self/schedstat")?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).map(u64::to_ne_bytes).map_err(std::io::Error::other)
    }

    /// Stands for AWS-LC's generator, which calls no function of the C library.
    #[unsafe(no_mangle)]
    extern "C" fn aws_lc_0_99_0_RAND_bytes(bytes: *mut u8, length: usize) -> i32 {
        // SAFETY: the caller passes a buffer of `length` bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, length) };
        let outside = bytes_from_outside();
        i32::from(outside.is_ok_and(|outside| {
            bytes.iter_mut().zip(outside).map(|(to, byte)| *to = byte).count() > 0
        }))
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_generator_of_a_library() {
        let mut bytes = [0; 8];
        assert_eq!(aws_lc_0_99_0_RAND_bytes(bytes.as_mut_ptr(), bytes.len()), 1);
        shows(u64::from_ne_bytes(bytes)).await;
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn the_number_of_the_process() {
        shows(u64::from(std::process::id())).await;
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn nothing_of_the_kind(sim: Sim) {
        shows(sim.random_range(0..1_000_000u64)).await;
    }

    /// So rare that checking one seed in twenty may miss it; checking all finds it.
    #[sim_test(seeds = 40, check = true, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_counter_that_rarely_shows() {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        shows(u64::from(COUNTER.fetch_add(1, Ordering::Relaxed) == 33)).await;
    }

    async fn starts() {
        Sim::current().state::<AtomicU64>().fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }

    /// Every seed has a fault before this time: only a calm run gets past it.
    #[sim_test(
        seeds = 40,
        machines("machine" => starts),
        runtime = native,
        chaos = PowerOffs::new().every(100.millis()..1.secs()),
    )]
    #[ignore = "for the tests below"]
    async fn a_counter_that_shows_where_nothing_breaks(sim: Sim) {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        sleep(10.secs()).await;
        if sim.state::<AtomicU64>().load(Ordering::Relaxed) == 1 {
            shows(COUNTER.fetch_add(1, Ordering::Relaxed)).await;
        }
    }

    #[sim_test(seeds = 40, check = false, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_counter_that_nobody_looks_at() {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        shows(COUNTER.fetch_add(1, Ordering::Relaxed)).await;
    }

    fn fails_the_tenth_time(counter: &AtomicU64) {
        assert!(counter.fetch_add(1, Ordering::Relaxed) < 10, "the tenth");
    }

    #[sim_test(seeds = 40, check = false, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_failure_of_a_later_run() {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        fails_the_tenth_time(&COUNTER);
    }

    #[sim_test(seeds = 40, check = false, runtime = native)]
    #[ignore = "for the tests below"]
    #[should_panic(expected = "the tenth")]
    async fn an_expected_failure_of_a_later_run() {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        fails_the_tenth_time(&COUNTER);
    }

    /// The first run of each process, which is discarded, passes; all others fail.
    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_failure_of_all_runs_but_the_first() {
        static RAN: AtomicU64 = AtomicU64::new(0);
        assert_eq!(RAN.fetch_add(1, Ordering::Relaxed), 0, "it ran before");
    }

    #[sim_test(seeds = 40, runtime = native)]
    #[ignore = "for the tests below"]
    async fn a_failure_of_a_coin_from_outside() -> Result {
        let bytes = bytes_from_outside()?;
        // Keeps two runs from being equal by chance.
        shows(u64::from_ne_bytes(bytes)).await;
        assert!(bytes[0] < 128, "the coin fell so");
        Ok(())
    }
}

const STATE: &str = "State that outlives a run.";
const ADDRESSES: &str = "Memory addresses.";
const THREAD: &str = "A real thread,";
const OUTSIDE: &str = "An input from outside the run";

/// Checks that the test is caught and the cause named, at several numbers of jobs.
#[track_caller]
fn caught(name: &str, cause: &str) -> Vec<Ran> {
    let mut all = Vec::new();
    for jobs in ["1", "2"] {
        let ran = Door::Libtest.run(name, &[("SIMMACH_JOBS", jobs)]);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        for part in [
            &format!("zoo::{name} is not deterministic: two runs of seed "),
            "The first event that differs is number ",
            "    first run, among other seeds:",
            cause,
            "SIMMACH_CHECK=1 SIMMACH_SEED=",
        ] {
            assert!(ran.text.contains(part), "{jobs} jobs: no {part:?} in:\n{}", ran.text);
        }
        for other in [STATE, ADDRESSES, THREAD, OUTSIDE] {
            assert!(other == cause || !ran.text.contains(other), "{jobs} jobs:\n{}", ran.text);
        }
        all.push(ran);
    }
    all
}

#[test]
fn cause_state_that_outlives_a_run() {
    caught("a_static_counter", STATE);
    caught("a_cell_that_the_first_run_fills", STATE);
}

/// It draws from a counter of the OS process, which each run resets.
#[test]
#[cfg(target_os = "linux")]
fn unbiased_select_repeats() {
    let ran = Door::Libtest.run("an_unbiased_select", &[("SIMMACH_CHECK", "1")]);
    assert_eq!(ran.code, Some(0), "{}", ran.text);
}

/// A map's order depends on the number of maps made before it in its poll.
#[test]
#[cfg(target_os = "linux")]
fn cause_maps_made_by_static_state() {
    for name in ["a_map_behind_a_static_regex", "a_map_behind_a_pool_of_maps"] {
        for ran in caught(name, "State that outlives a run, and the order of std's `HashMap`s.") {
            assert!(!ran.text.contains("the cause is rare"), "{}", ran.text);
        }
    }
}

#[test]
fn cause_addresses() {
    caught("a_map_hashed_by_addresses", ADDRESSES);
    for ran in caught("an_address_in_a_message", ADDRESSES) {
        assert!(ran.text.matches("\"it is at 0x").count() == 2, "both versions:\n{}", ran.text);
    }
}

#[test]
fn cause_real_threads() {
    caught("a_thread_that_is_allowed", THREAD);
    let refused = Door::Libtest.run("a_thread_that_is_refused", &[]);
    assert_eq!(refused.code, Some(101), "{}", refused.text);
    assert!(refused.text.contains("a thread cannot be started here"), "{}", refused.text);
}

#[test]
fn cause_input_from_outside() {
    #[cfg(target_arch = "x86_64")]
    caught("the_processors_clock", OUTSIDE);
    caught("a_file_of_the_systems", OUTSIDE);
}

/// simmach does not see a library's own generator. The report says that the binary has one, which may be the cause.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
fn cause_generators_of_libraries() {
    for ran in caught("a_generator_of_a_library", OUTSIDE) {
        for part in
            ["The cause may be a random number generator", "- AWS-LC, ", "the `ring` provider"]
        {
            assert!(ran.text.contains(part), "no {part:?} in:\n{}", ran.text);
        }
        assert!(!ran.text.contains("- SQLite") && !ran.text.contains("- OpenSSL"), "{}", ran.text);
    }
    // If maps or addresses are the cause, generators are not named.
    for ran in caught("a_map_hashed_by_addresses", ADDRESSES) {
        assert!(!ran.text.contains("AWS-LC, "), "{}", ran.text);
    }
}

#[test]
fn cause_process_id() {
    for ran in caught("the_number_of_the_process", OUTSIDE) {
        assert!(ran.text.contains("`std::process::id`"), "{}", ran.text);
    }
}

/// One in twenty by default, all with `check = true` or `SIMMACH_CHECK=1`, none with `check = false`.
#[test]
fn check_covers_as_many_seeds_as_requested() {
    let code = |name, env: &[(&str, &str)]| {
        let ran = Door::Libtest.run(name, env);
        (ran.code, ran.text)
    };
    let every = ("SIMMACH_CHECK", "1");
    let none = ("SIMMACH_CHECK", "0");
    for (name, env, expected) in [
        ("nothing_of_the_kind", &[][..], 0),
        ("nothing_of_the_kind", &[every], 0),
        ("a_counter_that_rarely_shows", &[("SIMMACH_JOBS", "1")], 101),
        ("a_counter_that_nobody_looks_at", &[], 0),
        ("a_counter_that_nobody_looks_at", &[every], 101),
        ("a_static_counter", &[none], 0),
    ] {
        let (code, text) = code(name, env);
        assert_eq!(code, Some(expected), "{name} with {env:?}:\n{text}");
    }
}

/// Shrunk runs are mostly calm, so calm runs must repeat too. The reported command reproduces the difference.
#[test]
fn check_catches_calm_runs_that_differ() {
    let name = "a_counter_that_shows_where_nothing_breaks";
    for env in [
        &[("SIMMACH_JOBS", "1")][..],
        &[("SIMMACH_JOBS", "2")],
        &[("SIMMACH_JOBS", "8")],
        &[("SIMMACH_CHECK", "1"), ("SIMMACH_SEED", "19")],
    ] {
        let ran = Door::Libtest.run(name, env);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        for part in [
            "is not deterministic: two runs of seed 19 differ even without faults, delays and reordering",
            "    the first time:   ",
            "    the second time:  ",
            "SIMMACH_CHECK=1 SIMMACH_SEED=19 ",
            STATE,
        ] {
            assert!(ran.text.contains(part), "{env:?}: no {part:?} in:\n{}", ran.text);
        }
    }
    let unchecked = Door::Libtest.run(name, &[("SIMMACH_CHECK", "0")]);
    assert_eq!(unchecked.code, Some(0), "{}", unchecked.text);
}

/// A failure that a fresh process does not repeat is not reported as a bug.
#[test]
fn failure_that_does_not_repeat_is_explained() {
    let report = (0..20).find_map(|_| {
        let ran = Door::Libtest.run("a_failure_of_a_coin_from_outside", &[]);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        ran.text.contains(", NOT REPRODUCIBLE").then_some(ran.text)
    });
    let text = report.expect("in one of twenty runs the coin falls differently");
    assert!(text.contains("This is not evidence of a bug") && text.contains(OUTSIDE), "{text}");
}

/// A fresh process repeats this failure, except in the first run, which every process discards.
#[test]
fn failure_of_all_runs_but_the_first_is_state() {
    for jobs in ["1", "2"] {
        let ran =
            Door::Libtest.run("a_failure_of_all_runs_but_the_first", &[("SIMMACH_JOBS", jobs)]);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert!(
            ran.text.contains(", NOT REPRODUCIBLE") && ran.text.contains(STATE),
            "{}",
            ran.text
        );
    }
}

/// Neither with `SIMMACH_KEEP_GOING` nor with `expect_failure`.
#[test]
fn failure_that_does_not_repeat_is_neither_grouped_nor_expected() {
    let going = Door::Libtest.run("a_failure_of_a_later_run", &[("SIMMACH_KEEP_GOING", "1")]);
    assert_eq!(going.code, Some(101), "{}", going.text);
    let note = "    NOT REPRODUCIBLE: in a fresh OS process, this seed passed\n";
    assert!(going.text.contains(note), "{}", going.text);
    let expected = Door::Libtest.run("an_expected_failure_of_a_later_run", &[]);
    assert_eq!(expected.code, Some(101), "{}", expected.text);
    assert!(expected.text.contains(", NOT REPRODUCIBLE"), "{}", expected.text);
}

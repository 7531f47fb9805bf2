//! Tests the harness from outside: its output and its exit status, and that it leaves nothing
//! behind.
//!
//! Child processes run the tests of the *zoo* (`src/fixture/zoo.rs`), which pass, fail, hang and so
//! on. There are two ways to run a test, called *doors*. One is the binary `fixture`, whose `main`
//! is `simmach::main!()`. The other is this test binary, in which the zoo's tests are ordinary
//! `#[test]`s that are ignored.

#[path = "../src/fixture/zoo.rs"]
mod zoo;

#[path = "harness/child.rs"]
mod child;
#[path = "harness/interrupted.rs"]
mod interrupted;
#[path = "harness/kept_disks.rs"]
mod kept_disks;
#[path = "harness/packets.rs"]
mod packets;
#[path = "harness/records.rs"]
mod records;
#[path = "harness/shrinking.rs"]
mod shrinking;

use child::{Door, Ran, Running};

#[track_caller]
fn assert_has(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.text.contains(part), "no {part:?} in:\n{}", ran.text);
    }
}

#[track_caller]
fn assert_has_not(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(!ran.text.contains(part), "{part:?} in:\n{}", ran.text);
    }
}

/// Runs a test through both doors in parallel.
fn through_both(name: &str, env: &[(&str, &str)], check: impl Fn(&Ran)) {
    let running = [Door::Main, Door::Libtest].map(|door| door.start_one(name, env));
    for ran in running.map(Running::end) {
        check(&ran);
    }
}

#[test]
fn passing_test_prints_a_summary() {
    through_both("passes", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(ran, &["test zoo::passes ... ok", "1 passed"]);
        assert_has(ran, &["zoo::passes: 50 seeds passed, 8.3 min of virtual time in "]);
    });
}

#[test]
fn own_process_has_the_state_of_no_other_run() {
    for jobs in ["2", "3"] {
        through_both("uses_a_static", &[("SIMMACH_JOBS", jobs)], |ran| {
            assert_eq!(ran.code, Some(0), "{}", ran.text);
            assert_has(ran, &["zoo::uses_a_static: 20 seeds passed"]);
        });
    }
    through_both("uses_a_static", &[("SIMMACH_JOBS", "1")], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["set SIMMACH_JOBS to 2 or more, or select one seed with SIMMACH_SEED"]);
    });
    let one_seed = [("SIMMACH_JOBS", "1"), ("SIMMACH_SEED", "3"), ("SIMMACH_CHECK", "0")];
    through_both("uses_a_static", &one_seed, |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
    });
}

#[test]
fn failing_test_prints_seed_reason_and_command() {
    through_both("fails_from_30", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &[
                "zoo::fails_from_30 failed with seed 30 (30 seeds passed before this seed)",
                "seed 30 is too much",
                "panic at ",
                "fixture/zoo.rs:",
                "on client.zone, at 1.500 s",
                "Simulated 1.5 s in ",
                "+ 1500 ms  client.zone  about to look",
                "Output:\n    a line that is held back, seed 30\n",
                "SIMMACH_SEED=30 cargo test",
                "-- --exact zoo::fails_from_30",
            ],
        );
        // No output of other runs, no panic message of Rust's, no backtrace, no colours.
        assert_has_not(ran, &["held back, seed 29", "thread '", "stack backtrace", "\x1b"]);
    });
    let [main, libtest] = [Door::Main, Door::Libtest].map(|door| door.run("fails_from_30", &[]));
    assert_has(&main, &["-p simmach-tests --bin fixture -- "]);
    assert_has(&libtest, &["-p simmach-tests --test harness -- ", "--include-ignored"]);
}

/// The whole report is the same at any number of jobs. One job does not hold output back.
#[test]
fn jobs_do_not_change_results() {
    for name in ["fails_from_30", "errs_at_odd", "passes", "expected_boom"] {
        for keep_going in ["0", "1"] {
            let report = |jobs| {
                let env = [("SIMMACH_JOBS", jobs), ("SIMMACH_KEEP_GOING", keep_going)];
                let text = Door::Main.run(name, &env).text;
                let lines = text.lines().filter(|line| {
                    let output = line.contains("held back") || line.contains("Output:");
                    !output && !line.is_empty()
                });
                // Real time differs each time.
                let lines = lines.map(|line| {
                    let line = line.split("; finished in ").next().unwrap_or(line);
                    line.split(" of virtual time in ").next().unwrap_or(line)
                });
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            let [one, two, eight] = ["1", "2", "8"].map(report);
            assert_eq!(one, two, "{name}");
            assert_eq!(two, eight, "{name}");
        }
    }
}

#[test]
fn seed_can_be_chosen() {
    through_both("fails_from_30", &[("SIMMACH_SEED", "29")], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(ran, &["seed 29 passed"]);
    });
    through_both("fails_from_30", &[("SIMMACH_SEED", "150")], |ran| {
        assert_has(ran, &["zoo::fails_from_30 failed with seed 150\n", "SIMMACH_SEED=150"]);
    });
    let flags = Door::Main.with(&["--seed", "29", "--exact", "zoo::fails_from_30"], &[]);
    assert_eq!(flags.code, Some(0), "{}", flags.text);
}

#[test]
fn seeds_by_range_shard_and_random() {
    let run = |variable, value| Door::Main.run("fails_from_30", &[(variable, value)]);
    assert_has(&run("SIMMACH_SEEDS", "25"), &[": 25 seeds passed"]);
    assert_has(&run("SIMMACH_SEEDS", "10..20"), &[": 10 seeds passed (seeds 10..=19)"]);
    assert_has(
        &run("SIMMACH_SEEDS", "28..40"),
        &["failed with seed 30 (2 seeds passed before this seed"],
    );
    assert_has(
        &run("SIMMACH_SHARD", "2/4"),
        &["failed with seed 33 (8 seeds passed before this seed"],
    );
    // The report prints the random range in the form that SIMMACH_SEEDS takes, so that it can be run again.
    let random = Door::Main.run("passes", &[("SIMMACH_SEEDS", "random")]);
    let (_, range) =
        random.text.split_once("(SIMMACH_SEEDS=").expect("no SIMMACH_SEEDS in the output");
    let (range, _) = range.split_once(')').expect("it ends");
    assert_has(&Door::Main.run("passes", &[("SIMMACH_SEEDS", range)]), &[": 50 seeds passed"]);
    let budget = Door::Main.run("passes", &[("SIMMACH_BUDGET", "200ms")]);
    assert_has(&budget, &[" passed (as many seeds as fit into 200.0 ms of real time)"]);
}

#[test]
fn keep_going_groups_failures() {
    through_both("errs_at_odd", &[("SIMMACH_KEEP_GOING", "1")], |ran| {
        assert_has(
            ran,
            &[
                "zoo::errs_at_odd: 11 of 20 seeds failed, in 2 ways",
                "  10 seeds, the lowest is 1\n    seed 1 is odd\n",
                "  seed 10\n    ten\n",
                "zoo::errs_at_odd failed with seed 1",
            ],
        );
    });
}

/// A run that ends its process fails its seed; the results of other seeds stand.
#[test]
fn aborting_run_is_named() {
    through_both("aborts_at_5", &[], |ran| {
        let parts = ["failed with seed 5 (5 seeds passed", "aborted its OS process (SIGABRT)"];
        assert_has(ran, &parts);
        assert_has(ran, &["Output:\n    the last words of seed 5"]);
    });
    through_both("overflows_at_4", &[], |ran| {
        assert_has(ran, &["failed with seed 4 (4 seeds passed", "overflowed its stack (SIGABRT)"]);
    });
    through_both("exits_at_3", &[], |ran| {
        assert_has(ran, &["failed with seed 3 (3 seeds passed", "exit status 0", "process::exit"]);
        assert_eq!(ran.code, Some(101), "an exit with 0 is no pass: {}", ran.text);
    });
    let going = Door::Main.run("aborts_at_5", &[("SIMMACH_KEEP_GOING", "1")]);
    assert_has(&going, &["1 of 40 seeds failed, in one way\n\n  seed 5\n"]);
}

#[test]
fn hanging_run_is_ended_and_named() {
    through_both("loops_at_2", &[("SIMMACH_HANG", "500ms")], |ran| {
        assert_has(
            ran,
            &[
                "failed with seed 2 (2 seeds passed",
                "a task did not yield for 500ms of real time",
                "task hung, on client, at 7.000 s",
            ],
        );
    });
    // The effects before the hang are unknown, so none are shown.
    through_both("loops_at_2", &[("SIMMACH_HANG", "500ms")], |ran| {
        assert_has_not(ran, &["No faults"]);
    });
    // Without workers it ends its own process, and says so.
    let env = [("SIMMACH_HANG", "500ms"), ("SIMMACH_JOBS", "1")];
    through_both("loops_at_2", &env, |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["failed with seed 2", "the remaining tests are not run"]);
        assert_has_not(ran, &["NOT REPRODUCIBLE"]);
    });
    // It is run again in a fresh process first, too.
    through_both("loops_in_a_later_run", &env, |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["failed with seed 2", "NOT REPRODUCIBLE", "the same seed passed"]);
    });
}

#[test]
fn expected_failure_passes() {
    through_both("expected_boom", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(ran, &["zoo::expected_boom: failed with seed 7 as expected: a boom"]);
    });
    for (name, says) in [
        ("expected_but_passes", "none of 20 seeds failed as `#[should_panic]` requires"),
        ("expected_but_other", "none of 20 seeds failed with \"boom\""),
        // Neither an invalid spec nor a dead process counts as a panic.
        ("expected_but_broken", "could not be run"),
        ("expected_but_aborts", "aborted its OS process"),
    ] {
        through_both(name, &[], |ran| {
            assert_eq!(ran.code, Some(101), "{name}: {}", ran.text);
            assert_has(ran, &[says]);
        });
    }
}

#[test]
fn bad_input_is_reported_with_a_remedy() {
    for (variable, value) in [
        ("SIMMACH_SEED", "abc"),
        ("SIMMACH_SEEDS", "0"),
        ("SIMMACH_SEEDS", "20..10"),
        ("SIMMACH_JOBS", "0"),
        ("SIMMACH_SHARD", "3/2"),
        ("SIMMACH_BUDGET", "soon"),
        ("SIMMACH_DIR", "/nowhere/at/all"),
        ("SIMMACH_SEEED", "1"),
    ] {
        // Nor does it pass a test that expects a failure.
        for name in ["passes", "expected_boom"] {
            through_both(name, &[(variable, value)], |ran| {
                assert_eq!(ran.code, Some(101), "{}", ran.text);
                assert_has(ran, &[variable, "could not be run"]);
            });
        }
    }
    through_both("passes", &[("SIMMACH_SEED", "1"), ("SIMMACH_SEEDS", "2")], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["SIMMACH_SEED and SIMMACH_SEEDS cannot be used together"]);
    });
    through_both("no_seeds", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["`seeds` is 0, so no seed would be run"]);
    });
    through_both("link_to_nowhere", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["could not be run", "`nowhere`", "no machine is in the zone"]);
    });
    for (name, said) in [
        ("two_on_one_port", "the service a.zone/two ended with an error: Address already in use"),
        ("service_panics_at_start", "no configuration found"),
    ] {
        through_both(name, &[], |ran| {
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_has(ran, &["none of 100 seeds failed as `#[should_panic]` requires", said]);
        });
    }
    through_both("plan_upside_down", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        let said = ["GracefulMonkey: `every`: the range 10s to 5s is empty", "in 0..=1, got 7"];
        assert_has(ran, &["could not be run", said[0], said[1]]);
    });
    through_both("latency_upside_down", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &["could not be run", "the link from `a` to `a`: `uniform`: the range 2s..1s is empty"],
        );
    });
}

#[test]
fn failure_that_does_not_repeat_is_not_reproducible() {
    through_both("leaks_state", &[], |ran| {
        assert_has(ran, &["NOT REPRODUCIBLE: in a fresh OS process, the same seed passed"]);
    });
}

#[test]
fn libtest_flags_list_filter_and_ignore() {
    let list = Door::Main.with(&["--list", "--format", "terse"], &[]);
    let names: Vec<&str> = list.text.lines().filter(|line| line.starts_with("zoo::")).collect();
    assert!(names.is_sorted() && names.contains(&"zoo::inner::passes: test"), "{names:?}");
    let listed = Door::Libtest.with(&["--list", "--format", "terse"], &[]);
    assert!(names.iter().all(|name| listed.text.contains(name)), "{}", listed.text);

    let ignored = Door::Main.with(&["--exact", "zoo::ignored"], &[]);
    assert_eq!(ignored.code, Some(0));
    assert_has(&ignored, &["test zoo::ignored ... ignored", "1 ignored"]);
    let forced = Door::Main.with(&["--ignored"], &[]);
    assert_has(&forced, &["running 1 test", "test zoo::ignored ... FAILED", "it was ignored"]);
    let both = Door::Main.with(&["--include-ignored", "--exact", "zoo::ignored"], &[]);
    assert_eq!(both.code, Some(101));

    let some = Door::Main.with(&["inner"], &[]);
    assert_has(&some, &["running 1 test", "test zoo::inner::passes ... ok"]);
    let none = Door::Main.with(&["no_such_test"], &[]);
    assert_eq!(none.code, Some(0));
    assert_has(&none, &["running 0 tests", "filtered out"]);
    let threads = Door::Main.with(&["::passes", "--test-threads=1"], &[]);
    assert_has(&threads, &["test zoo::inner::passes ", "test zoo::passes ", "2 passed"]);
}

/// The exit status and results of a command line through both doors.
fn results_of(arguments: &[&str], env: &[(&str, &str)]) -> [(Option<i32>, Vec<String>); 2] {
    [Door::Main, Door::Libtest].map(|door| {
        let ran = door.with(arguments, env);
        let is_result = |line: &&str| line.starts_with("test zoo::") || line.starts_with("error: ");
        // libtest-mimic pads the names of tests.
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut results: Vec<String> = ran.text.lines().filter(is_result).map(words).collect();
        results.sort();
        (ran.code, results)
    })
}

#[test]
fn arguments_select_the_same_tests_in_both_doors() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&["inner", "no_such_test", "talks_to_nobody"], &["inner::passes", "talks_to_nobody"]),
        (&["zoo::passes", "zoo::ignored", "--exact"], &["ignored", "passes"]),
        (&["--exact", "zoo::passes", "passes", "zoo::none"], &["passes"]),
        (&["passes", "--skip", "inner", "--skip=expected"], &["passes"]),
        (&["zoo::passes", "talks_to", "--skip", "zoo::passes"], &["talks_to_nobody"]),
        (&["--exact", "zoo::passes", "--skip", "zoo::passes"], &[]),
    ];
    for (arguments, expected) in cases {
        let arguments = [arguments, &["--include-ignored", "--list"]].concat();
        let lists = [Door::Main, Door::Libtest].map(|door| {
            let text = door.with(&arguments, &[]).text;
            let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
            let names = names.filter_map(|name| name.strip_prefix("zoo::"));
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        let [main, libtest] = lists.map(|mut names| {
            names.sort();
            names
        });
        assert_eq!(main, expected, "{arguments:?}");
        assert_eq!(main, libtest, "{arguments:?}");
    }
    let several = ["--include-ignored", "--exact", "zoo::passes", "zoo::inner::passes"];
    let [main, libtest] = results_of(&several, &[]);
    assert_eq!(main.0, Some(0));
    assert_eq!(main.1, ["test zoo::inner::passes ... ok", "test zoo::passes ... ok"]);
    assert_eq!(main, libtest);
}

#[test]
fn arguments_that_are_wrong_fail_both_doors_alike() {
    let cases: [&[&str]; 8] = [
        &["--test-threads=0"],
        &["--test-threads", "many"],
        &["--test-threads"],
        &["--skip"],
        &["--bogus"],
        &["--color", "blue"],
        &["--ignored", "--include-ignored"],
        &["--exact", "--exact"],
    ];
    for arguments in cases {
        let [main, libtest] = results_of(arguments, &[]);
        assert_eq!(main.0, Some(101), "{arguments:?}");
        assert_eq!(main.1.len(), 1, "{arguments:?}");
        assert_eq!(main, libtest, "{arguments:?}");
    }
    // libtest panics at this one.
    let ran = Door::Main.with(&[], &[("RUST_TEST_THREADS", "0")]);
    assert_eq!(ran.code, Some(101));
    assert_has(&ran, &["error: RUST_TEST_THREADS is `0`, should be a positive integer."]);
    let help = Door::Main.with(&["--help"], &[]);
    assert_eq!(help.code, Some(0));
    assert_has(&help, &["Usage: [OPTIONS] [FILTERS...]", "--test-threads N", "SIMMACH_SEED"]);
}

/// A plan that can hit no machine proves nothing, so the summary warns about it.
#[test]
fn plan_that_does_nothing_is_warned_about() {
    through_both("plan_without_effect", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(ran, &["warning: plan GracefulMonkey had no effect in any seed: 5 runs ended,"]);
        assert_has(
            ran,
            &["before the plan's first fault was due (at 60.0 s or later)", "shorter `every`"],
        );
    });
    // The second of these plans can hit both machines, and does something.
    through_both("partitions_of_one", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(
            ran,
            &[
                "warning: plan Partitions had no effect in any seed: the plan needs at least two machines",
                "only `a` qualifies: the machine of the test's body, `client`, is excluded by default",
            ],
        );
        assert_eq!(ran.text.matches("warning: plan").count(), 1, "{}", ran.text);
    });
    through_both("plan_with_little_effect", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        let text = "warning: plan PowerOffs had an effect in only ";
        assert_has(ran, &[text, " of 200 seeds: ", "these runs took 10.0 s on average"]);
    });
}

/// Workers' output is held back, and shown at once only where libtest shows it.
#[test]
fn nocapture_shows_output_of_runs() {
    for door in [Door::Main, Door::Libtest] {
        let held = door.run("fails_from_30", &[("SIMMACH_SEEDS", "5")]);
        assert_has_not(&held, &["held back"]);
        let shown = door.with(
            &["--include-ignored", "--exact", "zoo::fails_from_30", "--nocapture"],
            &[("SIMMACH_SEEDS", "5")],
        );
        for seed in 0..5 {
            let line = format!("a line that is held back, seed {seed}\n");
            assert_eq!(shown.text.matches(&line).count(), 1, "{}", shown.text);
        }
        assert_has_not(&shown, &["\0"]);
        // nextest always passes --nocapture, and captures the output itself.
        let captured = door.with(
            &["--include-ignored", "--exact", "zoo::fails_from_30", "--nocapture"],
            &[("SIMMACH_SEEDS", "5"), ("NEXTEST", "1")],
        );
        assert_has_not(&captured, &["held back"]);
    }
}

/// The cause is not the folder of the disks: the advice names the limit.
#[cfg(target_os = "linux")]
#[test]
fn process_limits_are_named() {
    for door in [Door::Main, Door::Libtest] {
        for jobs in ["1", "2"] {
            let run = |limit| door.limited(limit, "many_large_stores", &[("SIMMACH_JOBS", jobs)]);
            let free = run("-n 1024");
            assert_eq!(free.code, Some(0), "{}", free.text);
            for (limit, said) in [
                (
                    "-v 25165824",
                    &[
                        "a store of 4 GiB",
                        "`ulimit -v` limits this OS process to 24 GiB",
                        "map_size",
                    ][..],
                ),
                ("-n 48", &["too many open files", "limit of 48 with `ulimit -n`"][..]),
            ] {
                let ran = run(limit);
                assert_eq!(ran.code, Some(101), "{}", ran.text);
                assert_has(&ran, said);
                assert_has(&ran, &["could not be run"]);
                assert_has_not(&ran, &["set SIMMACH_DIR"]);
            }
        }
    }
}

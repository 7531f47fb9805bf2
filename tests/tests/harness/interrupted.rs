//! Tests the harness when a signal ends it: its report, and that it leaves nothing behind.

use std::fs;

use super::child::{Door, is_alive, wait_for};
use super::shrinking::token;
use super::{assert_has, through_both};

const ONE: [&str; 3] = ["--include-ignored", "--exact", "zoo::takes_long"];

#[test]
fn interrupt_names_running_seeds_and_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for door in [Door::Main, Door::Libtest] {
            let running = door.start(&ONE, &[]);
            let workers = running.workers(2);
            running.worker_at_work();
            running.signal(signal);
            let ran = running.end();
            assert_eq!(ran.code, Some(code), "{}", ran.text);
            let says = format!("SIG{signal}");
            assert_has(&ran, &[&says, "while running", "zoo::takes_long, seed "]);
            assert_has(&ran, &["SIMMACH_SEED=", "-- --exact zoo::takes_long"]);
            assert_has(&ran, &["zoo::takes_long: ", " passed, none failed"]);
            assert!(!workers.iter().any(|pid| is_alive(*pid)), "a worker lives");
        }
    }
}

/// The report contains the token of the smallest failing run so far.
#[test]
fn interrupt_while_shrinking_reports_the_best_so_far() {
    for door in [Door::Main, Door::Libtest] {
        let name = format!("shrinking-{}-{door:?}", std::process::id());
        let runs = std::env::temp_dir().join(name);
        let path = runs.display().to_string();
        let arguments = ["--include-ignored", "--exact", "zoo::shrinks_slowly"];
        let running = door.start(&arguments, &[("ZOO_RUNS", &path)]);
        let count = || fs::metadata(&runs).map_or(0, |file| file.len());
        wait_for(|| (count() > 30).then_some(())).expect("it is being shrunk");
        running.signal("INT");
        let ran = running.end();
        fs::remove_file(&runs).expect("it is there");
        assert_eq!(ran.code, Some(130), "{}", ran.text);
        assert_has(
            &ran,
            &[
                "zoo::shrinks_slowly, seed ",
                ": interrupted while shrinking; the smallest failing run so far: ",
            ],
        );
        let replayed = door.run("shrinks_slowly", &[("SIMMACH_REPLAY", &token(&ran))]);
        assert_eq!(replayed.code, Some(101), "{}", replayed.text);
        assert_has(&replayed, &["Reproduced exactly.", "failure \"too often\""]);
    }
}

/// With one job there are no workers; the process deletes its own folder.
#[test]
fn interrupt_without_workers_leaves_nothing() {
    for door in [Door::Main, Door::Libtest] {
        let running = door.start(&ONE, &[("SIMMACH_JOBS", "1")]);
        running.workers(1);
        running.signal("INT");
        let ran = running.end();
        assert_eq!(ran.code, Some(130), "{}", ran.text);
        assert_has(&ran, &["while running 1 seed:", "zoo::takes_long, seed "]);
    }
}

/// The workers notice by themselves, and end with all their files.
#[test]
fn killed_parent_leaves_no_workers() {
    for door in [Door::Main, Door::Libtest] {
        let running = door.start(&ONE, &[]);
        let workers = running.workers(2);
        running.signal("KILL");
        let ran = running.end();
        assert_eq!(ran.code, None);
        let gone = wait_for(|| (!workers.iter().any(|pid| is_alive(*pid))).then_some(()));
        assert!(gone.is_some(), "a worker lives");
    }
}

/// A worker that is killed from outside fails the seed that it was running.
#[test]
fn killed_worker_is_named() {
    let running = Door::Main.start(&ONE, &[("SIMMACH_SEEDS", "60")]);
    let worker = running.worker_at_work().to_string();
    let kill = std::process::Command::new("kill").args(["-s", "KILL", &worker]).status();
    assert!(kill.expect("there is a `kill`").success());
    let ran = running.end();
    assert_has(&ran, &["killed from outside (SIGKILL)", "NOT REPRODUCIBLE"]);
}

/// Workers end with their parent, though it does not wait for them.
#[test]
fn finished_test_leaves_no_workers() {
    through_both("passes", &[], |ran| assert_eq!(ran.code, Some(0), "{}", ran.text));
}

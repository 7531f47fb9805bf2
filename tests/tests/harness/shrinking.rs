//! Tests that failures are shrunk, recorded and replayed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::child::{Door, Ran};
use super::{assert_has, assert_has_not, through_both};

/// Returns the token in a report.
#[track_caller]
pub(crate) fn token(ran: &Ran) -> String {
    let (_, rest) = ran.text.split_once("SIMMACH_REPLAY=").expect(&ran.text);
    rest.split_whitespace().next().expect("a token").to_owned()
}

#[test]
fn failure_is_reported_as_a_story() {
    through_both("shrinks", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &[
                "zoo::shrinks failed with seed ",
                "  Shrunk to 1 fault and 1 step from ",
                "  Reproduced in a fresh OS process.\n",
                "    1. ",
                "  step ",
                "b.zone: loses power\n",
                "the test chooses 3 from 0..4",
                "failure \"b is down\"",
                "  Run it again:\n    SIMMACH_REPLAY=sm2.",
                "  Run the unshrunk seed:\n    SIMMACH_SEED=",
                "-- --exact zoo::shrinks",
            ],
        );
        assert!(token(ran).len() <= 200, "{}", ran.text);
    });
}

/// Every file is a call. Files without content are kept.
#[test]
fn calls_before_a_power_failure_are_shrunk() {
    through_both("has_many_files", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        let shrunk = "db.zone: will lose power in call 30 from now (counting calls that change or sync files, or commit to a store)\n";
        assert_has(ran, &["many files", shrunk]);
    });
}

/// The token is the same whether candidates are run speculatively or one by one.
#[test]
fn token_does_not_depend_on_the_number_of_jobs() {
    for door in [Door::Main, Door::Libtest] {
        let of = |jobs| token(&door.run("shrinks", &[("SIMMACH_JOBS", jobs)]));
        let one = of("1");
        assert_eq!(one, of("1"), "twice");
        assert_eq!(one, of("2"));
        assert_eq!(one, of("8"));
    }
}

#[test]
fn token_has_four_results() {
    for door in [Door::Main, Door::Libtest] {
        let token = token(&door.run("shrinks", &[]));
        let replay = |zoo| door.run("shrinks", &[("SIMMACH_REPLAY", &token), ("ZOO", zoo)]);
        let same = replay("");
        assert_eq!(same.code, Some(101), "{}", same.text);
        assert_has(&same, &["Reproduced exactly.", "b.zone: loses power", "failure \"b is down\""]);
        let fixed = replay("fixed");
        assert_eq!(fixed.code, Some(0), "{}", fixed.text);
        assert_has(&fixed, &["zoo::shrinks: passes now: the run of the token (seed "]);
        let slower = replay("slower");
        assert_eq!(slower.code, Some(101), "{}", slower.text);
        assert_has(&slower, &["Reproduced, but the trace differs between 0.000 s and "]);
        let other = replay("other");
        assert_eq!(other.code, Some(101), "{}", other.text);
        assert_has(
            &other,
            &["Failed in a different way than the run of the token", "failure \"another bug\""],
        );
        for (zoo, why) in [
            ("larger", "machines, links or limits have changed"),
            ("longer", "the test's steps"),
            ("wider", "the test's steps"),
        ] {
            let stale = replay(zoo);
            assert_eq!(stale.code, Some(101), "{}", stale.text);
            assert_has(&stale, &["could not be run", "the token is stale", why]);
        }
        assert_has(&replay(""), &["Reproduced exactly."]);
    }
}

#[test]
fn token_skips_other_tests() {
    let token = token(&Door::Main.run("shrinks", &[]));
    let other = Door::Main.run("fails_from_30", &[("SIMMACH_REPLAY", &token)]);
    assert_eq!(other.code, Some(0), "{}", other.text);
    assert_has(
        &other,
        &["zoo::fails_from_30: skipped because SIMMACH_REPLAY is a token of zoo::shrinks"],
    );
    // A token of another target belongs to no test of this binary.
    let stranger = Door::Libtest.run("shrinks", &[("SIMMACH_REPLAY", &token)]);
    assert_eq!(stranger.code, Some(101), "{}", stranger.text);
    assert_has(&stranger, &["SIMMACH_REPLAY is not in this binary"]);
}

#[test]
fn token_that_is_damaged_is_an_error() {
    let token = token(&Door::Main.run("shrinks", &[]));
    let mut damaged = token.clone().into_bytes();
    let at = damaged.len() / 2;
    damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
    let damaged = String::from_utf8(damaged).expect("letters");
    for (given, why) in [
        (damaged.as_str(), "wrong checksum"),
        ("417", "not a token"),
        ("sm2.made-up", "invalid character '-'"),
        ("sm9.0000", "another version"),
        ("@/nowhere/at/all", "cannot be read"),
    ] {
        for name in ["shrinks", "passes", "expected_boom"] {
            let ran = Door::Main.run(name, &[("SIMMACH_REPLAY", given)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_has(&ran, &["could not be run", "SIMMACH_REPLAY=", why]);
        }
    }
}

#[test]
fn shrink_limit_can_be_set() {
    let run = |shrink| Door::Main.run("shrinks", &[("SIMMACH_SHRINK", shrink)]);
    let off = run("off");
    assert_has_not(&off, &["Shrunk"]);
    assert_has(&off, &["Run it again:\n    SIMMACH_REPLAY=sm2.", "\n    SIMMACH_SEED="]);
    // With shrinking off the token is the seed's own run.
    let replayed = Door::Main.run("shrinks", &[("SIMMACH_REPLAY", &token(&off))]);
    assert_has(&replayed, &["Reproduced exactly.", "failure \"b is down\""]);
    let few = run("3");
    assert_has(&few, &["; tried 3 runs; shrinking ended at the limit in SIMMACH_SHRINK"]);
    // With a low limit the token is still a run that fails.
    let replayed = Door::Main.run("shrinks", &[("SIMMACH_REPLAY", &token(&few))]);
    assert_has(&replayed, &["Reproduced exactly."]);
    assert_has(&run("60s"), &["Shrunk to 1 fault and 1 step from "]);
}

/// At the time limit the report shows the smallest run so far, and says so.
#[test]
fn shrink_limit_of_real_time_is_reported() {
    through_both("shrinks_slowly", &[("SIMMACH_SHRINK", "800ms")], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &[
                "; shrinking ended at the limit of 800ms in SIMMACH_SHRINK.\n",
                "SIMMACH_REPLAY=sm2.",
            ],
        );
    });
}

#[test]
fn progress_is_shown_on_a_terminal() {
    // The runs sleep, so eight at once need no more of the machine than two.
    let env = [("SIMMACH_JOBS", "8")];
    for door in [Door::Main, Door::Libtest] {
        let elsewhere = door.start_one("shrinks_slowly", &env);
        let ran = door.on_a_terminal("shrinks_slowly", &env);
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(&ran, &["\x1b7", "zoo::shrinks_slowly: ", " shrinking runs, "]);
        assert_has_not(&elsewhere.end(), &["\x1b", "shrinking runs"]);
    }
}

/// An even smaller run fails in another way, and is not taken, at any number of jobs.
#[test]
fn shrink_keeps_to_the_same_failure() {
    for jobs in ["1", "2"] {
        through_both("another_bug_is_smaller", &[("SIMMACH_JOBS", jobs)], |ran| {
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_has(ran, &["  Shrunk to 3 steps from 12 steps; tried ", "failure \"many\""]);
            assert_has(ran, &["  Reproduced in a fresh OS process.\n"]);
        });
    }
}

/// The found run repeats, but the shrunk one does not.
#[test]
fn shrunk_run_that_does_not_repeat_is_reported() {
    through_both("repeats_only_as_a_whole", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &["  Shrunk to ", "  NOT reproduced in a fresh OS process: ", "SIMMACH_CHECK=1"],
        );
        assert_has_not(ran, &["NOT REPRODUCIBLE", "Reproduced in a fresh OS process"]);
    });
}

/// A folder for regressions files, locked for one test at a time.
fn regressions() -> (MutexGuard<'static, ()>, PathBuf) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("simmach-regressions");
    // An earlier test that failed may have left a file in its place.
    let _ = fs::remove_dir_all(&folder).or_else(|_| fs::remove_file(&folder));
    (turn, folder)
}

/// A report shows a long token by its file, also if it was not shrunk; without a file it shows the token itself.
#[test]
fn token_that_is_long_is_shown_by_its_file() {
    let (_turn, folder) = regressions();
    let run = |env: &[(&str, &str)]| Door::Main.run("long_token", env);
    let off = ("SIMMACH_SHRINK", "off");
    let found = run(&[off, ("SIMMACH_REGRESSIONS", "write")]);
    assert_eq!(found.code, Some(101), "{}", found.text);
    let shown = token(&found);
    assert_eq!(shown, "@simmach-regressions/fixture/zoo__long_token.txt", "{}", found.text);
    let replayed = run(&[("SIMMACH_REPLAY", &shown)]);
    assert_eq!(replayed.code, Some(101), "{}", replayed.text);
    assert_has(&replayed, &["Reproduced exactly.", "failure \"always\""]);
    let whole = token(&run(&[off]));
    assert!(whole.starts_with("sm2.") && whole.len() > 200, "{whole}");
    assert_has(&run(&[("SIMMACH_REPLAY", &whole)]), &["Reproduced exactly."]);
    let _ = fs::remove_dir_all(&folder);
}

/// Recorded runs are tried first, also once they pass; a token that no longer fits its test is reported.
#[test]
fn regression_is_tried_first() {
    let (_turn, folder) = regressions();
    let file = folder.join("fixture").join("zoo__shrinks.txt");
    let run = |how, zoo| Door::Main.run("shrinks", &[("SIMMACH_REGRESSIONS", how), ("ZOO", zoo)]);
    assert_has(&run("read", ""), &["Shrunk to"]);
    assert!(!file.exists(), "it was to be read only");
    let found = run("write", "");
    let token = token(&found);
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(
        text.contains(&format!("{token} ")) && text.contains(" # 1 fault and 1 step: b is down"),
        "{text}"
    );

    let again = run("write", "");
    assert_eq!(again.code, Some(101), "{}", again.text);
    assert_has(&again, &["recorded in simmach-regressions/fixture/zoo__shrinks.txt", &token]);
    assert_has_not(&again, &["Shrunk to"]);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
    assert_has(&run("off", ""), &["Shrunk to"]);

    let fixed = run("write", "fixed");
    assert_eq!(fixed.code, Some(0), "{}", fixed.text);
    assert_has(
        &fixed,
        &["zoo::shrinks: ran 1 recorded failure before the seeds\n", "50 seeds passed"],
    );

    let larger = run("read", "larger");
    assert_eq!(larger.code, Some(101), "{}", larger.text);
    fs::write(&file, text.replace("sm2.", "sm2.0")).expect("it can be written");
    let stale = run("read", "fixed");
    assert_eq!(stale.code, Some(0), "{}", stale.text);
    assert_has(
        &stale,
        &[
            "the token in simmach-regressions/fixture/zoo__shrinks.txt, line 3, is stale: damaged token",
        ],
    );
    let _ = fs::remove_dir_all(&folder);
}

/// Runs a failing test through this door, and returns the file that records it.
fn record(door: Door, name: &str, folder: &Path) -> PathBuf {
    let found = door.run(name, &[("SIMMACH_REGRESSIONS", "write")]);
    assert_eq!(found.code, Some(101), "{}", found.text);
    let target = match door {
        Door::Main => "fixture",
        Door::Libtest => "harness",
    };
    let file = folder.join(target).join(format!("zoo__{name}.txt"));
    assert!(file.is_file(), "{}", found.text);
    file
}

/// The recorded run passes without a fix: the test now makes another run.
#[test]
fn regression_that_is_no_longer_exercised_is_counted() {
    let (_turn, folder) = regressions();
    for door in [Door::Main, Door::Libtest] {
        record(door, "shrinks", &folder);
        for how in ["read", "write"] {
            let run = |zoo| door.run("shrinks", &[("SIMMACH_REGRESSIONS", how), ("ZOO", zoo)]);
            let other = run("slower+fixed");
            assert_eq!(other.code, Some(0), "{}", other.text);
            assert_has(
                &other,
                &[
                    "ran 1 recorded failure before the seeds\n",
                    "zoo__shrinks.txt, line 3 (seed ",
                    "this recorded run no longer tests its bug",
                ],
            );
            assert_has(&other, &["zoo__shrinks.txt", "Remove the line", "record it again"]);
            let fixed = run("fixed");
            assert_eq!(fixed.code, Some(0), "{}", fixed.text);
            assert_has_not(&fixed, &["no longer tests its bug"]);
            // Nor is a token of a cluster that has changed since.
            let larger = run("larger+fixed");
            assert_eq!(larger.code, Some(0), "{}", larger.text);
            assert_has(
                &larger,
                &["zoo__shrinks.txt, line 3, is stale: the test's machines", "was run instead"],
            );
        }
    }
    let _ = fs::remove_dir_all(&folder);
}

/// If the file cannot be read, the test fails and the file is left unchanged.
#[test]
fn regressions_that_can_not_be_read_fail_the_test() {
    let (_turn, folder) = regressions();
    for door in [Door::Main, Door::Libtest] {
        let file = record(door, "shrinks", &folder);
        let good = fs::read(&file).expect("it was written");
        let expect_error = |why: &str| {
            for how in ["read", "write"] {
                for zoo in ["", "fixed"] {
                    let ran = door.run("shrinks", &[("SIMMACH_REGRESSIONS", how), ("ZOO", zoo)]);
                    assert_eq!(ran.code, Some(101), "{}", ran.text);
                    assert_has(&ran, &["zoo::shrinks could not be run", "zoo__shrinks.txt", why]);
                }
            }
            let off = door.run("shrinks", &[("SIMMACH_REGRESSIONS", "off"), ("ZOO", "fixed")]);
            assert_eq!(off.code, Some(0), "{}", off.text);
        };
        for (bad, why) in [
            (&b"# caf\xe9\n"[..], "line 4: not valid UTF-8"),
            (b"nonsense\n", "line 4: \"nonsense\" is not a token"),
            (b"sm2.0000\n", "line 4: "),
        ] {
            let bytes = [&good, bad].concat();
            fs::write(&file, &bytes).expect("there is room");
            expect_error(why);
            assert_eq!(fs::read(&file).expect("it is there"), bytes);
        }
        fs::remove_file(&file).expect("it is there");
        fs::create_dir(&file).expect("there is room");
        expect_error("not a regular file");
        fs::remove_dir(&file).expect("it is empty");
        std::os::unix::fs::symlink("nowhere", &file).expect("there is room");
        expect_error("is a broken symbolic link");
        fs::remove_file(&file).expect("it is a link");
    }
    let _ = fs::remove_dir_all(&folder);
}

/// Files with a byte-order mark or other line ends, as editors of other systems leave them.
#[test]
fn regressions_of_any_text_format_are_tried_and_replayed() {
    let (_turn, folder) = regressions();
    let file = record(Door::Main, "shrinks", &folder);
    let text = fs::read_to_string(&file).expect("it was written");
    let line = text.lines().last().expect("a token");
    let shown = format!("@{}", file.display());
    for text in [
        format!("\u{feff}{line}"),
        format!("\u{feff}{}", text.replace('\n', "\r\n")),
        line.to_owned(),
    ] {
        fs::write(&file, &text).expect("there is room");
        for how in ["read", "write"] {
            let ran = Door::Main.run("shrinks", &[("SIMMACH_REGRESSIONS", how)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_has(&ran, &["recorded in simmach-regressions/"]);
            assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
        }
        assert_has(
            &Door::Main.run("shrinks", &[("SIMMACH_REPLAY", &shown)]),
            &["Reproduced exactly."],
        );
    }
    fs::write(&file, [line.as_bytes(), b" caf\xe9\n"].concat()).expect("there is room");
    let ran = Door::Main.run("shrinks", &[("SIMMACH_REPLAY", &shown)]);
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(&ran, &["could not be run", "line 1: not valid UTF-8"]);
    let _ = fs::remove_dir_all(&folder);
}

/// Several processes record one failure at once, each before the file exists.
#[test]
fn regressions_are_written_by_several_processes() {
    let (_turn, folder) = regressions();
    let args = ["--include-ignored", "--exact", "zoo::shrinks"];
    let env = [("SIMMACH_REGRESSIONS", "write"), ("SIMMACH_JOBS", "1")];
    let running: Vec<_> = (0..3).map(|_| Door::Main.start(&args, &env)).collect();
    for ran in running {
        assert_eq!(ran.end().code, Some(101));
    }
    let text = fs::read_to_string(folder.join("fixture/zoo__shrinks.txt")).expect("it was written");
    let tokens = text.lines().filter(|line| line.starts_with("sm2.")).count();
    assert_eq!((text.lines().count(), tokens), (3, 1), "{text}");
    let _ = fs::remove_dir_all(&folder);
}

/// The failure itself is still reported.
#[test]
fn regression_that_can_not_be_written_is_reported() {
    let (_turn, folder) = regressions();
    fs::write(&folder, "no folder").expect("there is room");
    let env = [("SIMMACH_REGRESSIONS", "write"), ("SIMMACH_SEED", "0"), ("SIMMACH_SHRINK", "off")];
    let ran = Door::Main.run("long_token", &env);
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(&ran, &["zoo::long_token failed with seed 0", "SIMMACH_REPLAY=sm2."]);
    assert_has(&ran, &["could not be recorded as a regression:\n    simmach-regressions/fixture/"]);
    assert_eq!(fs::read_to_string(&folder).expect("it is there"), "no folder");
    fs::remove_file(&folder).expect("it is there");
}

#[test]
fn expected_failure_is_bounded() {
    through_both("expected_small", &[], |ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert_has(
            ran,
            &[
                "zoo::expected_small: failed with seed ",
                " as expected, shrunk to 1 fault and 1 step in ",
            ],
        );
    });
    through_both("expected_small_but_large", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(
            ran,
            &[
                " as expected, but its shrunk run exceeds the bounds of `expect_failure`: ",
                "3 steps instead of at most 1",
                "SIMMACH_REPLAY=",
            ],
        );
    });
    // Its bounds cannot be checked, since the failure does not repeat.
    through_both("expected_small_but_not_shrunk", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["as expected, but the bounds of `expect_failure` were not checked"]);
    });
    through_both("expected_bug_but_passes", &[], |ran| {
        assert_eq!(ran.code, Some(101), "{}", ran.text);
        assert_has(ran, &["none of 20 seeds failed, but `expect_failure` requires a failure"]);
    });
    let off = Door::Main.run("expected_small_but_large", &[("SIMMACH_SHRINK", "off")]);
    assert_eq!(off.code, Some(0), "{}", off.text);
    assert_has(&off, &["as expected, not shrunk: "]);
}

//! `SIMMACH_KEEP`: the disks of the run that is reported, as folders.

use std::fs;
use std::path::{Path, PathBuf};

use super::child::{Door, Ran};
use super::{assert_has, assert_has_not};

/// A folder that does not exist yet.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

/// Runs the test with its disks kept in this folder.
fn run(door: Door, kept: &Path, env: &[(&str, &str)]) -> Ran {
    door.run("writes_files", &[env, &[("SIMMACH_KEEP", text(kept))]].concat())
}

/// The log that the machine wrote, in the folder that the report names.
#[track_caller]
fn log(ran: &Ran, kept: &Path) -> String {
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    let (_, rest) = ran.text.split_once("as they were at the failure, are in ").expect(&ran.text);
    let (run, rest) = rest.split_once(":\n").expect("a folder");
    assert!(Path::new(run).starts_with(kept), "{run}");
    assert!(rest.starts_with("    db.zone: 1 file\n"), "{rest}");
    let log = Path::new(run).join("db.zone/home/simmach/log");
    fs::read_to_string(log).expect("it was written")
}

/// After shrinking one step is left, with the smallest choice that fails.
#[test]
fn kept_disks_are_those_of_the_shrunk_run() {
    let kept = folder("kept");
    for (door, jobs) in [(Door::Main, "1"), (Door::Main, "2"), (Door::Libtest, "2")] {
        let ran = run(door, &kept, &[("SIMMACH_JOBS", jobs)]);
        assert_has(&ran, &["50 is too much"]);
        assert_eq!(log(&ran, &kept), "50\n", "{}", ran.text);
        let ran = run(door, &kept, &[("SIMMACH_JOBS", jobs), ("SIMMACH_SHRINK", "off")]);
        assert_ne!(log(&ran, &kept), "50\n", "{}", ran.text);
    }
}

#[test]
fn kept_disks_are_those_of_a_token() {
    let kept = folder("kept-by-token");
    let found = Door::Main.run("writes_files", &[]);
    assert_has_not(&found, &["disks"]);
    let (_, rest) = found.text.split_once("SIMMACH_REPLAY=").expect(&found.text);
    let token = rest.split_whitespace().next().expect("a token");
    let ran = run(Door::Main, &kept, &[("SIMMACH_REPLAY", token)]);
    assert_has(&ran, &["Reproduced exactly."]);
    assert_eq!(log(&ran, &kept), "50\n");
}

#[test]
fn kept_disks_that_cannot_be_written_are_a_line_of_the_report() {
    let ran = run(Door::Main, Path::new("/proc/no-such-folder"), &[]);
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(&ran, &["50 is too much", "the disks were not kept: /proc/no-such-folder"]);
}

#[test]
fn passing_tests_keep_no_disks() {
    let kept = folder("kept-by-nobody");
    let ran = Door::Main.run("talks_to_nobody", &[("SIMMACH_KEEP", text(&kept))]);
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(!kept.exists());
}

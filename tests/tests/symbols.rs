//! Which of the C library's functions a binary defines: those of the feature `sim`, and none without it.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const NAMES: [&str; 12] = [
    "clock_gettime",
    "clock_nanosleep",
    "getentropy",
    "gethostname",
    "getrandom",
    "gettimeofday",
    "nanosleep",
    "pthread_create",
    "sched_getaffinity",
    "syscall",
    "sysconf",
    "time",
];

/// Those of the names that a binary defines itself, by `nm`.
fn defined(binary: &Path) -> Vec<String> {
    let ran = Command::new("nm").args(["--defined-only", "--format=posix"]).arg(binary).output();
    let ran = ran.expect("there is an `nm` beside the linker");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> =
        names.filter(|name| NAMES.contains(name)).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn with_the_simulation_all_are_defined() {
    assert_eq!(defined(Path::new(env!("CARGO_BIN_EXE_fixture"))), NAMES);
}

/// Builds in a folder of its own: `cargo test -p simmach-tests --test symbols -- --ignored`.
#[test]
#[ignore = "it builds simmach once more"]
fn without_the_simulation_none_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let manifest = fs::read_to_string(root.join("simmach/Cargo.toml")).expect("it is there");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-sim");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "-p", "simmach", "--example", "without_sim"]);
    build.arg("--no-default-features").arg("--target-dir").arg(&target).current_dir(root);
    if manifest.contains("\nreal = ") {
        build.args(["--features", "real"]);
    }
    let ran = build.output().expect("there is a cargo");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(defined(&target.join("debug/examples/without_sim")), Vec::<String>::new());
}

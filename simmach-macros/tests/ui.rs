//! Tests the error messages of `#[sim_test]`. The folder `ui` has a program for each message, and
//! next to it the compiler's output.
//!
//! The programs are checked, not built. After a message has changed,
//! `TRYBUILD=overwrite cargo test --test ui` writes the new outputs; review the difference.
//!
//! The test is in this package because trybuild checks all dependencies of its package in its own target folder, and this
//! package has few.

use std::env;
use std::process::Command;

#[test]
fn errors_point_at_their_tokens() {
    check("errors_point_at_their_tokens", "tests/ui/*.rs");
}

/// The environment variable that is set in the process that runs trybuild.
const INNER: &str = "SIMMACH_MACROS_UI";

/// Flags that prevent a second build of all dependencies. trybuild checks the dependencies without
/// the last of these flags, then adds it, and changed flags mean another build. With this variable
/// set, cargo uses the same flags both times.
const FLAGS: (&str, &str) = (
    "CARGO_ENCODED_RUSTFLAGS",
    "--cfg\x1ftrybuild\x1f--verbose\x1f-A\x1fdead_code\x1f--diagnostic-width=140",
);

/// Runs trybuild in a child process with its own environment.
fn check(test: &str, files: &str) {
    if env::var_os(INNER).is_some() {
        return trybuild::TestCases::new().compile_fail(files);
    }
    let mut command = Command::new(env::current_exe().expect("this test runs"));
    command.args(["--exact", test, "--nocapture"]).env(INNER, "1");
    command.args(env::args().filter(|argument| argument.starts_with("trybuild=")));
    // trybuild handles flags from outside, such as those for coverage.
    if env::var_os("RUSTFLAGS").is_none() {
        command.env(FLAGS.0, FLAGS.1);
    }
    let ran = command.output().expect("this test can be started");
    let [stdout, stderr] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(ran.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// The release whose messages are in `ui/compiler`; others may word them differently.
const WRITTEN_WITH: &str = "rustc 1.95.";

/// Type errors are the compiler's own; their wording changes between releases.
#[test]
fn type_errors_point_at_the_users_tokens() {
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler).arg("--version").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    if version.starts_with(WRITTEN_WITH) {
        check("type_errors_point_at_the_users_tokens", "tests/ui/compiler/*.rs");
    } else {
        eprintln!("skipped: the expected output is from {WRITTEN_WITH}x, and this is {version}");
    }
}

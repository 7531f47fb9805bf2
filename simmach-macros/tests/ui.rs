//! What `#[sim_test]` says to a mistake: each error has a file in `ui`, with the compiler's output beside it.
//!
//! The wrong programs are checked, not built. What is right is built and run by all the other tests. After a change of a
//! message `TRYBUILD=overwrite cargo test --test ui` writes the output anew: read the difference.
//!
//! It is in this package because trybuild checks all dependencies of its package in a target folder of its own: this one has
//! few.

use std::env;
use std::process::Command;

#[test]
fn every_mistake_is_told_on_its_token() {
    check("every_mistake_is_told_on_its_token", "tests/ui/*.rs");
}

/// Set in the process that runs trybuild.
const INNER: &str = "SIMMACH_MACROS_UI";

/// trybuild adds the last of these only when the dependencies have been checked without it: another flag is another build,
/// and cargo checks all of them once more. Where this variable is set, cargo takes the flags from it both times.
const FLAGS: (&str, &str) = (
    "CARGO_ENCODED_RUSTFLAGS",
    "--cfg\x1ftrybuild\x1f--verbose\x1f-A\x1fdead_code\x1f--diagnostic-width=140",
);

/// Runs trybuild in a process of its own, for the sake of its environment.
fn check(test: &str, files: &str) {
    if env::var_os(INNER).is_some() {
        return trybuild::TestCases::new().compile_fail(files);
    }
    let mut command = Command::new(env::current_exe().expect("this test runs"));
    command.args(["--exact", test, "--nocapture"]).env(INNER, "1");
    command.args(env::args().filter(|argument| argument.starts_with("trybuild=")));
    // Flags from outside, as for coverage, are trybuild's business.
    if env::var_os("RUSTFLAGS").is_none() {
        command.env(FLAGS.0, FLAGS.1);
    }
    let ran = command.output().expect("this test can be started");
    let [stdout, stderr] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(ran.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// The release whose words are in `ui/compiler`: another may say the same otherwise.
const WRITTEN_WITH: &str = "rustc 1.95.";

/// Errors of types are the compiler's own, and stand on the user's tokens; its words change from release to release.
#[test]
fn what_the_compiler_says_is_said_of_the_users_tokens() {
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler).arg("--version").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    if version.starts_with(WRITTEN_WITH) {
        check("what_the_compiler_says_is_said_of_the_users_tokens", "tests/ui/compiler/*.rs");
    } else {
        eprintln!("not compared: these words are of {WRITTEN_WITH}x, and this is {version}");
    }
}

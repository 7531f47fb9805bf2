//! What `#[sim_test]` says to a mistake: each error has a file in `ui`, with the compiler's output beside it.
//!
//! The wrong programs are checked, not built. What is right is built and run by all the other tests. After a change of a
//! message `TRYBUILD=overwrite cargo test --test ui` writes the output anew: read the difference.
//!
//! It is in this package because trybuild checks all dependencies of its package, twice, in a target folder of its own: this
//! one has few.

use std::process::Command;

#[test]
fn every_mistake_is_told_on_its_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The release whose words are in `ui/compiler`: another may say the same otherwise.
const WRITTEN_WITH: &str = "rustc 1.95.";

/// Errors of types are the compiler's own, and stand on the user's tokens; its words change from release to release.
#[test]
fn what_the_compiler_says_is_said_of_the_users_tokens() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler).arg("--version").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    if version.starts_with(WRITTEN_WITH) {
        trybuild::TestCases::new().compile_fail("tests/ui/compiler/*.rs");
    } else {
        eprintln!("not compared: these words are of {WRITTEN_WITH}x, and this is {version}");
    }
}

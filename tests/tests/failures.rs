//! Tests the reports of panics, aborts and hangs, and the source locations in these reports.
//!
//! Each module has a *zoo* of failing tests. Child processes of this test binary run the zoo; in
//! this process, its tests are ignored.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the harness's tests use all of it")]
#[path = "harness/child.rs"]
mod child;

#[path = "failures"]
mod failures {
    mod aborts;
    mod backtraces;
    mod hangs;
}

use child::{Door, Ran, Running};

/// Runs a test of the module's zoo, with `RUST_BACKTRACE=0` and the environment `env`.
fn run(module: &str, name: &str, env: &[(&str, &str)]) -> Ran {
    start(module, name, env).end()
}

fn start(module: &str, name: &str, env: &[(&str, &str)]) -> Running {
    let arguments = ["--include-ignored", "--exact", &format!("failures::{module}::zoo::{name}")];
    let env: Vec<_> = [("RUST_BACKTRACE", "0")].iter().chain(env).copied().collect();
    Door::Libtest.start(&arguments, &env)
}

#[track_caller]
fn assert_has(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code.filter(|code| *code == 0), None, "it passed:\n{}", ran.text);
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

/// `file:line` of the first line of a file that ends with this mark.
fn line_of(file: &str, source: &str, mark: &str) -> String {
    let mark = format!("// {mark}");
    let line = source.lines().position(|line| line.ends_with(&mark)).expect("the mark is there");
    format!("{file}:{}", line + 1)
}

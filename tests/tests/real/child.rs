//! Tests that need a separate process: signals, kills, and environment variables.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use simmach::{signal, storage};

use crate::run_for_real;
use crate::storage::{found, put};

/// The environment variable that selects the part that a child process plays.
const PART: &str = "SIMMACH_TEST_PART";

/// Plays the part in a child process. In other processes, this test does nothing.
#[test]
fn part() {
    let Ok(part) = env::var(PART) else { return };
    run_for_real(async {
        match &*part {
            "wait" => {
                let token = signal::token();
                assert!(!token.is_stopped());
                println!("\nready");
                token.stopped().await;
                assert!(token.is_stopped() && signal::token().is_stopped());
                signal::stopped().await;
                println!("stopped");
            }
            "write" => {
                let store = storage::open("kept").await.expect("it opens");
                put(&store, "k", "v").await.expect("the disk has room");
                println!("\nready");
                std::future::pending::<()>().await;
            }
            "read" => {
                let store = storage::open("kept").await.expect("it opens");
                let value = found(&store, "k").await.expect("readable");
                assert_eq!(value.as_deref(), Some("v"));
            }
            "homeless" => {
                let error = storage::open("kept").await.expect_err("there is no folder");
                let text = error.to_string();
                assert!(text.contains("set_folder") && text.contains("SIMMACH_DATA_DIR"), "{text}");
            }
            other => panic!("no such part: {other}"),
        }
    });
}

/// The command for a child process that plays a part.
fn command(part: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test has a path"));
    command.args(["--exact", "child::part", "--nocapture", "--test-threads", "1"]);
    command.env(PART, part).env_remove("SIMMACH_DATA_DIR").stdout(Stdio::piped());
    command
}

/// Waits until the child says that it is ready.
fn ready(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = out.lines().map(|line| line.expect("text"));
    lines.find(|line| line == "ready").expect("it is ready");
    lines
}

#[test]
fn sigterm_stops_a_process() {
    for name in [libc::SIGTERM, libc::SIGINT] {
        let mut child = command("wait").spawn().expect("it starts");
        let mut lines = ready(&mut child);
        // SAFETY: the child is this test's own, and has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, name) }, 0);
        assert!(lines.any(|line| line == "stopped"));
        // Drains the child's further output, so that it does not block.
        lines.for_each(drop);
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn commits_survive_the_process() {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kept-{}", std::process::id()));
    let mut child = command("write").env("SIMMACH_DATA_DIR", &folder).spawn().expect("it starts");
    drop(ready(&mut child));
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    let read = command("read").env("SIMMACH_DATA_DIR", &folder).status().expect("it starts");
    assert!(read.success());
    fs::remove_dir_all(&folder).expect("it is there");
}

#[test]
fn open_without_a_folder_says_how_to_set_one() {
    assert!(command("homeless").status().expect("it starts").success());
}

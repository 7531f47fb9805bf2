//! What needs a process of its own: signals, ends, and the environment.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use simmach::{signal, storage};

use crate::really;
use crate::storage::{found, put};

/// What this process is to do, when it is a child of one of these tests.
const PART: &str = "SIMMACH_TEST_PART";

/// The children's way in: it does nothing by itself.
#[test]
fn part() {
    let Ok(part) = env::var(PART) else { return };
    really(async {
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
                put(&store, "k", "v").await.expect("room");
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

/// A process of this binary, plays its part.
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
fn a_process_hears_that_it_is_to_stop() {
    for name in [libc::SIGTERM, libc::SIGINT] {
        let mut child = command("wait").spawn().expect("it starts");
        let mut lines = ready(&mut child);
        // SAFETY: the child is this test's own, and has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, name) }, 0);
        assert!(lines.any(|line| line == "stopped"));
        // It has more to say, of no interest; but it must be able to.
        lines.for_each(drop);
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn what_is_committed_survives_the_process() {
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
fn a_process_without_a_folder_is_told_how_to_name_one() {
    assert!(command("homeless").status().expect("it starts").success());
}

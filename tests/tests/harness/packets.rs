//! Tests `SIMMACH_PCAP`, which writes the packets of exactly one run to a file.

use std::fs;
use std::path::PathBuf;

use super::child::{Door, Ran};
use super::{assert_has, assert_has_not};

/// Returns a path where no file exists.
fn path(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcapng"));
    let _ = fs::remove_file(&path);
    path.to_str().expect("it is text").to_owned()
}

#[track_caller]
fn assert_packets(path: &str) {
    let octets = fs::read(path).expect("it was written");
    assert_eq!(octets[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header of pcapng");
    for part in ["client.zone", "server.zone", "over the wire", "to itself"] {
        let has = octets.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(has, "no {part:?} in {} bytes", octets.len());
    }
}

#[track_caller]
fn assert_not_run(ran: &Ran, why: &str) {
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(ran, &["zoo::talks could not be run", why]);
    assert_has_not(ran, &["seed 1 passed"]);
}

#[test]
fn packets_are_written_for_passing_and_failing_seeds() {
    for (door, jobs) in [(Door::Main, "1"), (Door::Main, "2"), (Door::Libtest, "2")] {
        for (seed, code) in [("1", 0), ("8", 101)] {
            let path = path("of-a-seed");
            let env = [("SIMMACH_SEED", seed), ("SIMMACH_PCAP", &path), ("SIMMACH_JOBS", jobs)];
            let ran = door.run("talks", &env);
            assert_eq!(ran.code, Some(code), "{}", ran.text);
            assert_has(&ran, &[&format!("packets written to {path} (")]);
            assert_packets(&path);
        }
    }
}

#[test]
fn packets_are_written_for_a_token() {
    let found = Door::Main.run("talks", &[]);
    let (_, rest) = found.text.split_once("SIMMACH_REPLAY=").expect(&found.text);
    let token = rest.split_whitespace().next().expect("a token");
    let path = path("of-a-token");
    let ran = Door::Main.run("talks", &[("SIMMACH_REPLAY", token), ("SIMMACH_PCAP", &path)]);
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(&ran, &["Reproduced exactly.", &format!("packets written to {path} (")]);
    assert_packets(&path);
}

/// The error comes before any run.
#[test]
fn packets_that_cannot_be_written_are_an_error() {
    let path = path("of-many");
    for seeds in ["SIMMACH_SEEDS", "SIMMACH_KEEP_GOING"] {
        let ran = Door::Main.run("talks", &[("SIMMACH_PCAP", &path), (seeds, "1")]);
        assert_not_run(
            &ran,
            "SIMMACH_PCAP requires a single run: set SIMMACH_SEED or SIMMACH_REPLAY, too",
        );
    }
    assert!(fs::metadata(&path).is_err(), "nothing is written");
    let nowhere = format!("{path}/no/such/folder");
    let ran = Door::Main.run("talks", &[("SIMMACH_SEED", "1"), ("SIMMACH_PCAP", &nowhere)]);
    assert_not_run(&ran, "no/such/folder: the file cannot be written: ");
}

/// The first of two tests gets the file, and the second is not run.
#[test]
fn packets_of_two_tests_do_not_share_a_file() {
    let path = path("of-two");
    let arguments = ["--include-ignored", "zoo::talks"];
    let env = [("SIMMACH_SEED", "1"), ("SIMMACH_PCAP", &*path)];
    let ran = Door::Main.with(&arguments, &env);
    assert_has(&ran, &["1 passed; 1 failed", "SIMMACH_PCAP names a file, and the test zoo::talks"]);
}

/// A folder either exists or has `/` at its end. Each test has a file in it, also across processes.
#[test]
fn packets_in_a_folder_have_a_file_per_test() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packets");
    let _ = fs::remove_dir_all(&folder);
    let written = format!("{}/", folder.display());
    let there = folder.to_str().expect("it is text");
    let all = ["--include-ignored", "zoo::talks"];
    let one = ["--include-ignored", "--exact", "zoo::talks"];
    for (door, target) in [(Door::Main, "fixture"), (Door::Libtest, "harness")] {
        let of = |test: &str| folder.join(format!("simmach-tests/{target}/zoo__{test}.pcapng"));
        for (arguments, path, passed) in
            [(&all[..], &*written, "2 passed"), (&one, there, "1 passed")]
        {
            let ran = door.with(arguments, &[("SIMMACH_SEED", "1"), ("SIMMACH_PCAP", path)]);
            assert_has(&ran, &[passed, &format!("packets written to {} (", of("talks").display())]);
            assert_packets(of("talks").to_str().expect("it is text"));
            assert!(of("talks_to_nobody").exists(), "from the run of all");
            fs::remove_file(of("talks")).expect("it was written");
        }
    }
    // With a token only its own test is run, so the others have no file.
    let found = Door::Main.run("talks", &[]);
    let (_, rest) = found.text.split_once("SIMMACH_REPLAY=").expect(&found.text);
    let token = rest.split_whitespace().next().expect("a token");
    fs::remove_dir_all(&folder).expect("it is there");
    let ran = Door::Main.with(&all, &[("SIMMACH_REPLAY", token), ("SIMMACH_PCAP", &written)]);
    assert_has(&ran, &["Reproduced exactly."]);
    let files = fs::read_dir(folder.join("simmach-tests/fixture")).expect("it was made");
    assert_eq!(files.count(), 1);
}

//! `SIMMACH_PCAP`: the packets of one run, and no other, in a file.

use std::fs;
use std::path::PathBuf;

use super::child::{Door, Ran};
use super::{assert_has, assert_has_not};

/// A path of this test's own, where no file is.
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
fn a_seed_has_its_packets_whether_it_passes_or_fails() {
    for (door, jobs) in [(Door::Main, "1"), (Door::Main, "2"), (Door::Libtest, "2")] {
        for (seed, code) in [("1", 0), ("8", 101)] {
            let path = path("of-a-seed");
            let env = [("SIMMACH_SEED", seed), ("SIMMACH_PCAP", &path), ("SIMMACH_JOBS", jobs)];
            let ran = door.run("talks", &env);
            assert_eq!(ran.code, Some(code), "{}", ran.text);
            assert_has(&ran, &[&format!("{path} has its packets")]);
            assert_packets(&path);
        }
    }
}

#[test]
fn a_token_has_its_packets() {
    let found = Door::Main.run("talks", &[]);
    let (_, rest) = found.text.split_once("SIMMACH_REPLAY=").expect(&found.text);
    let token = rest.split_whitespace().next().expect("a token");
    let path = path("of-a-token");
    let ran = Door::Main.run("talks", &[("SIMMACH_REPLAY", token), ("SIMMACH_PCAP", &path)]);
    assert_eq!(ran.code, Some(101), "{}", ran.text);
    assert_has(&ran, &["Reproduced exactly.", &format!("{path} has its packets")]);
    assert_packets(&path);
}

/// Before anything is run.
#[test]
fn what_can_not_be_written_is_told() {
    let path = path("of-many");
    for seeds in ["SIMMACH_SEEDS", "SIMMACH_KEEP_GOING"] {
        let ran = Door::Main.run("talks", &[("SIMMACH_PCAP", &path), (seeds, "1")]);
        assert_not_run(&ran, "SIMMACH_PCAP is for one run: set SIMMACH_SEED or SIMMACH_REPLAY too");
    }
    assert!(fs::metadata(&path).is_err(), "nothing is written");
    let nowhere = format!("{path}/no/such/folder");
    let ran = Door::Main.run("talks", &[("SIMMACH_SEED", "1"), ("SIMMACH_PCAP", &nowhere)]);
    assert_not_run(&ran, "no/such/folder: it can't be written: ");
}

/// Of two tests one has the file, and the other is not run.
#[test]
fn two_tests_do_not_share_a_file() {
    let path = path("of-two");
    let arguments = ["--include-ignored", "zoo::talks"];
    let env = [("SIMMACH_SEED", "1"), ("SIMMACH_PCAP", &*path)];
    let ran = Door::Main.with(&arguments, &env);
    assert_has(&ran, &["1 passed; 1 failed", "SIMMACH_PCAP is a file for one run, and zoo::talks"]);
}

/// A folder is one that is there, or is said to be one; each test has a file in it, in whatever process.
#[test]
fn in_a_folder_each_test_has_a_file() {
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
            assert_has(&ran, &[passed, &format!("{} has its packets", of("talks").display())]);
            assert_packets(of("talks").to_str().expect("it is text"));
            assert!(of("talks_to_nobody").exists(), "from the run of all");
            fs::remove_file(of("talks")).expect("it was written");
        }
    }
    // The token of one test skips the others, which have no file then.
    let found = Door::Main.run("talks", &[]);
    let (_, rest) = found.text.split_once("SIMMACH_REPLAY=").expect(&found.text);
    let token = rest.split_whitespace().next().expect("a token");
    fs::remove_dir_all(&folder).expect("it is there");
    let ran = Door::Main.with(&all, &[("SIMMACH_REPLAY", token), ("SIMMACH_PCAP", &written)]);
    assert_has(&ran, &["Reproduced exactly."]);
    let files = fs::read_dir(folder.join("simmach-tests/fixture")).expect("it was made");
    assert_eq!(files.count(), 1);
}

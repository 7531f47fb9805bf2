//! Tests, crate by crate, what the README says comes from the seed. The values must be equal in the
//! same process, in another process, in a batch and alone.
#![allow(
    clippy::disallowed_methods,
    reason = "what std and the C library answer is what is tested"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime};
use std::{env, fs};

use rand::RngExt as _;
use rand08::Rng as _;
use rand09::Rng as _;

use simmach::prelude::*;
use simmach::time::sleep;

/// The environment variable with the file to which the test below writes the values that it saw.
const REPORT: &str = "DETERMINISM_REPORT";
/// The environment variable with the values for which the body must fail.
const FAILS: &str = "DETERMINISM_FAILS";

/// Records each crate's values, on two machines and on the client.
#[sim_test(seeds = 4, machines("a{1..=2}" => async || { look().await; }), client = "mover")]
async fn everything_promised(sim: Sim) {
    sleep(sim.random_range(1..1_000_000).micros()).await;
    let seen = look().await;
    // Waits for the machines.
    sleep(3.secs()).await;
    assert!(env::var(FAILS).is_err() || env::var(FAILS) != Ok(seen), "as it was asked to");
}

/// Returns all values in one line.
async fn look() -> String {
    let sim = Sim::current();
    let machine = simmach_name();
    let mut seen = Vec::new();
    let mut saw = |what: &'static str, value: String| seen.push((what, value));
    sleep(sim.random_range(1..1_000_000).micros()).await;
    saw("HashMap", in_order_of_a_hash_map());
    let start = Instant::now();
    sleep(sim.random_range(1..1_000_000_000).nanos()).await;
    saw("Instant", format!("{:?}", start.elapsed()));
    saw("SystemTime", format!("{:?}", SystemTime::now()));
    saw("rand 0.8 random", rand08::random::<u64>().to_string());
    saw("rand 0.8 thread_rng", rand08::thread_rng().r#gen::<u64>().to_string());
    saw("rand 0.9 random", rand09::random::<u64>().to_string());
    saw("rand 0.9 rng", rand09::rng().random::<u64>().to_string());
    saw("rand 0.10 random", rand::random::<u64>().to_string());
    saw("rand 0.10 rng", rand::rng().random::<u64>().to_string());
    saw("uuid v4", uuid::Uuid::new_v4().to_string());
    saw("chrono", chrono::Utc::now().to_rfc3339());
    saw("fastrand", fastrand::u64(..).to_string());
    saw("/dev/urandom", by_c_stream(c"/dev/urandom", 8));
    saw("kernel's UUID", kernels_uuid());
    saw("kernel's UUID by C", by_c_stream(c"/proc/sys/kernel/random/uuid", 100));
    if let Some(report) = env::var_os(REPORT) {
        let open = || fs::OpenOptions::new().append(true).create(true).open(report);
        let mut file = simmach::interpose::allow_files(open).unwrap();
        for (what, value) in &seen {
            // In one write, since several processes may append.
            let line = format!("{}\t{machine}\t{what}\t{value}\n", sim.seed());
            file.write_all(line.as_bytes()).unwrap();
        }
    }
    seen.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ")
}

/// The host name by the C library, as a crate would see it.
fn simmach_name() -> String {
    let mut name = [0u8; 65];
    // SAFETY: it is given the bytes, and their number.
    assert_eq!(unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) }, 0);
    String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()
}

/// The kernel's random UUID, which is another one each time.
fn kernels_uuid() -> String {
    let read = || fs::read_to_string("/proc/sys/kernel/random/uuid").expect("it can be read");
    let [uuid, other] = [read(), read()];
    assert_ne!(uuid, other);
    let parsed = uuid::Uuid::parse_str(uuid.trim_end()).expect("it is a UUID");
    assert_eq!((parsed.get_version_num(), uuid.len()), (4, 37));
    uuid.trim_end().to_owned()
}

/// At most `most` bytes of a file, read by a stream of the C library.
fn by_c_stream(path: &std::ffi::CStr, most: usize) -> String {
    let mut bytes = vec![0_u8; most];
    // SAFETY: the arguments are valid, and the stream is open until it is closed.
    let count = unsafe {
        let stream = libc::fopen(path.as_ptr(), c"r".as_ptr());
        assert!(!stream.is_null());
        let count = libc::fread(bytes.as_mut_ptr().cast(), 1, most, stream);
        libc::fclose(stream);
        count
    };
    format!("{:?}", &bytes[..count])
}

#[allow(clippy::disallowed_types, reason = "its order is what is tested")]
fn in_order_of_a_hash_map() -> String {
    let map: std::collections::HashMap<u32, ()> = (0..30).map(|nth| (nth, ())).collect();
    map.keys().map(|key| format!("{key} ")).collect()
}

/// By seed, machine and crate: the value seen.
type Seen = BTreeMap<(String, String, String), String>;

/// What the test above sees in a child process, in which it must pass.
fn report(name: &str, seeds: &str) -> Seen {
    let (seen, text) = seen_by(name, &[("SIMMACH_SEEDS", seeds)]);
    assert!(text.contains("test everything_promised ... ok"), "{text}");
    seen
}

/// What the test sees in a child process, and what that prints, whether it passes or not.
fn seen_by(name: &str, env: &[(&str, &str)]) -> (Seen, String) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("determinism-{name}"));
    let _ = fs::remove_file(&path);
    let text = printed_by(&[env, &[(REPORT, path.to_str().unwrap())]].concat());
    let mut seen = Seen::new();
    for line in fs::read_to_string(&path).unwrap().lines() {
        let [seed, machine, what, value] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not what was written: {line}");
        };
        let key = (seed.to_owned(), machine.to_owned(), what.to_owned());
        let before = seen.insert(key, value.to_owned());
        // A worker's first run is discarded, but is a run of some seed too, and must see the same.
        assert!(before.is_none_or(|before| before == value), "{line}: not what it was before");
    }
    (seen, text)
}

fn printed_by(env: &[(&str, &str)]) -> String {
    let ran = Command::new(env::current_exe().unwrap())
        .args(["everything_promised", "--exact"])
        .envs([("SIMMACH_JOBS", "1"), ("SIMMACH_REGRESSIONS", "off"), ("SIMMACH_SHRINK", "20")])
        // The check would run a seed calm too, which sees other values under the same seed.
        .env("SIMMACH_CHECK", "0")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

#[test]
fn values_are_equal_in_every_process() {
    assert_eq!(report("first", "0..4"), report("again", "0..4"));
}

#[test]
fn values_are_equal_alone_and_in_a_batch() {
    let batch = report("batch", "0..4");
    for seed in ["0", "3"] {
        let mut alone = report(
            &format!("alone-{seed}"),
            &format!("{seed}..{}", seed.parse::<u32>().unwrap() + 1),
        );
        alone.retain(|(own, ..), _| own == seed);
        let mut expected = batch.clone();
        expected.retain(|(own, ..), _| own == seed);
        assert_eq!(alone, expected);
        assert_eq!(alone.len(), 3 * 15);
    }
}

#[test]
fn values_are_equal_by_several_workers() {
    let (by_three, text) = seen_by("three", &[("SIMMACH_SEEDS", "0..4"), ("SIMMACH_JOBS", "3")]);
    assert!(text.contains("test everything_promised ... ok"), "{text}");
    assert_eq!(by_three, report("one", "0..4"));
}

/// The failure depends on what the body saw, so that shrinking cannot make it calm.
#[test]
fn values_are_equal_in_a_replay() {
    let of_the_body = |seen: &Seen| -> Vec<String> {
        let crates = [
            "HashMap",
            "Instant",
            "SystemTime",
            "rand 0.8 random",
            "rand 0.8 thread_rng",
            "rand 0.9 random",
            "rand 0.9 rng",
            "rand 0.10 random",
            "rand 0.10 rng",
            "uuid v4",
            "chrono",
            "fastrand",
            "/dev/urandom",
            "kernel's UUID",
            "kernel's UUID by C",
        ];
        let value =
            |what: &str| seen[&("2".to_owned(), "mover".to_owned(), what.to_owned())].clone();
        crates.map(value).into()
    };
    let expected = of_the_body(&report("whole", "0..4"));
    let fails = expected.join(" ");
    let text = printed_by(&[("SIMMACH_SEEDS", "0..4"), (FAILS, &fails)]);
    let (_, token) = text.split_once("SIMMACH_REPLAY=").expect("it failed, and has a token");
    let token = token.split_whitespace().next().unwrap();
    let (replayed, text) = seen_by("replay", &[("SIMMACH_REPLAY", token), (FAILS, &fails)]);
    assert!(text.contains("Reproduced exactly."), "{text}");
    assert_eq!(of_the_body(&replayed), expected);
}

/// Every crate gives other values under every seed and on every machine.
#[test]
fn values_differ_by_seed_and_machine() {
    let seen = report("seeds", "0..4");
    let crates: BTreeSet<&String> = seen.keys().map(|(.., what)| what).collect();
    assert_eq!(crates.len(), 15);
    for what in crates {
        let values: Vec<_> = seen.iter().filter(|((.., own), _)| own == what).collect();
        let unlike: BTreeSet<_> = values.iter().map(|(_, value)| value).collect();
        // Maps of one thread have related keys, but three machines never agree by chance.
        assert_eq!((values.len(), unlike.len()), (12, 12), "{what}: {values:#?}");
    }
}

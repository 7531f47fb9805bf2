//! Tests a build with `-C instrument-coverage`. Every worker that exits normally must write its
//! profile.
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::Package;

/// Tests that pass, take long or hang.
const ENDS: &str = r#"
use simmach::prelude::*;

#[sim_test(seeds = 40)]
async fn passes() {
    simmach::time::sleep(1.secs()).await;
}

#[sim_test(seeds = 1_000_000)]
async fn takes_long() {
    simmach::interpose::allow_threads(|| std::thread::sleep(Duration::from_millis(20)));
}

#[sim_test(seeds = 1)]
async fn hangs() {
    simmach::time::sleep(1.secs()).await;
    loop {
        std::hint::spin_loop();
    }
}
"#;

/// A test that keeps libtest's process running longer than its workers.
const WAITS: &str = r#"
#[test]
fn waits() {
    std::thread::sleep(Duration::from_secs(3));
}
"#;

/// Builds simmach in a separate folder:
/// `cargo test -p simmach-tests --test own_crate -- --ignored`.
#[test]
#[ignore = "it builds simmach once more"]
fn coverage_profiles_of_all_workers_are_written() {
    let package = Package::new("coverage");
    let manifest = fs::read_to_string(package.path("Cargo.toml")).expect("it was written");
    let main = "[[test]]\nname = \"ends_main\"\nharness = false\n";
    package.write("Cargo.toml", &format!("{manifest}\n{main}"));
    package.write("tests/ends.rs", &format!("{ENDS}{WAITS}"));
    package.write("tests/ends_main.rs", &format!("{ENDS}\nsimmach::main!();\n"));
    // Build scripts and procedural macros are instrumented too.
    let build = "RUSTFLAGS='-C instrument-coverage' LLVM_PROFILE_FILE=\"$PWD/build-%p.profraw\" \
                 cargo test --no-run --test ends --test ends_main";
    let (code, built) = package.shell(build);
    assert_eq!(code, Some(0), "{built}");
    let binaries: Vec<&str> = built.lines().filter_map(executable).collect();
    assert_eq!(binaries.len(), 2, "{built}");
    exit_waits_for_a_slow_worker(&package, Path::new(binaries[0]));
    for binary in binaries {
        let at = |way: &str| Profiled::new(package.path(way), Path::new(binary));

        // The profiles must exist when the process has ended.
        let ended = at("passes").start("passes", &[], &[]).end();
        assert_eq!(ended.code, Some(0), "{binary}");
        // The process itself, two workers, and one that checks that seeds repeat.
        assert!(ended.profiles.len() >= 4, "{binary}: {:?}", ended.profiles);

        let ended = at("hangs").start("hangs", &[], &[("SIMMACH_HANG", "500ms")]).end();
        assert_eq!(ended.code, Some(101), "{binary}");
        assert!(ended.profiles.len() >= 3, "{binary}: {:?}", ended.profiles);

        let alone = [("SIMMACH_HANG", "500ms"), ("SIMMACH_JOBS", "1")];
        let ended = at("hangs_here").start("hangs", &[], &alone).end();
        assert_eq!(ended.code, Some(101), "{binary}");
        assert!(ended.has(ended.parent), "{binary}: {:?}", ended.profiles);

        let running = at("interrupted").start("takes_long", &[], &[]);
        let workers = running.workers();
        running.signal("INT");
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{binary}");
        for pid in [&workers[..], &[ended.parent]].concat() {
            assert!(ended.has(pid), "{binary}: {pid} has none of {:?}", ended.profiles);
        }

        // Its workers notice its end by themselves, and cannot be waited for.
        let running = at("killed").start("takes_long", &[], &[]);
        let workers = running.workers();
        let profiled = running.profiled.clone();
        running.signal("KILL");
        running.end();
        for pid in workers {
            let written = wait_for(|| profiled.profiles().contains(&pid).then_some(()));
            assert!(written.is_some(), "{binary}: {pid} has none of {:?}", profiled.profiles());
        }
    }
}

/// libtest exits without notice: a profile that is written later would be missed.
fn exit_waits_for_a_slow_worker(package: &Package, binary: &Path) {
    let profiled = Profiled::new(package.path("slow"), binary);
    let mut running = profiled.start("passes", &["waits", "--test-threads=1"], &[]);
    let slow = running.workers()[0];
    // The runs end soon; both tests end after three seconds.
    thread::sleep(Duration::from_secs(1));
    signal(slow, "STOP");
    thread::sleep(Duration::from_secs(4));
    let ended = running.child.try_wait().expect("it is ours");
    signal(slow, "CONT");
    assert_eq!(ended, None, "it has not waited for {slow}");
    let ended = running.end();
    assert_eq!(ended.code, Some(0));
    assert!(ended.has(slow), "{slow} has none of {:?}", ended.profiles);
}

/// The executable in a line of cargo's JSON output.
fn executable(line: &str) -> Option<&str> {
    let (_, path) = line.trim().strip_prefix("Executable ")?.split_once('(')?;
    path.strip_suffix(')')
}

/// A test binary, and a folder for its profiles and disks.
#[derive(Clone)]
struct Profiled {
    folder: PathBuf,
    binary: PathBuf,
}

struct Running {
    profiled: Profiled,
    child: Child,
}

struct Ended {
    /// `None` if a signal ended it.
    code: Option<i32>,
    parent: u32,
    profiles: Vec<u32>,
}

impl Profiled {
    fn new(way: PathBuf, binary: &Path) -> Self {
        let name = binary.file_name().expect("a binary has a name");
        let folder = way.join(name);
        fs::create_dir_all(folder.join("disks")).expect("there is room");
        // Cargo may print a path relative to its own working directory.
        let binary = fs::canonicalize(binary).expect("it was built");
        Self { folder, binary }
    }

    fn start(&self, test: &str, more: &[&str], env: &[(&str, &str)]) -> Running {
        let mut command = Command::new(&self.binary);
        let command = command
            .args(["--exact", test])
            .args(more)
            .env_remove("NEXTEST")
            .env("SIMMACH_JOBS", "2")
            .env("SIMMACH_REGRESSIONS", "off")
            .env("SIMMACH_DIR", self.folder.join("disks"))
            .env("LLVM_PROFILE_FILE", self.folder.join("%p.profraw"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running { profiled: self.clone(), child: command.spawn().expect("it was built") }
    }

    /// The processes that have written a valid profile.
    fn profiles(&self) -> Vec<u32> {
        const MAGIC: [u8; 8] = u64::to_ne_bytes(0xff6c_7072_6f66_7281);
        let is_profile = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(&MAGIC));
        let entries = fs::read_dir(&self.folder).expect("it is there").flatten();
        let files = entries.map(|entry| entry.path()).filter(|path| is_profile(path));
        files.filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect()
    }
}

impl Running {
    /// The two workers, once they have begun a run.
    fn workers(&self) -> Vec<u32> {
        let disks = self.profiled.folder.join("disks");
        let at_work =
            |folder: &Path| fs::metadata(folder.join("current")).is_ok_and(|mark| mark.len() > 0);
        let two = wait_for(|| {
            let folders = fs::read_dir(&disks).expect("it is there").flatten();
            let folders = folders.map(|entry| entry.path()).filter(|path| at_work(path));
            let pid =
                |path: PathBuf| path.file_name()?.to_str()?.strip_prefix("simmach-")?.parse().ok();
            let pids: Vec<u32> = folders.filter_map(pid).collect();
            (pids.len() >= 2).then_some(pids)
        });
        two.expect("two workers begin")
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    fn end(mut self) -> Ended {
        let status = wait_for(|| self.child.try_wait().expect("it is ours"));
        let Some(status) = status else {
            let _ = self.child.kill();
            panic!("it does not end");
        };
        Ended { code: status.code(), parent: self.child.id(), profiles: self.profiled.profiles() }
    }
}

impl Ended {
    fn has(&self, pid: u32) -> bool {
        self.profiles.contains(&pid)
    }
}

fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(kill.expect("there is a `kill`").success());
}

/// Calls `ask` until it answers, for a minute at most.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > end {
            return answer;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

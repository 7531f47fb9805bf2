//! A child process that runs tests, and a folder for its disks, which must be empty afterwards.
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The way in which a test is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// By `simmach::main!()`.
    Main,
    /// As a `#[test]` of this test binary.
    Libtest,
}

/// A child process that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` if a signal ended the child.
    pub(crate) code: Option<i32>,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// A running child process.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    disks: Disks,
}

/// The folder for the child's disks, which must be empty when the child has ended.
#[derive(Debug)]
pub(crate) struct Disks(PathBuf);

impl Door {
    /// Runs one test.
    pub(crate) fn run(self, name: &str, env: &[(&str, &str)]) -> Ran {
        self.start_one(name, env).end()
    }

    /// Starts one test.
    pub(crate) fn start_one(self, name: &str, env: &[(&str, &str)]) -> Running {
        self.start(&["--include-ignored", "--exact", &format!("zoo::{name}")], env)
    }

    /// Runs one test under a limit, in the form of a shell's `ulimit`.
    pub(crate) fn limited(self, limit: &str, name: &str, env: &[(&str, &str)]) -> Ran {
        let disks = Disks::new();
        let arguments = ["--include-ignored", "--exact", &format!("zoo::{name}")];
        let inner = self.command(&disks, &arguments, env);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit {limit} && exec \"$0\" \"$@\""));
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("there is a shell");
        Running { child, disks }.end()
    }

    /// Runs with these arguments.
    pub(crate) fn with(self, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
        self.start(arguments, env).end()
    }

    /// Starts with these arguments. The child does not inherit this process's settings.
    pub(crate) fn start(self, arguments: &[&str], env: &[(&str, &str)]) -> Running {
        let disks = Disks::new();
        let mut command = self.command(&disks, arguments, env);
        let child = command.stderr(Stdio::piped()).spawn().expect("the binary is there");
        Running { child, disks }
    }

    /// Runs one test whose standard error is a terminal.
    pub(crate) fn on_a_terminal(self, name: &str, env: &[(&str, &str)]) -> Ran {
        let disks = Disks::new();
        let arguments = ["--include-ignored", "--exact", &format!("zoo::{name}")];
        let mut command = self.command(&disks, &arguments, env);
        let (ours, theirs) = terminal();
        let mut child = command.stderr(theirs).spawn().expect("the binary is there");
        // Closes this side's last handle: reading ends when the child closes its own.
        drop(command);
        let stderr = drain(Some(ours));
        let stdout = drain(child.stdout.take());
        let status = Running { child, disks }.status();
        let [stdout, stderr] =
            [stdout, stderr].map(|thread| thread.join().expect("the thread does not panic"));
        Ran { code: status.code(), text: format!("{stdout}{stderr}") }
    }

    fn command(self, disks: &Disks, arguments: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(match self {
            Self::Main => PathBuf::from(env!("CARGO_BIN_EXE_fixture")),
            Self::Libtest => std::env::current_exe().expect("this test runs"),
        });
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["SIMMACH_", "RUST_", "NEXTEST", "NO_COLOR", "CARGO_TERM"]
                .iter()
                .any(|own| name.starts_with(own))
            {
                command.env_remove(&*name);
            }
        }
        command
            .args(arguments)
            .env("SIMMACH_DIR", &disks.0)
            .env("SIMMACH_JOBS", "2")
            .env("SIMMACH_REGRESSIONS", "off")
            .env("RUST_BACKTRACE", "1")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }
}

impl Running {
    /// Waits for its end, with a timeout, and checks that it leaves neither folders nor processes.
    pub(crate) fn end(self) -> Ran {
        let (ran, disks) = self.wait();
        let left = disks.wait_until_empty();
        assert!(left.is_empty(), "{left:?} is left behind by\n{}", ran.text);
        ran
    }

    /// Like [`Running::end`], for a process that dies of its own run: it leaves its folder, which the next process deletes.
    #[allow(dead_code, reason = "of those who share this file one uses it")]
    pub(crate) fn die(self) -> Ran {
        self.wait().0
    }

    fn wait(mut self) -> (Ran, Disks) {
        let stdout = drain(self.child.stdout.take());
        let stderr = drain(self.child.stderr.take());
        let status = self.status();
        let [stdout, stderr] =
            [stdout, stderr].map(|thread| thread.join().expect("the thread does not panic"));
        let ran = Ran { code: status.code(), text: format!("{stdout}{stderr}") };
        (ran, self.disks)
    }

    /// The process ids of its workers, once there are `n`.
    pub(crate) fn workers(&self, n: usize) -> Vec<u32> {
        let has = |pids: &Vec<u32>| pids.len() >= n;
        wait_for(|| Some(self.disks.pids()).filter(has)).expect("no workers")
    }

    /// A worker that has begun a run.
    pub(crate) fn worker_at_work(&self) -> u32 {
        let is_at_work = |pid: &u32| {
            let mark = self.disks.0.join(format!("simmach-{pid}/current"));
            fs::metadata(mark).is_ok_and(|mark| mark.len() > 0)
        };
        wait_for(|| self.disks.pids().into_iter().find(is_at_work)).expect("no worker begins a run")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("there is a `kill`").success());
    }

    fn status(&mut self) -> ExitStatus {
        let status = wait_for(|| self.child.try_wait().expect("it is ours"));
        status.unwrap_or_else(|| {
            let _ = self.child.kill();
            panic!("it does not end");
        })
    }
}

impl Disks {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-test-{}-{nth}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    /// Waits until it is empty. Returns what is left after a while.
    fn wait_until_empty(&self) -> Vec<String> {
        wait_for(|| entries(&self.0).is_empty().then_some(()));
        entries(&self.0)
    }

    fn pids(&self) -> Vec<u32> {
        let names = entries(&self.0);
        names.iter().filter_map(|name| name.strip_prefix("simmach-")?.parse().ok()).collect()
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether the process is alive. A zombie is not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
    state == Some(false)
}

/// Calls `ask` until it answers, for a minute at most.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > end {
            return answer;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Both sides of a pseudo-terminal: the controlling one first.
fn terminal() -> (fs::File, fs::File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = openpt(flags).expect("the system has terminals");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("a path");
    let theirs = fs::File::options().read(true).write(true).open(name).expect("it is there");
    (ours.into(), theirs)
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut pipe = pipe.expect("it is piped");
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

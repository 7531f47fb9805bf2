//! Worker processes from the parent's side: starts them, waits for them, kills them, and describes
//! how they ended.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use crate::harness::config::JOBS;
use crate::harness::workers::output::WorkerOutput;
use crate::harness::workers::worker::{SHOW_OUTPUT, WORKER};
use crate::harness::workers::{disk, exit_now, no_aslr};

/// A started worker that has not sent its hello message.
pub(crate) struct StartedWorker {
    pub(crate) socket: UnixStream,
    pub(crate) process: Box<dyn ProcessHandle>,
    pub(crate) output: Arc<WorkerOutput>,
}

/// Function that starts a worker. The argument says whether the worker's output is shown as it is
/// written.
pub(crate) type StartWorker = Arc<dyn Fn(bool) -> Result<StartedWorker, StartError> + Send + Sync>;

/// Why a worker process cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The process cannot be started.
    #[error(
        "cannot start a worker process: {0}; set {JOBS} to a smaller number of worker processes"
    )]
    Process(io::Error),
    /// The thread that serves the worker cannot be started.
    #[error(
        "cannot start a thread for a worker process: {0}; set {JOBS} to a smaller number of worker processes"
    )]
    Thread(io::Error),
    /// Address randomization cannot be disabled for the process.
    #[error("this system cannot start a process without address randomization")]
    AddressRandomization,
    /// The worker cannot serve, for this reason.
    #[error("{0}")]
    Worker(String),
    /// The worker's tests differ from those of its parent.
    #[error(
        "the tests of a worker process differ from the tests of its parent: the test binary was replaced while \
         tests ran; run the tests again"
    )]
    OtherTests,
    /// The worker's first message is not its hello.
    #[error(
        "the first message of a worker process was not the expected greeting: this is a bug in simmach"
    )]
    UnexpectedMessage,
    /// The worker exited before its hello.
    #[error("a worker process exited during its startup ({cause}). {}", its_output(output))]
    Startup { cause: ExitCause, output: Vec<u8> },
    /// Several workers in a row exited before their first run.
    #[error(
        "{count} worker processes in a row exited before their first run ({cause}). {}",
        its_output(output)
    )]
    EarlyDeaths { count: u32, cause: ExitCause, output: Vec<u8> },
}

fn its_output(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    match output.trim() {
        "" => "The worker process wrote no output.".to_owned(),
        output => format!("The output of the worker process:\n{output}"),
    }
}

/// How workers are started, and whether their output is shown as it is written.
#[derive(Clone)]
pub(crate) struct Launcher {
    pub(crate) start: StartWorker,
    pub(crate) show_output: bool,
}

impl Launcher {
    /// Returns the same launcher, but without showing output.
    pub(crate) fn quiet(&self) -> Self {
        Self { start: Arc::clone(&self.start), show_output: false }
    }

    /// Returns the same launcher, but without address randomization. Starting a worker fails if the system does not support
    /// this.
    pub(crate) fn at_fixed_addresses(&self) -> Self {
        let start = Arc::clone(&self.start);
        let start = Arc::new(move |show_output| {
            no_aslr::without_randomization(|| start(show_output))
                .unwrap_or(Err(StartError::AddressRandomization))
        });
        Self { start, show_output: self.show_output }
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("show_output", &self.show_output).finish_non_exhaustive()
    }
}

/// The process of a worker.
pub(crate) trait ProcessHandle: Send {
    /// Sets the folder that the worker uses, which is deleted with it.
    fn set_folder(&mut self, folder: PathBuf);
    /// Waits for the process to exit, at most `timeout`, then kills it.
    fn end(&mut self, timeout: Duration) -> ExitCause;
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCause {
    /// Exit status.
    Exit(i32),
    /// Killed by a signal.
    Signal(i32),
    /// Unknown.
    Unknown,
}

/// Maximum time for a worker to exit after its socket is closed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Living workers of this process, by process id.
static CHILDREN: Mutex<BTreeMap<u32, Arc<Mutex<LivingWorker>>>> = Mutex::new(BTreeMap::new());

struct LivingWorker {
    child: Child,
    socket: UnixStream,
    folder: Option<PathBuf>,
}

/// Starts workers by running this binary again with these arguments.
pub(crate) fn launcher(arguments: Vec<String>, show_output: bool) -> Launcher {
    let start =
        Arc::new(move |show_output| launch(&arguments, show_output).map_err(StartError::Process));
    Launcher { start, show_output }
}

/// Whether this process is about to exit, so that no more workers are started.
static EXITING: AtomicBool = AtomicBool::new(false);

/// Ends all workers before this process exits. Workers exit and delete their folders when their socket is closed. Workers
/// that do not exit are killed.
pub(crate) fn end_all() {
    EXITING.store(true, Ordering::SeqCst);
    let children = std::mem::take(&mut *lock(&CHILDREN));
    for living in children.values() {
        // An error means that it is already closed.
        let _ = lock(living).socket.shutdown(Shutdown::Both);
    }
    for living in children.values() {
        wait_for_exit(living, exit_now::timeout(EXIT_TIMEOUT));
    }
}

/// Whether [`end_all`] was called.
pub(crate) fn is_exiting() -> bool {
    EXITING.load(Ordering::SeqCst)
}

/// Parks this thread until the process exits, since the death of a worker says nothing about a run any more.
pub(crate) fn park_until_exit() -> ! {
    loop {
        std::thread::park();
    }
}

fn launch(arguments: &[String], pass_on: bool) -> io::Result<StartedWorker> {
    let (ours, theirs) = UnixStream::pair()?;
    let socket = ours.try_clone()?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .env(WORKER, if pass_on { SHOW_OUTPUT } else { "1" })
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // Locked until the child is inserted, so that `end_all` does not miss it.
    let mut children = lock(&CHILDREN);
    if is_exiting() {
        drop(children);
        park_until_exit();
    }
    let child = command.spawn()?;
    // Closes this process's copies of the worker's pipe ends. Otherwise, reading the output would never reach its end.
    drop(command);
    let output = Arc::new(WorkerOutput::default());
    output.follow(reader, pass_on);
    let pid = child.id();
    let living = Arc::new(Mutex::new(LivingWorker { child, socket, folder: None }));
    children.insert(pid, Arc::clone(&living));
    drop(children);
    Ok(StartedWorker { socket: ours, process: Box::new(WorkerProcess { pid, living }), output })
}

struct WorkerProcess {
    pid: u32,
    living: Arc<Mutex<LivingWorker>>,
}

impl ProcessHandle for WorkerProcess {
    fn set_folder(&mut self, folder: PathBuf) {
        lock(&self.living).folder = Some(folder);
    }

    fn end(&mut self, timeout: Duration) -> ExitCause {
        let cause = wait_for_exit(&self.living, timeout);
        lock(&CHILDREN).remove(&self.pid);
        cause
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        lock(&CHILDREN).remove(&self.pid);
        let living = lock(&self.living);
        if let Some(folder) = &living.folder {
            disk::remove(folder);
        }
    }
}

/// Waits for a process to exit, then kills it. The lock is released in between, since other threads may do the same.
fn wait_for_exit(living: &Mutex<LivingWorker>, timeout: Duration) -> ExitCause {
    let step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    loop {
        let status = lock(living).child.try_wait();
        match status {
            Ok(Some(status)) => return ExitCause::from(status),
            Ok(None) if waited < timeout => {
                pause(step);
                waited += step;
            }
            Ok(None) => return lock(living).kill(),
            Err(_) => return ExitCause::Unknown,
        }
    }
}

impl LivingWorker {
    fn kill(&mut self) -> ExitCause {
        // An error means that it is already dead.
        let _ = self.child.kill();
        let cause = self.child.wait().map_or(ExitCause::Unknown, ExitCause::from);
        if let Some(folder) = self.folder.take() {
            disk::remove(&folder);
        }
        cause
    }
}

impl From<ExitStatus> for ExitCause {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl ExitCause {
    /// Describes what happened to the run, given the last output of its process.
    pub(crate) fn describe(self, last_output: &[u8]) -> String {
        let says =
            |text: &str| last_output.windows(text.len()).any(|window| window == text.as_bytes());
        match self {
            Self::Signal(_) if says("has overflowed its stack") => {
                format!("the run overflowed its stack ({self})")
            }
            Self::Signal(signal_hook::consts::SIGABRT) => {
                format!("the run aborted its OS process ({self})")
            }
            Self::Signal(9) => {
                format!(
                    "the OS process of the run was killed from outside ({self}), perhaps by the out-of-memory killer"
                )
            }
            Self::Signal(_) => format!("the OS process of the run was killed ({self})"),
            Self::Exit(_) => {
                format!("the run ended its OS process ({self}), perhaps by `process::exit`")
            }
            Self::Unknown => {
                format!("the OS process of the run ended for an unknown reason ({self})")
            }
        }
    }
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "{name}"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("unknown exit status"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a real process takes real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Worker processes as the parent has them: started, awaited, killed, and what is said of their end.

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

use crate::harness::workers::output::Output;
use crate::harness::workers::worker::{SHOWS, WORKER};
use crate::harness::workers::{addresses, disk, leave};

/// A worker whose socket is there; it has not said hello.
pub(crate) struct Launched {
    pub(crate) wire: UnixStream,
    pub(crate) process: Box<dyn Process>,
    pub(crate) output: Arc<Output>,
}

/// Starts a worker; what its runs write is shown as it comes, or held back.
pub(crate) type Start = Arc<dyn Fn(bool) -> Result<Launched, String> + Send + Sync>;

/// How workers are started, and whether what their runs write is shown as it comes.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) start: Start,
    pub(crate) shows: bool,
}

impl Launch {
    /// As this, but what runs write is held back.
    pub(crate) fn quiet(&self) -> Self {
        Self { start: Arc::clone(&self.start), shows: false }
    }

    /// As this, but the process's code and data have the same addresses each time; an error where the system can't.
    pub(crate) fn at_fixed_addresses(&self) -> Self {
        let start = Arc::clone(&self.start);
        let start = Arc::new(move |shows| {
            addresses::fixed(|| start(shows))
                .unwrap_or_else(|| Err("this system has no fixed addresses to give".to_owned()))
        });
        Self { start, shows: self.shows }
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("shows", &self.shows).finish_non_exhaustive()
    }
}

/// The process behind a worker.
pub(crate) trait Process: Send {
    /// Where its runs' disks are, as it said.
    fn settled(&mut self, folder: PathBuf);
    /// Waits for its end, not for ever: then it is killed. Its folder is gone afterwards.
    fn end(&mut self, patience: Duration) -> Ended;
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exit(i32),
    /// By a signal.
    Signal(i32),
    /// It can't be told.
    Unknown,
}

/// A worker whose socket is closed needs no longer than this.
const FAREWELL: Duration = Duration::from_secs(1);

/// All workers of this process that live.
static CHILDREN: Mutex<BTreeMap<u32, Arc<Mutex<Living>>>> = Mutex::new(BTreeMap::new());

struct Living {
    child: Child,
    wire: UnixStream,
    folder: Option<PathBuf>,
}

/// How this binary is run again.
pub(crate) fn launcher(arguments: Vec<String>, shows: bool) -> Launch {
    let start = Arc::new(move |shows| {
        launch(&arguments, shows)
            .map_err(|error| format!("a worker process can't be started: {error}"))
    });
    Launch { start, shows }
}

/// True when this process is about to end: no more are started.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Ends all workers: this process is about to end. They go by themselves, with their folders, when their socket is
/// closed; one that does not is killed.
pub(crate) fn end_all() {
    CLOSED.store(true, Ordering::SeqCst);
    let children = std::mem::take(&mut *lock(&CHILDREN));
    for living in children.values() {
        // An error means that it is closed already.
        let _ = lock(living).wire.shutdown(Shutdown::Both);
    }
    for living in children.values() {
        await_end(living, leave::patience(FAREWELL));
    }
}

/// Whether the workers have been, or are being killed.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::SeqCst)
}

/// This process is about to end: what its workers' deaths look like is no result.
pub(crate) fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

fn launch(arguments: &[String], pass_on: bool) -> io::Result<Launched> {
    let (ours, theirs) = UnixStream::pair()?;
    let wire = ours.try_clone()?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .env(WORKER, if pass_on { SHOWS } else { "1" })
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // Held until the child is entered, so that none is missed.
    let mut children = lock(&CHILDREN);
    if is_closed() {
        drop(children);
        wait_for_the_end();
    }
    let child = command.spawn()?;
    // Closes our copies of the worker's ends: else their end would never be seen.
    drop(command);
    let output = Arc::new(Output::default());
    output.follow(reader, pass_on);
    let pid = child.id();
    let living = Arc::new(Mutex::new(Living { child, wire, folder: None }));
    children.insert(pid, Arc::clone(&living));
    drop(children);
    Ok(Launched { wire: ours, process: Box::new(Worker { pid, living }), output })
}

struct Worker {
    pid: u32,
    living: Arc<Mutex<Living>>,
}

impl Process for Worker {
    fn settled(&mut self, folder: PathBuf) {
        lock(&self.living).folder = Some(folder);
    }

    fn end(&mut self, patience: Duration) -> Ended {
        let ended = await_end(&self.living, patience);
        lock(&CHILDREN).remove(&self.pid);
        ended
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        lock(&CHILDREN).remove(&self.pid);
        let living = lock(&self.living);
        if let Some(folder) = &living.folder {
            disk::remove(folder);
        }
    }
}

/// Waits so long for a process's end, then kills it. The lock is let go in between: another thread may do the same.
fn await_end(living: &Mutex<Living>, patience: Duration) -> Ended {
    let step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    loop {
        let status = lock(living).child.try_wait();
        match status {
            Ok(Some(status)) => return Ended::from(status),
            Ok(None) if waited < patience => {
                pause(step);
                waited += step;
            }
            Ok(None) => return lock(living).kill(),
            Err(_) => return Ended::Unknown,
        }
    }
}

impl Living {
    fn kill(&mut self) -> Ended {
        // An error means that it is dead already.
        let _ = self.child.kill();
        let ended = self.child.wait().map_or(Ended::Unknown, Ended::from);
        if let Some(folder) = self.folder.take() {
            disk::remove(&folder);
        }
        ended
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl Ended {
    /// What happened to a run whose process ended so, given what it wrote last.
    pub(crate) fn story(self, last_words: &[u8]) -> String {
        let says =
            |text: &str| last_words.windows(text.len()).any(|window| window == text.as_bytes());
        match self {
            Self::Signal(_) if says("has overflowed its stack") => {
                format!("the run overflowed its stack ({self})")
            }
            Self::Signal(signal_hook::consts::SIGABRT) => {
                format!("the run aborted its process ({self})")
            }
            Self::Signal(9) => {
                format!("the run's process was killed from outside ({self}): is memory short?")
            }
            Self::Signal(_) => format!("the run's process was killed ({self})"),
            Self::Exit(_) => format!("the run ended its process ({self}): `process::exit`?"),
            Self::Unknown => format!("the run's process is gone ({self})"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "{name}"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("its end is unknown"),
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

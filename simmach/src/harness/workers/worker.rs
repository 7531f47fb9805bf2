//! A worker process: a second process of this binary, which executes runs for its parent, one at a time.
//!
//! One thread reads the socket: it queues assignments, applies cuts at once, and ends the process
//! when the parent has ended. The main thread executes the runs. Replies are collected for a few
//! milliseconds, so that the cost of the socket does not dominate short runs. A run is recorded
//! before it begins, so that the parent knows which run killed the process. If a run leaves threads
//! behind, the worker retires, since those threads may hold state that affects later runs. It also
//! retires after a run of a test that asks for an OS process for each run (`own_process`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, fstat};

use crate::engine::context::RunStatus;
use crate::engine::failure::verdict::Verdict;
use crate::harness::config::{ConfigError, DIR, config};
use crate::harness::workers::disk::{Folder, FolderError, JobId};
use crate::harness::workers::exit_now;
use crate::harness::workers::output::Marker;
use crate::harness::workers::protocol::{self, Assignment, FromWorker, Reply, ToWorker};
use crate::harness::workers::watchdog::Watchdog;
use crate::harness::{Runner, registry};
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// Environment variable that marks a worker process.
pub(crate) const WORKER: &str = "SIMMACH_WORKER";
/// Maximum time that a reply waits for further replies.
const MAX_REPLY_DELAY: Duration = Duration::from_millis(4);

/// Maximum size of a message in bytes. In larger messages, records are dropped and logs truncated.
const MAX_MESSAGE_SIZE: usize = 512 << 20;
/// Number of log lines that are kept in a truncated log.
const MAX_LOG_LINES: usize = 1000;

/// Whether this process is a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some_and(|value| !value.is_empty())
}

/// Value of the variable if output is shown as it is written; the worker then frames every run.
pub(crate) const SHOW_OUTPUT: &str = "shows";

/// What a worker needs to serve.
pub(crate) struct WorkerSetup {
    pub(crate) tests: &'static [&'static SimTest],
    pub(crate) run: Runner,
    pub(crate) folder: Arc<Folder>,
    pub(crate) hang: Duration,
    /// Called when the parent is gone and after a hang. Exits a real process.
    pub(crate) exit: fn(&Folder),
}

/// Why a worker cannot serve its parent.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error(transparent)]
    Config(&'static ConfigError),
    #[error("cannot install a handler for signal {signal}: {error}")]
    Signal { signal: i32, error: io::Error },
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Serves the parent of this process, and exits.
pub(crate) fn serve_process(run: Runner) -> ! {
    let socket = match socket() {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!(
                "{WORKER} is set, but simmach did not start this OS process: unset the variable ({error})"
            );
            std::process::exit(2);
        }
    };
    match setup(run) {
        Ok(setup) => serve(&socket, setup),
        Err(error) => {
            let setup_error = protocol::frame(&FromWorker::SetupError(error.to_string()));
            // If it cannot be sent, the parent sees the end of the stream.
            let _ = setup_error.and_then(|bytes| (&socket).write_all(&bytes));
        }
    }
    std::process::exit(0);
}

/// Takes the parent's socket from standard input, so that children of a test do not inherit it.
fn socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    if FileType::from_raw_mode(fstat(&stdin)?.st_mode) != FileType::Socket {
        return Err(io::Error::other("standard input is not a socket"));
    }
    let socket = stdin.as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

fn setup(run: Runner) -> Result<WorkerSetup, SetupError> {
    let config = config().as_ref().map_err(SetupError::Config)?;
    // The terminal also sends Ctrl-C to the workers; they ignore it and end with the parent.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| SetupError::Signal { signal, error })?;
    }
    let folder = Folder::shared(config.folder.as_deref())?;
    Ok(WorkerSetup {
        tests: registry::all(),
        run,
        folder,
        hang: config.hang,
        exit: |folder| {
            folder.delete();
            exit_now::exit_now(0);
        },
    })
}

/// Serves one parent. Returns when it is gone, unless `exit` exits the process, and when the worker retires.
pub(crate) fn serve(socket: &UnixStream, setup: WorkerSetup) {
    let WorkerSetup { tests, run, folder, hang, exit } = setup;
    let outbox = match socket.try_clone() {
        Ok(socket) => Arc::new(Outbox::new(socket)),
        Err(error) => {
            eprintln!(
                "simmach: cannot duplicate the parent's socket: {error}; raise the limit of open files"
            );
            return;
        }
    };
    let hello = FromWorker::Hello {
        digest: registry::digest(tests),
        folder: folder.path().to_string_lossy().into_owned(),
    };
    outbox.send(&hello);
    let inbox = Arc::new(Inbox::default());
    read_messages(socket, &inbox, &folder, exit);
    let watchdog = start_watchdog(hang, &outbox, &folder, exit);
    write_marker(&Marker::Serve);
    let show_output = std::env::var_os(WORKER).is_some_and(|value| value == SHOW_OUTPUT);
    let mut run_loop = RunLoop {
        tests,
        run,
        folder: &folder,
        watchdog: &watchdog,
        show_output,
        warmed: BTreeSet::new(),
        is_used_up: false,
    };
    loop {
        if inbox.is_empty() {
            outbox.flush();
        }
        let Some((assignment, cut)) = inbox.take() else {
            return;
        };
        let (batch, index) = (assignment.batch, assignment.index);
        outbox.set_current(JobId { batch, index });
        let began = now();
        let outcome = (!cut).then(|| run_loop.run_job(&assignment));
        let leaves_threads = outcome.as_ref().is_some_and(|outcome| outcome.threads_left > 0);
        let retires = leaves_threads || run_loop.is_used_up;
        let reply = Reply { batch, index, outcome };
        outbox.put(reply, began.elapsed(), retires);
        if retires {
            // The parent may end before it sees that this process has ended.
            folder.delete();
            return;
        }
    }
}

/// Executes the runs.
struct RunLoop<'a> {
    tests: &'static [&'static SimTest],
    run: Runner,
    folder: &'a Folder,
    watchdog: &'a Watchdog,
    /// Whether the output of every run is framed.
    show_output: bool,
    /// Tests of which this process has executed a run.
    warmed: BTreeSet<u32>,
    /// Whether this process has executed the run of a test whose runs have processes of their own.
    is_used_up: bool,
}

impl RunLoop<'_> {
    fn run_job(&mut self, assignment: &Assignment) -> Outcome {
        let job_id = JobId { batch: assignment.batch, index: assignment.index };
        let (seed, test) = (assignment.seed, self.tests.get(assignment.test as usize).copied());
        if let Err(error) = self.folder.record_run(job_id) {
            let folder = self.folder.path().display();
            let message = format!(
                "cannot write the state of the run to {folder}: {error}; set {DIR} to another writable folder"
            );
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        }
        let Some(test) = test else {
            let message =
                format!("no test has the number {}: this is a bug in simmach", assignment.test);
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        };
        if self.warmed.insert(assignment.test) {
            if (test.settings)().own_process {
                self.is_used_up = true;
                return self.run_framed(test, assignment, job_id);
            }
            // A discarded warm-up run initializes what exists once per process, such as lazy statics.
            let warm_up = self.run_one(test, assignment, Keep::default());
            return self.run_framed(test, assignment, job_id).after(&warm_up);
        }
        self.run_framed(test, assignment, job_id)
    }

    fn run_framed(
        &self,
        test: &'static SimTest,
        assignment: &Assignment,
        job_id: JobId,
    ) -> Outcome {
        if !self.show_output && !assignment.keep.log {
            return self.run_one(test, assignment, assignment.keep);
        }
        write_marker(&Marker::Begin(job_id));
        let outcome = self.run_one(test, assignment, assignment.keep);
        write_marker(&Marker::End(job_id));
        outcome
    }

    fn run_one(&self, test: &'static SimTest, assignment: &Assignment, keep: Keep) -> Outcome {
        let status = Arc::new(RunStatus::default());
        self.watchdog.begin(assignment.seed, None, Arc::clone(&status));
        let outcome = (self.run)(test, assignment.seed, &assignment.overlay, keep, status);
        self.watchdog.end();
        outcome
    }
}

/// Reads the parent's messages on a thread of its own.
fn read_messages(socket: &UnixStream, inbox: &Arc<Inbox>, folder: &Arc<Folder>, exit: fn(&Folder)) {
    let Ok(socket) = socket.try_clone() else {
        return inbox.close();
    };
    let unread = inbox;
    let (inbox, folder) = (Arc::clone(inbox), Arc::clone(folder));
    let reading = crate::harness::spawn("socket", move || {
        let mut socket = BufReader::new(socket);
        loop {
            match protocol::read(&mut socket) {
                Ok(Some(ToWorker::Run(assignments))) => inbox.add(assignments),
                Ok(Some(ToWorker::Cut { batch, from })) => inbox.cut(batch, from),
                Ok(None) | Err(_) => break,
            }
        }
        // In a real process this exits, before the main thread sees the closed inbox.
        exit(&folder);
        inbox.close();
    });
    if reading.is_err() {
        unread.close();
    }
}

fn start_watchdog(
    limit: Duration,
    outbox: &Arc<Outbox>,
    folder: &Arc<Folder>,
    exit: fn(&Folder),
) -> Watchdog {
    let (outbox, folder) = (Arc::clone(outbox), Arc::clone(folder));
    Watchdog::start(limit, move |hang| {
        outbox.send_last(hang.outcome());
        exit(&folder);
    })
}

/// Assignments that are still to be executed.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct InboxState {
    queue: VecDeque<Assignment>,
    cuts: BTreeMap<u64, u64>,
    closed: bool,
}

impl Inbox {
    fn add(&self, assignments: Vec<Assignment>) {
        self.lock().queue.extend(assignments);
        self.changed.notify_all();
    }

    fn cut(&self, batch: u64, from: u64) {
        let mut state = self.lock();
        let cut = state.cuts.entry(batch).or_insert(from);
        *cut = from.min(*cut);
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Waits for the next assignment. Returns it and whether it was cut; `None` when the parent is gone.
    fn take(&self) -> Option<(Assignment, bool)> {
        let idle = |state: &mut InboxState| !state.closed && state.queue.is_empty();
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let next = state.queue.pop_front()?;
        let from = state.cuts.get(&next.batch);
        let cut = from.is_some_and(|from| next.index >= *from);
        Some((next, cut))
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replies that are still to be sent.
#[derive(Debug)]
struct Outbox(Mutex<OutboxState>);

#[derive(Debug)]
struct OutboxState {
    socket: UnixStream,
    replies: Vec<Reply>,
    busy: Duration,
    retires: bool,
    flushed: Instant,
    current: Option<JobId>,
}

impl Outbox {
    fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(OutboxState {
            socket,
            replies: Vec::new(),
            busy: Duration::ZERO,
            retires: false,
            flushed: now(),
            current: None,
        }))
    }

    /// Sets the current run, to which [`Outbox::send_last`] replies.
    fn set_current(&self, job_id: JobId) {
        self.lock().current = Some(job_id);
    }

    /// Adds a reply. If the worker retires, it is the last reply.
    fn put(&self, reply: Reply, took: Duration, retires: bool) {
        let mut state = self.lock();
        let passed =
            reply.outcome.as_ref().is_none_or(|outcome| outcome.verdict == Verdict::Passed);
        state.replies.push(reply);
        state.busy += took;
        state.retires |= retires;
        if !passed || retires || state.flushed.elapsed() >= MAX_REPLY_DELAY {
            state.flush();
        }
    }

    /// Sends the outcome of a current run that does not return.
    fn send_last(&self, outcome: Outcome) {
        let mut state = self.lock();
        if let Some(JobId { batch, index }) = state.current {
            state.replies.push(Reply { batch, index, outcome: Some(outcome) });
        }
        state.flush();
    }

    fn flush(&self) {
        self.lock().flush();
    }

    fn send(&self, message: &FromWorker) {
        self.lock().send(message);
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutboxState {
    fn flush(&mut self) {
        self.flushed = now();
        if self.replies.is_empty() {
            return;
        }
        let mut replies = std::mem::take(&mut self.replies);
        let nanos = u64::try_from(self.busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy = Duration::ZERO;
        if postcard::experimental::serialized_size(&replies)
            .is_ok_and(|size| size > MAX_MESSAGE_SIZE)
        {
            replies.iter_mut().for_each(drop_records);
        }
        self.send(&FromWorker::Finished { nanos, replies, retires: self.retires });
    }

    /// Sends a message. If the parent is gone, the reading thread handles that.
    fn send(&mut self, message: &FromWorker) {
        let sent = protocol::frame(message).and_then(|bytes| self.socket.write_all(&bytes));
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            eprintln!("simmach: a worker cannot reply: {error}");
        }
    }
}

/// Shrinks a reply that is too large to be sent.
fn drop_records(reply: &mut Reply) {
    if let Some(outcome) = &mut reply.outcome {
        let least = outcome.log.len().saturating_sub(MAX_LOG_LINES);
        outcome.log.drain(..least);
        outcome.events = None;
        outcome.task_names.clear();
    }
}

/// Writes a marker to standard output for the parent.
fn write_marker(marker: &Marker) {
    // In this crate's unit tests, standard output does not go to the parent.
    if !is_worker() {
        return;
    }
    let mut stdout = io::stdout().lock();
    // Ignored: the parent may be gone.
    let _ = stdout.write_all(&marker.bytes()).and_then(|()| stdout.flush());
}

#[expect(clippy::disallowed_methods, reason = "real time is what it measures")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;

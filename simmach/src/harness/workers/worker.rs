//! A worker process: this binary run again, making the runs that its parent asks for, one after the other.
//!
//! One thread reads: assignments into a queue, cuts at once, and the parent's end, which ends the worker whatever it is
//! at. The main thread makes the runs. Replies are gathered for a few milliseconds, so that runs of some microseconds are
//! not ruled by the socket; a run's beginning is written down before, so that one that kills the process is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, fstat};

use crate::engine::context::RunStatus;
use crate::engine::failure::verdict::Verdict;
use crate::harness::config::config;
use crate::harness::workers::disk::{Folder, Mark};
use crate::harness::workers::leave;
use crate::harness::workers::output::Sign;
use crate::harness::workers::protocol::{self, Assignment, FromWorker, Reply, ToWorker};
use crate::harness::workers::watchdog::Watchdog;
use crate::harness::{Runner, registry};
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// Set for a worker, and nowhere else.
pub(crate) const WORKER: &str = "SIMMACH_WORKER";
/// Replies wait for each other this long.
const GATHERED: Duration = Duration::from_millis(4);

/// A run may record more than can be sent in one go: then it is its last lines.
const LONGEST_DONE: usize = 512 << 20;
const LINES_LEFT: usize = 1000;

/// Whether this process is a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some_and(|value| !value.is_empty())
}

/// What the variable is for a worker whose runs' output is shown as it comes: it frames all of it.
pub(crate) const SHOWS: &str = "shows";

/// What a worker works with.
pub(crate) struct Seat {
    pub(crate) tests: &'static [&'static SimTest],
    pub(crate) run: Runner,
    pub(crate) folder: Arc<Folder>,
    pub(crate) hang: Duration,
    /// Called when the parent is gone, and after a hang.
    pub(crate) leave: fn(&Folder),
}

/// Serves until the parent has gone.
pub(crate) fn serve_process(run: Runner) -> ! {
    let wire = match wire() {
        Ok(wire) => wire,
        Err(error) => {
            eprintln!(
                "{WORKER} is the harness's own, for the processes it starts: unset it ({error})"
            );
            std::process::exit(2);
        }
    };
    match seat(run) {
        Ok(seat) => serve(&wire, seat),
        Err(why) => {
            let unfit = protocol::frame(&FromWorker::Unfit(why));
            // If even this does not get through, the parent sees the end of the stream.
            let _ = unfit.and_then(|bytes| (&wire).write_all(&bytes));
        }
    }
    std::process::exit(0);
}

/// The parent's socket, which came as standard input; nothing that a test starts inherits it.
fn wire() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    if FileType::from_raw_mode(fstat(&stdin)?.st_mode) != FileType::Socket {
        return Err(io::Error::other("standard input is no socket"));
    }
    let wire = stdin.as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(wire))
}

fn seat(run: Runner) -> Result<Seat, String> {
    let config = config().as_ref().map_err(ToString::to_string)?;
    // The terminal sends Ctrl-C to all: the parent decides, and its end is ours.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| format!("no handler for signal {signal}: {error}"))?;
    }
    let folder = Folder::shared(config.folder.as_deref())?;
    Ok(Seat {
        tests: registry::all(),
        run,
        folder,
        hang: config.hang,
        leave: |folder| {
            folder.delete();
            leave::leave(0);
        },
    })
}

/// Serves one parent. Returns when it has gone, unless leaving ends the process.
pub(crate) fn serve(wire: &UnixStream, seat: Seat) {
    let Seat { tests, run, folder, hang, leave } = seat;
    let outbox = match wire.try_clone() {
        Ok(wire) => Arc::new(Outbox::new(wire)),
        Err(error) => {
            eprintln!("simmach: a worker can't double its socket: {error}");
            return;
        }
    };
    let hello = FromWorker::Hello {
        digest: registry::digest(tests),
        folder: folder.path().to_string_lossy().into_owned(),
    };
    outbox.send(&hello);
    let inbox = Arc::new(Inbox::default());
    follow(wire, &inbox, &folder, leave);
    let dog = watchdog(hang, &outbox, &folder, leave);
    write_sign(&Sign::Serve);
    let shows = std::env::var_os(WORKER).is_some_and(|value| value == SHOWS);
    let mut bench =
        Bench { tests, run, folder: &folder, dog: &dog, shows, warmed: BTreeSet::new() };
    loop {
        if inbox.is_empty() {
            outbox.flush();
        }
        let Some((assignment, cut)) = inbox.take() else {
            return;
        };
        let (batch, index) = (assignment.batch, assignment.index);
        outbox.at(Mark { batch, index });
        let began = now();
        let outcome = (!cut).then(|| bench.make(&assignment));
        let reply = Reply { batch, index, outcome };
        outbox.put(reply, began.elapsed());
    }
}

/// Makes one run after the other.
struct Bench<'a> {
    tests: &'static [&'static SimTest],
    run: Runner,
    folder: &'a Folder,
    dog: &'a Watchdog,
    /// Every run's output is framed.
    shows: bool,
    /// The tests that this process has made a run of.
    warmed: BTreeSet<u32>,
}

impl Bench<'_> {
    fn make(&mut self, assignment: &Assignment) -> Outcome {
        let mark = Mark { batch: assignment.batch, index: assignment.index };
        let (seed, test) = (assignment.seed, self.tests.get(assignment.test as usize).copied());
        if let Err(error) = self.folder.begin(mark) {
            let place = self.folder.path().display();
            let message = format!("nothing can be written in {place}: {error}");
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        }
        let Some(test) = test else {
            let message = format!("there is no test number {}", assignment.test);
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        };
        if self.warmed.insert(assignment.test) {
            // What is made once a process (a lazy static, here or in a crate) is made in a run that does not count.
            let thrown_away = self.one(test, assignment, Keep::default());
            return self.shown(test, assignment, mark).after(&thrown_away);
        }
        self.shown(test, assignment, mark)
    }

    fn shown(&self, test: &'static SimTest, assignment: &Assignment, mark: Mark) -> Outcome {
        if !self.shows && !assignment.keep.log {
            return self.one(test, assignment, assignment.keep);
        }
        write_sign(&Sign::Begin(mark));
        let outcome = self.one(test, assignment, assignment.keep);
        write_sign(&Sign::End(mark));
        outcome
    }

    fn one(&self, test: &'static SimTest, assignment: &Assignment, keep: Keep) -> Outcome {
        let shared = Arc::new(RunStatus::default());
        self.dog.begin(assignment.seed, None, Arc::clone(&shared));
        let outcome = (self.run)(test, assignment.seed, &assignment.overlay, keep, shared);
        self.dog.end();
        outcome
    }
}

/// Reads what the parent says, on a thread of its own.
fn follow(wire: &UnixStream, inbox: &Arc<Inbox>, folder: &Arc<Folder>, leave: fn(&Folder)) {
    let Ok(wire) = wire.try_clone() else {
        return inbox.close();
    };
    let unread = inbox;
    let (inbox, folder) = (Arc::clone(inbox), Arc::clone(folder));
    let reading = crate::harness::spawn("wire", move || {
        let mut wire = BufReader::new(wire);
        loop {
            match protocol::read(&mut wire) {
                Ok(Some(ToWorker::Run(assignments))) => inbox.add(assignments),
                Ok(Some(ToWorker::Cut { batch, from })) => inbox.cut(batch, from),
                Ok(None) | Err(_) => break,
            }
        }
        // In a process this is the end, before the main thread can see that there is no more to do.
        leave(&folder);
        inbox.close();
    });
    if reading.is_err() {
        unread.close();
    }
}

fn watchdog(
    limit: Duration,
    outbox: &Arc<Outbox>,
    folder: &Arc<Folder>,
    leave: fn(&Folder),
) -> Watchdog {
    let (outbox, folder) = (Arc::clone(outbox), Arc::clone(folder));
    Watchdog::start(limit, move |hang| {
        outbox.last(hang.outcome());
        leave(&folder);
    })
}

/// What is still to do.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Todo>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Todo {
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
        let mut todo = self.lock();
        let cut = todo.cuts.entry(batch).or_insert(from);
        *cut = from.min(*cut);
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// The next, and whether it is not to be begun; waits for it. `None` when the parent has gone.
    fn take(&self) -> Option<(Assignment, bool)> {
        let idle = |todo: &mut Todo| !todo.closed && todo.queue.is_empty();
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut todo = waited.unwrap_or_else(PoisonError::into_inner);
        if todo.closed {
            return None;
        }
        let next = todo.queue.pop_front()?;
        let from = todo.cuts.get(&next.batch);
        let cut = from.is_some_and(|from| next.index >= *from);
        Some((next, cut))
    }

    fn lock(&self) -> MutexGuard<'_, Todo> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is still to say.
#[derive(Debug)]
struct Outbox(Mutex<Letters>);

#[derive(Debug)]
struct Letters {
    wire: UnixStream,
    replies: Vec<Reply>,
    busy: Duration,
    flushed: Instant,
    at: Option<Mark>,
}

impl Outbox {
    fn new(wire: UnixStream) -> Self {
        Self(Mutex::new(Letters {
            wire,
            replies: Vec::new(),
            busy: Duration::ZERO,
            flushed: now(),
            at: None,
        }))
    }

    /// The run that replies are about now.
    fn at(&self, mark: Mark) {
        self.lock().at = Some(mark);
    }

    fn put(&self, reply: Reply, took: Duration) {
        let mut letters = self.lock();
        let passed =
            reply.outcome.as_ref().is_none_or(|outcome| outcome.verdict == Verdict::Passed);
        letters.replies.push(reply);
        letters.busy += took;
        if !passed || letters.flushed.elapsed() >= GATHERED {
            letters.flush();
        }
    }

    /// The outcome of a run that does not come back.
    fn last(&self, outcome: Outcome) {
        let mut letters = self.lock();
        if let Some(Mark { batch, index }) = letters.at {
            letters.replies.push(Reply { batch, index, outcome: Some(outcome) });
        }
        letters.flush();
    }

    fn flush(&self) {
        self.lock().flush();
    }

    fn send(&self, message: &FromWorker) {
        self.lock().send(message);
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letters {
    fn flush(&mut self) {
        self.flushed = now();
        if self.replies.is_empty() {
            return;
        }
        let mut replies = std::mem::take(&mut self.replies);
        let nanos = u64::try_from(self.busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy = Duration::ZERO;
        if postcard::experimental::serialized_size(&replies).is_ok_and(|size| size > LONGEST_DONE) {
            replies.iter_mut().for_each(forget_records);
        }
        self.send(&FromWorker::Done { nanos, replies });
    }

    /// A parent that is gone is the reading thread's business.
    fn send(&mut self, message: &FromWorker) {
        let sent = protocol::frame(message).and_then(|bytes| self.wire.write_all(&bytes));
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            eprintln!("simmach: a worker can't reply: {error}");
        }
    }
}

/// A reply must arrive, whatever the run has recorded.
fn forget_records(reply: &mut Reply) {
    if let Some(outcome) = &mut reply.outcome {
        let least = outcome.log.len().saturating_sub(LINES_LEFT);
        outcome.log.drain(..least);
        outcome.events = None;
        outcome.task_names.clear();
    }
}

/// Marks the output of this process for the parent.
fn write_sign(sign: &Sign) {
    // Under a test of this crate, standard output is not the parent's.
    if !is_worker() {
        return;
    }
    let mut stdout = io::stdout().lock();
    // A parent that is gone reads no output.
    let _ = stdout.write_all(&sign.bytes()).and_then(|()| stdout.flush());
}

#[expect(clippy::disallowed_methods, reason = "real time is what it measures")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;

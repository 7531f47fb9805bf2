//! Distributes the jobs of batches to worker processes, and their outcomes to the batches.
//!
//! A thread of this process serves each worker. When a worker dies, its current run counts as failed, and its other jobs are
//! assigned to other workers.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::config::JOBS;
use crate::harness::registry;
use crate::harness::workers::disk::{self, JobId};
use crate::harness::workers::exit_now;
use crate::harness::workers::job::FinishedRun;
use crate::harness::workers::launch::{
    self, ExitCause, Launcher, ProcessHandle, StartError, StartedWorker,
};
use crate::harness::workers::output::WorkerOutput;
use crate::harness::workers::protocol::{self, FromWorker, Reply, ToWorker};
use crate::harness::workers::queue::{
    AssignedJob, Batch, JobQueue, Jobs, MIN_PREFETCH, WorkerState,
};
use crate::outcome::Outcome;
use crate::spec::SimTest;

/// Maximum time for a worker's startup.
const HELLO_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time for a worker to exit after its socket is closed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time to wait for the rest of a worker's output. A child of the worker may hold the pipe
/// open.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// The dispatcher gives up when this many workers in a row have died before their first run.
const MAX_EARLY_DEATHS: u32 = 3;

/// Distributes batches to workers.
pub(crate) struct Dispatcher {
    jobs: usize,
    tests: &'static [&'static SimTest],
    launch: Launcher,
    queue: Mutex<JobQueue>,
}

impl Dispatcher {
    /// Creates a dispatcher for at most `jobs` workers, without starting any.
    pub(crate) fn new(
        jobs: usize,
        tests: &'static [&'static SimTest],
        launch: Launcher,
    ) -> Arc<Self> {
        Arc::new(Self { jobs, tests, launch, queue: Mutex::default() })
    }

    /// Adds a batch. Returns its number and the receiver of its runs.
    pub(crate) fn add_batch(self: &Arc<Self>, mut jobs: Jobs) -> (u64, Receiver<Vec<FinishedRun>>) {
        let (sink, results) = mpsc::channel();
        let most = jobs.size_hint().1.unwrap_or(usize::MAX);
        // An empty batch needs no worker.
        let first = jobs.next();
        let mut queue = self.lock();
        let id = queue.next_number();
        queue.batches.push_back(Batch {
            id,
            jobs,
            next: 1,
            from: u64::MAX,
            exhausted: first.is_none(),
            requeued: first.into_iter().map(|job| (0, job)).collect(),
            in_flight: 0,
            unacknowledged: 0,
            sink,
        });
        queue.fail_all();
        let busy = queue.workers.values().filter(|worker| !worker.in_flight.is_empty());
        let wanted = busy.count().saturating_add(most).min(self.jobs);
        self.fill_all(&mut queue);
        while queue.workers.len() < wanted && !queue.batches.is_empty() {
            self.start_worker(&mut queue);
        }
        (id, results)
    }

    /// Ends all workers, including those that are still starting, because no more runs are needed.
    pub(crate) fn shut_down(&self) {
        let mut queue = self.lock();
        queue.shutting_down = true;
        for batch in &mut queue.batches {
            batch.from = 0;
            batch.requeued.clear();
        }
        for worker in queue.workers.values() {
            worker.shut_down();
        }
    }

    /// Acknowledges messages of a batch, so that more of its runs can be assigned to workers.
    pub(crate) fn acknowledge(&self, id: u64, messages: usize) {
        let mut queue = self.lock();
        if let Some(batch) = queue.batches.iter_mut().find(|batch| batch.id == id) {
            batch.unacknowledged = batch.unacknowledged.saturating_sub(messages);
            self.fill_all(&mut queue);
        }
    }

    /// Stops starting runs of a batch from this index on.
    pub(crate) fn cut(&self, id: u64, from: u64) {
        let mut queue = self.lock();
        let queue = &mut *queue;
        let Some(batch) = queue.batches.iter_mut().find(|batch| batch.id == id) else {
            return;
        };
        batch.from = batch.from.min(from);
        batch.requeued.retain(|index, _| *index < from);
        for worker in queue.workers.values_mut() {
            let concerned = |assigned: &AssignedJob| assigned.batch == id && assigned.index >= from;
            if worker.in_flight.iter().any(concerned) {
                worker.send(&ToWorker::Cut { batch: id, from });
            }
        }
        queue.close_batches();
    }

    /// Tests and seeds that are running.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        let queue = self.lock();
        let current = queue.workers.values().filter_map(|worker| {
            let assigned = worker.current().or(worker.in_flight.front())?;
            Some((assigned.job.test, assigned.job.seed))
        });
        current.collect()
    }

    /// Starts a worker, and a thread that serves it until it ends.
    fn start_worker(self: &Arc<Self>, queue: &mut JobQueue) {
        let id = queue.next_number();
        queue.workers.insert(id, WorkerState::default());
        let dispatcher = Arc::clone(self);
        if let Err(error) = crate::harness::spawn("dispatcher", move || dispatcher.serve(id)) {
            queue.workers.remove(&id);
            queue.give_up(StartError::Thread(error));
        }
    }

    fn serve(self: &Arc<Self>, id: u64) {
        let started = (self.launch.start)(self.launch.show_output)
            .and_then(|launched| self.handshake(launched));
        let (launched, folder) = match started {
            Ok(started) => started,
            Err(error) => {
                let mut queue = self.lock();
                queue.workers.remove(&id);
                return queue.give_up(error);
            }
        };
        let StartedWorker { socket, mut process, output } = launched;
        process.set_folder(folder.clone());
        match socket.try_clone() {
            Ok(socket) => self.set_ready(id, socket, folder),
            Err(error) => eprintln!(
                "simmach: cannot duplicate a worker's socket: {error}; raise the limit of open files, or set {JOBS} lower"
            ),
        }
        let mut reader = BufReader::new(&socket);
        let (mut framed, mut has_retired) = (0, false);
        while !has_retired
            && let Ok(Some(message)) = protocol::read(&mut reader)
            && let FromWorker::Finished { nanos, replies, retires } = message
        {
            has_retired = retires;
            if retires {
                self.lock().retire(id);
            }
            if self.launch.show_output {
                // Shows the output of the runs before their outcomes are used.
                framed += replies.iter().filter(|reply| reply.outcome.is_some()).count() as u64;
                output.wait_for_runs(framed, OUTPUT_TIMEOUT);
            }
            if !self.handle_replies(id, nanos, replies, &output) {
                break;
            }
        }
        // A worker that is still alive has violated the protocol; it exits when its socket is closed.
        let _ = socket.shutdown(std::net::Shutdown::Both);
        self.handle_exit(id, process, &output, has_retired);
    }

    /// Waits for a worker's hello message.
    fn handshake(
        &self,
        mut launched: StartedWorker,
    ) -> Result<(StartedWorker, PathBuf), StartError> {
        let socket = &launched.socket;
        // Ignored: the timeout matters only for a broken worker.
        let _ = socket.set_read_timeout(Some(HELLO_TIMEOUT));
        let hello = protocol::read(&mut &*socket);
        let _ = socket.set_read_timeout(None);
        let error = match hello {
            Ok(Some(FromWorker::Hello { digest, folder })) => {
                if digest == registry::digest(self.tests) {
                    return Ok((launched, PathBuf::from(folder)));
                }
                StartError::OtherTests
            }
            Ok(Some(FromWorker::SetupError(why))) => return Err(StartError::Worker(why)),
            Ok(Some(FromWorker::Finished { .. })) => StartError::UnexpectedMessage,
            Ok(None) | Err(_) => {
                let cause = launched.process.end(EXIT_TIMEOUT);
                let output = launched.output.last_output(OUTPUT_TIMEOUT);
                StartError::Startup { cause, output }
            }
        };
        launched.process.end(Duration::ZERO);
        Err(error)
    }

    fn set_ready(&self, id: u64, socket: UnixStream, folder: PathBuf) {
        let mut queue = self.lock();
        if let Some(worker) = queue.workers.get_mut(&id) {
            worker.socket = Some(socket);
            worker.folder = folder;
            worker.prefetch = MIN_PREFETCH;
        }
        if queue.shutting_down
            && let Some(worker) = queue.workers.get(&id)
        {
            worker.shut_down();
        }
        self.fill(&mut queue, id);
        queue.close_batches();
    }

    /// Handles a worker's replies and assigns it more jobs. Returns false if the replies do not match its jobs.
    fn handle_replies(
        &self,
        id: u64,
        nanos: u64,
        replies: Vec<Reply>,
        output: &WorkerOutput,
    ) -> bool {
        let Some(assigned) = self.lock().take_answered(id, nanos, &replies) else {
            return false;
        };
        let mut finished: BTreeMap<u64, (usize, Vec<FinishedRun>)> = BTreeMap::new();
        for (assigned, reply) in assigned.iter().zip(replies) {
            let (count, finished) = finished.entry(assigned.batch).or_default();
            *count += 1;
            let Some(outcome) = reply.outcome else {
                continue;
            };
            let (batch, index) = (assigned.batch, assigned.index);
            let output = match assigned.job.keep.log {
                true => output.of_run(JobId { batch, index }, OUTPUT_TIMEOUT),
                false => Vec::new(),
            };
            finished.push(FinishedRun { index, outcome, output });
        }
        let mut queue = self.lock();
        queue.early_deaths = 0;
        for (batch, (count, finished)) in finished {
            queue.deliver(batch, count, finished);
        }
        self.fill(&mut queue, id);
        queue.close_batches();
        true
    }

    /// Handles the end of a worker. Its current run counts as failed unless the worker has retired; its other jobs are
    /// queued again.
    fn handle_exit(
        self: &Arc<Self>,
        id: u64,
        mut process: Box<dyn ProcessHandle>,
        output: &WorkerOutput,
        has_retired: bool,
    ) {
        if launch::is_exiting() {
            launch::park_until_exit();
        }
        let cause = process.end(exit_now::timeout(EXIT_TIMEOUT));
        let last_output = output.last_output(OUTPUT_TIMEOUT);
        let mut queue = self.lock();
        let Some(mut worker) = queue.workers.remove(&id) else {
            return;
        };
        let victim = worker.current().map(|assigned| (assigned.batch, assigned.index));
        // The folder is removed only after the worker's current run has been read from it.
        disk::remove(&worker.folder);
        drop(process);
        if victim.is_none() && !has_retired && !worker.in_flight.is_empty() {
            queue.early_deaths += 1;
        }
        for assigned in worker.in_flight.drain(..) {
            if victim == Some((assigned.batch, assigned.index)) {
                let finished = crashed_run(&assigned, cause, &last_output);
                queue.deliver(assigned.batch, 1, vec![finished]);
            } else {
                queue.requeue(assigned);
            }
        }
        if queue.early_deaths >= MAX_EARLY_DEATHS {
            let (count, output) = (queue.early_deaths, last_output);
            return queue.give_up(StartError::EarlyDeaths { count, cause, output });
        }
        self.fill_all(&mut queue);
        queue.close_batches();
        if !queue.batches.is_empty() && queue.workers.len() < self.jobs {
            self.start_worker(&mut queue);
        }
    }

    fn fill_all(&self, queue: &mut JobQueue) {
        let ids: Vec<u64> = queue.workers.keys().copied().collect();
        for id in ids {
            self.fill(queue, id);
        }
        queue.close_batches();
    }

    /// Gives a worker jobs up to its prefetch limit.
    fn fill(&self, queue: &mut JobQueue, id: u64) {
        let Some(mut worker) = queue.workers.remove(&id) else {
            return;
        };
        let mut assignments = Vec::new();
        while worker.socket.is_some() && worker.in_flight.len() < worker.prefetch {
            let Some(assigned) = queue.next_job() else { break };
            match registry::number(self.tests, assigned.job.test) {
                Some(test) => {
                    assignments.push(assigned.assignment(test));
                    worker.in_flight.push_back(assigned);
                }
                None => {
                    let why =
                        "the test is not in this binary's list of tests: this is a bug in simmach";
                    let finished = FinishedRun::broken(assigned.index, assigned.job.seed, why);
                    queue.deliver(assigned.batch, 1, vec![finished]);
                }
            }
        }
        if !assignments.is_empty() {
            worker.send(&ToWorker::Run(assignments));
        }
        queue.workers.insert(id, worker);
    }

    fn lock(&self) -> MutexGuard<'_, JobQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

fn crashed_run(assigned: &AssignedJob, cause: ExitCause, last_output: &[u8]) -> FinishedRun {
    FinishedRun {
        index: assigned.index,
        outcome: Outcome::crashed(assigned.job.seed, cause.describe(last_output)),
        output: last_output.to_vec(),
    }
}

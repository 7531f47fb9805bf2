//! The queue of jobs and the jobs assigned to workers: plain state, without threads or waiting.
//!
//! The jobs of a worker stay in the queue until the worker has replied, so that no job is lost when
//! the worker dies.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::harness::workers::disk;
use crate::harness::workers::job::{FinishedRun, Job};
use crate::harness::workers::launch::StartError;
use crate::harness::workers::protocol::{self, Assignment, Reply, ToWorker};

/// Total time of the jobs that are assigned to a worker in advance, which hides the latency of the socket.
const PREFETCH_TIME: Duration = Duration::from_millis(10);
pub(crate) const MIN_PREFETCH: usize = 2;
const MAX_PREFETCH: usize = 256;

#[derive(Default)]
pub(crate) struct JobQueue {
    /// Unfinished batches. The next job is taken from the first one.
    pub(crate) batches: VecDeque<Batch>,
    pub(crate) workers: BTreeMap<u64, WorkerState>,
    /// The last number that was assigned to a batch or worker.
    pub(crate) next: u64,
    pub(crate) early_deaths: u32,
    /// Whether the remaining runs are no longer needed.
    pub(crate) shutting_down: bool,
    /// The error if no worker can be started.
    pub(crate) start_error: Option<StartError>,
}

pub(crate) struct Batch {
    pub(crate) id: u64,
    pub(crate) jobs: Jobs,
    pub(crate) next: u64,
    /// Runs from this index on do not begin.
    pub(crate) from: u64,
    /// Jobs whose worker died before they began, or before their reply was sent.
    pub(crate) requeued: BTreeMap<u64, Job>,
    /// Number of jobs that are assigned to workers.
    pub(crate) in_flight: usize,
    /// Number of messages that the caller has not acknowledged. Meanwhile, workers get no more jobs of the batch.
    pub(crate) unacknowledged: usize,
    pub(crate) exhausted: bool,
    pub(crate) sink: Sender<Vec<FinishedRun>>,
}

/// State of one worker.
#[derive(Default)]
pub(crate) struct WorkerState {
    /// `None` until its hello message.
    pub(crate) socket: Option<UnixStream>,
    pub(crate) folder: PathBuf,
    /// Its jobs in order.
    pub(crate) in_flight: VecDeque<AssignedJob>,
    pub(crate) prefetch: usize,
    /// Moving average of the time of a run, in nanoseconds.
    pub(crate) mean: f64,
}

pub(crate) struct AssignedJob {
    pub(crate) batch: u64,
    pub(crate) index: u64,
    pub(crate) job: Job,
}

/// The jobs of a batch, taken as they are needed.
pub(crate) type Jobs = Box<dyn Iterator<Item = Job> + Send>;

impl JobQueue {
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes the next job. Batches take turns. A batch with unacknowledged outcomes is skipped, since these may cut it.
    pub(crate) fn next_job(&mut self) -> Option<AssignedJob> {
        for _ in 0..self.batches.len() {
            self.batches.rotate_left(1);
            if let Some(batch) = self.batches.back_mut()
                && batch.unacknowledged == 0
                && let Some((index, job)) = batch.next_job()
            {
                batch.in_flight += 1;
                return Some(AssignedJob { batch: batch.id, index, job });
            }
        }
        None
    }

    /// Removes the jobs that these replies answer from the worker; `None` if the replies do not match its jobs.
    pub(crate) fn take_answered(
        &mut self,
        id: u64,
        nanos: u64,
        replies: &[Reply],
    ) -> Option<Vec<AssignedJob>> {
        let worker = self.workers.get_mut(&id)?;
        let matches = replies.len() <= worker.in_flight.len()
            && worker.in_flight.iter().zip(replies).all(|(assigned, reply)| {
                (assigned.batch, assigned.index) == (reply.batch, reply.index)
            });
        if !matches {
            return None;
        }
        let made = replies.iter().filter(|reply| reply.outcome.is_some());
        worker.update_prefetch(nanos, made.count());
        Some(worker.in_flight.drain(..replies.len()).collect())
    }

    /// Stops assigning jobs to a worker that is about to exit.
    pub(crate) fn retire(&mut self, id: u64) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.socket = None;
        }
    }

    /// Sends runs to a batch's receiver; `count` of its jobs are no longer assigned to a worker.
    pub(crate) fn deliver(&mut self, id: u64, count: usize, finished: Vec<FinishedRun>) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.in_flight = batch.in_flight.saturating_sub(count);
            if finished.is_empty() {
                return;
            }
            match batch.sink.send(finished) {
                Ok(()) => batch.unacknowledged += 1,
                Err(_) => {
                    batch.from = 0;
                    batch.requeued.clear();
                }
            }
        }
    }

    pub(crate) fn requeue(&mut self, assigned: AssignedJob) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == assigned.batch) {
            batch.in_flight = batch.in_flight.saturating_sub(1);
            if assigned.index < batch.from {
                batch.requeued.insert(assigned.index, assigned.job);
            }
        }
    }

    /// Removes finished batches, which closes their receivers.
    pub(crate) fn close_batches(&mut self) {
        self.batches.retain_mut(|batch| !batch.is_over());
    }

    /// Handles a worker that could not be started. If it is the only worker, all batches fail.
    pub(crate) fn give_up(&mut self, error: StartError) {
        if self.workers.is_empty() {
            self.start_error = Some(error);
            self.fail_all();
        }
    }

    /// Reports one run of each batch as broken because no worker can be started, and ends the batches.
    pub(crate) fn fail_all(&mut self) {
        let Some(error) = &self.start_error else { return };
        for mut batch in std::mem::take(&mut self.batches) {
            if let Some((index, job)) = batch.next_job() {
                // Ignored: the receiver may be gone.
                let _ = batch.sink.send(vec![FinishedRun::broken(index, job.seed, error)]);
            }
        }
    }
}

impl Batch {
    pub(crate) fn next_job(&mut self) -> Option<(u64, Job)> {
        if let Some(requeued) = self.requeued.pop_first() {
            return Some(requeued);
        }
        if self.exhausted || self.next >= self.from {
            return None;
        }
        let Some(job) = self.jobs.next() else {
            self.exhausted = true;
            return None;
        };
        let index = self.next;
        self.next += 1;
        Some((index, job))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.in_flight == 0
            && self.requeued.is_empty()
            && (self.exhausted || self.next >= self.from)
    }
}

impl WorkerState {
    /// The run that the worker has recorded as begun, if it has not been answered.
    pub(crate) fn current(&self) -> Option<&AssignedJob> {
        let job_id = disk::recorded_run(&self.folder)?;
        self.in_flight
            .iter()
            .find(|assigned| (assigned.batch, assigned.index) == (job_id.batch, job_id.index))
    }

    /// Adapts the number of jobs assigned in advance to the time of a run.
    pub(crate) fn update_prefetch(&mut self, nanos: u64, made: usize) {
        if made == 0 {
            return;
        }
        let mean = nanos as f64 / made as f64;
        self.mean = if self.mean == 0.0 { mean } else { self.mean * 0.75 + mean * 0.25 };
        let prefetch = PREFETCH_TIME.as_nanos() as f64 / self.mean.max(1.0);
        self.prefetch = (prefetch as usize).clamp(MIN_PREFETCH, MAX_PREFETCH);
    }

    /// Closes the socket, which makes the worker exit.
    pub(crate) fn shut_down(&self) {
        if let Some(socket) = &self.socket {
            // An error means that it is already closed.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn send(&mut self, message: &ToWorker) {
        if let Some(socket) = &mut self.socket {
            // On an error the worker is gone, which the thread that serves it detects.
            let _ = protocol::frame(message).and_then(|bytes| socket.write_all(&bytes));
        }
    }
}

impl AssignedJob {
    pub(crate) fn assignment(&self, test: u32) -> Assignment {
        Assignment {
            batch: self.batch,
            index: self.index,
            test,
            seed: self.job.seed,
            overlay: self.job.overlay.clone(),
            keep: self.job.keep,
        }
    }
}

//! The runs that are asked for, and those that are with the workers: plain state, without threads or waiting.
//!
//! What a worker has been given and has not answered is known here, so that nothing is lost when it dies.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::harness::workers::disk;
use crate::harness::workers::job::{Job, Ran};
use crate::harness::workers::protocol::{self, Assignment, Reply, ToWorker};

/// A worker is given so much work ahead that the socket's time does not matter, and no more.
const AHEAD: Duration = Duration::from_millis(10);
pub(crate) const FEWEST_AHEAD: usize = 2;
const MOST_AHEAD: usize = 256;

#[derive(Default)]
pub(crate) struct Queue {
    /// Those that are not over; the first is next to be drawn from.
    pub(crate) batches: VecDeque<Batch>,
    pub(crate) workers: BTreeMap<u64, Worker>,
    /// Numbers batches and workers.
    pub(crate) next: u64,
    pub(crate) early_deaths: u32,
    /// Nobody waits for a run any more.
    pub(crate) dismissed: bool,
    /// No worker can be had, and why.
    pub(crate) broken: Option<String>,
}

pub(crate) struct Batch {
    pub(crate) id: u64,
    pub(crate) jobs: Jobs,
    pub(crate) next: u64,
    /// From this place on none is begun.
    pub(crate) from: u64,
    /// Those whose worker died before they were begun, or before their reply was sent.
    pub(crate) again: BTreeMap<u64, Job>,
    /// How many are with the workers.
    pub(crate) out: usize,
    /// Messages that were sent and that nobody has looked at yet: until then no more are given to workers.
    pub(crate) unacknowledged: usize,
    pub(crate) dry: bool,
    pub(crate) sink: Sender<Vec<Ran>>,
}

/// One worker's.
#[derive(Default)]
pub(crate) struct Worker {
    /// `None` until it has said hello.
    pub(crate) wire: Option<UnixStream>,
    pub(crate) folder: PathBuf,
    /// What it has been given, in order.
    pub(crate) out: VecDeque<Given>,
    pub(crate) ahead: usize,
    /// The mean of its runs, in nanoseconds.
    pub(crate) mean: f64,
}

pub(crate) struct Given {
    pub(crate) batch: u64,
    pub(crate) index: u64,
    pub(crate) job: Job,
}

/// The jobs of a batch, drawn as they are needed.
pub(crate) type Jobs = Box<dyn Iterator<Item = Job> + Send>;

impl Queue {
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The next run to make: the batches take turns. One whose outcomes have not been looked at is passed over, since what
    /// they are may cut it.
    pub(crate) fn draw(&mut self) -> Option<Given> {
        for _ in 0..self.batches.len() {
            self.batches.rotate_left(1);
            if let Some(batch) = self.batches.back_mut()
                && batch.unacknowledged == 0
                && let Some((index, job)) = batch.draw()
            {
                batch.out += 1;
                return Some(Given { batch: batch.id, index, job });
            }
        }
        None
    }

    /// What the worker had been given that these are the replies to; `None` when they are not.
    pub(crate) fn take_back(
        &mut self,
        id: u64,
        nanos: u64,
        replies: &[Reply],
    ) -> Option<Vec<Given>> {
        let worker = self.workers.get_mut(&id)?;
        let matches = replies.len() <= worker.out.len()
            && worker
                .out
                .iter()
                .zip(replies)
                .all(|(given, reply)| (given.batch, given.index) == (reply.batch, reply.index));
        if !matches {
            return None;
        }
        let made = replies.iter().filter(|reply| reply.outcome.is_some());
        worker.learn(nanos, made.count());
        Some(worker.out.drain(..replies.len()).collect())
    }

    /// Hands outcomes to who asked; `count` runs are with the workers no more.
    pub(crate) fn deliver(&mut self, id: u64, count: usize, ran: Vec<Ran>) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.out = batch.out.saturating_sub(count);
            if ran.is_empty() {
                return;
            }
            match batch.sink.send(ran) {
                Ok(()) => batch.unacknowledged += 1,
                Err(_) => {
                    batch.from = 0;
                    batch.again.clear();
                }
            }
        }
    }

    pub(crate) fn put_back(&mut self, given: Given) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == given.batch) {
            batch.out = batch.out.saturating_sub(1);
            if given.index < batch.from {
                batch.again.insert(given.index, given.job);
            }
        }
    }

    /// Those that are over: who waits for them sees the end.
    pub(crate) fn close_batches(&mut self) {
        self.batches.retain_mut(|batch| !batch.is_over());
    }

    /// A worker can't be had. While there are others they do the work.
    pub(crate) fn give_up(&mut self, why: String) {
        if self.workers.is_empty() {
            self.broken = Some(why);
            self.fail_all();
        }
    }

    pub(crate) fn fail_all(&mut self) {
        let why = self.broken.clone().unwrap_or_default();
        for mut batch in std::mem::take(&mut self.batches) {
            if let Some((index, job)) = batch.draw() {
                // Nobody may be waiting any more.
                let _ = batch.sink.send(vec![Ran::broken(index, job.seed, why.clone())]);
            }
        }
    }
}

impl Batch {
    pub(crate) fn draw(&mut self) -> Option<(u64, Job)> {
        if let Some(again) = self.again.pop_first() {
            return Some(again);
        }
        if self.dry || self.next >= self.from {
            return None;
        }
        let Some(job) = self.jobs.next() else {
            self.dry = true;
            return None;
        };
        let index = self.next;
        self.next += 1;
        Some((index, job))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.out == 0 && self.again.is_empty() && (self.dry || self.next >= self.from)
    }
}

impl Worker {
    /// The run that the worker has written down as begun, if its reply has not come.
    pub(crate) fn current(&self) -> Option<&Given> {
        let mark = disk::mark_in(&self.folder)?;
        self.out.iter().find(|given| (given.batch, given.index) == (mark.batch, mark.index))
    }

    /// How much it is given ahead follows from how long its runs take.
    pub(crate) fn learn(&mut self, nanos: u64, made: usize) {
        if made == 0 {
            return;
        }
        let mean = nanos as f64 / made as f64;
        self.mean = if self.mean == 0.0 { mean } else { self.mean * 0.75 + mean * 0.25 };
        let ahead = AHEAD.as_nanos() as f64 / self.mean.max(1.0);
        self.ahead = (ahead as usize).clamp(FEWEST_AHEAD, MOST_AHEAD);
    }

    /// It ends by itself when it finds its socket closed.
    pub(crate) fn dismiss(&self) {
        if let Some(wire) = &self.wire {
            // An error means that it is closed already.
            let _ = wire.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn send(&mut self, message: &ToWorker) {
        if let Some(wire) = &mut self.wire {
            // When it fails the worker is gone, which its thread sees.
            let _ = protocol::frame(message).and_then(|bytes| wire.write_all(&bytes));
        }
    }
}

impl Given {
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

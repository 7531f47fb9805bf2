//! The pool, which executes runs in worker processes or in this process.
//!
//! A *batch* is a sequence of jobs, taken lazily from an iterator. Finished runs arrive in any
//! order, with their index. A batch can be cut at an index: runs from that index on no longer
//! begin. A sweep cuts after the lowest failing seed, and the shrinker cuts after the first
//! candidate that still fails. So the result does not depend on the number of workers. Workers get
//! no more jobs of a batch until the caller has seen all runs that have arrived, so that a slow
//! caller does not delay a cut. The batches of several tests take turns.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::workers::dispatcher::Dispatcher;
use crate::harness::workers::in_process::{InProcess, InProcessBatch};
use crate::harness::workers::job::{FinishedRun, Job, NextRuns};
use crate::harness::workers::launch::Launcher;
use crate::spec::SimTest;

/// The runs of one batch, as they finish.
#[derive(Debug)]
pub(crate) struct Runs(Source);

#[derive(Debug)]
enum Source {
    Workers(WorkerRuns),
    InProcess(InProcessBatch),
}

#[derive(Debug)]
struct WorkerRuns {
    dispatcher: Arc<Dispatcher>,
    batch: u64,
    results: Receiver<Vec<FinishedRun>>,
    /// Number of messages that the caller has received but not yet acknowledged by asking for more.
    unacknowledged: usize,
}

/// Executes the runs of this process's tests.
#[derive(Debug)]
pub(crate) struct Pool {
    backend: Backend,
    tests: &'static [&'static SimTest],
    launch: Launcher,
    /// Dispatchers of fresh processes.
    fresh: Mutex<Vec<Arc<Dispatcher>>>,
}

/// Fresh worker processes, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct FreshProcesses<'a> {
    pool: &'a Pool,
    dispatcher: Arc<Dispatcher>,
}

#[derive(Debug)]
enum Backend {
    /// Worker processes.
    Workers(Arc<Dispatcher>),
    /// This process, one run at a time.
    InProcess(InProcess),
}

impl Pool {
    /// Creates a pool of at most `jobs` worker processes, without starting any.
    pub(crate) fn workers(
        jobs: usize,
        tests: &'static [&'static SimTest],
        launch: Launcher,
    ) -> Self {
        let dispatcher = Dispatcher::new(jobs, tests, launch.clone());
        Self { backend: Backend::Workers(dispatcher), tests, launch, fresh: Mutex::default() }
    }

    /// Creates a pool that executes runs in this process. `launch` starts fresh processes for runs that need one.
    pub(crate) fn in_process(
        in_process: InProcess,
        tests: &'static [&'static SimTest],
        launch: Launcher,
    ) -> Self {
        Self { backend: Backend::InProcess(in_process), tests, launch, fresh: Mutex::default() }
    }

    /// Executes one run in a fresh process, without state that earlier runs left behind.
    pub(crate) fn run_in_fresh_process(&self, job: Job) -> FinishedRun {
        self.fresh_processes(1).run(job)
    }

    /// Returns at most `jobs` fresh processes, without starting any. Their output is not shown, since it was shown during
    /// the first run.
    pub(crate) fn fresh_processes(&self, jobs: usize) -> FreshProcesses<'_> {
        self.fresh_processes_by(jobs, self.launch.quiet())
    }

    /// Like [`Pool::fresh_processes`], with one process without address randomization. Runs are
    /// broken if the system does not support this.
    pub(crate) fn fresh_process_at_fixed_addresses(&self) -> FreshProcesses<'_> {
        self.fresh_processes_by(1, self.launch.quiet().at_fixed_addresses())
    }

    fn fresh_processes_by(&self, jobs: usize, launch: Launcher) -> FreshProcesses<'_> {
        let dispatcher = Dispatcher::new(jobs, self.tests, launch);
        self.dispatchers().push(Arc::clone(&dispatcher));
        FreshProcesses { pool: self, dispatcher }
    }

    /// Starts a batch.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        match &self.backend {
            Backend::Workers(dispatcher) => Runs::by(dispatcher, jobs),
            Backend::InProcess(in_process) => {
                Runs(Source::InProcess(InProcessBatch::new(in_process.clone(), Box::new(jobs))))
            }
        }
    }

    /// Tests and seeds that are running.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        let mut running = match &self.backend {
            Backend::Workers(dispatcher) => dispatcher.running(),
            Backend::InProcess(in_process) => in_process.running(),
        };
        running.extend(self.dispatchers().iter().flat_map(|dispatcher| dispatcher.running()));
        running
    }

    /// Deletes this process's folder before the process exits. Workers delete their own.
    pub(crate) fn delete_folder(&self) {
        if let Backend::InProcess(in_process) = &self.backend {
            in_process.delete_folder();
        }
    }

    fn dispatchers(&self) -> MutexGuard<'_, Vec<Arc<Dispatcher>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FreshProcesses<'_> {
    /// Starts a batch. A single process executes its runs in order.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        Runs::by(&self.dispatcher, jobs)
    }

    /// Executes one run.
    pub(crate) fn run(&self, job: Job) -> FinishedRun {
        let seed = job.seed;
        self.runs(std::iter::once(job)).all().pop().unwrap_or_else(|| FinishedRun::lost(seed))
    }
}

impl Drop for FreshProcesses<'_> {
    fn drop(&mut self) {
        self.dispatcher.shut_down();
        self.pool.dispatchers().retain(|other| !Arc::ptr_eq(other, &self.dispatcher));
    }
}

impl Runs {
    fn by(dispatcher: &Arc<Dispatcher>, jobs: impl Iterator<Item = Job> + Send + 'static) -> Self {
        let (batch, results) = dispatcher.add_batch(Box::new(jobs));
        let dispatcher = Arc::clone(dispatcher);
        Self(Source::Workers(WorkerRuns { dispatcher, batch, results, unacknowledged: 0 }))
    }

    /// Waits for runs, at most `timeout`. Acknowledges the runs that it returned before, so that workers get more jobs.
    pub(crate) fn next(&mut self, timeout: Duration) -> NextRuns {
        match &mut self.0 {
            Source::Workers(workers) => workers.next(timeout),
            Source::InProcess(batch) => batch.next(),
        }
    }

    /// Waits for all runs and returns them in order.
    pub(crate) fn all(mut self) -> Vec<FinishedRun> {
        let mut all = Vec::new();
        loop {
            match self.next(Duration::MAX) {
                NextRuns::Finished(finished) => all.extend(finished),
                NextRuns::Pending => {}
                NextRuns::End => break,
            }
        }
        all.sort_by_key(|finished| finished.index);
        all
    }

    /// Stops starting runs from this index on. Runs that have begun still arrive.
    pub(crate) fn cut(&mut self, from: u64) {
        match &mut self.0 {
            Source::Workers(workers) => workers.dispatcher.cut(workers.batch, from),
            Source::InProcess(batch) => batch.cut(from),
        }
    }
}

impl WorkerRuns {
    fn next(&mut self, timeout: Duration) -> NextRuns {
        let unacknowledged = std::mem::take(&mut self.unacknowledged);
        if unacknowledged > 0 {
            self.dispatcher.acknowledge(self.batch, unacknowledged);
        }
        match self.results.recv_timeout(timeout) {
            Ok(mut finished) => {
                // Returns all runs that have arrived, to acknowledge them at once.
                self.unacknowledged = 1;
                for more in self.results.try_iter() {
                    finished.extend(more);
                    self.unacknowledged += 1;
                }
                NextRuns::Finished(finished)
            }
            Err(RecvTimeoutError::Timeout) => NextRuns::Pending,
            Err(RecvTimeoutError::Disconnected) => NextRuns::End,
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.cut(0);
    }
}

#[cfg(test)]
mod tests;

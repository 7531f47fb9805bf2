//! Who makes the runs: worker processes, or this process when one job is enough.
//!
//! What is asked for is a *batch*: a sequence of runs, drawn as they are needed. Outcomes come back in any order with
//! their place in the sequence, and the batch can be cut: from that place on none is begun any more. A sweep cuts behind
//! the lowest failing seed, a shrinker behind the first candidate that still fails; neither depends on how many jobs
//! there are. Workers get no more runs of a batch until the outcomes that came have been looked at: a cut is never late
//! because this process was slow. Several tests ask at once and take turns.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::workers::dispatcher::Dispatcher;
use crate::harness::workers::here::{Here, Local};
use crate::harness::workers::job::{Job, Next, Ran};
use crate::harness::workers::launch::Launch;
use crate::spec::SimTest;

/// The runs of one batch, as they come.
#[derive(Debug)]
pub(crate) struct Runs(Source);

#[derive(Debug)]
enum Source {
    Workers(FromWorkers),
    Here(Here),
}

#[derive(Debug)]
struct FromWorkers {
    dispatcher: Arc<Dispatcher>,
    batch: u64,
    results: Receiver<Vec<Ran>>,
    /// Messages that were handed out and not acknowledged: the caller is still looking at them.
    unacknowledged: usize,
}

/// The jobs of this process.
#[derive(Debug)]
pub(crate) struct Pool {
    by: By,
    tests: &'static [&'static SimTest],
    launch: Launch,
    /// Who makes runs in processes of their own.
    alone: Mutex<Vec<Arc<Dispatcher>>>,
}

/// Processes that have made no run before, and make these only. They end with this.
#[derive(Debug)]
pub(crate) struct Alone<'a> {
    pool: &'a Pool,
    dispatcher: Arc<Dispatcher>,
}

#[derive(Debug)]
enum By {
    /// Worker processes.
    Workers(Arc<Dispatcher>),
    /// This process, one run at a time.
    Here(Local),
}

impl Pool {
    /// Worker processes, at most so many; none is started yet.
    pub(crate) fn workers(jobs: usize, tests: &'static [&'static SimTest], launch: Launch) -> Self {
        let dispatcher = Dispatcher::new(jobs, tests, launch.clone());
        Self { by: By::Workers(dispatcher), tests, launch, alone: Mutex::default() }
    }

    /// This process; `launch` is for runs that must be alone.
    pub(crate) fn here(local: Local, tests: &'static [&'static SimTest], launch: Launch) -> Self {
        Self { by: By::Here(local), tests, launch, alone: Mutex::default() }
    }

    /// Makes one run in a process that has made no other: nothing that an earlier run left behind is there.
    pub(crate) fn run_alone(&self, job: Job) -> Ran {
        self.alone(1).run(job)
    }

    /// At most so many fresh processes; none is started yet. What they write is held back: it was shown the first time.
    pub(crate) fn alone(&self, jobs: usize) -> Alone<'_> {
        self.alone_by(jobs, self.launch.quiet())
    }

    /// As [`Pool::alone`], one process, in which code and data have the same addresses each time. Where that can't be had no
    /// run can.
    pub(crate) fn alone_at_fixed_addresses(&self) -> Alone<'_> {
        self.alone_by(1, self.launch.quiet().at_fixed_addresses())
    }

    fn alone_by(&self, jobs: usize, launch: Launch) -> Alone<'_> {
        let dispatcher = Dispatcher::new(jobs, self.tests, launch);
        self.dispatchers().push(Arc::clone(&dispatcher));
        Alone { pool: self, dispatcher }
    }

    /// Makes many.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        match &self.by {
            By::Workers(dispatcher) => Runs::by(dispatcher, jobs),
            By::Here(local) => Runs(Source::Here(Here::new(local.clone(), Box::new(jobs)))),
        }
    }

    /// What is being run now.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        let mut running = match &self.by {
            By::Workers(dispatcher) => dispatcher.running(),
            By::Here(local) => local.running(),
        };
        running.extend(self.dispatchers().iter().flat_map(|dispatcher| dispatcher.running()));
        running
    }

    /// Deletes what this process holds on disk: it is about to be ended. Workers see to theirs.
    pub(crate) fn delete_folder(&self) {
        if let By::Here(local) = &self.by {
            local.delete_folder();
        }
    }

    fn dispatchers(&self) -> MutexGuard<'_, Vec<Arc<Dispatcher>>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alone<'_> {
    /// Makes many; one process makes them in order.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        Runs::by(&self.dispatcher, jobs)
    }

    /// Makes one.
    pub(crate) fn run(&self, job: Job) -> Ran {
        let seed = job.seed;
        self.runs(std::iter::once(job)).all().pop().unwrap_or_else(|| Ran::lost(seed))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.dispatcher.dismiss();
        self.pool.dispatchers().retain(|other| !Arc::ptr_eq(other, &self.dispatcher));
    }
}

impl Runs {
    fn by(dispatcher: &Arc<Dispatcher>, jobs: impl Iterator<Item = Job> + Send + 'static) -> Self {
        let (batch, results) = dispatcher.open(Box::new(jobs));
        let dispatcher = Arc::clone(dispatcher);
        Self(Source::Workers(FromWorkers { dispatcher, batch, results, unacknowledged: 0 }))
    }

    /// Waits for more outcomes, up to `patience`. Those that it returned before count as looked at: workers get more runs.
    pub(crate) fn next(&mut self, patience: Duration) -> Next {
        match &mut self.0 {
            Source::Workers(workers) => workers.next(patience),
            Source::Here(here) => here.next(),
        }
    }

    /// Waits for all, and has them in their order.
    pub(crate) fn all(mut self) -> Vec<Ran> {
        let mut all = Vec::new();
        loop {
            match self.next(Duration::MAX) {
                Next::Ran(ran) => all.extend(ran),
                Next::Nothing => {}
                Next::End => break,
            }
        }
        all.sort_by_key(|ran| ran.index);
        all
    }

    /// From this place on none is begun any more. Outcomes of such that were begun before still come.
    pub(crate) fn cut(&mut self, from: u64) {
        match &mut self.0 {
            Source::Workers(workers) => workers.dispatcher.cut(workers.batch, from),
            Source::Here(here) => here.cut(from),
        }
    }
}

impl FromWorkers {
    fn next(&mut self, patience: Duration) -> Next {
        let unacknowledged = std::mem::take(&mut self.unacknowledged);
        if unacknowledged > 0 {
            self.dispatcher.acknowledge(self.batch, unacknowledged);
        }
        match self.results.recv_timeout(patience) {
            Ok(mut ran) => {
                // All that has come is looked at together: one acknowledgement for many workers.
                self.unacknowledged = 1;
                for more in self.results.try_iter() {
                    ran.extend(more);
                    self.unacknowledged += 1;
                }
                Next::Ran(ran)
            }
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::End,
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

//! Runs made by this process, one after the other: with one job, and under a debugger.
//!
//! The outcomes are those of a worker. What it can't do is outlive a run that ends the process, or that hangs: then it
//! says which run it was and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::engine::context::RunStatus;
use crate::harness::workers::disk::Folder;
use crate::harness::workers::job::{Job, Next, Ran};
use crate::harness::workers::watchdog::{Hang, Watchdog};
use crate::harness::{Runner, registry};
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// Makes the process's folder.
pub(crate) type Settle = Box<dyn Fn() -> Result<Arc<Folder>, String> + Send + Sync>;

/// What makes the runs of this process.
#[derive(Clone)]
pub(crate) struct Local(Arc<Seat>);

struct Seat {
    tests: &'static [&'static SimTest],
    run: Runner,
    settle: Settle,
    dog: Watchdog,
    /// One run at a time, however many tests there are: holds the tests that this process has made a run of.
    turn: Mutex<BTreeSet<u32>>,
    /// What each batch is about to run, or runs, by the batches' numbers.
    current: Mutex<BTreeMap<u64, Job>>,
    batches: AtomicU64,
    /// Deleted with the last batch that uses it: nobody is called when a test binary ends.
    folder: Mutex<Weak<Folder>>,
}

/// One batch.
pub(crate) struct Here {
    local: Local,
    number: u64,
    jobs: Box<dyn Iterator<Item = Job> + Send>,
    folder: Option<Result<Arc<Folder>, String>>,
    next: u64,
    from: u64,
}

impl Local {
    /// Runs by `run`, with their disks where `settle` says; `bark` is told of one that hangs.
    pub(crate) fn new(
        tests: &'static [&'static SimTest],
        run: Runner,
        settle: Settle,
        hang: Duration,
        bark: impl FnOnce(Hang) + Send + 'static,
    ) -> Self {
        Self(Arc::new(Seat {
            tests,
            run,
            settle,
            dog: Watchdog::start(hang, bark),
            turn: Mutex::default(),
            current: Mutex::default(),
            batches: AtomicU64::new(0),
            folder: Mutex::default(),
        }))
    }

    /// What is being run now.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        lock(&self.0.current).values().map(|job| (job.test, job.seed)).collect()
    }

    /// Deletes the folder of a process that is about to be ended.
    pub(crate) fn delete_folder(&self) {
        if let Some(folder) = lock(&self.0.folder).upgrade() {
            folder.delete();
        }
    }

    fn folder(&self) -> Result<Arc<Folder>, String> {
        let mut shared = lock(&self.0.folder);
        if let Some(folder) = shared.upgrade() {
            return Ok(folder);
        }
        let folder = (self.0.settle)()?;
        *shared = Arc::downgrade(&folder);
        Ok(folder)
    }

    fn make(&self, job: &Job) -> Outcome {
        let mut warmed = lock(&self.0.turn);
        if let Some(test) = registry::number(self.0.tests, job.test)
            && warmed.insert(test)
        {
            // What is made once a process is made in a run that does not count, as in a worker.
            let thrown_away = self.one(job, Keep::default());
            return self.one(job, job.keep).after(&thrown_away);
        }
        self.one(job, job.keep)
    }

    fn one(&self, job: &Job, keep: Keep) -> Outcome {
        let shared = Arc::new(RunStatus::default());
        self.0.dog.begin(job.seed, Some(job.clone()), Arc::clone(&shared));
        let outcome = (self.0.run)(job.test, job.seed, &job.overlay, keep, shared);
        self.0.dog.end();
        outcome
    }
}

impl Here {
    pub(crate) fn new(local: Local, jobs: Box<dyn Iterator<Item = Job> + Send>) -> Self {
        let number = local.0.batches.fetch_add(1, Ordering::Relaxed);
        Self { local, number, jobs, folder: None, next: 0, from: u64::MAX }
    }

    /// Makes the next run.
    pub(crate) fn next(&mut self) -> Next {
        if self.next >= self.from {
            return Next::End;
        }
        let Some(job) = self.jobs.next() else {
            return Next::End;
        };
        let index = self.next;
        self.next += 1;
        // From here to the next one, or to the end of the batch: whoever interrupts is told of one.
        lock(&self.local.0.current).insert(self.number, job.clone());
        let folder = self.folder.get_or_insert_with(|| self.local.folder());
        let ran = match folder {
            Ok(_) => Ran { index, outcome: self.local.make(&job), output: Vec::new() },
            Err(why) => Ran::broken(index, job.seed, why.clone()),
        };
        Next::Ran(vec![ran])
    }

    pub(crate) fn cut(&mut self, from: u64) {
        self.from = self.from.min(from);
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        lock(&self.local.0.current).remove(&self.number);
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").field("next", &self.next).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

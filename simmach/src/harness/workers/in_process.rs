//! Executes runs in this process, one at a time. The pool uses this with one job, and under a
//! debugger.
//!
//! Outcomes are the same as those of a worker, with one difference: a run that hangs or ends its
//! process ends all tests. A hang is reported before the process exits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::engine::context::RunStatus;
use crate::engine::failure::verdict::Verdict;
use crate::harness::workers::disk::{Folder, FolderError};
use crate::harness::workers::job::{FinishedRun, Job, NextRuns};
use crate::harness::workers::watchdog::{Hang, Watchdog};
use crate::harness::{Runner, registry};
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// Creates the process's folder.
pub(crate) type CreateFolder = Box<dyn Fn() -> Result<Arc<Folder>, FolderError> + Send + Sync>;

/// Executes runs in this process.
#[derive(Clone)]
pub(crate) struct InProcess(Arc<InProcessState>);

struct InProcessState {
    tests: &'static [&'static SimTest],
    run: Runner,
    create_folder: CreateFolder,
    watchdog: Watchdog,
    /// The tests of which this process has executed a run, by number. The lock is held during a run,
    /// so that runs are executed one at a time.
    warmed_up: Mutex<BTreeMap<u32, HasOwnProcesses>>,
    /// Current or next job of each batch, by the batch's number.
    current: Mutex<BTreeMap<u64, Job>>,
    batches: AtomicU64,
    /// The folder. It is deleted with the last batch that uses it, since a test binary has no hook
    /// at its end.
    folder: Mutex<Weak<Folder>>,
}

/// Whether a test asks for an OS process for each run.
#[derive(Clone, Copy, Debug)]
struct HasOwnProcesses(bool);

/// Why a further run of such a test is not executed.
const NO_OWN_PROCESS: &str = "the test has `own_process = true`, but SIMMACH_JOBS=1 or a debugger makes one OS process execute \
    all runs: set SIMMACH_JOBS to 2 or more, or select one seed with SIMMACH_SEED";

/// A batch of runs in this process.
pub(crate) struct InProcessBatch {
    in_process: InProcess,
    number: u64,
    jobs: Box<dyn Iterator<Item = Job> + Send>,
    folder: Option<Result<Arc<Folder>, FolderError>>,
    next: u64,
    from: u64,
}

impl InProcess {
    /// Executes runs with `run`, with disks in the folder of `create_folder`. `report_hang` is called for a run that hangs.
    pub(crate) fn new(
        tests: &'static [&'static SimTest],
        run: Runner,
        create_folder: CreateFolder,
        hang: Duration,
        report_hang: impl FnOnce(Hang) + Send + 'static,
    ) -> Self {
        Self(Arc::new(InProcessState {
            tests,
            run,
            create_folder,
            watchdog: Watchdog::start(hang, report_hang),
            warmed_up: Mutex::default(),
            current: Mutex::default(),
            batches: AtomicU64::new(0),
            folder: Mutex::default(),
        }))
    }

    /// Tests and seeds that are running.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        lock(&self.0.current).values().map(|job| (job.test, job.seed)).collect()
    }

    /// Deletes the folder before the process exits.
    pub(crate) fn delete_folder(&self) {
        if let Some(folder) = lock(&self.0.folder).upgrade() {
            folder.delete();
        }
    }

    fn folder(&self) -> Result<Arc<Folder>, FolderError> {
        let mut shared = lock(&self.0.folder);
        if let Some(folder) = shared.upgrade() {
            return Ok(folder);
        }
        let folder = (self.0.create_folder)()?;
        *shared = Arc::downgrade(&folder);
        Ok(folder)
    }

    fn run_job(&self, job: &Job) -> Outcome {
        let mut warmed = lock(&self.0.warmed_up);
        let Some(test) = registry::number(self.0.tests, job.test) else {
            return self.run_one(job, job.keep);
        };
        match warmed.get(&test) {
            Some(HasOwnProcesses(false)) => self.run_one(job, job.keep),
            Some(HasOwnProcesses(true)) => {
                Outcome::without_a_run(job.seed, Verdict::Broken(NO_OWN_PROCESS.to_owned()))
            }
            None => {
                let own = (job.test.settings)().own_process;
                warmed.insert(test, HasOwnProcesses(own));
                if own {
                    return self.run_one(job, job.keep);
                }
                // A discarded warm-up run, as in a worker.
                let warm_up = self.run_one(job, Keep::default());
                self.run_one(job, job.keep).after(&warm_up)
            }
        }
    }

    fn run_one(&self, job: &Job, keep: Keep) -> Outcome {
        let status = Arc::new(RunStatus::default());
        self.0.watchdog.begin(job.seed, Some(job.clone()), Arc::clone(&status));
        let outcome = (self.0.run)(job.test, job.seed, &job.overlay, keep, status);
        self.0.watchdog.end();
        outcome
    }
}

impl InProcessBatch {
    pub(crate) fn new(in_process: InProcess, jobs: Box<dyn Iterator<Item = Job> + Send>) -> Self {
        let number = in_process.0.batches.fetch_add(1, Ordering::Relaxed);
        Self { in_process, number, jobs, folder: None, next: 0, from: u64::MAX }
    }

    /// Executes the next run of the batch.
    pub(crate) fn next(&mut self) -> NextRuns {
        if self.next >= self.from {
            return NextRuns::End;
        }
        let Some(job) = self.jobs.next() else {
            return NextRuns::End;
        };
        let index = self.next;
        self.next += 1;
        // The job is kept until the next one begins, so that an interrupt can always name a job.
        lock(&self.in_process.0.current).insert(self.number, job.clone());
        let folder = self.folder.get_or_insert_with(|| self.in_process.folder());
        let finished = match folder {
            Ok(_) => {
                FinishedRun { index, outcome: self.in_process.run_job(&job), output: Vec::new() }
            }
            Err(error) => FinishedRun::broken(index, job.seed, error),
        };
        NextRuns::Finished(vec![finished])
    }

    pub(crate) fn cut(&mut self, from: u64) {
        self.from = self.from.min(from);
    }
}

impl Drop for InProcessBatch {
    fn drop(&mut self) {
        lock(&self.in_process.0.current).remove(&self.number);
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl fmt::Debug for InProcessBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessBatch").field("next", &self.next).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Who makes the runs: worker processes, or this process when one job is enough.
//!
//! What is asked for is a *batch*: a sequence of runs, drawn as they are needed. Outcomes come back in any order with
//! their place in the sequence, and the batch can be cut: from that place on none is begun any more. A sweep cuts behind
//! the lowest failing seed, a shrinker behind the first candidate that still fails; neither depends on how many jobs
//! there are. Several tests ask at once and take turns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::here::{Here, Local};
use super::job::{Job, Next, Ran};
use super::launch::Launch;
use crate::spec::SimTest;

/// The runs of one batch, as they come.
#[derive(Debug)]
pub(crate) struct Runs(Source);

#[derive(Debug)]
enum Source {
    Workers { dispatcher: Arc<Dispatcher>, batch: u64, results: Receiver<Vec<Ran>> },
    Here(Here),
}

/// The jobs of this process.
#[derive(Debug)]
pub(crate) enum Pool {
    /// Made by worker processes.
    Workers(Arc<Dispatcher>),
    /// Made by this process, one at a time.
    Here(Local),
}

impl Pool {
    /// Worker processes, at most so many; none is started yet.
    pub(crate) fn workers(jobs: usize, tests: &'static [&'static SimTest], launch: Launch) -> Self {
        Self::Workers(Dispatcher::new(jobs, tests, launch))
    }

    /// Makes one run.
    pub(crate) fn run(&self, job: Job) -> Ran {
        let seed = job.seed;
        let mut runs = self.runs(std::iter::once(job));
        loop {
            match runs.next(Duration::MAX) {
                Next::Ran(ran) => {
                    if let Some(ran) = ran.into_iter().next() {
                        return ran;
                    }
                }
                Next::Nothing => {}
                Next::End => return Ran::broken(0, seed, "the run was lost".to_owned()),
            }
        }
    }

    /// Makes many.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        match self {
            Self::Workers(dispatcher) => {
                let (batch, results) = dispatcher.open(Box::new(jobs));
                Runs(Source::Workers { dispatcher: Arc::clone(dispatcher), batch, results })
            }
            Self::Here(local) => Runs(Source::Here(Here::new(local.clone(), Box::new(jobs)))),
        }
    }

    /// What is being run now.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        match self {
            Self::Workers(dispatcher) => dispatcher.running(),
            Self::Here(local) => local.running(),
        }
    }
}

impl Runs {
    /// Waits for more, so long.
    pub(crate) fn next(&mut self, patience: Duration) -> Next {
        match &mut self.0 {
            Source::Workers { results, .. } => match results.recv_timeout(patience) {
                Ok(ran) => Next::Ran(ran),
                Err(RecvTimeoutError::Timeout) => Next::Nothing,
                Err(RecvTimeoutError::Disconnected) => Next::End,
            },
            Source::Here(here) => here.next(),
        }
    }

    /// From this place on none is begun any more. Outcomes of such that were begun before still come.
    pub(crate) fn cut(&mut self, from: u64) {
        match &mut self.0 {
            Source::Workers { dispatcher, batch, .. } => dispatcher.cut(*batch, from),
            Source::Here(here) => here.cut(from),
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.cut(0);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;

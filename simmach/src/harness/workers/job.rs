//! Jobs and finished runs.

use std::fmt::Display;

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// One run to execute.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) test: &'static SimTest,
    pub(crate) seed: u64,
    pub(crate) overlay: Overlay,
    pub(crate) keep: Keep,
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// Index in the batch.
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
    /// Standard output and error, if the run's log was requested or its process died.
    pub(crate) output: Vec<u8>,
}

/// Result of waiting for runs.
#[derive(Debug)]
pub(crate) enum NextRuns {
    /// Some runs have finished.
    Finished(Vec<FinishedRun>),
    /// No run has finished: the wait timed out.
    Pending,
    /// The batch is complete.
    End,
}

impl FinishedRun {
    pub(crate) fn lost(seed: u64) -> Self {
        let why = "no worker process returned the outcome of this run; if this happens again, it is a bug in simmach";
        Self::broken(0, seed, why)
    }

    pub(crate) fn broken(index: u64, seed: u64, why: impl Display) -> Self {
        Self {
            index,
            outcome: Outcome::without_a_run(seed, Verdict::Broken(why.to_string())),
            output: Vec::new(),
        }
    }
}

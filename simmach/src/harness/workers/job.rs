//! What a pool is asked for, and what it answers.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// One run to make.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) test: &'static SimTest,
    pub(crate) seed: u64,
    pub(crate) overlay: Overlay,
    pub(crate) keep: Keep,
}

/// One run made.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its place in the batch.
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
    /// What it wrote to standard output and error, where its log was asked for or its process died.
    pub(crate) output: Vec<u8>,
}

/// What a wait for runs brought.
#[derive(Debug)]
pub(crate) enum Next {
    /// Some.
    Ran(Vec<Ran>),
    /// None yet.
    Nothing,
    /// All are here.
    End,
}

impl Ran {
    pub(crate) fn lost(seed: u64) -> Self {
        Self::broken(0, seed, "the run was lost".to_owned())
    }

    pub(crate) fn broken(index: u64, seed: u64, why: String) -> Self {
        Self {
            index,
            outcome: Outcome::without_a_run(seed, Verdict::Broken(why)),
            output: Vec::new(),
        }
    }
}

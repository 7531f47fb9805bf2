//! Shrinks a failing run to a small run that fails in the same way.
//!
//! An [`Oracle`] decides whether an overlay still fails, and how large its run is. The oracle can
//! be a closure; the shrinker does not depend on the engine, processes or tests. The result does
//! not depend on the number of candidates that are tried speculatively. The first candidate that
//! fails, in order, is accepted, and only the runs up to it are counted. A candidate that is larger
//! than the best one so far is rejected even if it fails.
//!
//! First, the acts of the plans replace the plans. If the run still fails, the passes work on the
//! acts: they leave out acts together with their repairs, and move, merge and weaken them.
//! Otherwise, the passes work on the draws of the plans.
//!
//! The passes are repeated until a round changes nothing or the budget is used up. They make whole
//! families calm, and remove strikes of plans, packet faults and steps by delta debugging. They
//! lower choices, and make orders and times calm, first by windows of time and then one by one. If
//! nothing helps, removals are retried with different draws and at different times. The result is
//! minimal only with respect to these passes.

mod acts;
mod candidate;
mod ddmin;
mod items;
mod passes;
pub(crate) mod token;

#[cfg(test)]
mod tests;

use crate::engine::acts::RecordedAct;
use crate::engine::draws::overlay::Overlay;
use crate::engine::record::deviations::{Deviation, Size};
use crate::shrink::passes::Shrinker;

/// The answer of an oracle.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The run fails in the same way.
    Fails(FailingRun),
    /// The run does not fail in the same way.
    Passes,
}

/// A run that fails in the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailingRun {
    pub(crate) size: Size,
    /// Its draws that were not calm.
    pub(crate) deviations: Vec<Deviation>,
    /// The acts of its plans.
    pub(crate) acts: Vec<RecordedAct>,
}

/// Overlays to try, in order.
pub(crate) type Overlays<'a> = &'a mut dyn Iterator<Item = Overlay>;

/// Executes runs and decides which of them fail.
pub(crate) trait Oracle {
    /// Returns the index and size of the first candidate that fails in the same way and has an accepted size, as if the
    /// candidates were tried one by one.
    fn first_failing(
        &mut self,
        candidates: Overlays<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)>;

    /// Executes one run and records its deviations.
    fn inspect(&mut self, overlay: &Overlay) -> Answer;

    /// Whether the time is used up.
    fn is_over(&self) -> bool {
        false
    }

    /// Called when a smaller run has been found, with the number of runs so far.
    fn found_smaller(&mut self, _overlay: &Overlay, _size: &Size, _runs: u64) {}
}

/// A closure that executes one run at a time.
impl<F: FnMut(&Overlay) -> Answer> Oracle for F {
    fn first_failing(
        &mut self,
        candidates: Overlays<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        (0..).zip(candidates).find_map(|(position, overlay)| match self(&overlay) {
            Answer::Fails(seen) if fits(&seen.size) => Some((position, seen.size)),
            Answer::Fails(_) | Answer::Passes => None,
        })
    }

    fn inspect(&mut self, overlay: &Overlay) -> Answer {
        self(overlay)
    }
}

/// The smallest failing run that was found.
#[derive(Clone, Debug)]
pub(crate) struct ShrinkResult {
    pub(crate) overlay: Overlay,
    pub(crate) size: Size,
    /// Size of the original run.
    pub(crate) before: Size,
    /// Number of runs that were executed.
    pub(crate) runs: u64,
    pub(crate) end: StopReason,
    pub(crate) acts: ActsAlone,
}

/// Whether a run fails by the acts of its plans, without the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActsAlone {
    /// Plans did nothing.
    None,
    /// The run fails because of the acts: the shrunk run has some of them.
    Fail,
    /// The run does not fail because of the acts: the shrunk run has its plans, with draws left out.
    Pass,
}

/// Why shrinking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// No pass found anything smaller.
    Minimal,
    /// The maximum number of runs was reached.
    Budget,
    /// The time was used up.
    Time,
}

/// Shrinks the run of the empty overlay with at most `budget` runs. `None` if that run does not fail in the same way.
pub(crate) fn shrink(oracle: &mut dyn Oracle, budget: u64) -> Option<ShrinkResult> {
    Shrinker::begin(oracle, budget).map(Shrinker::run)
}

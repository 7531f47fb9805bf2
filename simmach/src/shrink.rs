//! From a failing run to the smallest that fails in the same way.
//!
//! What is asked is an [`Oracle`]: whether an overlay still fails, and so how large its run is. It may be a closure; nothing
//! here knows of engine, processes or tests. The answer is the same whatever number of candidates is tried ahead of need:
//! the first in order that fails is taken, and only those up to it are counted. A candidate that is larger than the best so
//! far is not taken, though it fails.
//!
//! Passes go round until one round changes nothing, or the budget is used up: whole families calm; plans' strikes, faults of
//! packets and steps left out by delta debugging; choices lowered; orders and times calm, by window and one by one. Where
//! none of it helps, a removal is tried again with other draws and other times. What is left is minimal as far as these
//! passes see: that no smaller run fails is not shown.

mod ddmin;
mod items;
mod passes;
mod plan;
pub(crate) mod token;

#[cfg(test)]
mod tests;

use crate::engine::draws::overlay::Overlay;
use crate::engine::record::deviations::{Deviation, Size};
use crate::shrink::passes::Shrinker;

/// What a run came to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It fails in the same way.
    Fails(Seen),
    /// It does not.
    Passes,
}

/// A run that fails in the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) size: Size,
    /// What of it was not calm.
    pub(crate) deviations: Vec<Deviation>,
}

/// Candidates in their order.
pub(crate) type Candidates<'a> = &'a mut dyn Iterator<Item = Overlay>;

/// Makes runs and says which fail.
pub(crate) trait Oracle {
    /// The first of the candidates that fails in the same way with a size that fits, as if they were tried one after the
    /// other; its place among them.
    fn first(
        &mut self,
        candidates: Candidates<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)>;

    /// Looks at one run more closely.
    fn look(&mut self, overlay: &Overlay) -> Verdict;

    /// There is no more time.
    fn is_over(&self) -> bool {
        false
    }

    /// A smaller one has been found, after so many runs.
    fn best(&mut self, _overlay: &Overlay, _size: &Size, _runs: u64) {}
}

/// A closure that makes one run after the other.
impl<F: FnMut(&Overlay) -> Verdict> Oracle for F {
    fn first(
        &mut self,
        candidates: Candidates<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        (0..).zip(candidates).find_map(|(place, overlay)| match self(&overlay) {
            Verdict::Fails(seen) if fits(&seen.size) => Some((place, seen.size)),
            Verdict::Fails(_) | Verdict::Passes => None,
        })
    }

    fn look(&mut self, overlay: &Overlay) -> Verdict {
        self(overlay)
    }
}

/// The smallest that was found.
#[derive(Clone, Debug)]
pub(crate) struct Shrunk {
    pub(crate) overlay: Overlay,
    pub(crate) size: Size,
    /// Of the run as it was found.
    pub(crate) before: Size,
    /// How many runs it took.
    pub(crate) runs: u64,
    pub(crate) end: End,
}

/// Why no more was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No pass finds anything smaller.
    Minimal,
    /// The runs are used up.
    Budget,
    /// The time is.
    Time,
}

/// Shrinks the run that the empty overlay makes, with so many runs at most. `None` when that does not fail in the same way.
pub(crate) fn shrink(oracle: &mut dyn Oracle, budget: u64) -> Option<Shrunk> {
    Shrinker::begin(oracle, budget).map(Shrinker::run)
}

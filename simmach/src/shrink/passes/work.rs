//! Passes that remove steps of the test and lower its choices.

use std::collections::BTreeSet;

use crate::engine::draws::family::Family;
use crate::shrink::ddmin::ddmin;
use crate::shrink::passes::Shrinker;

/// Minimum number of steps that are cut from the front and the back.
const MIN_CUT_STEPS: usize = 8;

impl Shrinker<'_> {
    /// Removes steps. Items that are bound to a removed step are bound to another step.
    pub(super) fn remove_steps(&mut self) {
        self.cut_steps();
        let items = self.candidate.items(&[Family::Step]);
        ddmin(items, |lists| {
            let candidate = self.candidate.clone();
            self.try_candidates(lists.map(|items| candidate.with_steps(&items)))
        });
    }

    /// Cuts long lists of steps from the front and the back, by halves, quarters and so on, as long as one can be cut.
    fn cut_steps(&mut self) {
        let mut part = 2;
        while self.candidate.items(&[Family::Step]).len() >= MIN_CUT_STEPS.max(part) {
            let steps = self.candidate.items(&[Family::Step]);
            let cut = steps.len() / part;
            let shorter = [&steps[cut..], &steps[..steps.len() - cut]];
            let candidates = shorter.map(|steps| self.candidate.with_steps(steps));
            if self.try_candidates(candidates.into_iter()).is_none() {
                part *= 2;
            }
        }
    }

    /// Removes choices, then lowers the others. Those outside of steps are removed as a whole, if they can be.
    pub(super) fn lower_choices(&mut self) {
        const CHOICE: &[Family] = &[Family::Choice];
        let steps: BTreeSet<u64> =
            self.candidate.items(&[Family::Step]).iter().map(|step| step.address[0]).collect();
        let mut in_steps = self.candidate.items(CHOICE);
        in_steps.retain(|choice| steps.contains(&choice.address[0]));
        let candidate = self.candidate.with_items(CHOICE, &in_steps);
        self.try_one(candidate);
        self.reduce(CHOICE);
        for at in 0..self.candidate.items(CHOICE).len() {
            // A choice that is no longer listed is as low as possible.
            while let Some(item) = self.candidate.items(CHOICE).get(at).cloned() {
                let (value, _) = item.choice;
                // Approaches the value by halves, like a binary search that does not need monotonicity.
                let nearer = (1..u64::BITS).map(|half| value - (value >> half));
                let lower: BTreeSet<u64> = [1, value / 4, value.saturating_sub(1)]
                    .into_iter()
                    .chain(nearer)
                    .filter(|lower| (1..value).contains(lower))
                    .collect();
                let lowered = lower.into_iter().map(|lower| item.lowered(lower));
                if self.try_replacing(CHOICE, at, lowered).is_none() {
                    break;
                }
            }
        }
    }
}

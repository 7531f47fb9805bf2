//! The passes that remove steps of the test and lower its choices.

use std::collections::BTreeSet;

use crate::engine::draws::family::Family;
use crate::shrink::ddmin::ddmin;
use crate::shrink::passes::Shrinker;

/// Minimum length of a list of steps that is cut from the front and the back.
const MIN_CUT_STEPS: usize = 8;

impl Shrinker<'_> {
    /// Removes steps. An item that is bound to a removed step is then bound to another step.
    pub(super) fn remove_steps(&mut self) {
        self.remove_sequences();
        self.cut_steps();
        let items = self.candidate.items(&[Family::Step]);
        ddmin(items, |lists| {
            let candidate = self.candidate.clone();
            self.try_candidates(lists.map(|items| candidate.with_steps(&items)))
        });
    }

    /// Removes whole sequences of steps, such as all steps of one client.
    fn remove_sequences(&mut self) {
        let steps = self.candidate.items(&[Family::Step]);
        let sequences: BTreeSet<u64> = steps.iter().map(|step| step.address[0]).collect();
        if sequences.len() > 1 {
            self.try_each(sequences.into_iter().collect(), |candidate, sequence| {
                let mut steps = candidate.items(&[Family::Step]);
                steps.retain(|step| step.address[0] != *sequence);
                candidate.with_steps(&steps)
            });
        }
    }

    /// Cuts long lists of steps from the front and the back, by halves, quarters and so on, as long
    /// as a part can be cut.
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

    /// Removes choices, then lowers the remaining ones. Choices outside of steps are removed all at
    /// once, if possible.
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

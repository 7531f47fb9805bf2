//! Which kinds of faults are frequent among the seeds of a failure.

use std::collections::BTreeMap;

use crate::outcome::Outcome;
use crate::report::numbers::{count, thousands};

/// Counts the runs in which a plan drew each kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindCounts {
    runs: u64,
    kinds: BTreeMap<String, u64>,
}

/// Minimum number of failing seeds for a comparison.
const LEAST_FAILURES: u64 = 3;
/// Maximum number of kinds that are reported.
const MOST_KINDS: usize = 3;
/// A kind is reported if seeds with it fail at least this many times as often as seeds without it.
const LEAST_RATIO: u128 = 3;

impl KindCounts {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        for kind in outcome.plans.iter().flat_map(|plan| &plan.kinds.drawn) {
            match self.kinds.get_mut(kind) {
                Some(runs) => *runs += 1,
                None => _ = self.kinds.insert(kind.clone(), 1),
            }
        }
    }

    fn with(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// Compares the runs of one failure, counted here, with all runs. Returns a line for each kind
    /// with which seeds fail much more often than without.
    pub(crate) fn among(&self, all: &Self) -> Option<String> {
        if self.runs < LEAST_FAILURES {
            return None;
        }
        let mut telling: Vec<_> = all
            .kinds
            .iter()
            .filter_map(|(kind, with)| {
                let (failed, without) = (self.with(kind), all.runs - with);
                let failed_without = self.runs - failed;
                // As fractions: failed / with >= 3 * failed_without / without.
                let rate = u128::from(failed) * u128::from(without);
                let other = u128::from(failed_without) * u128::from(*with);
                let is_telling = without > 0 && failed > 0 && rate >= LEAST_RATIO * other;
                is_telling.then_some((kind, failed, *with, failed_without, without))
            })
            .collect();
        // The clearest first: few failures without it, then a high rate with it.
        telling.sort_by(|(_, failed, with, others, _), (_, failed2, with2, others2, _)| {
            let rates = (failed2 * with).cmp(&(failed * with2));
            others.cmp(others2).then(rates)
        });
        let texts =
            telling.into_iter().take(MOST_KINDS).map(|(kind, failed, with, others, rest)| {
                format!(
                    "fails in {} of {} with {kind}, in {} of {} without",
                    thousands(failed),
                    count(with, "seed"),
                    thousands(others),
                    thousands(rest),
                )
            });
        let texts: Vec<_> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(runs: u64, kinds: &[(&str, u64)]) -> KindCounts {
        let kinds = kinds.iter().map(|(kind, runs)| ((*kind).to_owned(), *runs)).collect();
        KindCounts { runs, kinds }
    }

    #[test]
    fn correlation_names_the_kinds_that_tell() {
        let all = counts(50, &[("pauses", 10), ("kills", 25), ("wipes", 50)]);
        let failed = counts(9, &[("pauses", 9), ("kills", 5), ("wipes", 9)]);
        assert_eq!(
            failed.among(&all).as_deref(),
            Some("fails in 9 of 10 seeds with pauses, in 0 of 40 without")
        );
        assert_eq!(counts(2, &[("pauses", 2)]).among(&all), None, "too few");
        assert_eq!(counts(9, &[("kills", 5)]).among(&all), None, "nothing in common");
        let both = counts(9, &[("pauses", 8), ("kills", 9)]).among(&all).expect("both");
        let lines: Vec<_> = both.lines().collect();
        assert!(lines[0].contains("with kills, in 0 of 25"), "{both}");
        assert!(lines[1].contains("8 of 10 seeds with pauses, in 1 of 40"), "{both}");
    }
}

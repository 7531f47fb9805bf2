//! Selects the seeds of a test and runs the sweep over them, with the determinism check, shrinking
//! and regressions.

pub(crate) mod determinism;
pub(crate) mod diagnosis;
pub(crate) mod linked;
pub(crate) mod regressions;
pub(crate) mod shrinking;
pub(crate) mod sweep;

use crate::harness::config::{Config, SEEDS, SHARD, SeedSelection, Shard};
use crate::spec::Settings;

/// Why a test has no valid seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeedsError {
    /// The attribute requests zero seeds.
    #[error("`seeds` is 0, so no seed would be run: set it to at least 1")]
    Zero,
    /// The last seed would exceed the largest possible seed.
    #[error(
        "{count} seeds, starting at {first}, exceed the largest seed, {}: set a lower `base_seed` or fewer seeds",
        u64::MAX
    )]
    TooMany { first: u64, count: u64 },
    /// Each shard would draw its own random seeds.
    #[error(
        "{SEEDS}=random cannot be used together with {SHARD}={0}, since each shard would draw its own seeds: give all \
         shards the same range, {SEEDS}=a..b"
    )]
    RandomShard(Shard),
}

/// Iterator over the seeds of one sweep, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// Next candidate and last seed; `None` at the end.
    rest: Option<(u64, u64)>,
    shard: Option<Shard>,
}

impl Seeds {
    /// Seeds of the attribute, overridden by the configuration.
    pub(crate) fn new(settings: Settings, config: &Config) -> Result<Self, SeedsError> {
        let from = |first: u64, count: u64| {
            let last = first.checked_add(count - 1);
            last.map(|last| (first, last)).ok_or(SeedsError::TooMany { first, count })
        };
        if settings.seeds == 0 {
            return Err(SeedsError::Zero);
        }
        if let (SeedSelection::Random { .. }, Some(shard)) = (config.selection, config.shard) {
            return Err(SeedsError::RandomShard(shard));
        }
        let rest = match config.selection {
            SeedSelection::Attribute if config.budget.is_some() => (settings.base_seed, u64::MAX),
            SeedSelection::Attribute => from(settings.base_seed, settings.seeds)?,
            SeedSelection::One(seed) => (seed, seed),
            SeedSelection::Count(count) => from(settings.base_seed, count)?,
            SeedSelection::Range { first, last } => (first, last),
            SeedSelection::Random { first } if config.budget.is_some() => (first, u64::MAX),
            SeedSelection::Random { first } => from(first, settings.seeds)?,
        };
        Ok(Self { rest: Some(rest), shard: config.shard })
    }

    /// Returns the number of seeds; `None` if only a budget limits it.
    pub(crate) fn how_many(&self) -> Option<u64> {
        let Some((first, last)) = self.rest else {
            return Some(0);
        };
        let upto = |end: u128, shard: Shard| {
            let (n, i) = (u128::from(shard.of), u128::from(shard.index - 1));
            (end + n - 1 - i) / n
        };
        let count = match self.shard {
            None => u128::from(last) - u128::from(first) + 1,
            Some(shard) => upto(u128::from(last) + 1, shard) - upto(u128::from(first), shard),
        };
        u64::try_from(count).ok().filter(|_| last != u64::MAX)
    }

    /// First and last seed of the range, not restricted to the shard.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        self.rest
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (next, last) = self.rest?;
        let seed = match self.shard {
            None => next,
            Some(Shard { index, of }) => {
                let wanted = index - 1;
                let ahead = (wanted + of - next % of) % of;
                match next.checked_add(ahead).filter(|seed| *seed <= last) {
                    Some(seed) => seed,
                    None => {
                        self.rest = None;
                        return None;
                    }
                }
            }
        };
        self.rest = seed.checked_add(1).filter(|next| *next <= last).map(|next| (next, last));
        Some(seed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seeds(first: u64, last: u64, shard: Option<Shard>) -> Seeds {
        Seeds { rest: Some((first, last)), shard }
    }

    proptest! {
        #[test]
        fn shards_partition_the_seeds(first in prop_oneof![0..100u64, u64::MAX - 500..u64::MAX - 300], n in 1..300u64, of in 1..20u64) {
            let last = first + n - 1;
            let mut all = Vec::new();
            for index in 1..=of {
                let shard = seeds(first, last, Some(Shard { index, of }));
                let own: Vec<u64> = shard.clone().collect();
                prop_assert_eq!(shard.how_many(), Some(own.len() as u64));
                prop_assert!(own.is_sorted());
                prop_assert!(own.iter().all(|seed| seed % of == index - 1));
                all.extend(own);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (first..=last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn largest_seed_ends_the_iterator() {
        let end: Vec<u64> = seeds(u64::MAX - 1, u64::MAX, None).collect();
        assert_eq!(end, [u64::MAX - 1, u64::MAX]);
        let shard = Some(Shard { index: 1, of: 7 });
        assert!(seeds(u64::MAX, u64::MAX, shard).all(|seed| seed % 7 == 0));
    }

    #[test]
    fn seeds_of_the_attribute_start_at_its_base() {
        let settings = Settings::new().seeds(3).base_seed(10);
        let own = Seeds::new(settings, &Config::default()).expect("the seeds are valid");
        assert_eq!(own.collect::<Vec<_>>(), [10, 11, 12]);
    }

    #[test]
    fn seeds_of_none_or_too_many_are_an_error() {
        let none = Seeds::new(Settings::new().seeds(0), &Config::default());
        assert_eq!(none, Err(SeedsError::Zero));
        let past = Settings::new().seeds(2).base_seed(u64::MAX);
        let past = Seeds::new(past, &Config::default());
        assert_eq!(past, Err(SeedsError::TooMany { first: u64::MAX, count: 2 }));
        let last = Settings::new().seeds(1).base_seed(u64::MAX);
        assert!(Seeds::new(last, &Config::default()).is_ok());
    }

    #[test]
    fn budget_extends_the_attributes_seeds_but_not_a_configured_count() {
        let mut config =
            Config { budget: Some(std::time::Duration::from_secs(1)), ..Config::default() };
        let own = Seeds::new(Settings::new().seeds(3), &config).expect("the seeds are valid");
        assert_eq!(own.how_many(), None);
        config.selection = SeedSelection::Count(5);
        let own = Seeds::new(Settings::new().seeds(3), &config).expect("the seeds are valid");
        assert_eq!(own.how_many(), Some(5));
    }
}

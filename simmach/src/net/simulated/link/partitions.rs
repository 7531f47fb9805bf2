//! Partitions by owner. The owner is the test or a plan of the library.
//!
//! A path that two owners have partitioned is open again when both have healed their partitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::simulated::address::HostIndex;
use crate::net::simulated::link::pairs::Pairs;

/// The pairs of machines that each owner has partitioned. The owner `None` is the test.
#[derive(Debug, Default)]
pub(crate) struct Partitions(BTreeMap<Option<u64>, Pairs>);

/// What remains partitioned when one owner heals its partitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RemainingPartitions {
    /// Other owners that partition the same paths.
    pub(crate) by: BTreeSet<Option<u64>>,
    /// Whether any path is opened because no other owner partitions it.
    pub(crate) any_path_opens: bool,
}

impl Partitions {
    /// Whether any owner partitions a path between two different machines.
    pub(super) fn contains(&self, from: HostIndex, to: HostIndex) -> bool {
        from != to && self.0.values().any(|pairs| pairs.contains(from, to))
    }

    /// Begins or heals a partition of an owner.
    pub(super) fn set(
        &mut self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) {
        self.0.entry(owner).or_default().set(from, to, on);
    }

    /// All who have partitioned a path.
    pub(crate) fn owners(&self) -> Vec<Option<u64>> {
        self.0.keys().copied().collect()
    }

    /// Whether any owner partitions a path.
    pub(crate) fn has_any(&self) -> bool {
        self.0.values().any(Pairs::has_any)
    }

    /// Heals the partitions of all owners. Returns whether there were any.
    pub(super) fn heal_all(&mut self) -> bool {
        let had_any = self.has_any();
        self.0.clear();
        had_any
    }

    /// Whether beginning a partition (`on`), or healing it, would change any path for this owner.
    pub(crate) fn would_change(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) -> bool {
        match self.0.get(&owner) {
            Some(pairs) => pairs.would_change(from, to, on),
            None => Pairs::default().would_change(from, to, on),
        }
    }

    /// The partitions from `from` to `to` that remain when this owner heals its own.
    pub(crate) fn remaining(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
    ) -> RemainingPartitions {
        let paths = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        let is_own = |(from, to): &(HostIndex, HostIndex)| {
            from != to && self.0.get(&owner).is_some_and(|own| own.contains(*from, *to))
        };
        let mut remaining = RemainingPartitions::default();
        for (from, to) in paths.filter(is_own) {
            let others = self.0.iter().filter(|(other, _)| **other != owner);
            let holders: Vec<_> = others.filter(|(_, pairs)| pairs.contains(from, to)).collect();
            remaining.any_path_opens |= holders.is_empty();
            remaining.by.extend(holders.into_iter().map(|(holder, _)| *holder));
        }
        remaining
    }
}

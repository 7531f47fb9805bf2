//! A set of ordered pairs of machines, for partitions and clogs.
//!
//! The set is a list of entries; the last entry that contains a pair decides. Therefore a partition
//! of a large cluster needs only two short lists instead of a table of pairs.

use crate::net::simulated::address::HostIndex;

#[derive(Debug, Default)]
pub(crate) struct Pairs {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    from: Box<[HostIndex]>,
    to: Box<[HostIndex]>,
    on: bool,
}

impl Pairs {
    /// Adds or removes all pairs of one machine in `from` and one machine in `to`.
    pub(crate) fn set(&mut self, from: &[HostIndex], to: &[HostIndex], on: bool) {
        let entry = Entry { from: sorted(from), to: sorted(to), on };
        // An entry covered by a later entry has no effect. An "off" entry without an earlier "on"
        // entry has no effect either.
        self.entries.retain(|old| !entry.covers(old));
        self.entries.push(entry);
        let first = self.entries.iter().position(|entry| entry.on).unwrap_or(self.entries.len());
        self.entries.drain(..first);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether [`set`](Self::set) would change any pair of two different machines.
    pub(crate) fn would_change(&self, from: &[HostIndex], to: &[HostIndex], on: bool) -> bool {
        from.iter().any(|a| to.iter().any(|b| a != b && self.contains(*a, *b) != on))
    }

    /// Whether any pair of two different machines is in the set.
    pub(crate) fn has_any(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.on && self.would_change(&entry.from, &entry.to, false))
    }

    pub(crate) fn contains(&self, from: HostIndex, to: HostIndex) -> bool {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.contains(from, to))
            .is_some_and(|entry| entry.on)
    }
}

impl Entry {
    fn contains(&self, from: HostIndex, to: HostIndex) -> bool {
        self.from.binary_search(&from).is_ok() && self.to.binary_search(&to).is_ok()
    }

    fn covers(&self, other: &Entry) -> bool {
        other.from.iter().all(|host| self.from.binary_search(host).is_ok())
            && other.to.iter().all(|host| self.to.binary_search(host).is_ok())
    }
}

fn sorted(hosts: &[HostIndex]) -> Box<[HostIndex]> {
    let mut hosts = hosts.to_vec();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn last_entry_decides() {
        let mut pairs = Pairs::default();
        pairs.set(&[1, 2], &[3], true);
        pairs.set(&[2], &[3], false);
        assert!(pairs.contains(1, 3) && !pairs.contains(2, 3) && !pairs.contains(3, 1));
        pairs.set(&[1, 2], &[3, 4], false);
        assert!(!pairs.contains(1, 3));
        assert!(pairs.entries.is_empty(), "what decides nothing is not kept");
    }

    proptest! {
        #[test]
        fn pairs_behave_like_a_set(
            steps in proptest::collection::vec(
                (proptest::collection::vec(0_u32..6, 1..5), proptest::collection::vec(0_u32..6, 1..5), any::<bool>()),
                1..30,
            ),
        ) {
            let (mut pairs, mut model) = (Pairs::default(), BTreeSet::new());
            for (from, to, on) in steps {
                let of_two: Vec<(u32, u32)> = from
                    .iter()
                    .flat_map(|a| to.iter().map(move |b| (*a, *b)))
                    .filter(|(a, b)| a != b)
                    .collect();
                let changes = of_two.iter().any(|pair| model.contains(pair) != on);
                prop_assert_eq!(pairs.would_change(&from, &to, on), changes);
                pairs.set(&from, &to, on);
                for pair in from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))) {
                    if on { model.insert(pair); } else { model.remove(&pair); }
                }
                for pair in (0..6).flat_map(|a| (0..6).map(move |b| (a, b))) {
                    prop_assert_eq!(pairs.contains(pair.0, pair.1), model.contains(&pair));
                }
                prop_assert_eq!(pairs.has_any(), model.iter().any(|(a, b)| a != b));
            }
        }
    }
}

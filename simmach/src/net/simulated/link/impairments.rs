//! Impairments: what happens to packets between some machines, beyond what their link does.
//!
//! An impairment leaves the profile of the link as it is. While it is active, the packets of its
//! paths are treated by the profile with the impairment added to it: the larger probability, the
//! longer delay, the smaller bandwidth. Delays of several impairments add up.

use crate::engine::acts::Impairment;
use crate::net::simulated::address::HostIndex;
use crate::net::simulated::link::profile::{Bandwidth, NetworkProfile};

/// The active impairments of a run, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Impairments {
    active: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    from: Vec<HostIndex>,
    to: Vec<HostIndex>,
    impairment: Impairment,
}

impl Impairments {
    /// Adds an impairment of the paths from `from` to `to`, under a number of its own.
    pub(super) fn add(
        &mut self,
        number: u64,
        from: Vec<HostIndex>,
        to: Vec<HostIndex>,
        impairment: Impairment,
    ) {
        self.active.push(Entry { number, from, to, impairment });
    }

    /// Removes the impairment with this number. Returns false if there is none.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|entry| entry.number != number);
        self.active.len() < before
    }

    /// The senders and the receivers of the impairment with this number, if it is active.
    pub(super) fn sides(&self, number: u64) -> Option<[&[HostIndex]; 2]> {
        let entry = self.active.iter().find(|entry| entry.number == number)?;
        Some([&entry.from, &entry.to])
    }

    /// Removes all impairments. Returns false if there are none.
    pub(super) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.active).is_empty()
    }

    /// Returns the profile of a path with its impairments; `None` if it has none.
    pub(super) fn apply(
        &self,
        from: HostIndex,
        to: HostIndex,
        profile: &NetworkProfile,
    ) -> Option<Box<NetworkProfile>> {
        let of_path =
            |entry: &&Entry| entry.from.contains(&from) && entry.to.contains(&to) && from != to;
        let mut own = self.active.iter().filter(of_path).peekable();
        own.peek()?;
        let add = |profile, entry: &Entry| entry.impairment.added_to(profile);
        Some(Box::new(own.fold(profile.clone(), add)))
    }
}

impl Impairment {
    fn added_to(self, mut profile: NetworkProfile) -> NetworkProfile {
        match self {
            Self::Duplicate { per_million } => {
                profile.duplication = profile.duplication.max(probability(per_million));
            }
            Self::Reorder { per_million, delay } => {
                let (rate, longest) = profile.reorder;
                profile.reorder = (rate.max(probability(per_million)), longest.max(delay));
            }
            Self::Throttle { bytes_per_second, queue } => {
                let is_slower = |own: Bandwidth| own.bytes_per_second <= bytes_per_second;
                if !profile.bandwidth.is_some_and(is_slower) {
                    // A bandwidth of zero would never send a packet.
                    let bytes_per_second = bytes_per_second.max(1);
                    let limit = Bandwidth { bytes_per_second, queue, shared: false };
                    profile.bandwidth = Some(limit);
                }
            }
            Self::Delay { nanos } => profile.latency = profile.latency.plus(nanos),
            Self::Lose { per_million } => {
                profile.loss = profile.loss.max(probability(per_million));
            }
        }
        profile
    }
}

fn probability(per_million: u32) -> f64 {
    (f64::from(per_million) / 1e6).min(1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn settings(profile: &NetworkProfile) -> (f64, (f64, u64), Option<u64>) {
        let bandwidth = profile.bandwidth.map(|limit| limit.bytes_per_second);
        (profile.duplication, profile.reorder, bandwidth)
    }

    #[test]
    fn impairment_is_added_to_the_profile() {
        let mut impairments = Impairments::default();
        impairments.add(1, vec![0], vec![1, 2], Impairment::Duplicate { per_million: 500_000 });
        impairments.add(2, vec![0], vec![2], Impairment::Reorder { per_million: 9, delay: 7 });
        let lan = NetworkProfile::lan();
        let applied = |from, to| impairments.apply(from, to, &lan).as_deref().map(settings);
        assert_eq!(applied(0, 1), Some((0.5, (0.0, 0), None)));
        assert_eq!(applied(0, 2), Some((0.5, (9e-6, 7), None)));
        assert_eq!((applied(1, 0), applied(2, 0)), (None, None));
    }

    #[test]
    fn slower_bandwidth_applies() {
        let mut impairments = Impairments::default();
        let throttle = Impairment::Throttle { bytes_per_second: 1_000, queue: 50 };
        impairments.add(1, vec![0], vec![1], throttle);
        let limited = |profile: NetworkProfile| {
            let applied = impairments.apply(0, 1, &profile).expect("it is impaired");
            applied.bandwidth.map(|limit| (limit.bytes_per_second, limit.shared))
        };
        let lan = NetworkProfile::lan;
        assert_eq!(limited(lan()), Some((1_000, false)));
        assert_eq!(limited(lan().shared_bandwidth(5_000, 9)), Some((1_000, false)));
        assert_eq!(limited(lan().shared_bandwidth(500, 9)), Some((500, true)));
    }

    #[test]
    fn delays_add_up_and_the_greater_loss_applies() {
        let mut impairments = Impairments::default();
        for (number, nanos, per_million) in [(1, 1_000, 200_000), (2, 500, 100_000)] {
            impairments.add(2 * number, vec![0], vec![1], Impairment::Delay { nanos });
            impairments.add(2 * number + 1, vec![0], vec![1], Impairment::Lose { per_million });
        }
        let applied = |profile: NetworkProfile| {
            let applied = impairments.apply(0, 1, &profile).expect("it is impaired");
            (applied.latency.sample(|| 0.5, 0), applied.loss)
        };
        let fixed = NetworkProfile::fixed(Duration::from_nanos(70));
        assert_eq!(applied(fixed.clone()), (1_570, 0.2));
        assert_eq!(applied(fixed.loss(0.5)), (1_570, 0.5));
    }

    proptest! {
        /// Impairments that come and go in any order, against a map of the active ones.
        #[test]
        fn profile_has_the_active_impairments(
            steps in prop::collection::vec((0..6u64, 0..3u32, 0..3u32, 0..=1_000_000u32), 1..30),
        ) {
            let (mut impairments, mut model) = (Impairments::default(), BTreeMap::new());
            let profile = NetworkProfile::lan().reorder(0.0, Duration::ZERO);
            for (number, from, to, per_million) in steps {
                prop_assert_eq!(impairments.sides(number).is_some(), model.contains_key(&number));
                if model.remove(&number).is_some() {
                    prop_assert!(impairments.remove(number));
                } else {
                    prop_assert!(!impairments.remove(number));
                    let impairment = Impairment::Duplicate { per_million };
                    impairments.add(number, vec![from], vec![to], impairment);
                    model.insert(number, (from, to, per_million));
                }
                for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
                    let own = model.values().filter(|one| (one.0, one.1) == (from, to));
                    let most = own.map(|one| one.2).max().filter(|_| from != to);
                    let applied = impairments.apply(from, to, &profile);
                    let rate = applied.map(|profile| profile.duplication);
                    prop_assert_eq!(rate, most.map(probability));
                }
            }
            prop_assert_eq!(impairments.clear(), !model.is_empty());
            prop_assert!(impairments.apply(0, 1, &profile).is_none());
        }
    }
}

//! How long a disk takes.
//!
//! Modelled: what a transaction waits for, from a distribution with a long upper tail, and how much the disk holds. Not
//! modelled: bandwidth (a large transaction takes no longer than a small one), reads (LMDB reads memory), and one disk's
//! queue shared by several stores.

use std::time::Duration;

use crate::time::nanos;

/// A machine's disk: its latencies and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskProfile {
    commit: Latency,
    cached: Latency,
    acknowledge: Latency,
    capacity: Option<usize>,
}

/// A latency's distribution: half of the draws lie evenly between `min` and `median`; of the other half, half lie in the
/// lowest two hundredths of what is between `median` and `max`, and one in ten in its upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency {
    min: u64,
    median: u64,
    max: u64,
}

impl DiskProfile {
    /// No latency at all: a commit is durable and acknowledged the moment that it has the writer's turn.
    pub const fn ideal() -> Self {
        const NONE: Latency = Latency { min: 0, median: 0, max: 0 };
        Self { commit: NONE, cached: NONE, acknowledge: NONE, capacity: None }
    }

    /// A solid-state disk without a capacitor: 50 µs to 10 ms for a durable commit, half of them under 1 ms.
    ///
    /// The figures are those of Mark Callaghan's *SSDs, power loss protection and fsync latency* (2026), who measured 12
    /// to 58 µs for an fsync with power-loss protection and 0.9 to 5.4 ms without; the upper end is what etcd's
    /// documentation allows a disk's 99th percentile.
    pub const fn ssd() -> Self {
        Self {
            commit: Latency { min: 50_000, median: 1_000_000, max: 10_000_000 },
            ..Self::PAGE_CACHE
        }
    }

    /// A spinning disk at 7,200 turns a minute: 4 to 60 ms for a durable commit, half of them under 15 ms.
    ///
    /// By arithmetic: a turn takes 8.3 ms and an average seek about as long; a commit waits for half a turn at the least,
    /// and for its data's place and its journal's as a rule.
    pub const fn hdd() -> Self {
        Self {
            commit: Latency { min: 4_000_000, median: 15_000_000, max: 60_000_000 },
            ..Self::PAGE_CACHE
        }
    }

    /// What is alike on all real disks: a commit that does not wait for the disk writes to the kernel's memory, and an
    /// answer takes as long as the process needs to wake.
    const PAGE_CACHE: Self = Self {
        commit: Latency { min: 0, median: 0, max: 0 },
        cached: Latency { min: 5_000, median: 20_000, max: 500_000 },
        acknowledge: Latency { min: 1_000, median: 10_000, max: 100_000 },
        capacity: None,
    };

    /// What a commit waits for before it is durable, under [`Durability::EveryCommit`](super::Durability).
    ///
    /// Half of the commits wait evenly between `min` and `median`, the others between `median` and `max`, few of them
    /// near `max`. What is out of order is put in order.
    #[must_use]
    pub fn commit_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.commit = Latency::new(min, median, max);
        self
    }

    /// What a commit waits for that need not be durable, under [`Durability::Periodic`](super::Durability).
    #[must_use]
    pub fn cached_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.cached = Latency::new(min, median, max);
        self
    }

    /// What passes between a commit and the return of `write`: a power-off in between leaves a transaction that is stored
    /// and was never acknowledged.
    #[must_use]
    pub fn acknowledge_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.acknowledge = Latency::new(min, median, max);
        self
    }

    /// How many bytes each of the machine's stores may take: past it a write answers
    /// [`Error::Full`](super::Error::Full). LMDB needs a few pages of 4 KiB for itself, and room for a transaction's new
    /// pages beside the old.
    #[must_use]
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Some(bytes);
        self
    }

    pub(super) fn commit(&self) -> Latency {
        self.commit
    }

    pub(super) fn cached(&self) -> Latency {
        self.cached
    }

    pub(super) fn acknowledge(&self) -> Latency {
        self.acknowledge
    }

    /// The size of a store's map: as asked for, and no more than the disk holds.
    pub(super) fn limit(&self, map_size: usize) -> usize {
        self.capacity.map_or(map_size, |capacity| capacity.min(map_size))
    }
}

impl Default for DiskProfile {
    /// [`ssd`](Self::ssd).
    fn default() -> Self {
        Self::ssd()
    }
}

impl Latency {
    fn new(min: Duration, median: Duration, max: Duration) -> Self {
        let mut of = [nanos(min), nanos(median), nanos(max)];
        of.sort_unstable();
        let [min, median, max] = of;
        Self { min, median, max }
    }

    /// The nanoseconds at `unit` of the distribution, in `[0, 1)`: products only, the same on every platform.
    pub(super) fn at(self, unit: f64) -> u64 {
        let Self { min, median, max } = self;
        if unit < 0.5 {
            min + part(median - min, 2.0 * unit)
        } else {
            let t = 2.0 * unit - 1.0;
            let (t2, t4) = (t * t, t * t * t * t);
            median + part(max - median, t2 * t4)
        }
    }
}

fn part(of: u64, share: f64) -> u64 {
    (of as f64 * share) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_go_from_the_least_to_the_most_and_calm_is_the_median() {
        for profile in [DiskProfile::ssd(), DiskProfile::hdd()] {
            let Latency { min, median, max } = profile.commit;
            assert_eq!(profile.commit.at(0.0), min);
            assert_eq!(profile.commit.at(0.5), median);
            let last = profile.commit.at(1.0 - f64::EPSILON);
            assert!(last <= max && last > max - max / 1_000);
            let drawn: Vec<_> = (0..1_000).map(|n| profile.commit.at(f64::from(n) / 1e3)).collect();
            assert!(drawn.is_sorted());
        }
        assert_eq!(DiskProfile::ideal().commit.at(0.99), 0);
    }

    /// The shape that `Latency` is documented to have.
    #[test]
    fn the_upper_half_has_a_long_tail() {
        let latency = Latency { min: 0, median: 0, max: 100 };
        assert!(latency.at(0.75) <= 2);
        assert!(latency.at(0.94) < 50 && latency.at(0.95) >= 50);
    }

    #[test]
    fn what_is_out_of_order_is_put_in_order() {
        let [a, b, c] = [3, 1, 2].map(Duration::from_millis);
        let profile = DiskProfile::ideal().commit_latency(a, b, c);
        assert_eq!(profile.commit, Latency { min: 1_000_000, median: 2_000_000, max: 3_000_000 });
    }

    #[test]
    fn a_disk_limits_a_store_and_does_not_enlarge_it() {
        let disk = DiskProfile::ssd().capacity(1_000);
        assert_eq!((disk.limit(10), disk.limit(10_000)), (10, 1_000));
        assert_eq!(DiskProfile::ssd().limit(10_000), 10_000);
    }
}

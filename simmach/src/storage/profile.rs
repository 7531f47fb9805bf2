//! Disk profiles: latencies and capacity.
//!
//! These are modelled: the latency of commits, from a distribution with a long upper tail, and the
//! capacity. These are not modelled: bandwidth (a large transaction takes no longer than a small
//! one), the latency of reads (LMDB reads from memory), and a queue that the stores on one disk
//! share.

use std::time::Duration;

use crate::mistakes::Mistakes;
use crate::time::nanos;

/// The disk of a machine: its latencies and its capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskProfile {
    commit: Latency,
    cached: Latency,
    acknowledge: Latency,
    capacity: Option<usize>,
}

/// A distribution of latencies in nanoseconds.
///
/// Half of the draws are uniform between `min` and `median`. Of the other half, 50% are in the lowest 2% of the range between
/// `median` and `max`, and 10% are in its upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency {
    min: u64,
    median: u64,
    max: u64,
}

impl DiskProfile {
    /// A disk without latency: a commit is durable and acknowledged as soon as the writer has its
    /// turn.
    pub const fn ideal() -> Self {
        const NONE: Latency = Latency { min: 0, median: 0, max: 0 };
        Self { commit: NONE, cached: NONE, acknowledge: NONE, capacity: None }
    }

    /// A solid-state disk without power-loss protection: 50 µs to 10 ms for a durable commit, with a median of 1 ms.
    ///
    /// Source: Mark Callaghan, *SSDs, power loss protection and fsync latency* (2026), which measured 0.9 to 5.4 ms for an
    /// fsync, and 12 to 58 µs with power-loss protection. The maximum is the 99th percentile that etcd's documentation
    /// recommends.
    pub const fn ssd() -> Self {
        Self::with_commit(Latency { min: 50_000, median: 1_000_000, max: 10_000_000 })
    }

    /// A hard disk with 7,200 rpm: 4 to 60 ms for a durable commit, with a median of 15 ms.
    ///
    /// Calculated: a rotation takes 8.3 ms and an average seek about the same. A commit waits for at least half a rotation, and
    /// usually for two seeks, one to its data and one to the journal.
    pub const fn hdd() -> Self {
        Self::with_commit(Latency { min: 4_000_000, median: 15_000_000, max: 60_000_000 })
    }

    /// A disk with this commit latency, and latencies that do not depend on the disk: a commit into the page cache, and the
    /// time to wake the process.
    const fn with_commit(commit: Latency) -> Self {
        Self {
            commit,
            cached: Latency { min: 5_000, median: 20_000, max: 500_000 },
            acknowledge: Latency { min: 1_000, median: 10_000, max: 100_000 },
            capacity: None,
        }
    }

    /// Sets the latency of commits with [`Durability::EveryCommit`](super::Durability::EveryCommit).
    ///
    /// Half of the commits take a uniformly drawn time between `min` and `median`. The others take between `median` and
    /// `max`, and few of them are close to `max`.
    #[must_use]
    pub fn commit_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.commit = Latency::new(min, median, max);
        self
    }

    /// Sets the latency of commits with [`Durability::Periodic`](super::Durability::Periodic), which do not wait for the disk.
    /// The distribution is that of [`commit_latency`](Self::commit_latency).
    #[must_use]
    pub fn cached_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.cached = Latency::new(min, median, max);
        self
    }

    /// Sets the time between a commit and the return of `write`. A power loss in between leaves a transaction that is stored
    /// but was never acknowledged. The distribution is that of [`commit_latency`](Self::commit_latency).
    #[must_use]
    pub fn acknowledge_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.acknowledge = Latency::new(min, median, max);
        self
    }

    /// Sets the maximum size of each store on the disk, in bytes. A write that needs more returns
    /// [`Error::Full`](super::Error::Full).
    ///
    /// LMDB needs a few pages of 4 KiB for itself, and space for the new pages of a transaction beside the old ones.
    #[must_use]
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Returns a mistake for each argument that is out of range.
    pub(crate) fn mistakes(&self) -> Mistakes {
        let mut mistakes = Mistakes::default();
        let latencies = [
            ("commit_latency", self.commit),
            ("cached_latency", self.cached),
            ("acknowledge_latency", self.acknowledge),
        ];
        for (setting, Latency { min, median, max }) in latencies {
            mistakes.require(min <= median && median <= max, || {
                let [min, median, max] = [min, median, max].map(Duration::from_nanos);
                format!(
                    "`{setting}` must have min <= median <= max, got {min:?}, {median:?}, {max:?}"
                )
            });
        }
        mistakes
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

    /// The map size of a store: as requested, but at most the capacity of the disk.
    pub(super) fn limit(&self, map_size: usize) -> usize {
        self.capacity.map_or(map_size, |capacity| capacity.min(map_size))
    }
}

impl Default for DiskProfile {
    /// Same as [`ssd`](Self::ssd).
    fn default() -> Self {
        Self::ssd()
    }
}

impl Latency {
    fn new(min: Duration, median: Duration, max: Duration) -> Self {
        Self { min: nanos(min), median: nanos(median), max: nanos(max) }
    }

    /// The quantile at `unit` in `[0, 1)`, in nanoseconds. It uses only products, which are exact on every platform.
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
    fn latencies_range_from_min_to_max_and_calm_is_the_median() {
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

    /// Checks the figures in the documentation of `Latency`.
    #[test]
    fn latency_has_a_long_upper_tail() {
        let latency = Latency { min: 0, median: 0, max: 100 };
        assert!(latency.at(0.75) <= 2);
        assert!(latency.at(0.94) < 50 && latency.at(0.95) >= 50);
    }

    #[test]
    fn latencies_out_of_order_are_mistakes() {
        let [a, b, c] = [3, 1, 2].map(Duration::from_millis);
        assert!(DiskProfile::ideal().cached_latency(b, c, a).mistakes().is_empty());
        let profile = DiskProfile::ideal().commit_latency(a, b, c).acknowledge_latency(c, b, a);
        assert_eq!(
            profile.mistakes().joined(),
            "`commit_latency` must have min <= median <= max, got 3ms, 1ms, 2ms; \
             `acknowledge_latency` must have min <= median <= max, got 2ms, 1ms, 3ms"
        );
    }

    #[test]
    fn capacity_limits_a_store_and_does_not_enlarge_it() {
        let disk = DiskProfile::ssd().capacity(1_000);
        assert_eq!((disk.limit(10), disk.limit(10_000)), (10, 1_000));
        assert_eq!(DiskProfile::ssd().limit(10_000), 10_000);
    }
}

//! Disk profiles: latencies, capacity, and what survives a power failure.
//!
//! Modelled: stalls, the capacity, and the latencies of commits and of calls on files. The
//! latencies have a distribution with a long upper tail. Not modelled: bandwidth (a large write
//! takes no longer than a small one), the latency of a store's reads (LMDB reads from memory), a
//! page cache, and a queue of the disk (two processes do not slow each other down).

use std::fmt;
use std::time::Duration;

use crate::mistakes::Mistakes;
use crate::time::nanos;

/// The disk of a machine: its latencies, its capacity, and what survives a power failure.
///
/// By default, calls on files take no virtual time. They do with [`nvme`](Self::nvme),
/// [`sata`](Self::sata), [`hdd`](Self::hdd) and [`network`](Self::network), and with the methods
/// that set a latency.
///
/// On a thread that a guest starts, a call waits in virtual time. tokio's blocking pool consists of
/// such threads: they run the calls of `tokio::fs` and the closures of `spawn_blocking`. A call on
/// the main thread of a process, and every call of a native process, cannot wait, because all
/// processes share the thread of the run. Such a call returns at once, and the latencies of all
/// such calls in one poll together delay the next poll of the process.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::{CrashProfile, DiskProfile};
///
/// async fn db() {}
///
/// let topology = Topology::new()
///     .machine("db{1..=3}.zone", db)
///     .disk("db*", DiskProfile::nvme().capacity(64 << 20))
///     .disk("db3", DiskProfile::network().crash_profile(CrashProfile::Posix));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DiskProfile {
    commit: Latency,
    cached: Latency,
    acknowledge: Latency,
    files: FileProfile,
    capacity: Option<usize>,
}

/// The part of a profile that is about files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileProfile {
    pub(crate) read: Latency,
    pub(crate) write: Latency,
    pub(crate) sync: Latency,
    pub(crate) stalls: Stalls,
    pub(crate) crash: CrashProfile,
    /// In bytes. Set by [`DiskProfile::files`].
    pub(crate) capacity: Option<usize>,
}

/// How often a call on a file stalls, as parts of a million, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stalls {
    pub(crate) per_million: u32,
    pub(crate) length: Latency,
}

/// What survives a power failure, in addition to everything that was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashProfile {
    /// As in ext4 with its default options (`data=ordered`), and much as in XFS. A journal makes
    /// names and sizes reach the disk in order. A sync of a changed file makes all earlier changes
    /// of names durable too. A file never has a size that includes data that was lost. If a file is
    /// renamed over another file and the rename is kept, so is the data that the file had before.
    #[default]
    Journal,
    /// No more than POSIX guarantees. A name is durable once its folder is synced. Changes of
    /// different folders reach the disk in any order. Appended data may be zeros.
    Posix,
}

/// A distribution of latencies in nanoseconds.
///
/// Half of the draws are uniform between `min` and `median`. Of the other half, 50% are in the lowest 2% of the range between
/// `median` and `max`, and 10% are in its upper half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    min: u64,
    median: u64,
    max: u64,
}

impl DiskProfile {
    /// A disk without latency: a commit is durable and acknowledged as soon as it is the writer's turn. Calls on files take no
    /// time.
    pub const fn ideal() -> Self {
        let (commit, cached, acknowledge) = (Latency::NONE, Latency::NONE, Latency::NONE);
        Self { commit, cached, acknowledge, files: FileProfile::INSTANT, capacity: None }
    }

    /// A solid-state disk without power-loss protection: 50 µs to 10 ms for a durable commit, with a median of 1 ms. Calls on
    /// files take no time; see [`nvme`](Self::nvme) and [`sata`](Self::sata).
    ///
    /// Source: Mark Callaghan, *SSDs, power loss protection and fsync latency* (2026), which measured 0.9 to 5.4 ms for an
    /// fsync, and 12 to 58 µs with power-loss protection. The maximum is the 99th percentile that etcd's documentation
    /// recommends.
    pub const fn ssd() -> Self {
        Self::with_commit(Latency { min: 50_000, median: 1_000_000, max: 10_000_000 })
    }

    /// A local NVMe disk with power-loss protection: 12 µs to 1 ms for a durable commit and for a
    /// sync, with a median of 40 µs. A read that is not in the page cache takes up to 200 µs.
    ///
    /// Sources: Mark Callaghan, *SSDs, power loss protection and fsync latency* (2026), which
    /// measured 12 to 58 µs for an fsync with power-loss protection. Lenovo's product guide for the
    /// Intel P4500, which names 85 to 115 µs for a random read.
    pub const fn nvme() -> Self {
        Self::of_sync(Latency::of_micros(12, 40, 1_000), Latency::of_micros(1, 3, 200))
    }

    /// A SATA solid-state disk without power-loss protection: 0.9 to 10 ms for a durable commit and
    /// for a sync, with a median of 2 ms. A read that is not in the page cache takes up to 1 ms.
    ///
    /// Sources: Mark Callaghan, *SSDs, power loss protection and fsync latency* (2026), which
    /// measured 0.9 to 5.4 ms for an fsync without power-loss protection. The maximum is the 99th
    /// percentile that etcd's documentation recommends. Intel's specification of the SSD DC S4500,
    /// which names 110 µs for a random read, and 300 µs at the 99.9th percentile.
    pub const fn sata() -> Self {
        Self::of_sync(Latency::of_micros(900, 2_000, 10_000), Latency::of_micros(1, 3, 1_000))
    }

    /// A hard disk with 7,200 rpm: 4 to 60 ms for a durable commit and for a sync, with a median of
    /// 15 ms. A read that is not in the page cache takes up to 30 ms.
    ///
    /// Calculated: a rotation takes 8.3 ms, and an average seek about the same. A commit waits for
    /// at least half a rotation. It usually waits for two seeks, one to its data and one to the
    /// journal. A read waits for one seek.
    pub const fn hdd() -> Self {
        Self::of_sync(Latency::of_micros(4_000, 15_000, 60_000), Latency::of_micros(1, 3, 30_000))
    }

    /// A disk across a network that stalls now and then, such as a volume of a cloud: 0.5 to 10 ms
    /// for a durable commit and for a sync, with a median of 1.5 ms. One in 2,000 calls on files
    /// takes 0.1 to 30 s more.
    ///
    /// Sources: the documentation of Amazon EBS, which names a latency of single-digit milliseconds
    /// for general purpose volumes, and 30 s as the usual timeout of Linux's NVMe driver
    /// (`nvme_core.io_timeout`). Shorter stalls cause no error. How often a call stalls is an
    /// assumption: a run of some minutes should have a few stalls.
    pub const fn network() -> Self {
        let mut disk =
            Self::of_sync(Latency::of_micros(500, 1_500, 10_000), Latency::of_micros(1, 3, 5_000));
        let length = Latency::of_micros(100_000, 1_000_000, 30_000_000);
        disk.files.stalls = Stalls { per_million: 500, length };
        disk
    }

    /// A disk with these latencies of syncs and reads. A write goes to the page cache.
    const fn of_sync(sync: Latency, read: Latency) -> Self {
        let write = Latency::of_micros(2, 5, 200);
        let mut disk = Self::with_commit(sync);
        disk.files = FileProfile { read, write, sync, ..FileProfile::INSTANT };
        disk
    }

    /// A disk with this commit latency, and latencies that do not depend on the disk: a commit into the page cache, and the
    /// time to wake the process.
    const fn with_commit(commit: Latency) -> Self {
        Self {
            commit,
            cached: Latency { min: 5_000, median: 20_000, max: 500_000 },
            acknowledge: Latency { min: 1_000, median: 10_000, max: 100_000 },
            files: FileProfile::INSTANT,
            capacity: None,
        }
    }

    /// Sets the latency of commits with [`Durability::EveryCommit`](crate::storage::Durability::EveryCommit).
    ///
    /// Half of the commits take a uniformly drawn time between `min` and `median`. The others take between `median` and
    /// `max`, and few of them are close to `max`.
    #[must_use]
    pub fn commit_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.commit = Latency::new(min, median, max);
        self
    }

    /// Sets the latency of commits with [`Durability::Periodic`](crate::storage::Durability::Periodic), which do not wait for the disk.
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

    /// Sets the latency of a call that reads a file. The distribution is that of [`commit_latency`](Self::commit_latency).
    #[must_use]
    pub fn read_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.files.read = Latency::new(min, median, max);
        self
    }

    /// Sets the latency of a call that changes a file or a name and does not sync it. The distribution is that of
    /// [`commit_latency`](Self::commit_latency).
    #[must_use]
    pub fn write_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.files.write = Latency::new(min, median, max);
        self
    }

    /// Sets the latency of a call that syncs a file (`fsync`, `fdatasync`, `msync`). The distribution is that of
    /// [`commit_latency`](Self::commit_latency).
    #[must_use]
    pub fn sync_latency(mut self, min: Duration, median: Duration, max: Duration) -> Self {
        self.files.sync = Latency::new(min, median, max);
        self
    }

    /// Makes calls on files stall: on average, one in `calls` calls takes longer, by a time that is
    /// distributed as in [`commit_latency`](Self::commit_latency).
    ///
    /// `calls` must be at most 1,000,000; 0 turns stalls off.
    #[must_use]
    pub fn stalls(mut self, calls: u32, min: Duration, median: Duration, max: Duration) -> Self {
        let per_million = 1_000_000_u32.checked_div(calls).unwrap_or(0);
        self.files.stalls = Stalls { per_million, length: Latency::new(min, median, max) };
        self
    }

    /// Sets which changes of files and names that were not synced survive a power failure. The
    /// default is [`CrashProfile::Journal`].
    #[must_use]
    pub fn crash_profile(mut self, crash: CrashProfile) -> Self {
        self.files.crash = crash;
        self
    }

    /// Sets the maximum size of each store on the disk, and of all files together, in bytes. A write to a store that needs more
    /// returns [`Error::Full`](crate::storage::Error::Full). A write to a file is cut short in whole pages of 4 KiB, and then fails
    /// with `ENOSPC`. Stores and files do not take space from each other.
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
            ("read_latency", self.files.read),
            ("write_latency", self.files.write),
            ("sync_latency", self.files.sync),
            ("stalls", self.files.stalls.length),
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

    pub(crate) fn commit(&self) -> Latency {
        self.commit
    }

    pub(crate) fn cached(&self) -> Latency {
        self.cached
    }

    pub(crate) fn acknowledge(&self) -> Latency {
        self.acknowledge
    }

    /// What concerns files.
    pub(crate) fn files(&self) -> FileProfile {
        FileProfile { capacity: self.capacity, ..self.files }
    }

    /// The map size of a store: as requested, but at most the capacity of the disk.
    pub(crate) fn limit(&self, map_size: usize) -> usize {
        self.capacity.map_or(map_size, |capacity| capacity.min(map_size))
    }
}

/// Tokens depend on this text. A profile that sets nothing about files has the text that it had before
/// there were such settings.
impl fmt::Debug for DiskProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, cached, acknowledge, files, capacity } = self;
        let mut text = f.debug_struct("DiskProfile");
        text.field("commit", commit).field("cached", cached).field("acknowledge", acknowledge);
        text.field("capacity", capacity);
        if *files != FileProfile::INSTANT {
            text.field("files", files);
        }
        text.finish()
    }
}

impl Default for DiskProfile {
    /// Same as [`ssd`](Self::ssd).
    fn default() -> Self {
        Self::ssd()
    }
}

impl FileProfile {
    const INSTANT: Self = Self {
        read: Latency::NONE,
        write: Latency::NONE,
        sync: Latency::NONE,
        stalls: Stalls { per_million: 0, length: Latency::NONE },
        crash: CrashProfile::Journal,
        capacity: None,
    };

    /// Whether a call may take time.
    pub(crate) fn has_latencies(&self) -> bool {
        let latencies = [self.read, self.write, self.sync];
        self.stalls.per_million > 0 || latencies.iter().any(|latency| latency.max > 0)
    }
}

impl Latency {
    const NONE: Self = Self { min: 0, median: 0, max: 0 };

    const fn of_micros(min: u64, median: u64, max: u64) -> Self {
        Self { min: min * 1_000, median: median * 1_000, max: max * 1_000 }
    }

    fn new(min: Duration, median: Duration, max: Duration) -> Self {
        Self { min: nanos(min), median: nanos(median), max: nanos(max) }
    }

    /// The quantile at `unit` in `[0, 1)`, in nanoseconds. It uses only products, which are exact on every platform.
    pub(crate) fn at(self, unit: f64) -> u64 {
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
        for latency in ready().into_iter().flat_map(|profile| {
            let FileProfile { read, write, sync, stalls, .. } = profile.files;
            [profile.commit, read, write, sync, stalls.length]
        }) {
            let Latency { min, median, max } = latency;
            assert_eq!(latency.at(0.0), min);
            assert_eq!(latency.at(0.5), median);
            let last = latency.at(1.0 - f64::EPSILON);
            assert!(last <= max && last >= max - max / 1_000);
            let drawn: Vec<_> = (0..1_000).map(|n| latency.at(f64::from(n) / 1e3)).collect();
            assert!(drawn.is_sorted());
        }
        assert_eq!(DiskProfile::ideal().commit.at(0.99), 0);
    }

    fn ready() -> [DiskProfile; 5] {
        let [ssd, hdd] = [DiskProfile::ssd(), DiskProfile::hdd()];
        [ssd, hdd, DiskProfile::nvme(), DiskProfile::sata(), DiskProfile::network()]
    }

    #[test]
    fn ready_profiles_have_no_mistakes() {
        for profile in ready() {
            assert!(profile.mistakes().is_empty(), "{profile:?}");
        }
        let takes_time = ready().map(|profile| profile.files.has_latencies());
        assert_eq!(takes_time, [false, true, true, true, true]);
        assert!(!DiskProfile::default().files.has_latencies());
        let stalls = |calls| {
            DiskProfile::ssd().stalls(calls, Duration::ZERO, Duration::ZERO, Duration::ZERO)
        };
        assert_eq!(
            [0, 1, 2_000].map(|calls| stalls(calls).files.stalls.per_million),
            [0, 1_000_000, 500]
        );
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

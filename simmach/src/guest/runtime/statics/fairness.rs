//! Eventual fairness of `parking_lot`, which depends on time, on addresses, and on the runs before.
//!
//! A table of buckets, chosen by the address of a lock, holds the time from which the next contended unlock hands the lock over.
//! In a run nobody is favoured instead: a thread that wakes another is ready again as the woken one is, and the seed decides.
//! For that all those times are put far ahead, at the beginning of each run.
//!
//! The table is private. It is found by its form, through a pointer in the program's data. If it is not found, it is left
//! alone; the determinism check then finds what depends on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot_core::{DEFAULT_PARK_TOKEN, park};

use crate::guest::runtime::statics::words;

/// Size and alignment of a bucket.
const BUCKET: u64 = 64;
const MAX_BUCKETS: u64 = 1 << 16;
/// Far ahead of every clock, in seconds.
const NEVER: u64 = i64::MAX as u64 / 2;

/// Where the table is.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// The program's pointer to the table.
    pointer: &'static AtomicU64,
    /// Position in the table of the pointer to the buckets, which their number follows, in words.
    buckets: usize,
    /// Position in a bucket of the time's seconds, in bytes.
    seconds: u64,
}

/// Finds the table, outside every run.
pub(super) fn prepare() {
    table();
}

/// Puts the times ahead.
pub(super) fn reset() {
    let Some(table) = table() else { return };
    let header = words::at(table.pointer.load(Ordering::Acquire), 4);
    let [buckets, count] = [0, 1].map(|at| header[table.buckets + at].load(Ordering::Relaxed));
    for nth in 0..count {
        let seconds = &words::at(buckets + nth * BUCKET + table.seconds, 1)[0];
        if seconds.load(Ordering::Relaxed) != NEVER {
            seconds.store(NEVER, Ordering::Relaxed);
        }
    }
}

fn table() -> Option<Table> {
    static TABLE: OnceLock<Option<Table>> = OnceLock::new();
    *TABLE.get_or_init(find)
}

fn find() -> Option<Table> {
    let key = 0_u8;
    // The first call of a thread makes the table.
    // SAFETY: nothing else uses the key, and the closures neither panic nor call parking_lot.
    unsafe {
        park((&raw const key).addr(), || false, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, None);
    }
    let mut tables = words::writable_pairs().into_iter().filter_map(Table::at);
    let table = tables.next()?;
    tables.next().is_none().then_some(table)
}

impl Table {
    fn at(pointer: &'static AtomicU64) -> Option<Self> {
        let address = pointer.load(Ordering::Relaxed);
        if address < 1 << 12 || !address.is_multiple_of(8) {
            return None;
        }
        let header: [u64; 4] = words::copy(address)?;
        let (buckets, count) = (0..3).find_map(|at| {
            let (start, count) = (header[at], header[at + 1]);
            let is_array = start != 0 && start.is_multiple_of(BUCKET);
            let is_size = count.is_power_of_two() && (4..=MAX_BUCKETS).contains(&count);
            let bits = count.checked_ilog2().map(u64::from);
            let mut others = (0..4).filter(|other| *other != at && *other != at + 1);
            let has_bits = others.any(|other| Some(header[other] & 0xFFFF_FFFF) == bits);
            (is_array && is_size && has_bits).then_some((at, count))
        })?;
        let bucket = |nth: u64| words::copy::<[u64; 8]>(header[buckets] + nth * BUCKET);
        let all: Vec<[u64; 8]> = (0..count).map(bucket).collect::<Option<_>>()?;
        let seconds = (0..7).find(|at| is_time(&all, *at))?;
        has_seeds(&all).then_some(Self { pointer, buckets, seconds: seconds as u64 * 8 })
    }
}

/// Whether a word of the buckets is the seconds of a time that most have: the time of the table's making.
fn is_time(buckets: &[[u64; 8]], at: usize) -> bool {
    let time = |bucket: &[u64; 8]| (bucket[at], bucket[at + 1] & 0xFFFF_FFFF);
    let usual = time(&buckets[buckets.len() / 2]);
    let is_plausible = usual.0 != 0 && usual.0 < 1 << 40 && usual.1 < 1_000_000_000;
    is_plausible && are_most(buckets.iter().map(|bucket| time(bucket) == usual))
}

/// Whether the buckets have the seeds of their generators, which count up.
fn has_seeds(buckets: &[[u64; 8]]) -> bool {
    let half = |bucket: &[u64; 8], at: usize| (bucket[at / 2] >> (32 * (at % 2))) as u32;
    let has_seed = |at, (nth, bucket)| half(bucket, at) as usize == nth + 1;
    (0..16).any(|at| are_most(buckets.iter().enumerate().map(|bucket| has_seed(at, bucket))))
}

fn are_most(which: impl ExactSizeIterator<Item = bool>) -> bool {
    let all = which.len();
    which.filter(|is| *is).count() * 4 >= all * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_found() {
        assert!(table().is_some());
    }
}

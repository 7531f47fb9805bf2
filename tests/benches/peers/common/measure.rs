//! Measures time, allocations and memory. Every program of the comparison includes this file, so
//! that all measure in the same way.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// An allocator that counts allocations when enabled. Otherwise, the counter costs one load.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which the system's allocator
        // requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

fn grow(size: usize) {
    if ON.load(Relaxed) {
        ALLOCATIONS.fetch_add(1, Relaxed);
        let live = LIVE.fetch_add(size as u64, Relaxed).wrapping_add(size as u64);
        // Blocks from before counting began may be freed, so the balance may be negative.
        if live < u64::MAX / 2 {
            PEAK.fetch_max(live, Relaxed);
        }
    }
}

fn shrink(size: usize) {
    if ON.load(Relaxed) {
        LIVE.fetch_sub(size as u64, Relaxed);
    }
}

/// Runs `work`, and prints its seconds; with `--count` its allocations and peak heap size in bytes.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> T {
    let counts = std::env::args().any(|word| word == "--count");
    ON.store(counts, Relaxed);
    #[allow(clippy::disallowed_methods, reason = "real time is what is measured")]
    let began = Instant::now();
    let result = work();
    let took = began.elapsed();
    ON.store(false, Relaxed);
    if counts {
        println!("allocations={}", ALLOCATIONS.load(Relaxed));
        println!("heap={}", PEAK.load(Relaxed));
    } else {
        println!("seconds={}", took.as_secs_f64());
    }
    result
}

/// The process's resident memory in bytes.
#[allow(dead_code, reason = "not every program asks")]
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

/// The program's arguments: the case and its number.
pub(crate) fn case() -> (String, u64) {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let case = words.next().expect("the name of a case");
    (case, words.next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

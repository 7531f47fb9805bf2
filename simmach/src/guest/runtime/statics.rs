//! Resets private statics of tokio and `futures`, which all runs of one process share.
//!
//! tokio seeds a runtime's generator, from which `tokio::select!` and `watch` draw, with the number
//! of runtimes built before. When a runtime is dropped, it ends its tasks in an order that depends
//! on their ids, which come from another counter. The generators of `futures::select!` and
//! `tokio_stream::StreamMap` are seeded with the number of threads that have used them. A run
//! resets all these counters, so that its behaviour does not depend on earlier runs.
//!
//! The counters are private, so this module finds each by its behaviour: it is the only word of the
//! program's data that grows by one with each `Builder`, task or thread. If a counter is not found,
//! for example with a different version of tokio, [`not_found`] reports it. The determinism check
//! then detects code that depends on it.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::task::{Context, Waker};

use futures::{FutureExt, StreamExt};
use tokio::runtime::Builder;
use tokio_stream::StreamMap;

use crate::engine::mix;
use crate::guest::runtime::fairness;

/// Makes tokio create its statics. Must be called outside runs; otherwise, tokio's socket pair for
/// signals would belong to the first run. Native processes need only the counter of builders.
/// Finding only this counter takes a hundredth of the time.
pub(crate) fn prepare(has_guests: bool) {
    static ONCE: Once = Once::new();
    if !has_guests {
        builders();
        return;
    }
    ONCE.call_once(|| {
        // The runtime cannot be built if the process has no free descriptors. In that case no run
        // can begin either.
        drop(Builder::new_current_thread().enable_all().build());
        builders();
        tasks();
        shuffles();
        stream_maps();
        fairness::prepare();
    });
}

/// Returns a message for each counter that was not found. The message names the code that depends
/// on it. For runs with guests.
pub(crate) fn not_found() -> Vec<String> {
    let counters = [
        (builders(), "tokio's count of runtimes", "`tokio::select!` and `tokio::sync::watch`"),
        (tasks(), "tokio's count of tasks", "the order in which a runtime ends its tasks"),
        (shuffles(), "futures' count of threads", "`futures::select!` on a thread"),
        (stream_maps(), "tokio-stream's count of threads", "`tokio_stream::StreamMap`"),
    ];
    let missing = counters.into_iter().filter(|(counter, ..)| counter.is_none());
    missing
        .map(|(_, what, dependent)| {
            format!(
                "simmach did not find {what} and cannot reset it between runs, so two runs of a seed may differ in \
                 {dependent}: report this as a bug in simmach, with the versions of tokio and futures in your Cargo.lock"
            )
        })
        .collect()
}

/// Resets the counters at the beginning of a run. Called on the run's thread, which is new.
pub(crate) fn reset(seed: u64, has_guests: bool) {
    if !has_guests {
        reset_builders();
        return;
    }
    for counter in [builders(), tasks(), stream_maps()].into_iter().flatten() {
        counter.store(1, Ordering::Relaxed);
    }
    // The run's own thread already has its generator. This counter matters for a guest's threads.
    if let Some(counter) = shuffles() {
        counter.store(mix(seed, SHUFFLES) as u32, Ordering::Relaxed);
    }
    // A thread's own generator takes a number when a runtime is first entered there.
    if let Ok(runtime) = Builder::new_current_thread().build() {
        runtime.block_on(async {});
    }
    reset_builders();
}

fn reset_builders() {
    if let Some(counter) = builders() {
        counter.store(1, Ordering::Relaxed);
    }
}

/// Separates the draw for the generator of `futures` from other draws of the run's seed.
const SHUFFLES: u64 = 0x5348_5546;

/// To find a counter, it is incremented this many times, in three rounds. No other word grows by exactly these amounts.
const COUNTS: [u32; 3] = [1, 2, 4];

/// A value that no counter has reached when it is looked for.
const MAX: u32 = 1 << 28;

/// The number of runtime builders created.
fn builders() -> Option<&'static AtomicU32> {
    static COUNTER: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    *COUNTER.get_or_init(|| find(|| drop(Builder::new_current_thread()), allocate))
}

/// The number of tasks spawned, of which this is the lower half.
fn tasks() -> Option<&'static AtomicU32> {
    static COUNTER: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    *COUNTER.get_or_init(|| {
        let runtime = Builder::new_current_thread().build().ok()?;
        find(|| drop(runtime.spawn(async {})), allocate)
    })
}

/// The number of generators of `futures::select!`, one for each thread that uses it.
fn shuffles() -> Option<&'static AtomicU32> {
    static COUNTER: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    *COUNTER.get_or_init(|| {
        let grow = || {
            on_new_thread(|| {
                let (mut first, mut second) = (ready(()).fuse(), ready(()).fuse());
                futures::executor::block_on(async {
                    futures::select! { () = first => (), () = second => () }
                });
            });
        };
        // Another counter grows with each thread.
        find(grow, || on_new_thread(|| ()))
    })
}

/// The number of generators of `tokio_stream::StreamMap`, one for each thread that uses it.
fn stream_maps() -> Option<&'static AtomicU32> {
    static COUNTER: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    *COUNTER.get_or_init(|| {
        let grow = || {
            on_new_thread(|| {
                let mut map: StreamMap<(), _> = StreamMap::new();
                map.insert((), futures::stream::empty::<()>());
                let _ = map.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
            });
        };
        // Another counter grows with each thread.
        find(grow, || on_new_thread(|| ()))
    })
}

/// Increments the program's own counts of allocations, as building a runtime and spawning a task do, too.
fn allocate() {
    drop(std::hint::black_box(Box::new(0_u8)));
}

fn on_new_thread(f: impl FnOnce() + Send) {
    // Without threads no run can begin either.
    std::thread::scope(|scope| drop(std::thread::Builder::new().spawn_scoped(scope, f)));
}

/// Finds the one word of the program that grows by one when `grow` is called, and not when `other` is.
fn find(grow: impl Fn(), other: impl Fn()) -> Option<&'static AtomicU32> {
    // Afterwards the counter is not zero, as most words are.
    grow();
    let mut candidates = words::writable(1..MAX);
    for count in COUNTS {
        retain_growing(&mut candidates, count, || (0..count).for_each(|_| grow()));
    }
    retain_growing(&mut candidates, 0, other);
    match &candidates[..] {
        [Candidate { word, .. }] => Some(word),
        _ => None,
    }
}

/// Keeps the words that `grow` makes grow by `count`.
fn retain_growing(candidates: &mut Vec<Candidate>, count: u32, grow: impl FnOnce()) {
    grow();
    candidates.retain_mut(|Candidate { word, value }| {
        let before = std::mem::replace(value, word.load(Ordering::Relaxed));
        value.wrapping_sub(before) == count
    });
}

/// A word that may be the counter, and its last known value.
struct Candidate {
    word: &'static AtomicU32,
    value: u32,
}

mod words {
    use std::ffi::{c_int, c_void};
    use std::ops::Range;
    use std::slice;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use super::Candidate;

    /// The values that are looked for, and the words found so far that have one of them.
    struct Search {
        values: Range<u32>,
        found: Vec<Candidate>,
    }

    /// Returns the words of the program's own writable data that have one of these values. Zero cannot be looked for.
    pub(super) fn writable(values: Range<u32>) -> Vec<Candidate> {
        let mut search = Search { values, found: Vec::with_capacity(EXPECTED) };
        // SAFETY: the callback is called only before this call returns, with a pointer that is valid until then.
        unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut search).cast()) };
        search.found
    }

    /// A usual number of words with such a value.
    const EXPECTED: usize = 512;

    unsafe extern "C" fn add(
        object: *mut libc::dl_phdr_info,
        _size: usize,
        search: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid object, and the pointer to the search that `writable` gave it.
        let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
        // SAFETY: `dlpi_phdr` points to `dlpi_phnum` headers, which are valid for reads during the callback.
        let headers = unsafe { slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        let range = |header: &libc::Elf64_Phdr| {
            let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            start..start + header.p_memsz as usize
        };
        // Most of the writable data is written only while it is relocated, and is read-only afterwards.
        let relocated = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO);
        let relocated = relocated.map_or(0..0, range);
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W == 0 {
                continue;
            }
            let all = range(header);
            let start = if all.contains(&relocated.start) { relocated.end } else { all.start };
            add_from(start..all.end, search);
        }
        // The first object is the program. The others are not examined.
        1
    }

    /// Adds the wanted words of a range of the program's data. Two words at a time are skipped if both are zero, as most are.
    fn add_from(data: Range<usize>, search: &mut Search) {
        const SIZE: usize = size_of::<AtomicU64>();
        let start = data.start.next_multiple_of(SIZE);
        let first = std::ptr::with_exposed_provenance(start);
        // SAFETY: the program's own data stays mapped as long as the program runs, and the address is aligned. The data is read
        // and written atomically here. A word that other code changes non-atomically is soon excluded from the candidates.
        let pairs: &'static [AtomicU64] =
            unsafe { slice::from_raw_parts(first, data.end.saturating_sub(start) / SIZE) };
        for pair in pairs {
            if pair.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let halves = pair.as_ptr().cast::<u32>();
            for half in [halves, halves.wrapping_add(1)] {
                // SAFETY: as above: it is one half of the pair.
                let word = unsafe { AtomicU32::from_ptr(half) };
                let value = word.load(Ordering::Relaxed);
                if search.values.contains(&value) {
                    search.found.push(Candidate { word, value });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_tokio_in_use_are_found() {
        prepare(true);
        assert_eq!(not_found(), [""; 0]);
    }

    /// As a program's own count of allocations, which grows with each task.
    #[test]
    fn counter_is_found_beside_one_that_grows_with_other_calls_too() {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        static OTHER: AtomicU32 = AtomicU32::new(0);
        let other = || _ = OTHER.fetch_add(1, Ordering::Relaxed);
        let grow = || {
            COUNTER.fetch_add(1, Ordering::Relaxed);
            other();
        };
        assert!(find(grow, other).is_some_and(|word| std::ptr::eq(word, &COUNTER)));
        assert!(find(grow, || ()).is_none());
    }

    /// No word of the program's data grows by this.
    #[test]
    fn counter_that_does_not_grow_is_not_found() {
        assert!(find(|| (), || ()).is_none());
    }
}

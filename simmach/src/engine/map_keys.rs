//! Makes the keys of each of std's `HashMap`s a function of the task and the poll that create the map.
//!
//! std draws two keys per thread when the thread creates its first map, and increments one of them with each further map.
//! The iteration order of a map therefore depends on the number of maps created before it in the run. That number may depend
//! on state that the process keeps between runs: a static `Regex`, for example, creates maps for its caches only in some
//! runs. To avoid this, simmach draws the keys when a run begins, and sets the incremented key from the task and the poll
//! number at the start of each poll. The keys of a map then depend only on its task, its poll and the number of maps created
//! before it in that poll.
//!
//! std does not expose the incremented key. simmach finds it by its behaviour: it is a word in the
//! thread's static TLS block that equals the next map's key and lies beside the other key. The word
//! is used only if it is the only such word, and if the next map's key follows a value written to
//! it. Otherwise, the keys still come from the run, but depend on the number of all maps created
//! before in the run.

use std::cell::Cell;
use std::hash::RandomState;

/// The incremented key of this thread, and how many maps were created.
#[derive(Debug, Default)]
pub(crate) struct MapKeys {
    word: Cell<Option<Word>>,
    /// Whether created maps are counted.
    is_counting: Cell<bool>,
    /// The value that the word was last set to.
    set: Cell<u64>,
    /// Number of maps created before the word was last set.
    made: Cell<u64>,
}

/// Shift of the poll number in a key. No poll creates 2^32 maps, so the keys of polls do not overlap.
const POLL_SHIFT: u32 = 32;

impl MapKeys {
    /// Makes std draw this thread's keys from the run, and finds the incremented key.
    ///
    /// The number of maps that this function creates is the same whether or not the key is found.
    pub(crate) fn draw_keys(&self, is_counting: bool) {
        let [first, second] = [keys(), keys()];
        let found = word::find(first, second);
        if let Some(word) = found {
            word.set(PROBE);
        }
        let third = keys();
        let is_it = |word: &Word| {
            third.is_some_and(|keys| keys.contains(&PROBE)) && word.get() == PROBE + 1
        };
        self.word.set(found.filter(is_it));
        self.is_counting.set(is_counting);
        self.begin_poll(0, 0);
        self.made.set(0);
    }

    /// Sets the incremented key for the nth poll of the task with this path.
    #[inline]
    pub(crate) fn begin_poll(&self, path: u64, nth: u64) {
        let Some(word) = self.word.get() else { return };
        if self.is_counting.get() {
            self.made.set(self.made());
        }
        let key = path.wrapping_add(nth << POLL_SHIFT);
        self.set.set(key);
        word.set(key);
    }

    /// Calls `f`. The maps that it creates do not change the keys of those created after it.
    pub(crate) fn uncounted<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = self.word.get().map(|word| (word, word.get()));
        let result = f();
        if let Some((word, key)) = before {
            word.set(key);
        }
        result
    }

    /// Number of maps created in the run, if they are counted; otherwise 0.
    pub(crate) fn made(&self) -> u64 {
        match self.word.get() {
            Some(word) if self.is_counting.get() => {
                self.made.get() + word.get().wrapping_sub(self.set.get())
            }
            _ => 0,
        }
    }
}

/// A value that is unlikely to be a key by chance.
const PROBE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the keys of a new map, or `None` if `RandomState` is not two words.
fn keys() -> Option<[u64; 2]> {
    let state = std::hint::black_box(RandomState::new());
    if size_of::<RandomState>() != size_of::<[u64; 2]>() {
        return None;
    }
    // SAFETY: `RandomState` has the size of two words, and consists of the keys of SipHash, which are two 64-bit numbers.
    Some(unsafe { std::mem::transmute_copy(&state) })
}

/// A word of this thread's static TLS block.
#[derive(Clone, Copy, Debug)]
struct Word(*mut u64);

impl Word {
    #[inline]
    fn get(self) -> u64 {
        // SAFETY: the pointer is aligned and points into this thread's static TLS block, which lives as long as the thread.
        // The word is in a `Cell` of std that no other thread can reach, and std holds no reference into it while other code
        // runs.
        unsafe { self.0.read_volatile() }
    }

    #[inline]
    fn set(self, value: u64) {
        // SAFETY: as above; the key may have any value.
        unsafe { self.0.write_volatile(value) }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod word {
    use std::sync::atomic::{AtomicIsize, Ordering};

    use super::Word;
    use crate::engine::thread_storage::ThreadStorage;

    /// Distance of the word from [`ANCHOR`]. It is the same in every thread, since both are in the TLS block of the same
    /// object.
    static OFFSET: AtomicIsize = AtomicIsize::new(UNKNOWN);
    const UNKNOWN: isize = isize::MAX;
    const NOWHERE: isize = isize::MIN;

    thread_local! {
        static ANCHOR: u64 = const { 0 };
    }

    /// Finds the word that holds the next map's key, given the keys of the last two maps.
    pub(crate) fn find(first: Option<[u64; 2]>, second: Option<[u64; 2]>) -> Option<Word> {
        let next = next(first?, second?)?;
        let anchor = ANCHOR.with(|anchor| std::ptr::from_ref(anchor).expose_provenance());
        let known = match OFFSET.load(Ordering::Relaxed) {
            NOWHERE => return None,
            UNKNOWN => None,
            offset => Some(anchor.wrapping_add_signed(offset)),
        };
        let found = known.or_else(|| {
            let found = search(next);
            let offset = found.map_or(NOWHERE, |found| found.wrapping_sub(anchor).cast_signed());
            OFFSET.store(offset, Ordering::Relaxed);
            found
        })?;
        let word = Word(std::ptr::with_exposed_provenance_mut(found));
        (word.get() == next.counted).then_some(word)
    }

    /// The keys of the next map.
    #[derive(Clone, Copy)]
    struct Next {
        /// The key that is incremented.
        counted: u64,
        other: u64,
    }

    fn next(first: [u64; 2], second: [u64; 2]) -> Option<Next> {
        let is_counted = |at: usize| second[at] == first[at].wrapping_add(1);
        match (is_counted(0), is_counted(1)) {
            (true, false) if first[1] == second[1] => {
                Some(Next { counted: second[0].wrapping_add(1), other: second[1] })
            }
            (false, true) if first[0] == second[0] => {
                Some(Next { counted: second[1].wrapping_add(1), other: second[0] })
            }
            _ => None,
        }
    }

    /// Returns the address at which both keys are side by side in this thread's TLS block; `None` unless there is exactly
    /// one.
    fn search(next: Next) -> Option<usize> {
        let Next { counted, other } = next;
        let words = ThreadStorage::of_this_object()?;
        let is_other = |at: Option<usize>| at.and_then(|at| words.get(at)) == Some(other);
        let is_it = |at: &usize| {
            words.get(*at) == Some(counted)
                && (is_other(at.checked_sub(1)) || is_other(at.checked_add(1)))
        };
        let mut found = (0..words.len()).filter(is_it);
        let only = found.next().filter(|_| found.next().is_none())?;
        Some(words.address(only))
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
mod word {
    use super::Word;

    pub(crate) fn find(_first: Option<[u64; 2]>, _second: Option<[u64; 2]>) -> Option<Word> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "std's keys are a thread's own")]

    use std::thread;

    use super::*;

    /// The keys of the next map.
    fn next_key() -> [u64; 2] {
        keys().expect("two words")
    }

    #[test]
    fn map_keys_depend_on_task_and_poll() {
        for _ in 0..2 {
            // From the second thread on the offset is known.
            let keyed = thread::spawn(|| {
                let map_keys = MapKeys::default();
                map_keys.draw_keys(true);
                assert_eq!(map_keys.made(), 0);
                let of = |path, nth, before: u32| {
                    map_keys.begin_poll(path, nth);
                    (0..before).for_each(|_| _ = next_key());
                    next_key()
                };
                let first = of(5, 1, 0);
                assert_eq!(of(5, 1, 7)[0], first[0] + 7, "maps of one poll are counted");
                assert_eq!((of(5, 1, 0), of(5, 1, 0)), (first, first), "but not over polls");
                assert_ne!(of(5, 2, 0), first);
                assert_ne!(of(6, 1, 0), first);
                assert_eq!(map_keys.made(), 1 + 8 + 2 + 1 + 1);
            });
            keyed.join().expect("no panic");
        }
    }

    /// The code of the spec runs first. Its maps must be the same in the run that finds the key and in later runs.
    #[test]
    fn drawing_keys_creates_the_same_number_of_maps() {
        let before_and_after = || {
            thread::spawn(|| {
                let before = next_key();
                MapKeys::default().draw_keys(false);
                (before[1], next_key()[0])
            })
        };
        let all: Vec<_> = (0..3).map(|_| before_and_after().join().expect("no panic")).collect();
        assert!(all.iter().all(|(_, key)| *key == all[0].1), "{all:x?}");
    }

    #[test]
    fn word_that_is_not_incremented_is_not_used() {
        let [first, second] = [next_key(), next_key()];
        assert!(word::find(Some(first), Some(first)).is_none());
        assert!(word::find(Some(second), Some([second[0] + 2, second[1]])).is_none());
        assert!(word::find(Some(first), Some([first[0] + 1, first[1] + 1])).is_none());
        assert!(word::find(None, Some(first)).is_none());
    }
}

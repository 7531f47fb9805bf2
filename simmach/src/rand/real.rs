//! Random number generators outside a run.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// Creates a generator that the operating system seeds.
///
/// # Panics
///
/// If the operating system fails to provide random numbers.
pub(crate) fn generator() -> ChaCha12Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system provides random numbers");
    ChaCha12Rng::from_seed(seed)
}

/// Returns a random number below `count`, which must not be zero. The generator is fast but not secure; `select!` uses it
/// for fairness.
pub(crate) fn below(count: usize) -> usize {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish() | 1);
    }
    // Marsaglia's xorshift64.
    let mut word = STATE.get();
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    STATE.set(word);
    (((word >> 32) * count as u64) >> 32) as usize
}

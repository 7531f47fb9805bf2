//! Randomness from the operating system.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// A generator that the operating system has seeded.
///
/// # Panics
///
/// If the operating system has no randomness.
pub(crate) fn generator() -> ChaCha12Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system has randomness");
    ChaCha12Rng::from_seed(seed)
}

/// A number below `count`, cheaply: not for secrets, but so that nobody is always the first. `count` is not zero.
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

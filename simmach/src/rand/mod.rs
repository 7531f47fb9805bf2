//! Randomness for the code under test: generators that the seed decides.
//!
//! Each call of [`rng`] makes a ChaCha generator whose key is drawn at (task, nth), where the task's path begins with its
//! machine, service and incarnation: what one task draws shifts nothing in another. It implements `rand_core` 0.10's traits, so that everything in `rand` 0.10 works on it.

use std::convert::Infallible;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng, TryRng};

use crate::engine::{self, Family, context};

/// A new generator of the running task.
///
/// ```
/// use rand_core::Rng;
///
/// async fn roll() {
///     let die = simmach::rand::rng().next_u64() % 6 + 1;
///     assert!((1..=6).contains(&die));
/// }
/// ```
///
/// # Panics
///
/// Outside a run.
pub fn rng() -> Generator {
    let scope = engine::scope().expect("simmach::rand::rng() was called outside a run");
    let nth = context::try_with(|engine| engine.next_draw()).unwrap_or(0);
    let key = engine::word(Family::Generator, scope.task, nth, 0).unwrap_or(0);
    Generator { inner: ChaCha12Rng::seed_from_u64(key) }
}

/// A number of the running task's, from a generator of its own.
///
/// # Panics
///
/// Outside a run.
pub fn random() -> u64 {
    rng().next_u64()
}

/// A generator that the seed decides. What [`rng`] returns.
#[derive(Clone, Debug)]
pub struct Generator {
    inner: ChaCha12Rng,
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(dst)
    }
}

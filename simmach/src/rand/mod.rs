//! Randomness for the code under test: generators that the seed decides.
//!
//! Each call of [`rng`] makes a ChaCha generator whose key is drawn at (task, nth), where the task's path begins with its
//! machine, service and incarnation: what one task draws shifts nothing in another. Calm generators are those of no seed,
//! and differ all the same: names that programs draw for themselves must not collide. It implements `rand_core` 0.10's
//! traits, so that everything in `rand` 0.10 works on it.

use std::convert::Infallible;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng, TryRng};

use crate::engine::{self, Family, context, mix};

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
    let key = engine::word(Family::Generator, scope.task, nth, 0);
    let key = key.unwrap_or_else(|| mix(scope.task, nth));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::overlay::Overlay;
    use crate::engine::rig;
    use crate::engine::verdict::Verdict;
    use crate::task::spawn;

    /// What two tasks draw.
    fn drawn(seed: u64, overlay: Overlay) -> (u64, u64) {
        let (told, hears) = mpsc::channel();
        let body = async move || {
            let (one, other) = (spawn(async { random() }), spawn(async { random() }));
            let drawn = (one.await.expect("no panic"), other.await.expect("no panic"));
            told.send(drawn).expect("it is heard");
        };
        let ran = rig::run_with(seed, overlay, || {}, body, || {});
        assert_eq!(ran.verdict, Verdict::Passed);
        hears.recv().expect("it was told")
    }

    #[test]
    fn tasks_differ_and_calm_ones_too() {
        let (one, other) = drawn(1, Overlay::default());
        assert_ne!(one, other);
        assert_eq!((one, other), drawn(1, Overlay::default()));
        assert_ne!((one, other), drawn(2, Overlay::default()));
        let (one, other) = drawn(1, Overlay::calm());
        assert_ne!(one, other);
        assert_eq!((one, other), drawn(2, Overlay::calm()), "calm is no seed's");
    }
}

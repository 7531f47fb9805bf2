//! Randomness for the code under test: generators that the seed decides; outside a run, with the feature `real`, the
//! operating system.
//!
//! In a run, each call of [`rng`] makes a ChaCha generator whose key is drawn at (task, nth), where the task's path begins with its
//! machine, service and incarnation: what one task draws shifts nothing in another. Calm generators are those of no seed,
//! and differ all the same: names that programs draw for themselves must not collide. It implements `rand_core` 0.10's
//! traits, so that everything in `rand` 0.10 works on it.

#[cfg(feature = "real")]
pub(crate) mod real;

use std::convert::Infallible;

use rand_chacha::ChaCha12Rng;
#[cfg(feature = "sim")]
use rand_core::SeedableRng;
use rand_core::{Rng as _, TryRng};

#[cfg(feature = "sim")]
use crate::engine::draws::address::Address;
#[cfg(feature = "sim")]
use crate::engine::{self, context, mix};

/// A new generator of the running task; outside a run, one that the operating system has seeded.
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
/// Outside a run: without the feature `real`, and with it if the operating system has no randomness.
pub fn rng() -> Generator {
    here! {
        simulated => of_the_seed(),
        real => Generator { inner: real::generator() },
    }
}

#[cfg(feature = "sim")]
fn of_the_seed() -> Generator {
    let scope = engine::scope().expect("simmach::rand::rng() was called outside a run");
    let nth = context::try_with(|engine| engine.next_draw()).unwrap_or(0);
    let key = engine::word(Address::generator(scope.task, nth));
    let key = key.unwrap_or_else(|| mix(scope.task, nth));
    Generator { inner: ChaCha12Rng::seed_from_u64(key) }
}

/// A number of the running task's, from a generator of its own.
///
/// # Panics
///
/// As [`rng`].
pub fn random() -> u64 {
    rng().next_u64()
}

/// A generator that the seed or the operating system decides. What [`rng`] returns.
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

#[cfg(all(test, feature = "sim"))]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::draws::overlay::Overlay;
    use crate::engine::failure::verdict::Verdict;
    use crate::engine::rig;
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

    /// Where no task runs, as in a rule on packets that a timer sends: each draw is another there too.
    #[test]
    fn outside_of_tasks_draws_differ() {
        thread_local! {
            static DRAWN: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let drawn = |seed| {
            let (told, hears) = mpsc::channel();
            let body = async move || {
                for at in 1..=10 {
                    let draw = |_, _| DRAWN.with_borrow_mut(|drawn| drawn.push(random()));
                    engine::arm(at, engine::Action::Call(draw, 0, 0));
                }
                crate::time::sleep(std::time::Duration::from_secs(1)).await;
                told.send(DRAWN.take()).expect("it is heard");
            };
            let ran = rig::run_with(seed, Overlay::default(), || {}, body, || {});
            assert_eq!(ran.verdict, Verdict::Passed);
            hears.recv().expect("it was told")
        };
        let one = drawn(1);
        assert_eq!(one.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "{one:?}");
        assert_eq!(one, drawn(1));
    }
}

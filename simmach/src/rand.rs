//! Random numbers for the code under test.
//!
//! In a run, each call of [`rng`] creates a ChaCha generator whose key is drawn from the seed at
//! the address (task, nth). The path of a task begins with its machine, service and incarnation, so
//! draws in one task do not affect other tasks. In shrunk runs, generators are calm: they do not
//! depend on the seed. Calm generators still differ from each other, since programs may rely on
//! random names being unique.
//!
//! Outside a run, with the feature `real`, the operating system seeds generators.
//!
//! [`Generator`] implements the traits of `rand_core` 0.10, so everything in `rand` 0.10 works with it.

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
use crate::engine::tasks::numbering::Numbered;
#[cfg(feature = "sim")]
use crate::engine::{self, context, mix};

/// Creates a random number generator. In a run, the generator is seeded from the run's seed;
/// otherwise, by the operating system.
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
/// Outside a run, without the feature `real`, or if the operating system fails to provide random numbers.
pub fn rng() -> Generator {
    here! {
        simulated => from_seed(),
        real => Generator { inner: real::generator() },
    }
}

#[cfg(feature = "sim")]
fn from_seed() -> Generator {
    let number = context::try_with(|engine| engine.next_draw());
    let Numbered { source, nth } = number.expect("simmach::rand::rng() was called outside a run");
    let key = engine::word(Address::generator(source, nth));
    let key = key.unwrap_or_else(|| mix(source, nth));
    Generator { inner: ChaCha12Rng::seed_from_u64(key) }
}

/// Returns a random number from a new generator. See [`rng`].
///
/// # Panics
///
/// In the same cases as [`rng`].
pub fn random() -> u64 {
    rng().next_u64()
}

/// A random number generator, returned by [`rng`].
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

    /// The numbers that two tasks draw.
    fn drawn(seed: u64, overlay: Overlay) -> (u64, u64) {
        let (sender, receiver) = mpsc::channel();
        let body = async move || {
            let (one, other) = (spawn(async { random() }), spawn(async { random() }));
            let drawn = (one.await.expect("no panic"), other.await.expect("no panic"));
            sender.send(drawn).expect("receiver is open");
        };
        let ran = rig::run_with(seed, overlay, || {}, body, || {});
        assert_eq!(ran.verdict, Verdict::Passed);
        receiver.recv().expect("the body has sent")
    }

    #[test]
    fn generators_of_tasks_differ_even_if_calm() {
        let (one, other) = drawn(1, Overlay::default());
        assert_ne!(one, other);
        assert_eq!((one, other), drawn(1, Overlay::default()));
        assert_ne!((one, other), drawn(2, Overlay::default()));
        let (one, other) = drawn(1, Overlay::calm());
        assert_ne!(one, other);
        assert_eq!(
            (one, other),
            drawn(2, Overlay::calm()),
            "calm generators do not depend on the seed"
        );
    }

    /// No task is running, for example, when a packet filter is called for a packet that a timer sent.
    #[test]
    fn generators_outside_of_tasks_differ() {
        thread_local! {
            static DRAWN: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let drawn = |seed| {
            let (sender, receiver) = mpsc::channel();
            let body = async move || {
                for at in 1..=10 {
                    let draw = |_, _| DRAWN.with_borrow_mut(|drawn| drawn.push(random()));
                    engine::arm(at, engine::Action::Call(draw, 0, 0));
                }
                crate::time::sleep(std::time::Duration::from_secs(1)).await;
                sender.send(DRAWN.take()).expect("receiver is open");
            };
            let ran = rig::run_with(seed, Overlay::default(), || {}, body, || {});
            assert_eq!(ran.verdict, Verdict::Passed);
            receiver.recv().expect("the body has sent")
        };
        let one = drawn(1);
        assert_eq!(one.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "{one:?}");
        assert_eq!(one, drawn(1));
    }
}

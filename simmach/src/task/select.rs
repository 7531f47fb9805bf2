//! `select!`: waits for the first of several futures, polled in an order drawn from the seed.
//!
//! The `select!` macros of tokio and futures take the order from generators that all runs in a
//! process share. simmach does not set tokio's generator for native processes, so a run that draws
//! from this generator would not be a function of its seed. simmach's `select!` draws the order at
//! the address (task, nth poll of a `select!`, branch).

#[cfg(feature = "sim")]
use crate::engine::context::try_with;
#[cfg(feature = "sim")]
use crate::engine::draws::address::Address;
#[cfg(feature = "sim")]
use crate::engine::tasks::numbering::Numbered;

/// Waits for several futures at once, and runs the handler of the first future that is ready. It is
/// like `tokio::select!`, but in a run the order of polling is drawn from the seed.
///
/// ```
/// use simmach::time::{DurationUnits, sleep};
/// use simmach::{select, task::JoinHandle};
///
/// async fn first(task: JoinHandle<u32>, patient: bool) -> Option<u32> {
///     select! {
///         Ok(number) = task => Some(number),
///         _ = sleep(5.secs()), if !patient => None,
///         else => None,
///     }
/// }
/// ```
///
/// # Syntax
///
/// The syntax is that of tokio: up to 64 branches of the form `pattern = future, if condition => handler`, optionally preceded
/// by `biased;` and followed by `else => handler`.
///
/// # Behaviour
///
/// 1. All conditions are evaluated, and then all future expressions, including those of disabled
///    branches.
/// 2. The futures of enabled branches are polled in this task. Each poll draws a new order. With
///    `biased;`, and for draws that the shrinker made calm, the order is that of the source.
/// 3. If the output of a future does not match its pattern, the branch is disabled.
/// 4. At the first match, all futures are dropped and the handler runs. The handler may use
///    `.await`, `?`, `return`, `break` and `continue`.
/// 5. If all branches are disabled, the handler of `else` runs.
///
/// As in tokio, dropping a future that is not cancel safe may lose data. Outside a run, the order does not depend on a seed.
///
/// # Panics
///
/// If all branches are disabled and there is no `else`.
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => { $crate::__private::select_branches!($crate $($branches)*) };
}

/// The order in which one poll of a `select!` tries its branches.
#[derive(Debug)]
pub struct Order {
    branches: [u8; 64],
    remaining: std::ops::Range<usize>,
}

impl Order {
    /// Returns the order in the source.
    pub fn as_written(count: usize) -> Self {
        Self { branches: std::array::from_fn(|nth| nth as u8), remaining: 0..count }
    }

    /// Returns a random order. In a run it is drawn from the seed, and all orders are equally likely. Outside a run it is a
    /// rotation that begins with a random branch.
    pub fn drawn(count: usize) -> Self {
        here! {
            simulated => Self::from_seed(count),
            real => Self::rotated(count),
        }
    }

    /// The same order as in tokio: a random branch, then the branches after it, then those before it.
    #[cfg(feature = "real")]
    fn rotated(count: usize) -> Self {
        let mut order = Self::as_written(count);
        order.branches[..count].rotate_left(crate::rand::real::below(count));
        order
    }

    #[cfg(feature = "sim")]
    fn from_seed(count: usize) -> Self {
        let mut order = Self::as_written(count);
        try_with(|engine| {
            if !engine.scope().alive {
                return;
            }
            let Numbered { source, nth } = engine.next_select();
            let branches = &mut order.branches[..count];
            engine.shuffle(branches, |branch| Address::select(source, nth, branch));
        });
        order
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.remaining.next().map(|nth| usize::from(self.branches[nth]))
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests;

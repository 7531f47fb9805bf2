//! Waiting for the first of several futures, in an order that is the seed's.
//!
//! tokio's and futures' own `select!` draw their order from counters of the process, so that the same seed gives another
//! run. Here it is drawn at (task, nth poll of a `select!`, branch).

#[cfg(feature = "sim")]
use crate::engine::context::try_with;
#[cfg(feature = "sim")]
use crate::engine::draws;
#[cfg(feature = "sim")]
use crate::engine::draws::address::Address;
#[cfg(feature = "sim")]
use crate::engine::record::deviations::{Deviation, Kind};

/// Waits for several futures at once, and goes on with the first that is ready: tokio's `select!`, in the seed's order.
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
/// The grammar is tokio's: `pattern = future, if condition => handler`, as often as needed, up to 64; `biased;` in front;
/// `else => handler` at the end. So is what it does. The conditions are evaluated, then all the futures, also those whose
/// condition is false, which are not polled. All that may be are polled in this task, in an order that each poll draws anew;
/// with `biased;`, and where the run is calm, in the order they are written in. One whose output does not match its pattern
/// is out. When one does, all futures are dropped, and then its handler runs, which may await, and use `?`, `return`,
/// `break` and `continue` of what is around it. When all are out, `else` runs.
///
/// What a future had done when it is dropped is lost with it, unless it is cancel safe, as in tokio. Outside a run
/// the order is no seed's.
///
/// # Panics
///
/// If all are out and there is no `else`.
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => { $crate::__private::select_branches!($crate $($branches)*) };
}

/// The order in which one poll of a `select!` tries its branches.
#[derive(Debug)]
pub struct Order {
    branches: [u8; 64],
    left: std::ops::Range<usize>,
}

impl Order {
    /// The source's.
    pub fn as_written(count: usize) -> Self {
        Self { branches: std::array::from_fn(|nth| nth as u8), left: 0..count }
    }

    /// The seed's, in a run: every order is as likely as any other. Outside one any branch may be the first.
    pub fn drawn(count: usize) -> Self {
        here! {
            simulated => Self::of_the_seed(count),
            real => Self::by_chance(count),
        }
    }

    /// As tokio's: a branch drawn, then those behind it, then those in front.
    #[cfg(feature = "real")]
    fn by_chance(count: usize) -> Self {
        let mut order = Self::as_written(count);
        order.branches[..count].rotate_left(crate::rand::real::below(count));
        order
    }

    #[cfg(feature = "sim")]
    fn of_the_seed(count: usize) -> Self {
        let mut order = Self::as_written(count);
        try_with(|engine| {
            let scope = engine.scope();
            if !scope.alive {
                return;
            }
            let nth = engine.next_select();
            for branch in 1..count {
                let address = Address::select(scope.task, nth, branch as u64);
                // Calm draws 0: it stays where it is.
                let from_end = draws::below_of(engine.word(address), branch as u64 + 1);
                if from_end > 0 {
                    let at = engine.clock.now();
                    engine.record(|recorder| {
                        let kind = Kind::Order;
                        recorder.add(Deviation::new(address, kind, from_end, at));
                    });
                }
                let from_end = from_end as usize;
                order.branches.swap(branch, branch - from_end);
            }
        });
        order
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left.next().map(|nth| usize::from(self.branches[nth]))
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests;

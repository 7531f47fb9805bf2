//! Fault points: named places in code under test where plans can strike.
//!
//! Some bugs need a fault at a certain place in the program: between a write and its answer, or while
//! a snapshot is half installed. [`fault_point!`](crate::fault_point) names such a place. In a run, a
//! plan can strike exactly there (see `Sim::at_point`): it kills the process, powers its machine off,
//! delays the code or makes it fail. When a failing run is shrunk, faults can be bound to the n-th
//! pass of a point.
//!
//! Outside a run, a point costs one load of a thread-local variable; without the feature `sim`,
//! nothing. It needs no feature of the crate.
//!
//! ```
//! use std::io;
//!
//! async fn install_snapshot() -> io::Result<()> {
//!     // If a plan kills the process here, the code below is not executed.
//!     simmach::fault_point!("snapshot half installed").await;
//!     // A plan can make the function return this error.
//!     simmach::fault_point!("snapshot renamed", return Err(io::Error::other("disk")));
//!     Ok(())
//! }
//! ```

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "sim")]
use crate::engine::{self, PointFault};
#[cfg(feature = "sim")]
use crate::time::Sleep;

/// Names a place in code under test where plans can strike. See [`point`](crate::point).
///
/// - `fault_point!("name")` evaluates to [`Passed`](crate::point::Passed), which can be dropped. A
///   plan can kill or pause the process here, or power its machine off.
/// - `fault_point!("name").await` can also be delayed. If the process is killed here, the code after
///   the point is not executed.
/// - `fault_point!("name", return Err(…))` evaluates the expression if a plan makes the place fail.
///
/// If the process is killed at a point that is not awaited, its code continues until it awaits
/// something, but it can no longer affect anything except its memory.
///
/// ```
/// async fn append(record: &[u8]) -> std::io::Result<()> {
///     // … write the record …
///     simmach::fault_point!("written").await;
///     simmach::fault_point!("synced", return Err(std::io::Error::other("disk")));
///     # let _ = record;
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! fault_point {
    ($name:expr $(,)?) => {
        $crate::point::pass($name)
    };
    ($name:expr, $error:expr $(,)?) => {
        if $crate::point::pass($name).fails() {
            $error
        }
    };
}

/// A pass of a point, returned by [`fault_point!`](crate::fault_point). A plan can delay code that
/// awaits it.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    #[cfg(feature = "sim")]
    fault: PointFault,
}

/// The future of a [`Passed`]. It completes at once unless a plan delays the code or ends its process.
#[derive(Debug)]
pub struct Passing {
    passed: Passed,
    #[cfg(feature = "sim")]
    delay: Option<Sleep>,
}

/// Passes a point. [`fault_point!`](crate::fault_point) expands to a call of this function.
#[inline]
pub fn pass(name: &str) -> Passed {
    let _ = name;
    Passed {
        #[cfg(feature = "sim")]
        fault: engine::pass_point(name),
    }
}

impl Passed {
    /// Whether a plan makes the code fail here.
    #[inline]
    pub fn fails(self) -> bool {
        #[cfg(feature = "sim")]
        let fails = self.fault == PointFault::Error;
        #[cfg(not(feature = "sim"))]
        let fails = false;
        fails
    }
}

impl IntoFuture for Passed {
    type Output = Self;
    type IntoFuture = Passing;

    fn into_future(self) -> Passing {
        Passing {
            passed: self,
            #[cfg(feature = "sim")]
            delay: match self.fault {
                PointFault::Delay(nanos) => {
                    Some(crate::time::sleep(std::time::Duration::from_nanos(nanos)))
                }
                PointFault::Nothing | PointFault::Error | PointFault::End => None,
            },
        }
    }
}

impl Future for Passing {
    type Output = Passed;

    #[cfg(feature = "sim")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Passed> {
        let passed = self.passed;
        match &mut self.delay {
            Some(delay) => Pin::new(delay).poll(cx).map(|()| passed),
            None if passed.fault == PointFault::End => Poll::Pending,
            None => Poll::Ready(passed),
        }
    }

    #[cfg(not(feature = "sim"))]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Passed> {
        Poll::Ready(self.passed)
    }
}

//! Fault points: named places in code under test where plans can strike.
//!
//! Some bugs need a fault within a few microseconds of the program: between a write and its answer, or while a snapshot is
//! half installed. [`fault_point!`](crate::fault_point) names such a place. In a run, a plan can strike exactly there (see
//! `Sim::at_point`): it kills the process or powers its machine off, delays the code or lets it fail. When a failing run is
//! shrunk, the n-th pass of a point is an event to which the shrinker binds other faults.
//!
//! Outside a run a point costs one load, and without the feature `sim` nothing. It needs no feature of the crate.
//!
//! ```
//! use std::io;
//!
//! async fn install_snapshot() -> io::Result<()> {
//!     // Kill and power off: the code after the point is not executed, since the point is awaited.
//!     simmach::fault_point!("snapshot half installed").await;
//!     // A plan can let this place fail.
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
/// - `fault_point!("name")` is passed. It evaluates to [`Passed`](crate::point::Passed), which can be dropped.
/// - `fault_point!("name").await` can also be delayed, and does not go on if the process was killed there.
/// - `fault_point!("name", return Err(…))` evaluates the expression if a plan lets the place fail.
///
/// Code that does not await the point runs on until it awaits something else, also if its process was killed there: but nothing
/// that it does has an effect outside of its memory.
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

/// A pass of a point. It can be awaited: the plan may delay the code.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    #[cfg(feature = "sim")]
    fault: PointFault,
}

/// The future of a [`Passed`].
#[derive(Debug)]
pub struct Passing {
    passed: Passed,
    #[cfg(feature = "sim")]
    delay: Option<Sleep>,
}

/// Passes a point: what [`fault_point!`](crate::fault_point) expands to.
#[inline]
pub fn pass(name: &str) -> Passed {
    let _ = name;
    Passed {
        #[cfg(feature = "sim")]
        fault: engine::pass_point(name),
    }
}

impl Passed {
    /// Whether a plan lets the code fail here.
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

//! Time for the code under test: tokio's names, on the run's virtual clock; outside a run, with the feature `real`, on
//! tokio's own.
//!
//! Models time in nanoseconds that moves only when nothing is ready to run. Each machine has its own monotonic clock, exact
//! unless the test sets it otherwise; what is here goes by that one. Timers fire exactly when they are due: there is no
//! granularity of a millisecond and no jitter of a scheduler.
//!
//! ```
//! use simmach::time::{DurationUnits, Instant, sleep};
//!
//! async fn nap() {
//!     let start = Instant::now();
//!     sleep(5.secs()).await;
//!     assert_eq!(start.elapsed(), 5.secs());
//! }
//! ```

mod instant;
mod interval;
#[cfg(feature = "sim")]
mod simulated;
mod sleep;
mod timeout;
mod units;

pub use std::time::Duration;

pub use crate::time::instant::Instant;
pub use crate::time::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use crate::time::sleep::{Sleep, sleep, sleep_until};
pub use crate::time::timeout::{Timeout, error, timeout, timeout_at};
pub use crate::time::units::DurationUnits;

/// Longer waits are cut to this, 30 years, as tokio's are.
#[cfg(feature = "sim")]
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A duration in the engine's nanoseconds; what is longer than 584 years is cut to that.
#[cfg(feature = "sim")]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

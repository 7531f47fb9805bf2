//! Time for the code under test, with the API of `tokio::time`.
//!
//! In a run, time is virtual. It has a resolution of one nanosecond and advances only when no task
//! is ready to run. Timers fire exactly at their deadline, without tokio's granularity of one
//! millisecond and without scheduling delays. Each machine has its own monotonic clock, which this
//! module uses. The clock is exact unless the test changes it with
//! [`Sim::set_clock`](crate::Sim::set_clock).
//!
//! Outside a run, with the feature `real`, tokio implements everything in this module.
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
pub(crate) mod simulated;
mod sleep;
mod timeout;
mod units;

pub use std::time::Duration;

pub use crate::time::instant::Instant;
pub use crate::time::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use crate::time::sleep::{Sleep, sleep, sleep_until};
pub use crate::time::timeout::{Timeout, error, timeout, timeout_at};
pub use crate::time::units::DurationUnits;

/// Maximum duration of a sleep: 30 years. Longer durations are shortened, as in tokio.
#[cfg(feature = "sim")]
const MAX_SLEEP: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Converts a duration to nanoseconds. Durations of more than 584 years are shortened to 584 years.
#[cfg(feature = "sim")]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! [`DurationUnits`]: durations from integers, such as `5.secs()`.

use std::time::Duration;

/// Creates durations from integers: `5.secs()`, `100.millis()`, and ranges such as `5.secs()..10.secs()`.
///
/// ```
/// use simmach::time::DurationUnits;
/// assert_eq!(5.secs().as_millis(), 5_000);
/// ```
pub trait DurationUnits {
    /// A duration of this many nanoseconds.
    fn nanos(self) -> Duration;
    /// A duration of this many microseconds.
    fn micros(self) -> Duration;
    /// A duration of this many milliseconds.
    fn millis(self) -> Duration;
    /// A duration of this many seconds.
    fn secs(self) -> Duration;
    /// A duration of this many minutes.
    fn mins(self) -> Duration;
    /// A duration of this many hours.
    fn hours(self) -> Duration;
}

impl DurationUnits for u64 {
    fn nanos(self) -> Duration {
        Duration::from_nanos(self)
    }

    fn micros(self) -> Duration {
        Duration::from_micros(self)
    }

    fn millis(self) -> Duration {
        Duration::from_millis(self)
    }

    fn secs(self) -> Duration {
        Duration::from_secs(self)
    }

    fn mins(self) -> Duration {
        Duration::from_secs(self.saturating_mul(60))
    }

    fn hours(self) -> Duration {
        Duration::from_secs(self.saturating_mul(3_600))
    }
}

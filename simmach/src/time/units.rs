//! Durations as they are said: `5.secs()`.

use std::time::Duration;

/// Durations as they are said: `5.secs()`, `100.millis()`, ranges as `5.secs()..10.secs()`.
///
/// ```
/// use simmach::time::DurationUnits;
/// assert_eq!(5.secs().as_millis(), 5_000);
/// ```
pub trait DurationUnits {
    /// So many nanoseconds.
    fn nanos(self) -> Duration;
    /// So many microseconds.
    fn micros(self) -> Duration;
    /// So many milliseconds.
    fn millis(self) -> Duration;
    /// So many seconds.
    fn secs(self) -> Duration;
    /// So many minutes.
    fn mins(self) -> Duration;
    /// So many hours.
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

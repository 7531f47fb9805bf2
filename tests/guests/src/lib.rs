//! Programs on tokio for the tests.

use std::time::Duration;

/// Real time, which code in a run cannot read.
#[derive(Debug)]
pub struct RealTime(Duration);

impl RealTime {
    /// Begins to measure.
    pub fn begin() -> Self {
        Self(Self::now())
    }

    /// Asserts that less than `limit` has passed.
    pub fn assert_below(&self, limit: Duration) {
        let took = Self::now().saturating_sub(self.0);
        assert!(took < limit, "it took {took:?} of real time");
    }

    /// The process's CPU time would not count sleeps.
    fn now() -> Duration {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok());
        Duration::from_secs_f64(seconds.unwrap_or(0.0))
    }
}

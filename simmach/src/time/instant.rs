//! A point in virtual time.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::engine::context;
use crate::time::nanos;

/// A point in virtual time, as the machine's own monotonic clock has it; `tokio::time::Instant`'s namesake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// Now.
    ///
    /// A loop that does nothing but read the time goes on: after 1,000 readings in one poll, each adds a microsecond.
    ///
    /// # Panics
    ///
    /// Outside a run.
    pub fn now() -> Self {
        let nanos = context::try_with(|engine| engine.clock.read_monotonic(engine.scope().machine));
        Self { nanos: nanos.expect("simmach::time::Instant::now() was called outside a run") }
    }

    /// How long ago it was; zero for what is yet to come.
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// The time from `earlier` to this; zero if that is later.
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time from `earlier` to this; zero if that is later.
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// The time from `earlier` to this; `None` if that is later.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.nanos.checked_sub(earlier.nanos).map(Duration::from_nanos)
    }

    /// This point and `duration` later; `None` past the end of virtual time, 584 years.
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        let nanos = self.nanos.checked_add(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Self { nanos })
    }

    /// This point and `duration` earlier; `None` before the run began.
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        let nanos = self.nanos.checked_sub(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Self { nanos })
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    pub(crate) fn as_nanos(self) -> u64 {
        self.nanos
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The end of virtual time is as far as it goes.
    fn add(self, duration: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(nanos(duration)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// The beginning of the run is as far as it goes.
    fn sub(self, duration: Duration) -> Self {
        Self { nanos: self.nanos.saturating_sub(nanos(duration)) }
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

//! [`Instant`]: a point in virtual or real time.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{Duration, Instant as StdInstant};

#[cfg(feature = "sim")]
use crate::engine::context;

/// A measurement of a monotonic clock, like `tokio::time::Instant`.
///
/// In a run, an instant is a point in virtual time on the machine's clock. It wraps std's `Instant`
/// and has the same range. The clock does not start at zero, so instants before the beginning of
/// the run can be represented.
///
/// Instants of virtual and of real time are unrelated. The duration between them is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(InstantKind);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum InstantKind {
    #[cfg(feature = "sim")]
    Simulated(StdInstant),
    #[cfg(feature = "real")]
    Real(tokio::time::Instant),
}

impl Instant {
    /// Returns the current instant.
    ///
    /// In a run, time does not pass within a poll. So that busy loops end, each call after the
    /// first 1,000 in one poll advances the clock by one microsecond.
    ///
    /// # Panics
    ///
    /// Outside a run, without the feature `real`.
    #[track_caller]
    pub fn now() -> Self {
        here! {
            simulated => {
                let now = context::try_with(|engine| engine.clock.read_instant(engine.scope().machine));
                Self::simulated(now.expect("simmach::time::Instant::now() was called outside a run"))
            },
            real => Self::from_real(tokio::time::Instant::now()),
        }
    }

    /// Converts from std's `Instant`. The result is in virtual time in a run, and in real time outside.
    pub fn from_std(std: StdInstant) -> Self {
        here! {
            simulated => Self::simulated(std),
            real => Self::from_real(tokio::time::Instant::from_std(std)),
        }
    }

    /// Converts to std's `Instant`. In a run, std's clock shows the same virtual time.
    pub fn into_std(self) -> StdInstant {
        either!(InstantKind of self.0,
            simulated instant => instant,
            real instant => instant.into_std())
    }

    /// Returns the time elapsed since this instant, or zero if it is in the future.
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Returns the duration from `earlier` to this instant, or zero if `earlier` is later.
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// Returns the duration from `earlier` to this instant, or zero if `earlier` is later.
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.checked_duration_since(earlier).unwrap_or_default()
    }

    /// Returns the duration from `earlier` to this instant, or `None` if `earlier` is later.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        match (self.0, earlier.0) {
            #[cfg(feature = "sim")]
            (InstantKind::Simulated(instant), InstantKind::Simulated(earlier)) => {
                instant.checked_duration_since(earlier)
            }
            #[cfg(feature = "real")]
            (InstantKind::Real(instant), InstantKind::Real(earlier)) => {
                instant.checked_duration_since(earlier)
            }
            #[cfg(all(feature = "sim", feature = "real"))]
            (InstantKind::Simulated(_), InstantKind::Real(_))
            | (InstantKind::Real(_), InstantKind::Simulated(_)) => None,
        }
    }

    /// Returns this instant plus `duration`, or `None` if std's `Instant` cannot represent it.
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        either!(InstantKind of self.0,
            simulated instant => instant.checked_add(duration).map(Self::simulated),
            real instant => instant.checked_add(duration).map(Self::from_real))
    }

    /// Returns this instant minus `duration`, or `None` if std's `Instant` cannot represent it.
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        either!(InstantKind of self.0,
            simulated instant => instant.checked_sub(duration).map(Self::simulated),
            real instant => instant.checked_sub(duration).map(Self::from_real))
    }

    /// Wraps an instant in virtual time.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(instant: StdInstant) -> Self {
        Self(InstantKind::Simulated(instant))
    }

    #[cfg(feature = "real")]
    pub(crate) fn from_real(instant: tokio::time::Instant) -> Self {
        Self(InstantKind::Real(instant))
    }

    /// Returns the instant in virtual time. Panics if it is in real time.
    #[cfg(feature = "sim")]
    #[track_caller]
    pub(crate) fn expect_virtual(self) -> StdInstant {
        either!(InstantKind of self.0,
            simulated instant => instant,
            real _ => panic!("simmach::time: an instant in real time cannot be used in a run"))
    }

    /// Returns the instant in real time. Panics if it is in virtual time.
    #[cfg(feature = "real")]
    #[track_caller]
    pub(crate) fn expect_real(self) -> tokio::time::Instant {
        either!(InstantKind of self.0,
            simulated _ => panic!("simmach::time: an instant in virtual time cannot be used outside its run"),
            real instant => instant)
    }
}

impl fmt::Debug for Instant {
    /// Prints the same as std's `Instant`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.into_std().fmt(f)
    }
}

impl From<StdInstant> for Instant {
    fn from(std: StdInstant) -> Self {
        Self::from_std(std)
    }
}

impl From<Instant> for StdInstant {
    fn from(instant: Instant) -> Self {
        instant.into_std()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// # Panics
    ///
    /// If std's `Instant` cannot represent the result, as in tokio. See [`Instant::checked_add`].
    #[track_caller]
    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration).expect("overflow when adding duration to instant")
    }
}

impl AddAssign<Duration> for Instant {
    #[track_caller]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// # Panics
    ///
    /// If std's `Instant` cannot represent the result, as in tokio. See [`Instant::checked_sub`].
    #[track_caller]
    fn sub(self, duration: Duration) -> Self {
        self.checked_sub(duration).expect("overflow when subtracting duration from instant")
    }
}

impl SubAssign<Duration> for Instant {
    #[track_caller]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Returns zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

//! A point in time.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

#[cfg(feature = "sim")]
use crate::engine::context;
#[cfg(feature = "sim")]
use crate::time::nanos;

/// A point in time, `tokio::time::Instant`'s namesake: in a run, in virtual time, as the machine's own monotonic clock has it.
///
/// Points in virtual and in real time have nothing to do with each other: the time between two such is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    /// Nanoseconds of the run.
    #[cfg(feature = "sim")]
    Simulated(u64),
    #[cfg(feature = "real")]
    Real(tokio::time::Instant),
}

impl Instant {
    /// Now.
    ///
    /// A loop in a run that does nothing but read the time goes on: after 1,000 readings in one poll, each adds a
    /// microsecond.
    ///
    /// # Panics
    ///
    /// Outside a run, without the feature `real`.
    pub fn now() -> Self {
        here! {
            simulated => {
                let nanos = context::try_with(|engine| engine.clock.read_monotonic(engine.scope().machine));
                Self::from_nanos(nanos.expect("simmach::time::Instant::now() was called outside a run"))
            },
            real => Self::from_real(tokio::time::Instant::now()),
        }
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
        self.checked_duration_since(earlier).unwrap_or_default()
    }

    /// The time from `earlier` to this; `None` if that is later.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        match (self.0, earlier.0) {
            #[cfg(feature = "sim")]
            (Kind::Simulated(nanos), Kind::Simulated(earlier)) => {
                nanos.checked_sub(earlier).map(Duration::from_nanos)
            }
            #[cfg(feature = "real")]
            (Kind::Real(instant), Kind::Real(earlier)) => instant.checked_duration_since(earlier),
            #[cfg(all(feature = "sim", feature = "real"))]
            (Kind::Simulated(_), Kind::Real(_)) | (Kind::Real(_), Kind::Simulated(_)) => None,
        }
    }

    /// This point and `duration` later; `None` past the end of time: 584 years, in a run.
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        either!(Kind of self.0,
            simulated nanos => {
                let duration = u64::try_from(duration.as_nanos()).ok()?;
                nanos.checked_add(duration).map(Self::from_nanos)
            },
            real instant => instant.checked_add(duration).map(Self::from_real))
    }

    /// This point and `duration` earlier; `None` before the beginning of time: the run's, in a run.
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        either!(Kind of self.0,
            simulated nanos => {
                let duration = u64::try_from(duration.as_nanos()).ok()?;
                nanos.checked_sub(duration).map(Self::from_nanos)
            },
            real instant => instant.checked_sub(duration).map(Self::from_real))
    }

    #[cfg(feature = "sim")]
    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(Kind::Simulated(nanos))
    }

    #[cfg(feature = "real")]
    pub(crate) fn from_real(instant: tokio::time::Instant) -> Self {
        Self(Kind::Real(instant))
    }

    /// A point of virtual time.
    #[cfg(feature = "sim")]
    #[track_caller]
    pub(crate) fn as_nanos(self) -> u64 {
        either!(Kind of self.0,
            simulated nanos => nanos,
            real _ => panic!("simmach::time: a point in real time has no place in a run"))
    }

    /// A point of real time.
    #[cfg(feature = "real")]
    #[track_caller]
    pub(crate) fn real(self) -> tokio::time::Instant {
        either!(Kind of self.0,
            simulated _ => panic!("simmach::time: a point in virtual time has no place outside its run"),
            real instant => instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The end of virtual time is as far as it goes.
    fn add(self, duration: Duration) -> Self {
        either!(Kind of self.0,
            simulated at => Self::from_nanos(at.saturating_add(nanos(duration))),
            real at => Self::from_real(at + duration))
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
        either!(Kind of self.0,
            simulated at => Self::from_nanos(at.saturating_sub(nanos(duration))),
            real at => Self::from_real(at - duration))
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

//! A point in time.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{Duration, Instant as StdInstant};

#[cfg(feature = "sim")]
use crate::engine::context;

/// A point in time, `tokio::time::Instant`'s namesake: in a run, in virtual time, as the machine's own monotonic clock has it.
///
/// It is std's `Instant`, and has its range: in a run, as on Linux, the clock has been going for long when the run begins,
/// so that points before that can be computed, and compared.
///
/// Points in virtual and in real time have nothing to do with each other: the time between two such is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Kind);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    #[cfg(feature = "sim")]
    Simulated(StdInstant),
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

    /// A point that std's `Instant` has: of this run's virtual time in a run, and of real time outside.
    pub fn from_std(std: StdInstant) -> Self {
        here! {
            simulated => Self::simulated(std),
            real => Self::from_real(tokio::time::Instant::from_std(std)),
        }
    }

    /// This point as std's `Instant`. In a run, the same as std's own clock shows there.
    pub fn into_std(self) -> StdInstant {
        either!(Kind of self.0,
            simulated instant => instant,
            real instant => instant.into_std())
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
            (Kind::Simulated(instant), Kind::Simulated(earlier)) => {
                instant.checked_duration_since(earlier)
            }
            #[cfg(feature = "real")]
            (Kind::Real(instant), Kind::Real(earlier)) => instant.checked_duration_since(earlier),
            #[cfg(all(feature = "sim", feature = "real"))]
            (Kind::Simulated(_), Kind::Real(_)) | (Kind::Real(_), Kind::Simulated(_)) => None,
        }
    }

    /// This point and `duration` later; `None` if it is out of std's range.
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        either!(Kind of self.0,
            simulated instant => instant.checked_add(duration).map(Self::simulated),
            real instant => instant.checked_add(duration).map(Self::from_real))
    }

    /// This point and `duration` earlier; `None` if it is out of std's range.
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        either!(Kind of self.0,
            simulated instant => instant.checked_sub(duration).map(Self::simulated),
            real instant => instant.checked_sub(duration).map(Self::from_real))
    }

    /// A point of virtual time.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(instant: StdInstant) -> Self {
        Self(Kind::Simulated(instant))
    }

    #[cfg(feature = "real")]
    pub(crate) fn from_real(instant: tokio::time::Instant) -> Self {
        Self(Kind::Real(instant))
    }

    /// A point of virtual time.
    #[cfg(feature = "sim")]
    #[track_caller]
    pub(crate) fn in_run(self) -> StdInstant {
        either!(Kind of self.0,
            simulated instant => instant,
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

impl fmt::Debug for Instant {
    /// As std's.
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
    /// If the point is out of std's range, as tokio's does; see [`Instant::checked_add`].
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
    /// If the point is out of std's range, as tokio's does; see [`Instant::checked_sub`].
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

    /// Zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

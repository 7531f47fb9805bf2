//! Virtual time: nanoseconds since the run began.
//!
//! There is one virtual time for the whole cluster. When no task is ready, it advances to the next
//! timer. It also advances a little when code reads it many times in one poll, so that a loop that
//! spins until a deadline ends. [`machine_clocks`](super::machine_clocks) derives the clocks of
//! machines from virtual time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::engine::ids::MachineId;
use crate::engine::time::machine_clocks::MachineClocks;

/// Number of clock readings in one poll that do not advance time.
const FREE_READINGS: u32 = 1_000;
/// Number of clock readings at one moment, over all polls, that do not advance time. With more
/// readings time advances, which ends loops that yield between readings.
const FREE_AT_ONE_MOMENT: u32 = 100_000;
/// Nanoseconds by which each further reading advances time.
const READING_COST: u64 = 1_000;

/// Nanoseconds per second.
const SECOND: u128 = 1_000_000_000;

/// Default time of wall clocks at the start of a run: 2026-01-01T00:00:00Z, in nanoseconds since 1970.
pub(crate) const EPOCH: u64 = 1_767_225_600 * 1_000_000_000;

/// The clock of a run.
#[derive(Debug)]
pub(crate) struct Clock {
    now: Cell<u64>,
    /// Readings in this poll.
    readings: Cell<u32>,
    /// Readings since the virtual clock last advanced.
    readings_at_moment: Cell<u32>,
    /// Whether readings are currently not counted, because they are not made by the code under
    /// test.
    is_uncounted: Cell<bool>,
    epoch: Cell<u64>,
    /// The `Instant` of the start of the run.
    origin: Cell<Instant>,
    pub(crate) machine_clocks: MachineClocks,
}

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Reads the time for the code under test. The reading is counted, and may move time.
    pub(crate) fn read(&self) -> u64 {
        if self.is_uncounted.get() {
            return self.now.get();
        }
        let (readings, readings_at_moment) = (self.readings.get(), self.readings_at_moment.get());
        if readings < FREE_READINGS && readings_at_moment < FREE_AT_ONE_MOMENT {
            self.readings.set(readings + 1);
            self.readings_at_moment.set(readings_at_moment + 1);
        } else {
            self.now.set(self.now.get().saturating_add(READING_COST));
        }
        self.now.get()
    }

    /// Sets whether readings from here on are uncounted and cannot move time. Readings that a guest's runtime makes after a
    /// wait are uncounted.
    pub(crate) fn set_uncounted(&self, on: bool) {
        self.is_uncounted.set(on);
    }

    /// Takes back one counted reading, which a guest's runtime made before a wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_back_reading(&self) {
        self.readings.set(self.readings.get().saturating_sub(1));
        self.readings_at_moment.set(self.readings_at_moment.get().saturating_sub(1));
    }

    /// Reads a machine's monotonic clock for the code under test, in nanoseconds.
    pub(crate) fn read_monotonic(&self, machine: MachineId) -> u64 {
        self.machine_clocks.monotonic(machine, self.read())
    }

    /// Reads a machine's monotonic clock for the code under test, as an `Instant`.
    pub(crate) fn read_instant(&self, machine: MachineId) -> Instant {
        self.instant(self.read_monotonic(machine))
    }

    /// The `Instant` of the start of the run.
    pub(crate) fn origin(&self) -> Instant {
        self.origin.get()
    }

    /// The `Instant` at which a monotonic clock shows `local` nanoseconds.
    pub(crate) fn instant(&self, local: u64) -> Instant {
        self.origin.get() + Duration::from_nanos(local)
    }

    /// The reading of a monotonic clock at an `Instant`, in nanoseconds. 0 before the start of the run, `u64::MAX` if it does
    /// not fit.
    pub(crate) fn local(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin.get());
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sets the origin from std's clock at the start of the run. Does not count as a reading by the code under test.
    pub(crate) fn set_origin(&self) {
        self.origin.set(std_now());
        self.readings.set(0);
        self.readings_at_moment.set(0);
    }

    /// Reads a machine's wall clock for the code under test, as time since 1970.
    pub(crate) fn read_wall(&self, machine: MachineId) -> Duration {
        self.wall(machine, self.read())
    }

    /// The wall clock of a machine at the run's time `now`, as time since 1970.
    pub(crate) fn wall(&self, machine: MachineId, now: u64) -> Duration {
        let nanos =
            u128::try_from(self.machine_clocks.wall(machine, now) + i128::from(self.epoch.get()));
        let nanos = nanos.unwrap_or(0);
        match u64::try_from(nanos) {
            Ok(nanos) => Duration::from_nanos(nanos),
            Err(_) => Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32),
        }
    }

    /// Returns why a skew is out of range now, or `None` if it is valid.
    pub(crate) fn invalid_reason(
        &self,
        setting: super::machine_clocks::ClockSkew,
    ) -> Option<String> {
        setting.invalid_reason(self.epoch.get().saturating_add(self.now()))
    }

    /// Sets the time of wall clocks at the start of the run, in nanoseconds since 1970.
    pub(crate) fn set_epoch(&self, nanos: u64) {
        self.epoch.set(nanos);
    }

    /// Resets the count of readings, at the start of a poll.
    pub(crate) fn begin_poll(&self) {
        self.readings.set(0);
    }

    /// Moves time to `at`, unless it is already past it. Returns whether it moved.
    pub(crate) fn advance(&self, at: u64) -> bool {
        let jumped = at > self.now.get();
        if jumped {
            self.now.set(at);
            self.readings_at_moment.set(0);
        }
        jumped
    }
}

/// Reads std's clock: in a run, the clock of the run; outside, and before the run begins, the clock of the system.
#[allow(
    clippy::disallowed_methods,
    reason = "the answer of a run's interposed clock is what is asked for"
)]
fn std_now() -> Instant {
    Instant::now()
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: Cell::default(),
            readings: Cell::default(),
            readings_at_moment: Cell::default(),
            is_uncounted: Cell::default(),
            epoch: Cell::new(EPOCH),
            origin: Cell::new(std_now()),
            machine_clocks: MachineClocks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `while now() < deadline {}` must end: it would hang a run in which only events move time.
    #[test]
    fn spinning_on_the_clock_ends() {
        let clock = Clock::default();
        let mut readings = 0;
        while clock.read() < 5_000 {
            readings += 1;
        }
        assert_eq!(readings, 1_004);
        clock.begin_poll();
        assert_eq!(clock.read(), 5_000, "the first readings of a new poll are free again");
    }

    /// `while now() < deadline { yield_now().await }` must end too: time does not jump while it is ready.
    #[test]
    fn yielding_between_readings_ends() {
        let clock = Clock::default();
        let mut readings = 0;
        while clock.read() < 5_000 {
            clock.begin_poll();
            readings += 1;
        }
        assert_eq!(readings, 100_004);
        clock.advance(6_000);
        assert_eq!(clock.read(), 6_000, "after a jump the first readings are free again");
    }

    #[test]
    fn advance_never_goes_back() {
        let clock = Clock::default();
        assert!(clock.advance(10));
        assert!(!clock.advance(5));
        assert_eq!(clock.now(), 10);
    }
}

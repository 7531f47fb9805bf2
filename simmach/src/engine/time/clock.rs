//! Virtual time: nanoseconds since the run began.
//!
//! Models one time for the whole cluster. It moves when nothing is ready, to the next event; and by a little under a
//! loop that does nothing but read it, so that code which spins until a time comes goes on. What each machine's clocks
//! make of it is in [`machine_clocks`](super::machine_clocks).

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::engine::ids::MachineId;
use crate::engine::time::machine_clocks::MachineClocks;

/// Readings in one poll that cost nothing.
const FREE_READINGS: u32 = 1_000;
/// Readings at one moment that cost nothing, in however many polls: a loop that yields between them must go on too.
const FREE_AT_ONE_MOMENT: u32 = 100_000;
/// What each further reading costs, in nanoseconds.
const READING_COST: u64 = 1_000;

/// A second's nanoseconds.
const SECOND: u128 = 1_000_000_000;

/// What wall clocks show when a run begins, unless its test says otherwise: 2026-01-01T00:00:00Z, in nanoseconds since
/// 1970.
pub(crate) const EPOCH: u64 = 1_767_225_600 * 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Clock {
    now: Cell<u64>,
    /// In this poll, and since time last jumped.
    readings: Cell<u32>,
    readings_at_moment: Cell<u32>,
    epoch: Cell<u64>,
    /// What std's clock shows when the run begins.
    origin: Cell<Instant>,
    pub(crate) machine_clocks: MachineClocks,
}

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// The user's reading: counted, and past the free ones each adds a microsecond.
    pub(crate) fn read(&self) -> u64 {
        let (readings, readings_at_moment) = (self.readings.get(), self.readings_at_moment.get());
        if readings < FREE_READINGS && readings_at_moment < FREE_AT_ONE_MOMENT {
            self.readings.set(readings + 1);
            self.readings_at_moment.set(readings_at_moment + 1);
        } else {
            self.now.set(self.now.get().saturating_add(READING_COST));
        }
        self.now.get()
    }

    /// The user's reading of a machine's monotonic clock, in nanoseconds.
    pub(crate) fn read_monotonic(&self, machine: MachineId) -> u64 {
        self.machine_clocks.monotonic(machine, self.read())
    }

    /// The user's reading of a machine's monotonic clock, as std's clock has it.
    pub(crate) fn read_instant(&self, machine: MachineId) -> Instant {
        self.instant(self.read_monotonic(machine))
    }

    /// What std's clock shows when the run begins.
    pub(crate) fn origin(&self) -> Instant {
        self.origin.get()
    }

    /// What std's clock shows when a monotonic clock shows `local` nanoseconds.
    pub(crate) fn instant(&self, local: u64) -> Instant {
        self.origin.get() + Duration::from_nanos(local)
    }

    /// What a monotonic clock shows then, in nanoseconds: 0 for what is before the run began, the most for what is too late
    /// to be told.
    pub(crate) fn local(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin.get());
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Reads std's clock, in the run and when it begins. That is no reading of the user's.
    pub(crate) fn set_origin(&self) {
        self.origin.set(std_now());
        self.readings.set(0);
        self.readings_at_moment.set(0);
    }

    /// The user's reading of a machine's wall clock: the time since 1970.
    pub(crate) fn read_wall(&self, machine: MachineId) -> Duration {
        self.wall(machine, self.read())
    }

    /// What a machine's wall clock shows when the run's time is `now`: the time since 1970.
    pub(crate) fn wall(&self, machine: MachineId, now: u64) -> Duration {
        let nanos =
            u128::try_from(self.machine_clocks.wall(machine, now) + i128::from(self.epoch.get()));
        let nanos = nanos.unwrap_or(0);
        match u64::try_from(nanos) {
            Ok(nanos) => Duration::from_nanos(nanos),
            Err(_) => Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32),
        }
    }

    /// Why a machine's clocks can't be set like this now, if they can't: what is wrong, and what is allowed.
    pub(crate) fn invalid_reason(
        &self,
        setting: super::machine_clocks::ClockSkew,
    ) -> Option<String> {
        setting.invalid_reason(self.epoch.get().saturating_add(self.now()))
    }

    /// Sets what wall clocks showed when the run began.
    pub(crate) fn set_epoch(&self, nanos: u64) {
        self.epoch.set(nanos);
    }

    /// A new poll begins.
    pub(crate) fn begin_poll(&self) {
        self.readings.set(0);
    }

    /// Moves to `at`; says whether that was a jump. A clock that a spinning loop pushed past `at` stays.
    pub(crate) fn advance(&self, at: u64) -> bool {
        let jumped = at > self.now.get();
        if jumped {
            self.now.set(at);
            self.readings_at_moment.set(0);
        }
        jumped
    }
}

/// In a run, the run's own; outside of it, as before a clock's run begins, the system's.
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
    fn a_loop_that_spins_on_the_clock_goes_on() {
        let clock = Clock::default();
        let mut readings = 0;
        while clock.read() < 5_000 {
            readings += 1;
        }
        assert_eq!(readings, 1_004);
        clock.begin_poll();
        assert_eq!(clock.read(), 5_000, "after a rest the first readings are free again");
    }

    /// `while now() < deadline { yield_now().await }` must end too: time does not jump while it is ready.
    #[test]
    fn a_loop_that_yields_between_readings_goes_on() {
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
    fn time_never_goes_back() {
        let clock = Clock::default();
        assert!(clock.advance(10));
        assert!(!clock.advance(5));
        assert_eq!(clock.now(), 10);
    }
}

//! The clocks of the machines: what each shows when the run's own time is so much.
//!
//! Models an oscillator a machine, which drives both its clocks: the monotonic one, which is never set and only runs fast
//! or slow, and the wall clock, which can be wrong by an offset besides. Without a word from the test both are exact. They
//! are the machine's: what is started there again finds them as they were.
//!
//! All waits of the code that runs on a machine go by its monotonic clock: sleeps, time-outs, intervals, and what a disk or
//! the processor takes. When the clock's speed changes, what waits already is moved. The network goes by true time, with the
//! timers of TCP, and so do the flushes of a periodic store, restarts, and plans. Not modelled: a slew that corrects an
//! offset little by little, leap seconds, and jitter.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use super::ids::MachineId;

/// Parts in a million to parts in a thousand million million would be finer than any crystal: this is the unit inside.
const MILLION: i128 = 1_000_000;

/// The slowest and the fastest that a clock can be made, in parts per million.
const DRIFT: std::ops::RangeInclusive<i32> = -900_000..=9_000_000;

/// How wrong a machine's clocks are, for [`Sim::set_clock`](crate::Sim::set_clock).
///
/// ```
/// use simmach::{Clock, time::DurationUnits};
///
/// let late = Clock::exact().behind(3.secs());
/// let fast = Clock::exact().drift_ppm(200);     // 17 s a day
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Clock {
    /// Of the wall clock, in nanoseconds.
    pub(crate) offset: i64,
    /// Of both, in parts per million.
    pub(crate) drift: i32,
}

impl Clock {
    /// Right, and as fast as it should be.
    pub fn exact() -> Self {
        Self::default()
    }

    /// The wall clock is so much ahead of true time.
    pub fn ahead(self, by: Duration) -> Self {
        Self { offset: i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), ..self }
    }

    /// The wall clock is so much behind true time. It can't show a time before 1970.
    pub fn behind(self, by: Duration) -> Self {
        Self { offset: i64::try_from(by.as_nanos()).map_or(i64::MIN, |by| -by), ..self }
    }

    /// Both clocks gain so many microseconds a second; negative, they lose them. Cut to -900,000 (a tenth of the speed)
    /// and 9,000,000 (ten times). What crystals do is within 100.
    pub fn drift_ppm(self, ppm: i32) -> Self {
        Self { drift: ppm.clamp(*DRIFT.start(), *DRIFT.end()), ..self }
    }
}

/// All machines' clocks. Cells only: a signal handler may ask.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    /// False while all are exact, which is nearly always.
    any: Cell<bool>,
    dials: OnceCell<Box<[Cell<Dial>]>>,
}

/// One machine's clocks, from the moment they were last set.
#[derive(Clone, Copy, Debug, Default)]
struct Dial {
    since: u64,
    /// What the monotonic clock showed then.
    monotonic: u64,
    /// What is added to the monotonic clock to make the wall clock's time since the epoch.
    ahead: i64,
    clock: Clock,
}

/// What a setting changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// By how much the wall clock was stepped, in nanoseconds.
    pub(crate) step: i64,
    /// The new drift, if it is another.
    pub(crate) drift: Option<i32>,
}

impl Dials {
    /// Gives each machine exact clocks.
    pub(crate) fn install(&self, machines: usize) {
        let _ = self.dials.set((0..machines).map(|_| Cell::default()).collect());
    }

    /// Sets a machine's clocks at the run's time `now`; `None` if they are set so already.
    pub(crate) fn set(&self, machine: MachineId, now: u64, clock: Clock) -> Option<Changed> {
        let changed = self.change(machine, now, clock)?;
        let cell = self.cell(machine)?;
        cell.set(cell.get().set(now, clock));
        self.any.set(true);
        Some(changed)
    }

    /// What setting a machine's clocks at the run's time `now` would change.
    pub(crate) fn change(&self, machine: MachineId, now: u64, clock: Clock) -> Option<Changed> {
        let old = self.cell(machine)?.get();
        let new = old.set(now, clock);
        let drift = (old.clock.drift != clock.drift).then_some(clock.drift);
        let changed = Changed { step: new.ahead.saturating_sub(old.ahead), drift };
        (changed != Changed { step: 0, drift: None }).then_some(changed)
    }

    /// A machine's monotonic clock at the run's time `now`.
    pub(crate) fn monotonic(&self, machine: MachineId, now: u64) -> u64 {
        self.dial(machine).map_or(now, |dial| dial.monotonic_at(now))
    }

    /// A machine's wall clock, in nanoseconds since the run's epoch.
    pub(crate) fn wall(&self, machine: MachineId, now: u64) -> i128 {
        self.dial(machine).map_or(i128::from(now), |dial| {
            i128::from(dial.monotonic_at(now)) + i128::from(dial.ahead)
        })
    }

    /// The run's time at which a machine's monotonic clock will first show `local`, if nobody sets it.
    pub(crate) fn true_time(&self, machine: MachineId, local: u64) -> u64 {
        self.dial(machine).map_or(local, |dial| dial.true_time(local))
    }

    fn dial(&self, machine: MachineId) -> Option<Dial> {
        if self.any.get() { self.cell(machine).map(Cell::get) } else { None }
    }

    fn cell(&self, machine: MachineId) -> Option<&Cell<Dial>> {
        self.dials.get()?.get(machine.0 as usize)
    }
}

impl Dial {
    /// These clocks from `now` on, set to `clock`.
    fn set(self, now: u64, clock: Clock) -> Self {
        let monotonic = self.monotonic_at(now);
        let ahead = (i128::from(now) + i128::from(clock.offset) - i128::from(monotonic))
            .clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        // At the same speed the monotonic clock goes on as it was: what it was rounded by is not lost.
        let (since, monotonic) = match self.clock.drift == clock.drift {
            true => (self.since, self.monotonic),
            false => (now, monotonic),
        };
        Self { since, monotonic, ahead, clock }
    }

    fn monotonic_at(&self, now: u64) -> u64 {
        let true_nanos = i128::from(now.saturating_sub(self.since));
        let local = true_nanos * self.speed() / MILLION;
        self.monotonic.saturating_add(u64::try_from(local).unwrap_or(u64::MAX))
    }

    /// Rounded up, so that at this time the clock does show `local`.
    fn true_time(&self, local: u64) -> u64 {
        let local = i128::from(local.saturating_sub(self.monotonic));
        let true_nanos = (local * MILLION + self.speed() - 1) / self.speed();
        self.since.saturating_add(u64::try_from(true_nanos).unwrap_or(u64::MAX))
    }

    fn speed(&self) -> i128 {
        MILLION + i128::from(self.clock.drift)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const API: MachineId = MachineId(0);

    fn dials() -> Dials {
        let dials = Dials::default();
        dials.install(2);
        dials
    }

    #[test]
    fn an_untouched_clock_is_exact() {
        let dials = dials();
        dials.set(MachineId(1), 5, Clock::exact().ahead(Duration::from_secs(1)));
        assert_eq!((dials.monotonic(API, 7), dials.wall(API, 7)), (7, 7));
        assert_eq!(dials.monotonic(MachineId(u32::MAX), 7), 7, "the harness's is the run's own");
    }

    /// Stepped, the wall clock jumps and the monotonic one does not.
    #[test]
    fn a_step_is_the_wall_clocks_alone() {
        let dials = dials();
        let changed = dials.set(API, 1_000, Clock::exact().behind(Duration::from_nanos(300)));
        assert_eq!(changed, Some(Changed { step: -300, drift: None }));
        assert_eq!((dials.monotonic(API, 1_500), dials.wall(API, 1_500)), (1_500, 1_200));
        assert_eq!(dials.set(API, 2_000, Clock::exact()), Some(Changed { step: 300, drift: None }));
        assert_eq!(dials.set(API, 3_000, Clock::exact()), None);
    }

    /// Drift moves both, and what it made is not lost when it ends: only the wall clock is set right.
    #[test]
    fn drift_moves_both() {
        let dials = dials();
        dials.set(API, 1_000, Clock::exact().drift_ppm(500_000));
        assert_eq!((dials.monotonic(API, 2_000), dials.wall(API, 2_000)), (2_500, 2_500));
        let changed = dials.set(API, 2_000, Clock::exact());
        assert_eq!(changed, Some(Changed { step: -500, drift: Some(0) }));
        assert_eq!((dials.monotonic(API, 3_000), dials.wall(API, 3_000)), (3_500, 3_000));
        assert_eq!(dials.set(API, 3_000, Clock::exact()), None, "what drift made stays");
    }

    proptest! {
        /// The monotonic clock never goes back, however it is set; and a timer armed for a local time fires when the
        /// clock shows it, and not a nanosecond before.
        #[test]
        fn monotonic_is_monotonic(
            settings in prop::collection::vec((0..5_000_000_000u64, -2_000_000..12_000_000i32, any::<i64>()), 1..8),
            ahead in 1..10_000_000_000u64,
        ) {
            let dials = dials();
            let (mut now, mut shown) = (0, 0);
            for (passes, drift, offset) in settings {
                now += passes;
                prop_assert!(dials.monotonic(API, now) >= shown);
                shown = dials.monotonic(API, now);
                dials.set(API, now, Clock { offset, ..Clock::exact().drift_ppm(drift) });
                prop_assert_eq!(dials.monotonic(API, now), shown);
                let due = dials.true_time(API, shown + ahead);
                prop_assert!(dials.monotonic(API, due) >= shown + ahead);
                prop_assert!(dials.monotonic(API, due - 1) < shown + ahead);
            }
        }
    }
}

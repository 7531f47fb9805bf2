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

use crate::engine::ids::MachineId;

/// Parts in a million to parts in a thousand million million would be finer than any crystal: this is the unit inside.
const MILLION: i128 = 1_000_000;
/// A second's nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The slowest and the fastest that a clock can be made, in parts per million. At a speed of zero or less no timer would be
/// due.
const DRIFT: std::ops::RangeInclusive<i32> = -900_000..=9_000_000;

/// How wrong a machine's clocks are, for [`Sim::set_clock`](crate::Sim::set_clock).
///
/// ```
/// use simmach::{ClockSkew, time::DurationUnits};
///
/// let late = ClockSkew::exact().behind(3.secs());
/// let fast = ClockSkew::exact().drift_ppm(200);     // 17 s a day
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ClockSkew {
    /// Of the wall clock, in nanoseconds.
    pub(crate) offset: i128,
    /// Of both, in parts per million.
    pub(crate) drift: i32,
}

impl ClockSkew {
    /// Right, and as fast as it should be.
    pub fn exact() -> Self {
        Self::default()
    }

    /// The wall clock is so much ahead of true time: by 292 years at most, and not past the year 2554.
    pub fn ahead(self, by: Duration) -> Self {
        Self { offset: nanos(by), ..self }
    }

    /// The wall clock is so much behind true time: by 292 years at most, and not before 1970.
    pub fn behind(self, by: Duration) -> Self {
        Self { offset: -nanos(by), ..self }
    }

    /// Sets the drift of both clocks in parts per million; a positive drift makes them fast. The range is -900,000 (a tenth
    /// of true speed) to 9,000,000 (ten times). Crystal oscillators stay within about 100 ppm.
    pub fn drift_ppm(self, ppm: i32) -> Self {
        Self { drift: ppm, ..self }
    }

    /// Why no machine's clocks can be set like this, when wall clocks that are right show `right`, in nanoseconds since 1970.
    pub(crate) fn invalid_reason(&self, right: u64) -> Option<String> {
        let Self { offset, drift } = *self;
        if !DRIFT.contains(&drift) {
            let (least, most) = DRIFT.into_inner();
            return Some(format!(
                "a drift of {drift} ppm is out of range; use {least} (a tenth of the speed) to {most} (ten times)"
            ));
        }
        let right = i128::from(right);
        let least = i128::from(i64::MIN).max(-right);
        let most = i128::from(i64::MAX).min(i128::from(u64::MAX) - right).max(0);
        let (way, most) = if offset < 0 { ("behind", -least) } else { ("ahead", most) };
        (offset.abs() > most).then(|| {
            format!(
                "{:?} {way} is out of range; a wall clock shows times from 1970 to 2554 and is wrong by 292 years at \
                 most: use at most {} s {way}",
                Duration::new((offset.abs() / SECOND) as u64, (offset.abs() % SECOND) as u32),
                most / SECOND,
            )
        })
    }
}

fn nanos(duration: Duration) -> i128 {
    duration.as_nanos() as i128
}

/// All machines' clocks. Cells only: a signal handler may ask.
#[derive(Debug, Default)]
pub(crate) struct MachineClocks {
    /// False while all are exact, which is nearly always.
    any: Cell<bool>,
    machine_clocks: OnceCell<Box<[Cell<MachineClock>]>>,
}

/// One machine's clocks, from the moment they were last set.
#[derive(Clone, Copy, Debug, Default)]
struct MachineClock {
    since: u64,
    /// What the monotonic clock showed then.
    monotonic: u64,
    /// What is added to the monotonic clock to make the wall clock's time since the epoch.
    ahead: i128,
    clock: ClockSkew,
}

/// What a setting changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockChange {
    /// By how much the wall clock was stepped, in nanoseconds.
    pub(crate) step: i128,
    /// The new drift, if it is another.
    pub(crate) drift: Option<i32>,
}

impl MachineClocks {
    /// Gives each machine exact clocks.
    pub(crate) fn install(&self, machines: usize) {
        let _ = self.machine_clocks.set((0..machines).map(|_| Cell::default()).collect());
    }

    /// Sets a machine's clocks at the run's time `now`; `None` if they are set so already.
    pub(crate) fn set(
        &self,
        machine: MachineId,
        now: u64,
        clock: ClockSkew,
    ) -> Option<ClockChange> {
        let changed = self.change(machine, now, clock)?;
        let cell = self.cell(machine)?;
        cell.set(cell.get().set(now, clock));
        self.any.set(true);
        Some(changed)
    }

    /// What setting a machine's clocks at the run's time `now` would change.
    pub(crate) fn change(
        &self,
        machine: MachineId,
        now: u64,
        clock: ClockSkew,
    ) -> Option<ClockChange> {
        let old = self.cell(machine)?.get();
        let new = old.set(now, clock);
        let drift = (old.clock.drift != clock.drift).then_some(clock.drift);
        let changed = ClockChange { step: new.ahead - old.ahead, drift };
        (changed != ClockChange { step: 0, drift: None }).then_some(changed)
    }

    /// A machine's monotonic clock at the run's time `now`.
    pub(crate) fn monotonic(&self, machine: MachineId, now: u64) -> u64 {
        self.machine_clock(machine).map_or(now, |machine_clock| machine_clock.monotonic_at(now))
    }

    /// A machine's wall clock, in nanoseconds since the run's epoch.
    pub(crate) fn wall(&self, machine: MachineId, now: u64) -> i128 {
        self.machine_clock(machine).map_or(i128::from(now), |machine_clock| {
            i128::from(machine_clock.monotonic_at(now)) + machine_clock.ahead
        })
    }

    /// The run's time at which a machine's monotonic clock will first show `local`, if nobody sets it.
    pub(crate) fn true_time(&self, machine: MachineId, local: u64) -> u64 {
        self.machine_clock(machine).map_or(local, |machine_clock| machine_clock.true_time(local))
    }

    fn machine_clock(&self, machine: MachineId) -> Option<MachineClock> {
        if self.any.get() { self.cell(machine).map(Cell::get) } else { None }
    }

    fn cell(&self, machine: MachineId) -> Option<&Cell<MachineClock>> {
        self.machine_clocks.get()?.get(machine.0 as usize)
    }
}

impl MachineClock {
    /// These clocks from `now` on, set to `clock`.
    fn set(self, now: u64, clock: ClockSkew) -> Self {
        let monotonic = self.monotonic_at(now);
        let ahead = i128::from(now) + clock.offset - i128::from(monotonic);
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

    fn machine_clocks() -> MachineClocks {
        let machine_clocks = MachineClocks::default();
        machine_clocks.install(2);
        machine_clocks
    }

    #[test]
    fn an_untouched_clock_is_exact() {
        let machine_clocks = machine_clocks();
        machine_clocks.set(MachineId(1), 5, ClockSkew::exact().ahead(Duration::from_secs(1)));
        assert_eq!((machine_clocks.monotonic(API, 7), machine_clocks.wall(API, 7)), (7, 7));
        assert_eq!(
            machine_clocks.monotonic(MachineId(u32::MAX), 7),
            7,
            "the harness's is the run's own"
        );
    }

    /// Stepped, the wall clock jumps and the monotonic one does not.
    #[test]
    fn a_step_is_the_wall_clocks_alone() {
        let machine_clocks = machine_clocks();
        let changed =
            machine_clocks.set(API, 1_000, ClockSkew::exact().behind(Duration::from_nanos(300)));
        assert_eq!(changed, Some(ClockChange { step: -300, drift: None }));
        assert_eq!(
            (machine_clocks.monotonic(API, 1_500), machine_clocks.wall(API, 1_500)),
            (1_500, 1_200)
        );
        assert_eq!(
            machine_clocks.set(API, 2_000, ClockSkew::exact()),
            Some(ClockChange { step: 300, drift: None })
        );
        assert_eq!(machine_clocks.set(API, 3_000, ClockSkew::exact()), None);
    }

    /// Drift moves both, and what it made is not lost when it ends: only the wall clock is set right.
    #[test]
    fn drift_moves_both() {
        let machine_clocks = machine_clocks();
        machine_clocks.set(API, 1_000, ClockSkew::exact().drift_ppm(500_000));
        assert_eq!(
            (machine_clocks.monotonic(API, 2_000), machine_clocks.wall(API, 2_000)),
            (2_500, 2_500)
        );
        let changed = machine_clocks.set(API, 2_000, ClockSkew::exact());
        assert_eq!(changed, Some(ClockChange { step: -500, drift: Some(0) }));
        assert_eq!(
            (machine_clocks.monotonic(API, 3_000), machine_clocks.wall(API, 3_000)),
            (3_500, 3_000)
        );
        assert_eq!(
            machine_clocks.set(API, 3_000, ClockSkew::exact()),
            None,
            "what drift made stays"
        );
    }

    /// Just in range, and just out of it.
    #[test]
    fn settings_out_of_range_are_objected_to() {
        let year = Duration::from_secs(365 * 86_400);
        let nano = Duration::from_nanos(1);
        let most = Duration::from_nanos(i64::MAX as u64);
        let right =
            |clock: ClockSkew, right: Duration| clock.invalid_reason(right.as_nanos() as u64);
        let exact = ClockSkew::exact();
        let last = Duration::from_nanos(u64::MAX);
        for (clock, at) in [
            (exact, Duration::ZERO),
            (exact, last),
            (exact.ahead(most), Duration::ZERO),
            (exact.ahead(most), last - most),
            (exact.ahead(year), last - year),
            (exact.behind(year), year),
            (exact.behind(most), most),
            (exact.drift_ppm(-900_000), year),
            (exact.drift_ppm(9_000_000), year),
        ] {
            assert_eq!(right(clock, at), None, "{clock:?}");
        }
        for (clock, at) in [
            (exact.ahead(most + nano), Duration::ZERO),
            (exact.ahead(Duration::MAX), year),
            (exact.ahead(year + nano), last - year),
            (exact.ahead(nano), last),
            (exact.behind(year + nano), year),
            (exact.behind(nano), Duration::ZERO),
            (exact.behind(most + nano * 2), last),
            (exact.behind(Duration::MAX), last),
            (exact.drift_ppm(-900_001), year),
            (exact.drift_ppm(-1_000_000), year),
            (exact.drift_ppm(i32::MIN), year),
            (exact.drift_ppm(9_000_001), year),
            (exact.drift_ppm(i32::MAX), year),
            (exact.ahead(nano).drift_ppm(i32::MAX), year),
        ] {
            let invalid_reason = right(clock, at);
            assert!(invalid_reason.is_some_and(|why| why.contains("use")), "{clock:?} at {at:?}");
        }
    }

    proptest! {
        /// The monotonic clock never goes back, however it is set; and a timer armed for a local time fires when the
        /// clock shows it, and not a nanosecond before.
        #[test]
        fn monotonic_is_monotonic(
            settings in prop::collection::vec((0..5_000_000_000u64, DRIFT, any::<i64>()), 1..8),
            ahead in 1..10_000_000_000u64,
        ) {
            let machine_clocks = machine_clocks();
            let (mut now, mut shown) = (0, 0);
            for (passes, drift, offset) in settings {
                now += passes;
                prop_assert!(machine_clocks.monotonic(API, now) >= shown);
                shown = machine_clocks.monotonic(API, now);
                machine_clocks.set(API, now, ClockSkew { offset: offset.into(), drift });
                prop_assert_eq!(machine_clocks.monotonic(API, now), shown);
                let due = machine_clocks.true_time(API, shown + ahead);
                prop_assert!(machine_clocks.monotonic(API, due) >= shown + ahead);
                prop_assert!(machine_clocks.monotonic(API, due - 1) < shown + ahead);
            }
        }
    }
}

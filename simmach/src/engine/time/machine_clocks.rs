//! The clocks of the machines, as functions of the run's virtual time.
//!
//! Each machine has an oscillator that drives two clocks: a monotonic clock, which is never set but may run fast or slow,
//! and a wall clock, which may also have an offset. They belong to the machine and keep their state when a process is
//! restarted. The oscillator itself may be a little fast or slow for the whole run. This is no fault: a [`ClockSkew`] comes on
//! top of it, and [`ClockSkew::exact`] leaves the clocks to the oscillator.
//! Code on a machine waits by the machine's monotonic clock: this applies to sleeps, timeouts,
//! intervals, disk latencies and blocking calls. When the clock's speed changes, pending timers are
//! moved. The network, including TCP's timers, uses virtual time; so do flushes of a periodic
//! store, restarts and plans. A wall clock can also stand still while the monotonic clock goes on.
//! Slewing, leap seconds and jitter are not modelled.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use crate::engine::ids::MachineId;

/// Parts per million, the unit of drift.
const MILLION: u64 = 1_000_000;
/// Nanoseconds per second.
const SECOND: i128 = 1_000_000_000;

/// Range of drift, in parts per million. With a speed of zero or less, no timer would become due.
const DRIFT: std::ops::RangeInclusive<i32> = -900_000..=9_000_000;

/// The error of a machine's clocks, for [`Sim::set_clock`](crate::Sim::set_clock): an offset of the wall clock, and a drift
/// of both clocks.
///
/// ```
/// use simmach::{ClockSkew, time::DurationUnits};
///
/// let late = ClockSkew::exact().behind(3.secs());
/// let fast = ClockSkew::exact().drift_ppm(200);     // gains 17 s per day
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ClockSkew {
    /// Offset of the wall clock, in nanoseconds.
    pub(crate) offset: i128,
    /// Drift of both clocks, in parts per million.
    pub(crate) drift: i32,
}

impl ClockSkew {
    /// No offset and no drift: the clocks go as the machine's oscillator does, which is not perfect; see
    /// [`Scenario::identical_hardware`](crate::program::Scenario::identical_hardware).
    pub fn exact() -> Self {
        Self::default()
    }

    /// Sets the wall clock ahead of true time, by at most 292 years and not past the year 2554.
    pub fn ahead(self, by: Duration) -> Self {
        Self { offset: nanos(by), ..self }
    }

    /// Sets the wall clock behind true time, by at most 292 years and not before 1970.
    pub fn behind(self, by: Duration) -> Self {
        Self { offset: -nanos(by), ..self }
    }

    /// Sets the drift of both clocks in parts per million; a positive drift makes them fast. The range is -900,000 (a tenth
    /// of true speed) to 9,000,000 (ten times). Crystal oscillators stay within about 100 ppm.
    pub fn drift_ppm(self, ppm: i32) -> Self {
        Self { drift: ppm, ..self }
    }

    /// Returns why the skew is out of range, or `None` if it is valid. `right` is the true wall clock time, in nanoseconds
    /// since 1970.
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
                "an offset of {:?} {way} is out of range; use at most {} s {way} (the wall clock must stay between 1970 and \
                 2554, and within 292 years of true time)",
                Duration::new((offset.abs() / SECOND) as u64, (offset.abs() % SECOND) as u32),
                most / SECOND,
            )
        })
    }
}

fn nanos(duration: Duration) -> i128 {
    duration.as_nanos() as i128
}

/// The clocks of all machines. All fields are cells, since a signal handler may read them.
#[derive(Debug, Default)]
pub(crate) struct MachineClocks {
    /// Whether any clock was ever set or has an inexact oscillator. While it is false, reading is cheap.
    is_any_inexact: Cell<bool>,
    by_machine: OnceCell<Box<[Cell<MachineClock>]>>,
}

/// The clocks of one machine, since they were last set.
#[derive(Clone, Copy, Debug, Default)]
struct MachineClock {
    /// The run's time when the drift was last changed.
    since: u64,
    /// The monotonic clock's reading at `since`.
    monotonic: u64,
    /// Difference from the monotonic clock to the wall clock's time since the epoch.
    ahead: i128,
    skew: ClockSkew,
    /// What the wall clock shows if it stands still.
    stuck_at: Option<i128>,
    /// The error of the oscillator, in parts per million.
    oscillator: i32,
}

/// The change made by setting a machine's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockChange {
    /// Step of the wall clock, in nanoseconds.
    pub(crate) step: i128,
    /// The new drift, if it changed.
    pub(crate) drift: Option<i32>,
}

impl MachineClocks {
    /// Gives each machine exact clocks.
    pub(crate) fn install(&self, machines: usize) {
        let _ = self.by_machine.set((0..machines).map(|_| Cell::default()).collect());
    }

    /// Makes a machine's oscillator fast by `ppm` parts per million, or slow if it is negative. For the start of a run.
    pub(crate) fn set_oscillator(&self, machine: MachineId, ppm: i32) {
        if let Some(cell) = self.cell(machine) {
            cell.set(MachineClock { oscillator: ppm, ..cell.get() });
            self.is_any_inexact.set(true);
        }
    }

    /// Sets a machine's clocks at the run's time `now`. Returns `None` if that changes nothing.
    pub(crate) fn set(&self, machine: MachineId, now: u64, skew: ClockSkew) -> Option<ClockChange> {
        let changed = self.change(machine, now, skew)?;
        let cell = self.cell(machine)?;
        cell.set(cell.get().set(now, skew));
        self.is_any_inexact.set(true);
        Some(changed)
    }

    /// Has a machine's wall clock stand still at the run's time `now`, until its clocks are set. Returns
    /// false if it stands still already.
    pub(crate) fn freeze(&self, machine: MachineId, now: u64) -> bool {
        let Some(cell) = self.cell(machine) else { return false };
        let clock = cell.get();
        if clock.stuck_at.is_some() {
            return false;
        }
        cell.set(MachineClock { stuck_at: Some(clock.wall_at(now)), ..clock });
        self.is_any_inexact.set(true);
        true
    }

    /// Whether a machine's wall clock stands still.
    pub(crate) fn is_stuck(&self, machine: MachineId) -> bool {
        self.machine_clock(machine).is_some_and(|clock| clock.stuck_at.is_some())
    }

    /// Returns what setting a machine's clocks at the run's time `now` would change; `None` if nothing.
    pub(crate) fn change(
        &self,
        machine: MachineId,
        now: u64,
        skew: ClockSkew,
    ) -> Option<ClockChange> {
        let old = self.cell(machine)?.get();
        let new = old.set(now, skew);
        let drift = (old.skew.drift != skew.drift).then_some(skew.drift);
        let changed = ClockChange { step: new.wall_at(now) - old.wall_at(now), drift };
        let goes_on = old.stuck_at.is_some();
        (goes_on || changed != ClockChange { step: 0, drift: None }).then_some(changed)
    }

    /// A machine's monotonic clock at the run's time `now`.
    pub(crate) fn monotonic(&self, machine: MachineId, now: u64) -> u64 {
        self.machine_clock(machine).map_or(now, |machine_clock| machine_clock.monotonic_at(now))
    }

    /// A machine's wall clock, in nanoseconds since the run's epoch.
    pub(crate) fn wall(&self, machine: MachineId, now: u64) -> i128 {
        self.machine_clock(machine)
            .map_or(i128::from(now), |machine_clock| machine_clock.wall_at(now))
    }

    /// The run's time at which a machine's monotonic clock first shows `local`, if its drift stays the same.
    pub(crate) fn true_time(&self, machine: MachineId, local: u64) -> u64 {
        self.machine_clock(machine).map_or(local, |machine_clock| machine_clock.true_time(local))
    }

    fn machine_clock(&self, machine: MachineId) -> Option<MachineClock> {
        if self.is_any_inexact.get() { self.cell(machine).map(Cell::get) } else { None }
    }

    fn cell(&self, machine: MachineId) -> Option<&Cell<MachineClock>> {
        self.by_machine.get()?.get(machine.0 as usize)
    }
}

impl MachineClock {
    /// Returns these clocks with `skew` from `now` on.
    fn set(self, now: u64, skew: ClockSkew) -> Self {
        let monotonic = self.monotonic_at(now);
        let ahead = match self.skew.drift {
            // Without drift the difference has stayed the same. Calculating it again would add a rounding error, which would
            // count as a step.
            0 => self.ahead + skew.offset - self.skew.offset,
            _ => i128::from(self.undisturbed_at(now)) + skew.offset - i128::from(monotonic),
        };
        // With the same drift, keep the old reference point: a new one would add a rounding error.
        let (since, monotonic) = match self.skew.drift == skew.drift {
            true => (self.since, self.monotonic),
            false => (now, monotonic),
        };
        Self { since, monotonic, ahead, skew, stuck_at: None, ..self }
    }

    /// What the wall clock shows, in nanoseconds since the run's epoch.
    fn wall_at(&self, now: u64) -> i128 {
        self.stuck_at.unwrap_or_else(|| i128::from(self.monotonic_at(now)) + self.ahead)
    }

    fn monotonic_at(&self, now: u64) -> u64 {
        self.monotonic.saturating_add(measured(now.saturating_sub(self.since), self.speed()))
    }

    /// What both clocks show at the run's time `now` if they were never set.
    fn undisturbed_at(&self, now: u64) -> u64 {
        measured(now, MILLION.saturating_add_signed(self.oscillator.into()))
    }

    /// Rounded up, so that the clock shows at least `local` at this time.
    fn true_time(&self, local: u64) -> u64 {
        let speed = self.speed();
        let local = local.saturating_sub(self.monotonic);
        // As in `measured`: whole multiples first, so that 64 bits are enough.
        let true_nanos = (local / speed)
            .saturating_mul(MILLION)
            .saturating_add((local % speed * MILLION).div_ceil(speed));
        self.since.saturating_add(true_nanos)
    }

    /// Local nanoseconds in a million true nanoseconds.
    fn speed(&self) -> u64 {
        MILLION.saturating_add_signed(i64::from(self.oscillator) + i64::from(self.skew.drift))
    }
}

/// What a clock with this speed measures in `nanos` true nanoseconds, rounded down. Calculating with whole millions first is
/// exact, and needs no numbers of 128 bits, whose division is slow.
fn measured(nanos: u64, speed: u64) -> u64 {
    (nanos / MILLION).saturating_mul(speed).saturating_add(nanos % MILLION * speed / MILLION)
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
    fn clock_is_exact_unless_set() {
        let machine_clocks = machine_clocks();
        machine_clocks.set(MachineId(1), 5, ClockSkew::exact().ahead(Duration::from_secs(1)));
        assert_eq!((machine_clocks.monotonic(API, 7), machine_clocks.wall(API, 7)), (7, 7));
        assert_eq!(
            machine_clocks.monotonic(MachineId(u32::MAX), 7),
            7,
            "the harness has no machine and exact clocks"
        );
    }

    #[test]
    fn step_changes_only_the_wall_clock() {
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

    /// When drift ends the wall clock is corrected; the monotonic clock keeps what it gained.
    #[test]
    fn drift_changes_both_clocks() {
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
            "the monotonic clock keeps what it gained"
        );
    }

    #[test]
    fn stuck_wall_clock_stands_still_until_the_clocks_are_set() {
        let machine_clocks = machine_clocks();
        machine_clocks.set(API, 100, ClockSkew::exact().ahead(Duration::from_nanos(50)));
        assert!(machine_clocks.freeze(API, 1_000) && !machine_clocks.freeze(API, 1_500));
        assert!(machine_clocks.is_stuck(API) && !machine_clocks.is_stuck(MachineId(1)));
        assert_eq!(
            (machine_clocks.monotonic(API, 2_000), machine_clocks.wall(API, 2_000)),
            (2_000, 1_050)
        );
        let changed = machine_clocks.set(API, 2_000, ClockSkew::exact());
        assert_eq!(changed, Some(ClockChange { step: 950, drift: None }));
        assert_eq!(machine_clocks.wall(API, 2_500), 2_500);
        // The clock goes on even if it shows the right time when it is set.
        assert!(machine_clocks.freeze(API, 3_000));
        let changed = machine_clocks.set(API, 3_000, ClockSkew::exact());
        assert_eq!(changed, Some(ClockChange { step: 0, drift: None }));
        assert_eq!((machine_clocks.wall(API, 3_500), machine_clocks.is_stuck(API)), (3_500, false));
    }

    /// Values just inside and just outside the range.
    #[test]
    fn skew_out_of_range_is_rejected() {
        let year = Duration::from_secs(365 * 86_400);
        let nano = Duration::from_nanos(1);
        let most = Duration::from_nanos(i64::MAX as u64);
        let right = |skew: ClockSkew, right: Duration| skew.invalid_reason(right.as_nanos() as u64);
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
        /// The monotonic clock never goes back, and a timer for a local time fires exactly when the clock shows it.
        #[test]
        fn monotonic_clock_never_goes_back(
            settings in prop::collection::vec((0..5_000_000_000u64, DRIFT, any::<i64>()), 1..8),
            ahead in 1..10_000_000_000u64,
            oscillator in -100..=100,
        ) {
            let machine_clocks = machine_clocks();
            machine_clocks.set_oscillator(API, oscillator);
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

        /// Whatever was set before, exact clocks go as the oscillator does, and stay exact.
        #[test]
        fn reset_clocks_go_as_the_oscillator_does(
            settings in prop::collection::vec((0..5_000_000_000u64, DRIFT, any::<i64>()), 0..8),
            passes in 0..1_000_000_000_000u64,
            oscillator in -100..=100,
        ) {
            let machine_clocks = machine_clocks();
            machine_clocks.set_oscillator(API, oscillator);
            let mut now = 0;
            for (passes, drift, offset) in settings {
                now += passes;
                machine_clocks.set(API, now, ClockSkew { offset: offset.into(), drift });
                now += passes;
                machine_clocks.set(API, now, ClockSkew::exact());
            }
            let before = machine_clocks.monotonic(API, now);
            now += passes;
            prop_assert_eq!(machine_clocks.change(API, now, ClockSkew::exact()), None);
            let gained = |nanos: u64| i128::from(nanos) * i128::from(oscillator) / 1_000_000;
            let expected = i128::from(now) + gained(now);
            prop_assert!((machine_clocks.wall(API, now) - expected).abs() <= 2);
            let measured = i128::from(machine_clocks.monotonic(API, now) - before);
            prop_assert!((measured - i128::from(passes) - gained(passes)).abs() <= 2);
        }

        /// Calculating in whole millions is exact.
        #[test]
        fn clock_measures_exactly(nanos in any::<u64>(), speed in 100_000..=10_000_100u64) {
            let exact = u128::from(nanos) * u128::from(speed) / u128::from(MILLION);
            prop_assert_eq!(measured(nanos, speed), u64::try_from(exact).unwrap_or(u64::MAX));
        }
    }
}

//! Decides when a plan strikes. An overlay can leave out strikes or bind them to a step.
//!
//! By default, each run draws a plan's tempo over several orders of magnitude. No single tempo
//! finds both a bug that needs two strikes within one election and a bug that needs a machine that
//! is down for a long time. Like the seed, the tempo belongs to the run: shrinking and replay keep
//! it.
//!
//! A calm draw leaves out a strike together with its repair: a machine that is not taken down is
//! not started again. If an overlay leaves out strikes, it also pins the times of the remaining
//! strikes, since these times usually depend on earlier strikes.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::engine::acts::{Act, LAST};
use crate::engine::draws::address::{Address, strike};
use crate::engine::record::deviations::{Deviation, DeviationKind};
use crate::engine::steps;
use crate::engine::{self, MachineId, mix};
use crate::machine;
use crate::sim::{self, Idle};
use crate::time::{nanos, sleep};

/// A range of durations, including both ends. A single duration converts into a range that contains
/// only this duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    least: Duration,
    most: Duration,
}

impl DurationRange {
    /// The range from `least` to `most`. If `least` is greater than `most`, the range is empty, and
    /// a plan with this range is reported as an error before the first run.
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most }
    }

    pub(crate) const fn least(self) -> Duration {
        self.least
    }

    pub(crate) const fn most(self) -> Duration {
        self.most
    }

    /// Returns why nothing can be drawn from this range; `None` if the range is valid. `of` is the
    /// name of the setting.
    pub(super) fn mistake(self, of: &str) -> Option<String> {
        let Self { least, most } = self;
        (least > most).then(|| {
            format!(
                "`{of}`: the range {least:?} to {most:?} is empty: give the shorter duration first"
            )
        })
    }
}

impl From<Duration> for DurationRange {
    fn from(duration: Duration) -> Self {
        Self::new(duration, duration)
    }
}

impl From<Range<Duration>> for DurationRange {
    fn from(range: Range<Duration>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<RangeInclusive<Duration>> for DurationRange {
    fn from(range: RangeInclusive<Duration>) -> Self {
        Self::new(*range.start(), *range.end())
    }
}

/// Iterates over the strikes of a plan.
#[derive(Debug)]
pub(crate) struct Strikes {
    plan: u64,
    next: u64,
    tempo: Tempo,
    /// Whether the wait for the first strike has begun.
    has_begun: bool,
    /// Whether other parts of the same plan strike at the same time.
    is_part: bool,
}

/// The times of a plan: how often it strikes, and how long the effects of a strike last.
#[derive(Clone, Copy, Debug)]
enum Tempo {
    /// Set by the plan's configuration.
    Given(DurationRange),
    /// Drawn by the run.
    Drawn { every: DurationRange, down: DurationRange, grace: DurationRange, thinning: u32 },
}

/// The shortest mean time that is drawn, both between strikes and for a time down.
const SHORTEST: Duration = Duration::from_millis(20);
/// Number of doublings from [`SHORTEST`] to the longest mean, 41 s. Each doubling is equally
/// likely.
const DOUBLINGS: u64 = 11;
/// Maximum ratio of the mean time down to the mean time between strikes, so that the test makes
/// progress at any tempo.
const MOST_DOWN: u32 = 4;
/// Maximum grace period that is drawn.
const LONGEST_GRACE: Duration = Duration::from_millis(5_120);
/// With a drawn tempo, the time to the next strike is at least the run's elapsed time divided by
/// this. Long tests still complete, and a long run has a thousand strikes instead of a million.
///
/// Measured: without thinning, 74 of 300 runs of a correct cluster of two servers fail, since both
/// servers are down most of the time; with 1,000, 7 runs fail, and with 200 none. A planted bug
/// fails 560 of 1,000 runs without thinning, 399 runs with 50, and 511 runs with 200.
const THINNING: u32 = 200;

impl Tempo {
    /// Draws this run's tempo for a plan.
    fn drawn(plan: u64) -> Self {
        let below = |field, n| engine::setting_below(Address::plan_setting(plan, field), n);
        let doublings = |field, limit: Duration| {
            let most =
                (0..DOUBLINGS).take_while(|nth| SHORTEST * (2 << nth) <= limit).count() as u64;
            let least = SHORTEST * (1 << below(field, most.max(1)));
            least + Duration::from_nanos(below(field + 1, nanos(least)))
        };
        let every = doublings(strike::EVERY, Duration::MAX);
        let down = doublings(strike::DOWN, every * MOST_DOWN);
        let grace = doublings(strike::GRACE, LONGEST_GRACE.min(every * MOST_DOWN));
        Self::around(every, down, grace, THINNING)
    }

    /// Draws this run's tempo for one of `parts` parts of a plan that strike at the same time.
    ///
    /// Together, the parts strike as often as the plan alone would. How long a strike lasts is drawn
    /// for each part: from a sixteenth of the time between two strikes of the part to four times as
    /// long.
    ///
    /// In half of the runs, the middle of the scale is more likely than its ends. Measured with the
    /// stale read of the raft in `tests/src/raft`: a run does not find it if a fault is much shorter
    /// than an election, or if the run has no second strike.
    fn drawn_for_part(plan: u64, part: u64, parts: u32) -> Self {
        let below = |of, field, n| engine::setting_below(Address::plan_setting(of, field), n);
        let scaled = |of, field, least: Duration| {
            least + Duration::from_nanos(below(of, field + 1, nanos(least)))
        };
        let mut middle = below(plan, strike::EVERY, DOUBLINGS);
        if below(plan, strike::MIDDLE + 1, 2) == 0 {
            middle = (middle + below(plan, strike::MIDDLE, DOUBLINGS)) / 2;
        }
        let every = scaled(plan, strike::EVERY, SHORTEST * (1 << middle)) * parts;
        let down = scaled(part, strike::DOWN, every / 16 * (1 << below(part, strike::DOWN, 6)));
        let grace = scaled(part, strike::GRACE, every / 16 * (1 << below(part, strike::GRACE, 6)));
        Self::around(every, down, grace.min(LONGEST_GRACE), (THINNING / parts).max(1))
    }

    fn around(every: Duration, down: Duration, grace: Duration, thinning: u32) -> Self {
        let around = |mean: Duration| DurationRange::new(mean / 2, mean * 3 / 2);
        let grace = DurationRange::new(Duration::ZERO, grace);
        Self::Drawn { every: around(every), down: around(down), grace, thinning }
    }
}

/// One strike of a plan: its fields are drawn at (plan, strike, field).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    plan: u64,
    number: u64,
}

impl Strikes {
    /// Creates the strikes of the running plan. The time between them is drawn unless `every` is
    /// given.
    pub(crate) fn of_this_plan(every: Option<DurationRange>) -> Self {
        let plan = engine::scope().map_or(0, |scope| scope.task);
        let tempo = every.map_or_else(|| Tempo::drawn(plan), Tempo::Given);
        Self { plan, next: 0, tempo, has_begun: false, is_part: false }
    }

    /// Creates the strikes of one of `parts` parts of the running plan. Parts are counted from 1.
    pub(crate) fn of_part(part: u64, parts: usize) -> Self {
        let plan = engine::scope().map_or(0, |scope| scope.task);
        let own = mix(plan, part);
        let tempo = Tempo::drawn_for_part(plan, own, u32::try_from(parts).unwrap_or(u32::MAX));
        Self { plan: own, next: 0, tempo, has_begun: false, is_part: true }
    }

    /// Returns how long a machine or a path stays down: `given`, or else drawn if the tempo is drawn,
    /// or else `usual`.
    pub(crate) fn down(&self, given: Option<DurationRange>, usual: DurationRange) -> DurationRange {
        given.unwrap_or(match self.tempo {
            Tempo::Given(_) => usual,
            Tempo::Drawn { down, .. } => down,
        })
    }

    /// Like [`down`](Self::down), for the grace period.
    pub(crate) fn grace(
        &self,
        given: Option<DurationRange>,
        usual: DurationRange,
    ) -> DurationRange {
        given.unwrap_or(match self.tempo {
            Tempo::Given(_) => usual,
            Tempo::Drawn { grace, .. } => grace,
        })
    }

    /// The number of strikes so far.
    pub(crate) fn count(&self) -> u64 {
        self.next
    }

    /// Begins the next strike without a wait. Returns `None` after the last one.
    pub(crate) fn begin_next(&mut self) -> Option<Strike> {
        let number = engine::next_active(Address::strike(self.plan, self.next, strike::HAPPENS))?;
        self.next = number.checked_add(1)?;
        Some(Strike { plan: self.plan, number })
    }

    /// Waits for the next strike: for a time of the tempo, or until the time that the overlay sets.
    /// Returns `None` after the last strike.
    pub(crate) async fn next(&mut self) -> Option<Strike> {
        let next = self.begin_next()?;
        let number = next.number;
        match next.pinned(strike::WHEN) {
            Some(when) => {
                let position = next.pinned(strike::SEQUENCE).zip(next.pinned(strike::STEP));
                let from = match position {
                    Some((sequence, step)) => {
                        steps::wait_for_step(sequence, step.saturating_sub(1)).await
                    }
                    None => engine::body_began(),
                };
                let at = from.saturating_add(when);
                self.wait(Duration::from_nanos(at.saturating_sub(engine::now()))).await;
            }
            None => {
                let wait = match self.tempo {
                    Tempo::Given(every) => next.duration(0, every),
                    // The parts of a plan begin one after the other.
                    Tempo::Drawn { every, .. } if self.is_part && number == 0 => {
                        next.duration(0, DurationRange::new(Duration::ZERO, every.most))
                    }
                    Tempo::Drawn { every, thinning, .. } => {
                        let thin = Duration::from_nanos(engine::now()) / thinning;
                        next.duration(0, every).max(thin)
                    }
                };
                self.wait(wait).await;
            }
        }
        Some(next)
    }

    /// Waits until a strike is due. The time of the first strike is recorded at once, since the run
    /// may end before.
    async fn wait(&mut self, wait: Duration) {
        if !std::mem::replace(&mut self.has_begun, true) {
            sim::record_idle(Idle::NotDue(engine::now().saturating_add(nanos(wait))));
        }
        sleep(wait).await;
    }
}

impl Strike {
    /// Records that the strike takes place now, as `text` describes, with the draws that a replay
    /// needs to let it take place at the same time.
    pub(crate) fn strikes(self, machine: Option<MachineId>, text: impl FnOnce() -> String) {
        engine::record_deviation(|| {
            let at = engine::now();
            let mut pins = match steps::last_step() {
                Some(position) => {
                    vec![
                        (strike::WHEN, at - position.at),
                        (strike::SEQUENCE, position.sequence),
                        (strike::STEP, position.step + 1),
                    ]
                }
                None => vec![(strike::WHEN, at - engine::body_began())],
            };
            pins.extend(machine.map(|machine| (strike::VICTIM, u64::from(machine.0) + 1)));
            let address = Address::strike(self.plan, self.number, strike::HAPPENS);
            Deviation {
                machine,
                text: text(),
                pins,
                ..Deviation::new(address, DeviationKind::Strike, 1, at)
            }
        });
    }

    /// Sends the stop signal to a machine's services. Those still running after `grace` are killed.
    pub(crate) async fn stop(self, machine: MachineId, grace: Duration) {
        let services = machine::services_of(machine);
        sim::request_fault(true, &[machine], String::new);
        let who = sim::acts::services_on(machine);
        let act = Act::Stop { who, grace: nanos(grace), end_place: LAST };
        engine::record_act(self.owner(), &act, || sim::acts::describe(&act));
        let processes = machine::mark_down(&services, self.owner());
        sim::acts::stop(self.owner(), processes, grace).await;
    }

    /// Kills a machine's services.
    pub(crate) fn kill(self, machine: MachineId) {
        sim::request_fault(true, &[machine], String::new);
        let act = Act::Kill { who: sim::acts::services_on(machine) };
        sim::acts::perform(self.owner(), &act, || sim::acts::describe(&act));
    }

    /// Powers a machine off.
    pub(crate) fn take_power(self, machine: MachineId) {
        sim::request_fault(true, &[machine], String::new);
        let act = Act::PowerOff { machine };
        sim::acts::perform(self.owner(), &act, || sim::acts::describe(&act));
    }

    /// Powers a machine off at a later call that changes its files, counted from 1.
    pub(crate) fn take_power_at_call(self, machine: MachineId, calls: u64) {
        sim::request_fault(true, &[machine], String::new);
        let act = Act::PowerOffAtCall { machine, calls };
        sim::acts::perform(self.owner(), &act, || sim::acts::describe(&act));
    }

    /// Takes back what [`take_power_at_call`](Self::take_power_at_call) has announced, if it has not
    /// happened.
    pub(crate) fn keep_power(self, machine: MachineId) {
        if machine::awaits_power_off_by(machine, self.owner()) {
            let act = Act::CancelPowerOff { machine };
            sim::acts::perform(self.owner(), &act, || sim::acts::describe(&act));
        }
    }

    /// Restores what its plan took down, unless another plan or the test keeps it down.
    pub(crate) fn restore(self) {
        for machine in machine::taken_down_by(self.plan) {
            let services = sim::acts::services_on(machine).services;
            let act = Act::Start { machine, services };
            sim::acts::perform(self.owner(), &act, || sim::acts::describe(&act));
        }
    }

    /// A word that identifies the strike.
    pub(crate) fn word(self) -> u64 {
        mix(self.plan, self.number)
    }

    /// Returns the plan that owns the strike.
    pub(crate) fn owner(self) -> Option<u64> {
        Some(self.plan)
    }

    /// Returns the machine that the overlay sets as the strike's victim.
    pub(crate) fn pinned_victim(self) -> Option<MachineId> {
        let number = self.pinned(strike::VICTIM)?.checked_sub(1)?;
        u32::try_from(number).ok().map(MachineId)
    }

    fn pinned(self, field: u64) -> Option<u64> {
        engine::pinned(Address::strike(self.plan, self.number, field))
    }

    /// The calm value is the shortest duration.
    pub(crate) fn duration(self, field: u64, range: DurationRange) -> Duration {
        let (least, most) = (nanos(range.least), nanos(range.most));
        let span = most.saturating_sub(least).saturating_add(1);
        Duration::from_nanos(least + self.below(field, span))
    }

    pub(crate) fn below(self, field: u64, n: u64) -> u64 {
        engine::below(Address::strike(self.plan, self.number, field), n)
    }

    pub(crate) fn chance(self, field: u64, p: f64) -> bool {
        engine::chance(Address::strike(self.plan, self.number, field), p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Family;
    use crate::engine::draws::overlay::{Overlay, Rule, RuleAction};
    use crate::engine::failure::verdict::Verdict;
    use crate::engine::rig;
    use crate::time::DurationUnits;

    /// The averages of a tempo: between strikes, down, and the longest grace time.
    fn drawn(seed: u64, overlay: Overlay) -> [Duration; 3] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let body = async move || {
            let Tempo::Drawn { every, down, grace, .. } = Tempo::drawn(7) else { unreachable!() };
            assert_eq!(grace.least, Duration::ZERO);
            let mean = |range: DurationRange| (range.least + range.most) / 2;
            sender.send([mean(every), mean(down), grace.most]).expect("the test waits");
        };
        let ran = rig::run_with(seed, overlay, || {}, body, || {});
        assert_eq!(ran.verdict, Verdict::Passed);
        receiver.recv().expect("it was sent")
    }

    #[test]
    fn tempo_is_drawn_over_orders_of_magnitude() {
        let tempos: Vec<_> = (0..1_000).map(|seed| drawn(seed, Overlay::default())).collect();
        let within = |part: usize, least: Duration, most: Duration| {
            tempos.iter().filter(|tempo| (least..most).contains(&tempo[part])).count()
        };
        let decades = [20.millis(), 100.millis(), 1.secs(), 10.secs(), 41.secs()];
        for (pair, [every, down]) in
            decades.windows(2).zip([[150, 300], [200, 250], [200, 150], [120, 20]])
        {
            let [least, most] = [pair[0], pair[1]];
            assert!(within(0, least, most) > every, "{pair:?}: {}", within(0, least, most));
            assert!(within(1, least, most) > down, "{pair:?}: {}", within(1, least, most));
        }
        assert_eq!(
            [within(0, 20.millis(), 41.secs()), within(1, 20.millis(), 41.secs())],
            [1_000; 2]
        );
        assert_eq!(within(2, 20.millis(), 5_121.millis()), 1_000);
        assert!(within(2, 20.millis(), 200.millis()) > 200 && within(2, 1.secs(), 6.secs()) > 50);
        assert!(
            tempos.iter().all(|[every, down, grace]| *down <= *every * 4 && *grace <= *every * 4)
        );
    }

    /// The octave of the mean time between strikes is uniform in half of the runs, and in the others
    /// the mean of two uniform octaves, rounded down: of 121 pairs of the 11 octaves, 10 have one of
    /// the two lowest means, 57 one of the three in the middle, and 6 one of the two highest.
    #[test]
    fn tempo_of_parts_prefers_the_middle_in_half_of_the_runs() {
        const RUNS: u32 = 1_210;
        let (sender, receiver) = std::sync::mpsc::channel();
        for seed in 0..RUNS.into() {
            let sender = sender.clone();
            rig::pass(seed, async move || {
                let parts = 1 + (seed % 12) as u32;
                let tempo = Tempo::drawn_for_part(7, mix(7, 1), parts);
                let Tempo::Drawn { every, .. } = tempo else { unreachable!() };
                let mean = (every.least + every.most) / 2;
                sender.send(mean / parts).expect("the test waits");
            });
        }
        drop(sender);
        let means: Vec<Duration> = receiver.iter().collect();
        let within = |octaves: Range<u32>| {
            let [least, end] = [octaves.start, octaves.end].map(|octave| SHORTEST * (1 << octave));
            means.iter().filter(|mean| (least..end).contains(*mean)).count() as f64
        };
        for (octaves, of_pairs) in [(0..2, 10), (4..7, 57), (9..11, 6)] {
            let uniform = f64::from(octaves.end - octaves.start) / 11.0;
            let share = (uniform + f64::from(of_pairs) / 121.0) / 2.0;
            let expected = share * f64::from(RUNS);
            let deviation = (expected * (1.0 - share)).sqrt();
            let count = within(octaves.clone());
            assert!((count - expected).abs() < 3.0 * deviation, "{octaves:?}: {count}, {expected}");
        }
        assert_eq!(within(0..11), f64::from(RUNS));
    }

    /// It is a setting: neither what is left out nor what is drawn again makes another of it.
    #[test]
    fn tempo_is_the_same_under_any_overlay() {
        for seed in 0..20 {
            let tempo = drawn(seed, Overlay::default());
            assert_eq!(tempo, drawn(seed, Overlay::calm()));
            let again = Rule::all(Some(Family::Strike), RuleAction::Reseeded(seed));
            assert_eq!(tempo, drawn(seed, std::iter::once(again).collect()));
        }
    }

    #[test]
    fn a_strike_keeps_its_range() {
        rig::pass(2, async || {
            let mut strike = Strike { plan: 1, number: 0 };
            let range = DurationRange::from(5.secs()..10.secs());
            let mut total = Duration::ZERO;
            for number in 0..1_000 {
                strike.number = number;
                let drawn = strike.duration(0, range);
                assert!(drawn >= 5.secs() && drawn <= 10.secs());
                total += drawn;
            }
            assert!(total > 7_300.secs() && total < 7_700.secs(), "{total:?}");
            assert_eq!(strike.duration(1, 3.secs().into()), 3.secs());
        });
    }
}

//! Tests of the shrinker without an engine, on synthetic runs with known conditions for failure.

mod redraw;

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::engine::draws::address::Address;
use crate::engine::draws::address::strike;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{OverlayIndex, Position, RuleAction};
use crate::engine::draws::{below_of, mix};
use crate::engine::ids::MachineId;
use crate::engine::record::deviations::DeviationKind;
use crate::shrink::*;

/// A synthetic run: the number of deviations of each kind. A deviation happens unless it is calm.
#[derive(Clone, Debug)]
struct SyntheticRun {
    strikes: u64,
    steps: u64,
    losses: u64,
    wakes: u64,
    latencies: u64,
    choices: u64,
}

const RUN: SyntheticRun =
    SyntheticRun { strikes: 12, steps: 40, losses: 30, wakes: 90, latencies: 300, choices: 20 };

/// The deviations without which a synthetic run does not fail, and the minimum value of a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needs {
    strikes: BTreeSet<u64>,
    steps: BTreeSet<u64>,
    losses: BTreeSet<u64>,
    wakes: BTreeSet<u64>,
    latencies: BTreeSet<u64>,
    choice: Option<(u64, u64)>,
}

const OF: u64 = 10;

impl SyntheticRun {
    /// Deviations in the run of this overlay.
    fn run(&self, overlay: &Overlay) -> Vec<Deviation> {
        let index = OverlayIndex::from(overlay);
        let mut all = Vec::new();
        let mut put = |family, number: u64, kind, machine: Option<u64>| {
            let (address, at) = ([7, number, 0], 1_000 * number);
            let (value, of) = match index.action(family, address, at) {
                RuleAction::Calm => return,
                RuleAction::Value(word) if kind == DeviationKind::Choice => {
                    (below_of(Some(word), OF), OF)
                }
                RuleAction::Seeded if kind == DeviationKind::Choice => (mix(number, 5) % OF, OF),
                // With another salt, most faults do not happen.
                RuleAction::Reseeded(salt)
                    if kind != DeviationKind::Step && !mix(number, salt).is_multiple_of(4) =>
                {
                    return;
                }
                RuleAction::Seeded | RuleAction::Value(_) | RuleAction::Reseeded(_) => (1, 1),
            };
            if value == 0 {
                return;
            }
            let machine = machine.map(|machine| MachineId(machine as u32));
            let pins =
                if kind == DeviationKind::Strike { vec![(strike::WHEN, at)] } else { Vec::new() };
            let deviation = Deviation::new(Address::new(family, address), kind, value, at);
            all.push(Deviation { of, machine, pins, ..deviation });
        };
        (0..self.strikes).for_each(|n| put(Family::Strike, n, DeviationKind::Strike, Some(n % 5)));
        (0..self.steps).for_each(|n| put(Family::Step, n, DeviationKind::Step, None));
        (0..self.losses)
            .for_each(|n| put(Family::Loss, n, DeviationKind::PacketFault, Some(n % 5)));
        (0..self.wakes).for_each(|n| put(Family::Wake, n, DeviationKind::Order, None));
        (0..self.latencies).for_each(|n| put(Family::Latency, n, DeviationKind::Delay, None));
        (0..self.choices).for_each(|n| put(Family::Choice, n, DeviationKind::Choice, None));
        all.sort_by_key(|deviation| deviation.at);
        all
    }

    fn verdict(&self, overlay: &Overlay, needs: &Needs) -> Answer {
        let deviations = self.run(overlay);
        let there = Needs::of(&deviations);
        let chosen = needs.choice.is_none_or(|(number, least)| {
            let chose = |deviation: &&Deviation| {
                deviation.kind == DeviationKind::Choice && deviation.address[1] == number
            };
            deviations.iter().find(chose).is_some_and(|found| found.value >= least)
        });
        let fails = needs.strikes.is_subset(&there.strikes)
            && needs.steps.is_subset(&there.steps)
            && needs.losses.is_subset(&there.losses)
            && needs.wakes.is_subset(&there.wakes)
            && needs.latencies.is_subset(&there.latencies)
            && chosen;
        verdict(fails, deviations)
    }
}

impl Needs {
    fn of(deviations: &[Deviation]) -> Self {
        let numbers = |family| {
            let own = deviations.iter().filter(|deviation| deviation.family == family);
            own.map(|deviation| deviation.address[1]).collect()
        };
        let choice = deviations.iter().find(|deviation| deviation.kind == DeviationKind::Choice);
        Self {
            strikes: numbers(Family::Strike),
            steps: numbers(Family::Step),
            losses: numbers(Family::Loss),
            wakes: numbers(Family::Wake),
            latencies: numbers(Family::Latency),
            choice: choice.map(|choice| (choice.address[1], choice.value)),
        }
    }
}

/// Answer for a run with these deviations.
fn verdict(fails: bool, deviations: Vec<Deviation>) -> Answer {
    match fails {
        true => {
            let size = size(&deviations);
            Answer::Fails(FailingRun { size, deviations, ..FailingRun::default() })
        }
        false => Answer::Passes,
    }
}

fn size(deviations: &[Deviation]) -> Size {
    let count = |kind| deviations.iter().filter(|other| other.kind == kind).count() as u64;
    let machines: BTreeSet<_> = deviations.iter().filter_map(|other| other.machine).collect();
    let choices = deviations.iter().filter(|other| other.kind == DeviationKind::Choice);
    Size {
        machines: machines.len() as u64,
        faults: count(DeviationKind::Strike) + count(DeviationKind::PacketFault),
        steps: count(DeviationKind::Step),
        reorderings: count(DeviationKind::Order),
        choices: choices.map(|choice| choice.value).sum(),
        delays: count(DeviationKind::Delay),
        nanos: 0,
    }
}

/// Tries `jobs` candidates speculatively, as workers do.
struct Ahead<F> {
    try_one: F,
    jobs: usize,
}

impl<F: FnMut(&Overlay) -> Answer> Oracle for Ahead<F> {
    fn first_failing(
        &mut self,
        candidates: Overlays<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let mut position = 0;
        loop {
            let some: Vec<Overlay> =
                std::iter::from_fn(|| candidates.next()).take(self.jobs).collect();
            if some.is_empty() {
                return None;
            }
            // The last may finish first.
            let verdicts: Vec<_> = some.iter().rev().map(&mut self.try_one).collect();
            for verdict in verdicts.into_iter().rev() {
                match verdict {
                    Answer::Fails(seen) if fits(&seen.size) => return Some((position, seen.size)),
                    Answer::Fails(_) | Answer::Passes => position += 1,
                }
            }
        }
    }

    fn inspect(&mut self, overlay: &Overlay) -> Answer {
        (self.try_one)(overlay)
    }
}

fn some_of(most: u64, size: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(0..most, size)
}

prop_compose! {
    fn needs()(
        strikes in some_of(RUN.strikes, 0..3),
        steps in some_of(RUN.steps, 0..5),
        losses in some_of(RUN.losses, 0..3),
        wakes in some_of(RUN.wakes, 0..3),
        latencies in some_of(RUN.latencies, 0..2),
        number in prop::option::of(0..RUN.choices),
        least in 1..OF,
    ) -> Needs {
        // No more than the seed chooses.
        let choice = number
            .map(|number| (number, least.min(mix(number, 5) % OF)))
            .filter(|(_, least)| *least > 0);
        Needs { strikes, steps, losses, wakes, latencies, choice }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Exactly the needed deviations remain.
    #[test]
    fn result_is_exactly_what_is_needed(needs in needs()) {
        let mut runs = 0;
        let mut oracle = |overlay: &Overlay| {
            runs += 1;
            RUN.verdict(overlay, &needs)
        };
        let shrunk = shrink(&mut oracle, 20_000).expect("the original run fails");
        let left = RUN.run(&shrunk.overlay);
        prop_assert_eq!(Needs::of(&left), needs);
        prop_assert_eq!((size(&left), shrunk.end), (shrunk.size, StopReason::Minimal));
        prop_assert_eq!(runs, shrunk.runs);
    }

    /// The same overlay, size and number of runs, at any number of jobs and with any budget.
    #[test]
    fn number_of_jobs_does_not_change_the_result(needs in needs(), jobs in 2..40usize, budget in 1..1_500u64) {
        let shrunk = |jobs| {
            let mut oracle = Ahead { try_one: |overlay: &Overlay| RUN.verdict(overlay, &needs), jobs };
            let shrunk = shrink(&mut oracle, budget).expect("the original run fails");
            (shrunk.overlay, shrunk.size, shrunk.runs, shrunk.end)
        };
        let one = shrunk(1);
        prop_assert!(one.2 <= budget);
        prop_assert_eq!(one, shrunk(jobs));
    }

    /// The result has failed and is not larger than the original run, whatever the oracle answers.
    #[test]
    fn random_oracle_gives_a_valid_result(salt in any::<u64>(), odds in 1..8u64) {
        let mut failed = BTreeSet::new();
        let mut tried = 0;
        let mut oracle = |overlay: &Overlay| {
            tried += 1;
            let verdict = RUN.verdict(overlay, &Needs::default());
            if tried > 1 && !mix(tried, salt).is_multiple_of(odds) {
                return Answer::Passes;
            }
            failed.insert(format!("{overlay:?}"));
            verdict
        };
        let shrunk = shrink(&mut oracle, 500).expect("the original run fails");
        let best = format!("{:?}", shrunk.overlay);
        prop_assert!(failed.contains(&best));
        prop_assert!(shrunk.size <= shrunk.before && shrunk.runs <= 500);
    }
}

#[test]
fn passing_run_is_not_shrunk() {
    assert!(shrink(&mut |_: &Overlay| Answer::Passes, 100).is_none());
}

/// Finding three of forty steps takes few runs.
#[test]
fn number_of_runs_is_small_for_three_steps() {
    let needs = Needs { steps: [3, 17, 31].into(), ..Needs::default() };
    let shrunk = shrink(&mut |overlay: &Overlay| RUN.verdict(overlay, &needs), 2_000);
    let shrunk = shrunk.expect("the original run fails");
    assert_eq!(RUN.run(&shrunk.overlay).len(), 3);
    assert!(shrunk.runs < 120, "{}", shrunk.runs);
}

/// If nothing is needed, the first candidates make everything calm.
#[test]
fn number_of_runs_is_small_if_nothing_is_needed() {
    let needs = Needs::default();
    let shrunk = shrink(&mut |overlay: &Overlay| RUN.verdict(overlay, &needs), 2_000);
    let shrunk = shrunk.expect("the original run fails");
    assert_eq!(shrunk.size, Size::default());
    assert!(shrunk.runs < 10, "{}", shrunk.runs);
}

/// Draws of the programs are no deviations, but are made calm if possible.
#[test]
fn families_of_programs_are_made_calm() {
    for key in [Family::Generator, Family::Entropy] {
        let rules =
            |overlay: &Overlay, family| OverlayIndex::from(overlay).action(family, [7, 0, 0], 0);
        let needs = Needs { strikes: [9].into(), ..Needs::default() };
        let mut oracle = |overlay: &Overlay| match rules(overlay, key) {
            RuleAction::Calm => Answer::Passes,
            _ => RUN.verdict(overlay, &needs),
        };
        let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
        for family in [Family::Generator, Family::Entropy] {
            let is_calm = rules(&shrunk.overlay, family) == RuleAction::Calm;
            assert_eq!(is_calm, family != key, "{family:?}");
        }
    }
}

/// The faults of one machine are needed all together or not at all.
#[test]
fn faults_of_a_machine_are_removed_at_once() {
    let own = [0, 5, 10];
    let mut oracle = |overlay: &Overlay| {
        let there = Needs::of(&RUN.run(overlay)).strikes;
        let of_it = own.iter().filter(|number| there.contains(number)).count();
        let all_others =
            (0..RUN.strikes).all(|number| own.contains(&number) || there.contains(&number));
        match all_others && (of_it == 0 || of_it == own.len()) {
            true => RUN.verdict(overlay, &Needs::default()),
            false => Answer::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 4_000).expect("the original run fails");
    assert_eq!((shrunk.size.machines, shrunk.size.faults), (4, 9), "{shrunk:?}");
}

/// A failing candidate that is larger is not taken.
#[test]
fn larger_candidate_is_not_taken() {
    let mut oracle = |overlay: &Overlay| {
        let faults = if *overlay == Overlay::default() { 5 } else { 9 };
        let size = Size { faults, ..Size::default() };
        Answer::Fails(FailingRun { size, ..FailingRun::default() })
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.overlay), (5, Overlay::default()));
}

/// A time limit ends shrinking between two runs, with the best result so far.
#[test]
fn time_limit_ends_shrinking() {
    struct Impatient {
        needs: Needs,
        left: u64,
    }

    impl Impatient {
        fn run(&mut self, overlay: &Overlay) -> Answer {
            self.left = self.left.checked_sub(1).expect("no run after the time limit");
            RUN.verdict(overlay, &self.needs)
        }
    }

    impl Oracle for Impatient {
        fn first_failing(
            &mut self,
            candidates: Overlays<'_>,
            fits: &dyn Fn(&Size) -> bool,
        ) -> Option<(u64, Size)> {
            let mut position = 0;
            while !self.is_over() {
                match self.run(&candidates.next()?) {
                    Answer::Fails(seen) if fits(&seen.size) => return Some((position, seen.size)),
                    Answer::Fails(_) | Answer::Passes => position += 1,
                }
            }
            None
        }

        fn inspect(&mut self, overlay: &Overlay) -> Answer {
            self.run(overlay)
        }

        fn is_over(&self) -> bool {
            self.left == 0
        }
    }

    let needs = || Needs { steps: [3, 17, 31].into(), ..Needs::default() };
    let all = shrink(&mut Impatient { needs: needs(), left: 5_000 }, 5_000)
        .expect("the original run fails");
    assert_eq!((all.size.steps, all.end), (3, StopReason::Minimal));
    for left in 1..all.runs {
        let shrunk =
            shrink(&mut Impatient { needs: needs(), left }, 5_000).expect("the original run fails");
        assert_eq!(shrunk.end, StopReason::Time, "{left}");
        assert!(shrunk.size <= shrunk.before, "{left}");
    }
}

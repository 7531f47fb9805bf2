//! The shrinker without an engine: runs that are made up, of which it is known what they need to fail.

mod redrawn;

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::engine::draws::address::Address;
use crate::engine::draws::address::strike;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{OverlayIndex, Position, RuleAction};
use crate::engine::draws::{below_of, mix};
use crate::engine::ids::MachineId;
use crate::engine::record::deviations::Kind;
use crate::shrink::*;

/// A run that is made up: so many of each that take place unless they are calm.
#[derive(Clone, Debug)]
struct World {
    strikes: u64,
    steps: u64,
    losses: u64,
    wakes: u64,
    latencies: u64,
    choices: u64,
}

const WORLD: World =
    World { strikes: 12, steps: 40, losses: 30, wakes: 90, latencies: 300, choices: 20 };

/// What a made-up run needs to fail: numbers of what took place, and of choices at least what.
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

impl World {
    /// What is not calm, in a run that this overlay makes.
    fn run(&self, overlay: &Overlay) -> Vec<Deviation> {
        let index = OverlayIndex::from(overlay);
        let mut all = Vec::new();
        let mut put = |family, number: u64, kind, machine: Option<u64>| {
            let (address, at) = ([7, number, 0], 1_000 * number);
            let (value, of) = match index.action(family, address, at) {
                RuleAction::Calm => return,
                RuleAction::Value(word) if kind == Kind::Choice => (below_of(Some(word), OF), OF),
                RuleAction::Seeded if kind == Kind::Choice => (mix(number, 5) % OF, OF),
                // Drawn again, most faults are not there any more.
                RuleAction::Reseeded(salt)
                    if kind != Kind::Step && !mix(number, salt).is_multiple_of(4) =>
                {
                    return;
                }
                RuleAction::Seeded | RuleAction::Value(_) | RuleAction::Reseeded(_) => (1, 1),
            };
            if value == 0 {
                return;
            }
            let machine = machine.map(|machine| MachineId(machine as u32));
            let pins = if kind == Kind::Strike { vec![(strike::WHEN, at)] } else { Vec::new() };
            let deviation = Deviation::new(Address::new(family, address), kind, value, at);
            all.push(Deviation { of, machine, pins, ..deviation });
        };
        (0..self.strikes).for_each(|n| put(Family::Strike, n, Kind::Strike, Some(n % 5)));
        (0..self.steps).for_each(|n| put(Family::Step, n, Kind::Step, None));
        (0..self.losses).for_each(|n| put(Family::Loss, n, Kind::Fault, Some(n % 5)));
        (0..self.wakes).for_each(|n| put(Family::Wake, n, Kind::Order, None));
        (0..self.latencies).for_each(|n| put(Family::Latency, n, Kind::Delay, None));
        (0..self.choices).for_each(|n| put(Family::Choice, n, Kind::Choice, None));
        all.sort_by_key(|deviation| deviation.at);
        all
    }

    fn verdict(&self, overlay: &Overlay, needs: &Needs) -> Verdict {
        let deviations = self.run(overlay);
        let there = Needs::of(&deviations);
        let chosen = needs.choice.is_none_or(|(number, least)| {
            let chose = |deviation: &&Deviation| {
                deviation.kind == Kind::Choice && deviation.address[1] == number
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
        let choice = deviations.iter().find(|deviation| deviation.kind == Kind::Choice);
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

/// Of a run in which this took place.
fn verdict(fails: bool, deviations: Vec<Deviation>) -> Verdict {
    match fails {
        true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
        false => Verdict::Passes,
    }
}

fn size(deviations: &[Deviation]) -> Size {
    let count = |kind| deviations.iter().filter(|other| other.kind == kind).count() as u64;
    let machines: BTreeSet<_> = deviations.iter().filter_map(|other| other.machine).collect();
    let choices = deviations.iter().filter(|other| other.kind == Kind::Choice);
    Size {
        machines: machines.len() as u64,
        faults: count(Kind::Strike) + count(Kind::Fault),
        steps: count(Kind::Step),
        reorderings: count(Kind::Order),
        choices: choices.map(|choice| choice.value).sum(),
        delays: count(Kind::Delay),
        nanos: 0,
    }
}

/// Tries so many candidates ahead of need, as workers do.
struct Ahead<F> {
    try_one: F,
    jobs: usize,
}

impl<F: FnMut(&Overlay) -> Verdict> Oracle for Ahead<F> {
    fn first(
        &mut self,
        candidates: Candidates<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let mut place = 0;
        loop {
            let some: Vec<Overlay> =
                std::iter::from_fn(|| candidates.next()).take(self.jobs).collect();
            if some.is_empty() {
                return None;
            }
            // The last may well be over first.
            let verdicts: Vec<_> = some.iter().rev().map(&mut self.try_one).collect();
            for verdict in verdicts.into_iter().rev() {
                match verdict {
                    Verdict::Fails(seen) if fits(&seen.size) => return Some((place, seen.size)),
                    Verdict::Fails(_) | Verdict::Passes => place += 1,
                }
            }
        }
    }

    fn look(&mut self, overlay: &Overlay) -> Verdict {
        (self.try_one)(overlay)
    }
}

fn some_of(most: u64, size: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(0..most, size)
}

prop_compose! {
    fn needs()(
        strikes in some_of(WORLD.strikes, 0..3),
        steps in some_of(WORLD.steps, 0..5),
        losses in some_of(WORLD.losses, 0..3),
        wakes in some_of(WORLD.wakes, 0..3),
        latencies in some_of(WORLD.latencies, 0..2),
        number in prop::option::of(0..WORLD.choices),
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

    /// What is needed is what is left, whatever it is.
    #[test]
    fn what_is_left_is_what_is_needed(needs in needs()) {
        let mut runs = 0;
        let mut oracle = |overlay: &Overlay| {
            runs += 1;
            WORLD.verdict(overlay, &needs)
        };
        let shrunk = shrink(&mut oracle, 20_000).expect("it fails");
        let left = WORLD.run(&shrunk.overlay);
        prop_assert_eq!(Needs::of(&left), needs);
        prop_assert_eq!((size(&left), shrunk.end), (shrunk.size, End::Minimal));
        prop_assert_eq!(runs, shrunk.runs);
    }

    /// The same overlay, size and number of runs, at any number of jobs and with any budget.
    #[test]
    fn the_number_of_jobs_changes_nothing(needs in needs(), jobs in 2..40usize, budget in 1..1_500u64) {
        let shrunk = |jobs| {
            let mut oracle = Ahead { try_one: |overlay: &Overlay| WORLD.verdict(overlay, &needs), jobs };
            let shrunk = shrink(&mut oracle, budget).expect("it fails");
            (shrunk.overlay, shrunk.size, shrunk.runs, shrunk.end)
        };
        let one = shrunk(1);
        prop_assert!(one.2 <= budget);
        prop_assert_eq!(one, shrunk(jobs));
    }

    /// Whatever the oracle answers, what comes back was seen to fail and is no larger than what was found.
    #[test]
    fn an_oracle_of_chance_is_survived(salt in any::<u64>(), odds in 1..8u64) {
        let mut failed = BTreeSet::new();
        let mut tried = 0;
        let mut oracle = |overlay: &Overlay| {
            tried += 1;
            let verdict = WORLD.verdict(overlay, &Needs::default());
            if tried > 1 && !mix(tried, salt).is_multiple_of(odds) {
                return Verdict::Passes;
            }
            failed.insert(format!("{overlay:?}"));
            verdict
        };
        let shrunk = shrink(&mut oracle, 500).expect("it fails");
        let best = format!("{:?}", shrunk.overlay);
        prop_assert!(failed.contains(&best));
        prop_assert!(shrunk.size <= shrunk.before && shrunk.runs <= 500);
    }
}

#[test]
fn a_run_that_does_not_fail_is_not_shrunk() {
    assert!(shrink(&mut |_: &Overlay| Verdict::Passes, 100).is_none());
}

/// Three steps of forty, and nothing else: few runs are enough.
#[test]
fn runs_are_few() {
    let needs = Needs { steps: [3, 17, 31].into(), ..Needs::default() };
    let shrunk = shrink(&mut |overlay: &Overlay| WORLD.verdict(overlay, &needs), 2_000);
    let shrunk = shrunk.expect("it fails");
    assert_eq!(WORLD.run(&shrunk.overlay).len(), 3);
    assert!(shrunk.runs < 120, "{}", shrunk.runs);
}

/// Where nothing is needed, everything is calm at once.
#[test]
fn everything_is_calm_at_once() {
    let needs = Needs::default();
    let shrunk = shrink(&mut |overlay: &Overlay| WORLD.verdict(overlay, &needs), 2_000);
    let shrunk = shrunk.expect("it fails");
    assert_eq!(shrunk.size, Size::default());
    assert!(shrunk.runs < 10, "{}", shrunk.runs);
}

/// What programs draw for themselves is no deviation, and is calm all the same when it need not be.
#[test]
fn whole_families_are_calm() {
    for key in [Family::Generator, Family::Entropy] {
        let rules =
            |overlay: &Overlay, family| OverlayIndex::from(overlay).action(family, [7, 0, 0], 0);
        let needs = Needs { strikes: [9].into(), ..Needs::default() };
        let mut oracle = |overlay: &Overlay| match rules(overlay, key) {
            RuleAction::Calm => Verdict::Passes,
            _ => WORLD.verdict(overlay, &needs),
        };
        let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
        for family in [Family::Generator, Family::Entropy] {
            let is_calm = rules(&shrunk.overlay, family) == RuleAction::Calm;
            assert_eq!(is_calm, family != key, "{family:?}");
        }
    }
}

/// What happens to one machine is needed all together or not at all: one by one none of it can be left out.
#[test]
fn all_of_a_machine_is_left_out_at_once() {
    let own = [0, 5, 10];
    let mut oracle = |overlay: &Overlay| {
        let there = Needs::of(&WORLD.run(overlay)).strikes;
        let of_it = own.iter().filter(|number| there.contains(number)).count();
        let all_others =
            (0..WORLD.strikes).all(|number| own.contains(&number) || there.contains(&number));
        match all_others && (of_it == 0 || of_it == own.len()) {
            true => WORLD.verdict(overlay, &Needs::default()),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 4_000).expect("it fails");
    assert_eq!((shrunk.size.machines, shrunk.size.faults), (4, 9), "{shrunk:?}");
}

/// What fails and is larger is not taken.
#[test]
fn nothing_larger_is_taken() {
    let mut oracle = |overlay: &Overlay| {
        let faults = if *overlay == Overlay::default() { 5 } else { 9 };
        let size = Size { faults, ..Size::default() };
        Verdict::Fails(Seen { size, deviations: Vec::new() })
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.overlay), (5, Overlay::default()));
}

/// A limit of real time ends it between two runs, with the best so far.
#[test]
fn nothing_is_tried_when_the_time_is_over() {
    struct Impatient {
        needs: Needs,
        left: u64,
    }

    impl Impatient {
        fn run(&mut self, overlay: &Overlay) -> Verdict {
            self.left = self.left.checked_sub(1).expect("the time was not over");
            WORLD.verdict(overlay, &self.needs)
        }
    }

    impl Oracle for Impatient {
        fn first(
            &mut self,
            candidates: Candidates<'_>,
            fits: &dyn Fn(&Size) -> bool,
        ) -> Option<(u64, Size)> {
            let mut place = 0;
            while !self.is_over() {
                match self.run(&candidates.next()?) {
                    Verdict::Fails(seen) if fits(&seen.size) => return Some((place, seen.size)),
                    Verdict::Fails(_) | Verdict::Passes => place += 1,
                }
            }
            None
        }

        fn look(&mut self, overlay: &Overlay) -> Verdict {
            self.run(overlay)
        }

        fn is_over(&self) -> bool {
            self.left == 0
        }
    }

    let needs = || Needs { steps: [3, 17, 31].into(), ..Needs::default() };
    let all = shrink(&mut Impatient { needs: needs(), left: 5_000 }, 5_000).expect("it fails");
    assert_eq!((all.size.steps, all.end), (3, End::Minimal));
    for left in 1..all.runs {
        let shrunk = shrink(&mut Impatient { needs: needs(), left }, 5_000).expect("it fails");
        assert_eq!(shrunk.end, End::Time, "{left}");
        assert!(shrunk.size <= shrunk.before, "{left}");
    }
}

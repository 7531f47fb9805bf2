//! The shrinker without an engine: runs that are made up, of which it is known what they need to fail.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::engine::deviations::{Kind, STEP, WALK, WHEN};
use crate::engine::draws::{below_of, mix};
use crate::engine::family::Family;
use crate::engine::ids::MachineId;
use crate::engine::overlay::{Index, Place, Ruling};

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
        let index = Index::from(overlay);
        let mut all = Vec::new();
        let mut put = |family, number: u64, kind, machine: Option<u64>| {
            let (address, at) = ([7, number, 0], 1_000 * number);
            let (value, of) = match index.ruling(family, address, at) {
                Ruling::Calm => return,
                Ruling::Value(word) if kind == Kind::Choice => (below_of(Some(word), OF), OF),
                Ruling::Seeded if kind == Kind::Choice => (mix(number, 5) % OF, OF),
                // Drawn again, most faults are not there any more.
                Ruling::Again(salt)
                    if kind != Kind::Step && !mix(number, salt).is_multiple_of(4) =>
                {
                    return;
                }
                Ruling::Seeded | Ruling::Value(_) | Ruling::Again(_) => (1, 1),
            };
            if value == 0 {
                return;
            }
            let machine = machine.map(|machine| MachineId(machine as u32));
            let pins = if kind == Kind::Strike { vec![(WHEN, at)] } else { Vec::new() };
            let deviation = Deviation::new(family, address, kind, value, at);
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
        if fails {
            Verdict::Fails(Seen { size: size(&deviations), deviations })
        } else {
            Verdict::Passes
        }
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
        let rules = |overlay: &Overlay, family| Index::from(overlay).ruling(family, [7, 0, 0], 0);
        let needs = Needs { strikes: [9].into(), ..Needs::default() };
        let mut oracle = |overlay: &Overlay| match rules(overlay, key) {
            Ruling::Calm => Verdict::Passes,
            _ => WORLD.verdict(overlay, &needs),
        };
        let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
        for family in [Family::Generator, Family::Entropy] {
            let is_calm = rules(&shrunk.overlay, family) == Ruling::Calm;
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

/// A failure that comes by another way when something is gone is found by drawing that again.
#[test]
fn what_no_longer_fails_is_drawn_again() {
    // It takes the strike at some time in the first half of its step.
    let mut oracle = |overlay: &Overlay| {
        let deviations = WORLD.run(overlay);
        let index = Index::from(overlay);
        let strike =
            deviations.iter().find(|other| other.kind == Kind::Strike && other.address[1] == 9);
        let latency = deviations.iter().any(|other| other.kind == Kind::Delay);
        let when = strike.map(|strike| {
            match index.ruling(Family::Strike, [7, strike.address[1], WHEN], 0) {
                Ruling::Value(when) => when,
                _ => strike.at,
            }
        });
        // Without latencies the place of the failure is another.
        let fails = when.is_some_and(|when| if latency { when >= 9_000 } else { when < 6_000 });
        match fails {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 4_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// A strike that came late only since another held it up is still there without the other.
#[test]
fn what_held_a_strike_up_can_be_left_out() {
    // Strike 1 matters if it is late: strike 0 holds it up, but not beside strike 2. All three fail too.
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let ruling = |number, field| index.ruling(Family::Strike, [7, number, field], 0);
        let is_there = |number| ruling(number, 0) != Ruling::Calm;
        let first = if is_there(0) && !is_there(2) { 6_000 } else { 1_000 };
        let second = match ruling(1, WHEN) {
            Ruling::Value(when) => first.max(when),
            Ruling::Seeded | Ruling::Calm | Ruling::Again(_) => first,
        };
        let at = [500, second, 9_000];
        let deviation = |number: u64| {
            let at = at[number as usize];
            let strike = Deviation::new(Family::Strike, [7, number, 0], Kind::Strike, 1, at);
            let machine = Some(MachineId(number as u32));
            Deviation { machine, pins: vec![(WHEN, at)], ..strike }
        };
        let deviations: Vec<_> = (0..3).filter(|number| is_there(*number)).map(deviation).collect();
        match (is_there(1) && second == 6_000) || deviations.len() == 3 {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
}

/// What fell into a step must fall earlier where fewer steps are left.
#[test]
fn a_strike_falls_earlier_in_a_shorter_run() {
    // Two steps of a thousand, the strike a while into the first of them or later: any one step would do.
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let ruling = |family, address| index.ruling(family, address, 0);
        let steps: Vec<u64> =
            (0..8).filter(|step| ruling(Family::Step, [7, *step, 0]) != Ruling::Calm).collect();
        let pin = |field| match ruling(Family::Strike, [9, 0, field]) {
            Ruling::Value(value) => Some(value),
            _ => None,
        };
        let when = match ruling(Family::Strike, [9, 0, 0]) {
            Ruling::Calm => None,
            _ => Some(pin(WHEN).unwrap_or(7_900)),
        };
        let begun = pin(STEP).map_or(Some(0), |own| {
            steps.iter().position(|step| step + 1 >= own).map(|at| 1_000 * at as u64)
        });
        let at = when.zip(begun).map(|(when, begun)| when + begun);
        let end = 1_000 * steps.len() as u64;
        let mut deviations: Vec<_> = (0..)
            .zip(&steps)
            .map(|(at, step)| {
                Deviation::new(Family::Step, [7, *step, 0], Kind::Step, 1, 1_000 * at)
            })
            .collect();
        deviations.extend(at.filter(|at| *at < end).map(|at| {
            let nth = (at / 1_000) as usize;
            let pins = vec![(WHEN, at % 1_000), (WALK, 7), (STEP, steps[nth] + 1)];
            Deviation { pins, ..Deviation::new(Family::Strike, [9, 0, 0], Kind::Strike, 1, at) }
        }));
        // It is seen by nobody in the last tenth of a step, but for that of the last of all.
        let fails = at.is_some_and(|at| {
            !steps.is_empty() && at < end && (at % 1_000 < 30 || (steps.len() > 1 && at < 7_990))
        });
        match fails {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 1), "{shrunk:?}");
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

/// A part of a strike that need not be is calm.
#[test]
fn parts_of_strikes_are_calm() {
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let is_there = |field| index.ruling(Family::Strike, [7, 0, field], 0) != Ruling::Calm;
        let part = |field, kind| Deviation::new(Family::Strike, [7, 0, field], kind, 1, 100);
        let mut deviations = vec![part(1 << 16, Kind::Strike)];
        deviations
            .extend([2, 3].iter().filter(|at| is_there(**at)).map(|at| part(*at, Kind::Field)));
        let delays = deviations.len() as u64 - 1;
        match is_there(1 << 16) && is_there(3) {
            true => Verdict::Fails(Seen { size: Size { delays, ..size(&deviations) }, deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 1), "{shrunk:?}");
}

/// What fell into a step that is left out falls into the one before it, or else the first behind; at last into none.
#[test]
fn a_strike_goes_to_a_step_that_is_left() {
    let step = |number| Deviation::new(Family::Step, [7, number, 0], Kind::Step, 1, number);
    let steps = items::of_family(&[step(2), step(4), step(6)], Family::Step, Ruling::Seeded);
    let strike = Deviation {
        pins: vec![(WHEN, 5), (WALK, 7), (STEP, 4 + 1)],
        ..Deviation::new(Family::Strike, [9, 0, 1 << 16], Kind::Strike, 1, 9)
    };
    let strikes = items::of_family(&[strike], Family::Strike, Ruling::Seeded);
    let plan = plan::Plan::with(&[]);
    let plan = plan.set(Family::Step, plan::Mode::Only(steps.clone()));
    let plan = plan.set(Family::Strike, plan::Mode::Only(strikes));
    for (left, bound) in [
        (&steps[..], Some((7, 4))),
        (&[steps[0].clone(), steps[2].clone()], Some((7, 2))),
        (&steps[2..], Some((7, 6))),
        (&[], None),
    ] {
        let strikes = plan.with_steps(left).items(&[Family::Strike]);
        assert_eq!((strikes[0].step(), strikes[0].pin(WHEN)), (bound, Some(5)));
    }
}

/// Two faults that are both needed give way to one strike that no seed had.
#[test]
fn two_faults_are_replaced_by_one_strike() {
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let mut deviations = WORLD.run(overlay);
        let there = Needs::of(&deviations);
        let ruling = |field| index.ruling(Family::Strike, [7, WORLD.strikes, field], 0);
        let when = match (ruling(0), ruling(WHEN)) {
            (Ruling::Again(_), Ruling::Value(when)) => Some(when),
            _ => None,
        };
        deviations.extend(when.map(|when| {
            let strike =
                Deviation::new(Family::Strike, [7, WORLD.strikes, 0], Kind::Strike, 1, when);
            Deviation { pins: vec![(WHEN, when)], ..strike }
        }));
        let both = there.strikes.contains(&2) && there.losses.contains(&5);
        match both || when.is_some_and(|when| when < 2_500) {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.machines, shrunk.size.faults), (0, 1), "{shrunk:?}");
}

/// What was found needs a strike, a step and a loss; one other packet that is lost would do alone.
#[test]
fn one_packet_alone_is_tried() {
    let place = |lane, nth| Place { walk: 0, step: 0, lane, nth };
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let lost = |lane, nth| {
            let place = Some(place(lane, nth));
            index.ruling_at(Family::Loss, [lane, nth, 9], 0, place) == Ruling::Value(0)
        };
        let mut deviations = WORLD.run(overlay);
        for deviation in &mut deviations {
            deviation.place = Some(place(deviation.address[1] % 3, 100));
        }
        let there = Needs::of(&deviations);
        let losses = (0..3).flat_map(|lane| (0..20).map(move |nth| (lane, nth)));
        deviations.extend(losses.filter(|(lane, nth)| lost(*lane, *nth)).map(|(lane, nth)| {
            let loss = Deviation::new(Family::Loss, [lane, nth, 9], Kind::Fault, 1, 0);
            Deviation { place: Some(place(lane, nth)), ..loss }
        }));
        let as_found =
            there.strikes.contains(&2) && there.steps.contains(&4) && there.losses.contains(&5);
        match as_found || lost(2, 7) {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// What a part of a strike was needed for may be gone with a step: then both go together.
#[test]
fn parts_of_strikes_are_calm_where_something_else_is_left_out() {
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let is_calm = |field| index.ruling(Family::Strike, [7, 9, field], 0) == Ruling::Calm;
        let mut deviations = WORLD.run(overlay);
        let there = Needs::of(&deviations);
        if there.strikes.contains(&9) && !is_calm(3) {
            deviations.push(Deviation::new(Family::Strike, [7, 9, 3], Kind::Field, 1, 9_000));
        }
        match there.strikes.contains(&9) && there.steps.contains(&4) != is_calm(3) {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// Which packet it must be may depend on what else there is.
#[test]
fn another_packet_is_lost_where_something_else_is_left_out() {
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let place = |nth| Place { walk: 7, step: 1, lane: 1, nth };
        let is_lost = |nth| {
            let ruling = index.ruling_at(Family::Loss, [3, nth, 0], 500, Some(place(nth)));
            matches!((ruling, nth), (Ruling::Value(_), _) | (Ruling::Seeded, 1))
        };
        let is_slow = index.ruling(Family::Latency, [5, 0, 0], 400) != Ruling::Calm;
        let losses = (0..4).filter(|nth| is_lost(*nth)).map(|nth| {
            let loss = Deviation::new(Family::Loss, [3, nth, 0], Kind::Fault, 1, 500);
            Deviation { place: Some(place(nth)), ..loss }
        });
        let slow = Deviation::new(Family::Latency, [5, 0, 0], Kind::Delay, 1, 400);
        let deviations: Vec<_> = losses.chain(is_slow.then_some(slow)).collect();
        match is_lost(u64::from(is_slow)) {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// What no longer takes place, since a strike comes earlier at last, is not in the overlay either.
#[test]
fn what_no_longer_takes_place_is_not_kept() {
    let mut oracle = |overlay: &Overlay| {
        let index = Index::from(overlay);
        let strikes = index.ruling(Family::Strike, [7, 0, 0], 0) != Ruling::Calm;
        let when = match index.ruling(Family::Strike, [7, 0, WHEN], 0) {
            Ruling::Value(when) => when,
            _ => 1_000,
        };
        // By halves it does not become so early, but for the last attempt.
        let is_early = when < 3;
        let loses = index.ruling(Family::Loss, [7, 5, 0], 0) != Ruling::Calm && !is_early;
        let strike = Deviation {
            pins: vec![(WHEN, when)],
            ..Deviation::new(Family::Strike, [7, 0, 0], Kind::Strike, 1, when)
        };
        let loss = Deviation::new(Family::Loss, [7, 5, 0], Kind::Fault, 1, 2_000);
        let there = [strikes.then_some(strike), loses.then_some(loss)];
        let deviations: Vec<_> = there.into_iter().flatten().collect();
        match strikes && (is_early || loses) {
            true => Verdict::Fails(Seen { size: size(&deviations), deviations }),
            false => Verdict::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
    let families: Vec<_> = shrunk.overlay.rules().iter().filter_map(|rule| rule.family).collect();
    assert!(families.iter().all(|family| *family == Family::Strike), "{shrunk:?}");
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

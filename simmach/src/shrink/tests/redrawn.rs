//! What is not only left out but drawn again, put elsewhere or replaced.

use crate::engine::draws::address::Address;
use crate::engine::draws::address::strike;
use crate::shrink::tests::*;

/// A failure that comes by another way when something is gone is found by drawing that again.
#[test]
fn what_no_longer_fails_is_drawn_again() {
    // It takes the strike at some time in the first half of its step.
    let mut oracle = |overlay: &Overlay| {
        let deviations = WORLD.run(overlay);
        let index = OverlayIndex::from(overlay);
        let strike =
            deviations.iter().find(|other| other.kind == Kind::Strike && other.address[1] == 9);
        let latency = deviations.iter().any(|other| other.kind == Kind::Delay);
        let when = strike.map(|strike| {
            match index.action(Family::Strike, [7, strike.address[1], strike::WHEN], 0) {
                RuleAction::Value(when) => when,
                _ => strike.at,
            }
        });
        // Without latencies the place of the failure is another.
        let fails = when.is_some_and(|when| if latency { when >= 9_000 } else { when < 6_000 });
        verdict(fails, deviations)
    };
    let shrunk = shrink(&mut oracle, 4_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// A strike that came late only since another held it up is still there without the other.
#[test]
fn what_held_a_strike_up_can_be_left_out() {
    // Strike 1 matters if it is late: strike 0 holds it up, but not beside strike 2. All three fail too.
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let action = |number, field| index.action(Family::Strike, [7, number, field], 0);
        let is_there = |number| action(number, 0) != RuleAction::Calm;
        let first = if is_there(0) && !is_there(2) { 6_000 } else { 1_000 };
        let second = match action(1, strike::WHEN) {
            RuleAction::Value(when) => first.max(when),
            RuleAction::Seeded | RuleAction::Calm | RuleAction::Reseeded(_) => first,
        };
        let at = [500, second, 9_000];
        let deviation = |number: u64| {
            let at = at[number as usize];
            let strike =
                Deviation::new(Address::new(Family::Strike, [7, number, 0]), Kind::Strike, 1, at);
            let machine = Some(MachineId(number as u32));
            Deviation { machine, pins: vec![(strike::WHEN, at)], ..strike }
        };
        let deviations: Vec<_> = (0..3).filter(|number| is_there(*number)).map(deviation).collect();
        verdict((is_there(1) && second == 6_000) || deviations.len() == 3, deviations)
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
}

/// What fell into a step must fall earlier where fewer steps are left.
#[test]
fn a_strike_falls_earlier_in_a_shorter_run() {
    // Two steps of a thousand, the strike a while into the first of them or later: any one step would do.
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let action = |family, address| index.action(family, address, 0);
        let steps: Vec<u64> =
            (0..8).filter(|step| action(Family::Step, [7, *step, 0]) != RuleAction::Calm).collect();
        let pin = |field| match action(Family::Strike, [9, 0, field]) {
            RuleAction::Value(value) => Some(value),
            _ => None,
        };
        let when = match action(Family::Strike, [9, 0, 0]) {
            RuleAction::Calm => None,
            _ => Some(pin(strike::WHEN).unwrap_or(7_900)),
        };
        let begun = pin(strike::STEP).map_or(Some(0), |own| {
            steps.iter().position(|step| step + 1 >= own).map(|at| 1_000 * at as u64)
        });
        let at = when.zip(begun).map(|(when, begun)| when + begun);
        let end = 1_000 * steps.len() as u64;
        let mut deviations: Vec<_> = (0..)
            .zip(&steps)
            .map(|(at, step)| {
                Deviation::new(Address::new(Family::Step, [7, *step, 0]), Kind::Step, 1, 1_000 * at)
            })
            .collect();
        deviations.extend(at.filter(|at| *at < end).map(|at| {
            let nth = (at / 1_000) as usize;
            let pins = vec![
                (strike::WHEN, at % 1_000),
                (strike::SEQUENCE, 7),
                (strike::STEP, steps[nth] + 1),
            ];
            Deviation {
                pins,
                ..Deviation::new(Address::new(Family::Strike, [9, 0, 0]), Kind::Strike, 1, at)
            }
        }));
        // It is seen by nobody in the last tenth of a step, but for that of the last of all.
        let fails = at.is_some_and(|at| {
            !steps.is_empty() && at < end && (at % 1_000 < 30 || (steps.len() > 1 && at < 7_990))
        });
        verdict(fails, deviations)
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 1), "{shrunk:?}");
}

/// A part of a strike that need not be is calm.
#[test]
fn parts_of_strikes_are_calm() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let is_there = |field| index.action(Family::Strike, [7, 0, field], 0) != RuleAction::Calm;
        let part =
            |field, kind| Deviation::new(Address::new(Family::Strike, [7, 0, field]), kind, 1, 100);
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
    let step =
        |number| Deviation::new(Address::new(Family::Step, [7, number, 0]), Kind::Step, 1, number);
    let steps = items::of_family(&[step(2), step(4), step(6)], Family::Step, RuleAction::Seeded);
    let strike = Deviation {
        pins: vec![(strike::WHEN, 5), (strike::SEQUENCE, 7), (strike::STEP, 4 + 1)],
        ..Deviation::new(Address::new(Family::Strike, [9, 0, 1 << 16]), Kind::Strike, 1, 9)
    };
    let strikes = items::of_family(&[strike], Family::Strike, RuleAction::Seeded);
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
        assert_eq!((strikes[0].step(), strikes[0].pin(strike::WHEN)), (bound, Some(5)));
    }
}

/// Two faults that are both needed give way to one strike that no seed had.
#[test]
fn two_faults_are_replaced_by_one_strike() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let mut deviations = WORLD.run(overlay);
        let there = Needs::of(&deviations);
        let action = |field| index.action(Family::Strike, [7, WORLD.strikes, field], 0);
        let when = match (action(0), action(strike::WHEN)) {
            (RuleAction::Reseeded(_), RuleAction::Value(when)) => Some(when),
            _ => None,
        };
        deviations.extend(when.map(|when| {
            let strike = Deviation::new(
                Address::new(Family::Strike, [7, WORLD.strikes, 0]),
                Kind::Strike,
                1,
                when,
            );
            Deviation { pins: vec![(strike::WHEN, when)], ..strike }
        }));
        let both = there.strikes.contains(&2) && there.losses.contains(&5);
        verdict(both || when.is_some_and(|when| when < 2_500), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.machines, shrunk.size.faults), (0, 1), "{shrunk:?}");
}

/// What was found needs a strike, a step and a loss; one other packet that is lost would do alone.
#[test]
fn one_packet_alone_is_tried() {
    let position = |lane, nth| Position { sequence: 0, step: 0, lane, nth };
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let lost = |lane, nth| {
            let position = Some(position(lane, nth));
            index.action_at(Family::Loss, [lane, nth, 9], 0, position) == RuleAction::Value(0)
        };
        let mut deviations = WORLD.run(overlay);
        for deviation in &mut deviations {
            deviation.position = Some(position(deviation.address[1] % 3, 100));
        }
        let there = Needs::of(&deviations);
        let losses = (0..3).flat_map(|lane| (0..20).map(move |nth| (lane, nth)));
        deviations.extend(losses.filter(|(lane, nth)| lost(*lane, *nth)).map(|(lane, nth)| {
            let loss =
                Deviation::new(Address::new(Family::Loss, [lane, nth, 9]), Kind::Fault, 1, 0);
            Deviation { position: Some(position(lane, nth)), ..loss }
        }));
        let as_found =
            there.strikes.contains(&2) && there.steps.contains(&4) && there.losses.contains(&5);
        verdict(as_found || lost(2, 7), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// What a part of a strike was needed for may be gone with a step: then both go together.
#[test]
fn parts_of_strikes_are_calm_where_something_else_is_left_out() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let is_calm = |field| index.action(Family::Strike, [7, 9, field], 0) == RuleAction::Calm;
        let mut deviations = WORLD.run(overlay);
        let there = Needs::of(&deviations);
        if there.strikes.contains(&9) && !is_calm(3) {
            deviations.push(Deviation::new(
                Address::new(Family::Strike, [7, 9, 3]),
                Kind::Field,
                1,
                9_000,
            ));
        }
        verdict(there.strikes.contains(&9) && there.steps.contains(&4) != is_calm(3), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// Which packet it must be may depend on what else there is.
#[test]
fn another_packet_is_lost_where_something_else_is_left_out() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let position = |nth| Position { sequence: 7, step: 1, lane: 1, nth };
        let is_lost = |nth| {
            let action = index.action_at(Family::Loss, [3, nth, 0], 500, Some(position(nth)));
            matches!((action, nth), (RuleAction::Value(_), _) | (RuleAction::Seeded, 1))
        };
        let is_slow = index.action(Family::Latency, [5, 0, 0], 400) != RuleAction::Calm;
        let losses = (0..4).filter(|nth| is_lost(*nth)).map(|nth| {
            let loss = Deviation::new(Address::new(Family::Loss, [3, nth, 0]), Kind::Fault, 1, 500);
            Deviation { position: Some(position(nth)), ..loss }
        });
        let slow = Deviation::new(Address::new(Family::Latency, [5, 0, 0]), Kind::Delay, 1, 400);
        let deviations: Vec<_> = losses.chain(is_slow.then_some(slow)).collect();
        verdict(is_lost(u64::from(is_slow)), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// What no longer takes place, since a strike comes earlier at last, is not in the overlay either.
#[test]
fn what_no_longer_takes_place_is_not_kept() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let strikes = index.action(Family::Strike, [7, 0, 0], 0) != RuleAction::Calm;
        let when = match index.action(Family::Strike, [7, 0, strike::WHEN], 0) {
            RuleAction::Value(when) => when,
            _ => 1_000,
        };
        // By halves it does not become so early, but for the last attempt.
        let is_early = when < 3;
        let loses = index.action(Family::Loss, [7, 5, 0], 0) != RuleAction::Calm && !is_early;
        let strike = Deviation {
            pins: vec![(strike::WHEN, when)],
            ..Deviation::new(Address::new(Family::Strike, [7, 0, 0]), Kind::Strike, 1, when)
        };
        let loss = Deviation::new(Address::new(Family::Loss, [7, 5, 0]), Kind::Fault, 1, 2_000);
        let there = [strikes.then_some(strike), loses.then_some(loss)];
        let deviations: Vec<_> = there.into_iter().flatten().collect();
        verdict(strikes && (is_early || loses), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("it fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
    let families: Vec<_> = shrunk.overlay.rules().iter().filter_map(|rule| rule.family).collect();
    assert!(families.iter().all(|family| *family == Family::Strike), "{shrunk:?}");
}

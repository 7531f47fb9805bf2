//! Tests of items that are drawn again, moved or replaced, because they cannot simply be removed.

use crate::engine::draws::address::Address;
use crate::engine::draws::address::strike;
use crate::shrink::tests::*;

/// The shrinker finds a removal that fails only with different draws.
#[test]
fn removal_is_retried_with_other_draws() {
    // A run fails only with strike 9. Without latencies, the strike must be at a different time.
    let mut oracle = |overlay: &Overlay| {
        let deviations = RUN.run(overlay);
        let index = OverlayIndex::from(overlay);
        let strike = deviations
            .iter()
            .find(|other| other.kind == DeviationKind::Strike && other.address[1] == 9);
        let latency = deviations.iter().any(|other| other.kind == DeviationKind::Delay);
        let when = strike.map(|strike| {
            match index.action(Family::Strike, [7, strike.address[1], strike::WHEN], 0) {
                RuleAction::Value(when) => when,
                _ => strike.at,
            }
        });
        // Without latencies, the failure happens at a different time.
        let fails = when.is_some_and(|when| if latency { when >= 9_000 } else { when < 6_000 });
        verdict(fails, deviations)
    };
    let shrunk = shrink(&mut oracle, 4_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// A strike that was late only because of another strike stays late when the other strike is
/// removed.
#[test]
fn cause_of_a_late_strike_can_be_removed() {
    // A run fails if strike 1 is late. Strike 0 delays strike 1, unless there is strike 2. All
    // three together fail too.
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
            let strike = Deviation::new(
                Address::new(Family::Strike, [7, number, 0]),
                DeviationKind::Strike,
                1,
                at,
            );
            let machine = Some(MachineId(number as u32));
            Deviation { machine, pins: vec![(strike::WHEN, at)], ..strike }
        };
        let deviations: Vec<_> = (0..3).filter(|number| is_there(*number)).map(deviation).collect();
        verdict((is_there(1) && second == 6_000) || deviations.len() == 3, deviations)
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("the original run fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
}

/// A strike must move earlier where fewer steps remain.
#[test]
fn strike_moves_earlier_in_a_shorter_run() {
    // Steps take 1,000 each. The strike comes a while into the first or later; any one step is enough.
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
                Deviation::new(
                    Address::new(Family::Step, [7, *step, 0]),
                    DeviationKind::Step,
                    1,
                    1_000 * at,
                )
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
                ..Deviation::new(
                    Address::new(Family::Strike, [9, 0, 0]),
                    DeviationKind::Strike,
                    1,
                    at,
                )
            }
        }));
        // With one step, the strike must come in its first 30.
        let fails = at.is_some_and(|at| {
            !steps.is_empty() && at < end && (at % 1_000 < 30 || (steps.len() > 1 && at < 7_990))
        });
        verdict(fails, deviations)
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 1), "{shrunk:?}");
}

/// Fields of a strike that are not needed become calm.
#[test]
fn strike_fields_become_calm() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let is_there = |field| index.action(Family::Strike, [7, 0, field], 0) != RuleAction::Calm;
        let part =
            |field, kind| Deviation::new(Address::new(Family::Strike, [7, 0, field]), kind, 1, 100);
        let mut deviations = vec![part(1 << 16, DeviationKind::Strike)];
        deviations.extend(
            [2, 3].iter().filter(|at| is_there(**at)).map(|at| part(*at, DeviationKind::Field)),
        );
        let delays = deviations.len() as u64 - 1;
        match is_there(1 << 16) && is_there(3) {
            true => {
                let size = Size { delays, ..size(&deviations) };
                Answer::Fails(FailingRun { size, deviations, ..FailingRun::default() })
            }
            false => Answer::Passes,
        }
    };
    let shrunk = shrink(&mut oracle, 1_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 1), "{shrunk:?}");
}

/// It is bound to the remaining step before, or else after, or to none.
#[test]
fn strike_of_a_removed_step_is_bound_to_another() {
    let step = |number| {
        Deviation::new(Address::new(Family::Step, [7, number, 0]), DeviationKind::Step, 1, number)
    };
    let steps = items::of_family(&[step(2), step(4), step(6)], Family::Step, RuleAction::Seeded);
    let strike = Deviation {
        pins: vec![(strike::WHEN, 5), (strike::SEQUENCE, 7), (strike::STEP, 4 + 1)],
        ..Deviation::new(Address::new(Family::Strike, [9, 0, 1 << 16]), DeviationKind::Strike, 1, 9)
    };
    let strikes = items::of_family(&[strike], Family::Strike, RuleAction::Seeded);
    let candidate = candidate::Candidate::with_families(&[]);
    let candidate = candidate.set(Family::Step, candidate::FamilyMode::Only(steps.clone()));
    let candidate = candidate.set(Family::Strike, candidate::FamilyMode::Only(strikes));
    for (left, bound) in [
        (&steps[..], Some((7, 4))),
        (&[steps[0].clone(), steps[2].clone()], Some((7, 2))),
        (&steps[2..], Some((7, 6))),
        (&[], None),
    ] {
        let strikes = candidate.with_steps(left).items(&[Family::Strike]);
        assert_eq!((strikes[0].step(), strikes[0].pin(strike::WHEN)), (bound, Some(5)));
    }
}

/// Two needed faults are replaced by a new strike.
#[test]
fn two_faults_are_replaced_by_one_strike() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let mut deviations = RUN.run(overlay);
        let there = Needs::of(&deviations);
        let action = |field| index.action(Family::Strike, [7, RUN.strikes, field], 0);
        let when = match (action(0), action(strike::WHEN)) {
            (RuleAction::Reseeded(_), RuleAction::Value(when)) => Some(when),
            _ => None,
        };
        deviations.extend(when.map(|when| {
            let strike = Deviation::new(
                Address::new(Family::Strike, [7, RUN.strikes, 0]),
                DeviationKind::Strike,
                1,
                when,
            );
            Deviation { pins: vec![(strike::WHEN, when)], ..strike }
        }));
        let both = there.strikes.contains(&2) && there.losses.contains(&5);
        verdict(both || when.is_some_and(|when| when < 2_500), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
    assert_eq!((shrunk.size.machines, shrunk.size.faults), (0, 1), "{shrunk:?}");
}

/// The original failure needs a strike, a step and a loss; the loss of one other packet alone is enough too.
#[test]
fn loss_of_a_single_packet_is_tried() {
    let position = |lane, nth| Position { sequence: 0, step: 0, lane, nth };
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let lost = |lane, nth| {
            let position = Some(position(lane, nth));
            index.action_at(Family::Loss, [lane, nth, 9], 0, position) == RuleAction::Value(0)
        };
        let mut deviations = RUN.run(overlay);
        for deviation in &mut deviations {
            deviation.position = Some(position(deviation.address[1] % 3, 100));
        }
        let there = Needs::of(&deviations);
        let losses = (0..3).flat_map(|lane| (0..20).map(move |nth| (lane, nth)));
        deviations.extend(losses.filter(|(lane, nth)| lost(*lane, *nth)).map(|(lane, nth)| {
            let loss = Deviation::new(
                Address::new(Family::Loss, [lane, nth, 9]),
                DeviationKind::PacketFault,
                1,
                0,
            );
            Deviation { position: Some(position(lane, nth)), ..loss }
        }));
        let as_found =
            there.strikes.contains(&2) && there.steps.contains(&4) && there.losses.contains(&5);
        verdict(as_found || lost(2, 7), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// A strike's field may only be needed because of a step: both are removed together.
#[test]
fn strike_fields_become_calm_with_another_removal() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let is_calm = |field| index.action(Family::Strike, [7, 9, field], 0) == RuleAction::Calm;
        let mut deviations = RUN.run(overlay);
        let there = Needs::of(&deviations);
        if there.strikes.contains(&9) && !is_calm(3) {
            deviations.push(Deviation::new(
                Address::new(Family::Strike, [7, 9, 3]),
                DeviationKind::Field,
                1,
                9_000,
            ));
        }
        verdict(there.strikes.contains(&9) && there.steps.contains(&4) != is_calm(3), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.steps), (1, 0), "{shrunk:?}");
}

/// Which packet must be lost may depend on other deviations.
#[test]
fn loss_moves_to_another_packet_with_another_removal() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let position = |nth| Position { sequence: 7, step: 1, lane: 1, nth };
        let is_lost = |nth| {
            let action = index.action_at(Family::Loss, [3, nth, 0], 500, Some(position(nth)));
            matches!((action, nth), (RuleAction::Value(_), _) | (RuleAction::Seeded, 1))
        };
        let is_slow = index.action(Family::Latency, [5, 0, 0], 400) != RuleAction::Calm;
        let losses = (0..4).filter(|nth| is_lost(*nth)).map(|nth| {
            let loss = Deviation::new(
                Address::new(Family::Loss, [3, nth, 0]),
                DeviationKind::PacketFault,
                1,
                500,
            );
            Deviation { position: Some(position(nth)), ..loss }
        });
        let slow =
            Deviation::new(Address::new(Family::Latency, [5, 0, 0]), DeviationKind::Delay, 1, 400);
        let deviations: Vec<_> = losses.chain(is_slow.then_some(slow)).collect();
        verdict(is_lost(u64::from(is_slow)), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
    assert_eq!((shrunk.size.faults, shrunk.size.delays), (1, 0), "{shrunk:?}");
}

/// Items that no longer happen after the last pass moved a strike are dropped from the overlay.
#[test]
fn items_that_no_longer_happen_are_dropped() {
    let mut oracle = |overlay: &Overlay| {
        let index = OverlayIndex::from(overlay);
        let strikes = index.action(Family::Strike, [7, 0, 0], 0) != RuleAction::Calm;
        let when = match index.action(Family::Strike, [7, 0, strike::WHEN], 0) {
            RuleAction::Value(when) => when,
            _ => 1_000,
        };
        // Only the last pass moves the strike this early.
        let is_early = when < 3;
        let loses = index.action(Family::Loss, [7, 5, 0], 0) != RuleAction::Calm && !is_early;
        let strike = Deviation {
            pins: vec![(strike::WHEN, when)],
            ..Deviation::new(
                Address::new(Family::Strike, [7, 0, 0]),
                DeviationKind::Strike,
                1,
                when,
            )
        };
        let loss = Deviation::new(
            Address::new(Family::Loss, [7, 5, 0]),
            DeviationKind::PacketFault,
            1,
            2_000,
        );
        let there = [strikes.then_some(strike), loses.then_some(loss)];
        let deviations: Vec<_> = there.into_iter().flatten().collect();
        verdict(strikes && (is_early || loses), deviations)
    };
    let shrunk = shrink(&mut oracle, 2_000).expect("the original run fails");
    assert_eq!(shrunk.size.faults, 1, "{shrunk:?}");
    let families: Vec<_> = shrunk.overlay.rules().iter().filter_map(|rule| rule.family).collect();
    assert!(families.iter().all(|family| *family == Family::Strike), "{shrunk:?}");
}

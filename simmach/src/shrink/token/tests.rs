//! Tests of tokens: encoding, decoding, and errors for damaged or stale tokens.

use proptest::prelude::*;

use crate::engine::acts::{
    Act, Anchor, AnchorEvent, PacketVerdict, Processes, Repair, Script, TimedAct, When,
};
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Position, Rule, RuleAction};
use crate::engine::ids::MachineId;
use crate::shrink::token::*;

fn words() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, any::<u64>(), any::<u64>().prop_map(|word| word >> 20), Just(1 << 63)]
}

fn ranges() -> impl Strategy<Value = Option<(u64, u64)>> {
    let range = |(a, b): (u64, u64)| (a.min(b), a.max(b));
    prop::option::of(prop_oneof![words().prop_map(|a| (a, a)), (words(), words()).prop_map(range)])
}

prop_compose! {
    fn rules()(
        family in prop::option::of(prop::sample::select(Family::ALL)),
        address in [ranges(), ranges(), ranges()],
        time in ranges(),
        position in prop::option::of([words(), words(), words(), words()]),
        action in prop_oneof![
            Just(RuleAction::Seeded),
            Just(RuleAction::Calm),
            words().prop_map(RuleAction::Value),
            words().prop_map(RuleAction::Reseeded),
        ],
    ) -> Rule {
        let position = position.map(|[sequence, step, lane, nth]| Position { sequence, step, lane, nth });
        Rule { family, address, time, position, action }
    }
}

fn machines() -> impl Strategy<Value = Vec<MachineId>> {
    prop::collection::vec((0..9u32).prop_map(MachineId), 0..4)
}

fn acts() -> impl Strategy<Value = Act> {
    let machine = || (0..9u32).prop_map(MachineId);
    let verdict = |(packet, delay)| PacketVerdict { packet, nth: 2, delay };
    let verdicts = || {
        let one = ([words(), words(), words()], prop::option::of(words())).prop_map(verdict);
        prop::collection::vec(one, 0..3)
    };
    let who = (machine(), prop::collection::vec(0..3u32, 0..3), any::<bool>());
    prop_oneof![
        (who, words()).prop_map(|((machine, services, clients), grace)| Act::Stop {
            who: Processes { machine, services, clients },
            grace,
            end_place: 3,
        }),
        machine().prop_map(|machine| Act::PowerOff { machine }),
        (machines(), machines(), any::<bool>()).prop_map(|(from, to, both_ways)| Act::Partition {
            from,
            to,
            both_ways
        }),
        (machine(), any::<i64>(), any::<i32>()).prop_map(|(machine, offset, drift)| Act::Clock {
            machine,
            offset: offset.into(),
            drift,
        }),
        (words(), machines(), machines(), verdicts())
            .prop_map(|(number, from, to, verdicts)| Act::Filter { number, from, to, verdicts }),
        Just(Act::Settle),
    ]
}

prop_compose! {
    fn timed_acts()(
        (id, offset, place) in (any::<u32>(), words(), 0..300u32),
        owner in prop::option::of(words()),
        step in prop::option::of((words(), words())),
        anchor in prop::option::of((0..9u32, 0..99u32).prop_map(|(machine, nth)| Anchor {
            event: AnchorEvent::Commit { machine: MachineId(machine) },
            nth,
        })),
        act in acts(),
        repairs in prop::collection::vec((words(), acts()), 0..3),
    ) -> TimedAct {
        let when = When { step, anchor, offset, place };
        let repair = |(after, act)| Repair { owner, after, place, act };
        TimedAct { id, owner, when, act, repairs: repairs.into_iter().map(repair).collect() }
    }
}

prop_compose! {
    fn step_sequence()(
        (id, steps, choices) in (any::<u16>(), words(), prop::collection::vec(words(), 0..5)),
    ) -> StepSequence {
        StepSequence { id, steps, choices }
    }
}

prop_compose! {
    fn tokens()(
        (test, shape, failure, hash) in any::<(u32, u32, u32, u32)>(),
        (seed, events) in (words(), words()),
        checkpoints in prop::collection::vec(any::<u8>(), 0..9),
        rules in prop::collection::vec(rules(), 0..12),
        sequences in prop::collection::vec(step_sequence(), 0..4),
        script in prop::option::of(prop::collection::vec(timed_acts(), 0..5)),
    ) -> Token {
        let trace = TraceSummary { events, hash, checkpoints };
        let overlay = rules.into_iter().collect::<Overlay>();
        let overlay = overlay.with_script(script.map(|acts| Script { acts }));
        Token { test, shape, sequences, seed, overlay, failure, trace }
    }
}

fn small() -> Token {
    let mut overlay = Overlay::calm();
    overlay.push(Rule::one(
        Family::Loss,
        [0xdead_beef_dead_beef, 3, 0],
        RuleAction::Value(1 << 63),
    ));
    Token {
        test: 1,
        shape: 2,
        sequences: vec![StepSequence {
            id: 3,
            steps: 30,
            choices: vec![7, StepSequence::FLAG, StepSequence::VARIES],
        }],
        seed: 417,
        overlay,
        failure: 3,
        trace: TraceSummary { events: 1_000, hash: 4, checkpoints: vec![5; 7] },
    }
}

proptest! {
    #[test]
    fn token_round_trips_as_text(token in tokens()) {
        let text = token.to_string();
        prop_assert_eq!(text.parse(), Ok(token.clone()));
        // As it may be typed from a screenshot.
        prop_assert_eq!(text.to_uppercase().replace('0', "O").replace('1', "l").replacen("SM2", "sm2", 1).parse(), Ok(token.clone()));
        prop_assert_eq!(format!("  {text}\n").parse(), Ok(token));
    }
}

/// A change of this text makes every recorded token stale.
#[test]
fn token_text_is_stable() {
    assert_eq!(small().to_string(), GOLDEN);
}
const GOLDEN: &str = "sm2.040000020000008300f061r102gg60ffqtpxxvxynqf040805cag21g00400600003m0e1000000e1850m2ga185kbqh1pg";

#[test]
fn invalid_texts_have_different_errors() {
    let parse = |text: &str| text.parse::<Token>().expect_err(text);
    assert_eq!(parse(""), TokenError::Prefix);
    assert_eq!(parse("417"), TokenError::Prefix);
    assert_eq!(parse("é.é"), TokenError::Prefix);
    assert_eq!(parse("sm1.0000"), TokenError::Version('1'));
    assert_eq!(parse("sm2."), TokenError::Damaged);
    assert_eq!(parse("sm2.00u0"), TokenError::Character('u'));
    assert_eq!(parse("sm2.00é0"), TokenError::Character('é'));
    let text = small().to_string();
    assert_eq!(parse(&text[..text.len() - 1]), TokenError::Damaged);
    assert_eq!(parse(&format!("{text}0")), TokenError::Damaged);
}

/// None is parsed as a different token, and none panics. A mutation that encodes the same token (`l` for `1`, another case)
/// is valid.
#[test]
fn mutated_texts_are_rejected() {
    let mut state = 7u64;
    let mut draw = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state >> 11) * below as u128) >> 53) as usize
    };
    const LETTERS: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyzABCXYZiloul.-_ \n";
    let whole: Vec<(Token, Vec<u8>)> = std::iter::successors(Some(small()), |token| {
        let mut next = token.clone();
        next.seed = next.seed.wrapping_mul(31);
        next.overlay.push(Rule::all(Some(Family::Wake), RuleAction::Reseeded(next.seed)));
        Some(next)
    })
    .take(8)
    .map(|token| (token.clone(), token.to_string().into_bytes()))
    .collect();
    let mut refused = 0u32;
    for round in 0..1_000_000 {
        let (token, mut text) = whole[draw(whole.len())].clone();
        if round % 4 == 0 {
            text.truncate(PREFIX.len());
            text.extend((0..draw(120)).map(|_| LETTERS[draw(32)]));
        } else {
            for _ in 0..=draw(3) {
                let at = PREFIX.len() + draw(text.len() - PREFIX.len());
                match draw(4) {
                    0 => text[at] = LETTERS[draw(LETTERS.len())],
                    1 => drop(text.remove(at)),
                    2 => text.insert(at, LETTERS[draw(LETTERS.len())]),
                    _ => {
                        let other = PREFIX.len() + draw(text.len() - PREFIX.len());
                        text.swap(at, other);
                    }
                }
            }
        }
        let text = String::from_utf8(text).expect("the text is ASCII");
        match text.parse::<Token>() {
            Ok(read) => assert_eq!(read, token, "{text}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 900_000, "{refused}");
}

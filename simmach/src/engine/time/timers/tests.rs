//! Compares the timers with a model, and tests the order in which they fire.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::engine::time::timers::*;

fn nothing(_: u64, _: u64) {}

fn word(action: Action) -> u64 {
    match action {
        Action::Call(_, word, _) => word,
        Action::Wake(_, local) => local.nanos,
    }
}

/// The action of a timer in these tests: a call, or a wake at a time of one of two clocks.
fn action(name: u64) -> Action {
    match machine_of(name) {
        Some(machine) => {
            let waiter = Waiter::Other(Waker::noop().clone());
            Action::Wake(waiter, LocalTime { machine, nanos: name })
        }
        None => Action::Call(nothing, name, 0),
    }
}

fn machine_of(name: u64) -> Option<MachineId> {
    Some(MachineId(name as u32 % 3)).filter(|machine| machine.0 < 2)
}

#[derive(Clone, Debug)]
enum Op {
    Arm(u64),
    Again(usize, u64),
    Cancel(usize),
    Pop(u64),
    /// Sets a machine's clock, which moves its timers.
    Retime(u32, u64),
}

/// Waits of every kind: none, packets, a few common ones, timeouts.
fn wait() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => Just(0),
        2 => 0..MIN_LANE_WAIT,
        4 => (1..4u64).prop_map(|n| n * MIN_LANE_WAIT),
        2 => (1..150u64).prop_map(|n| n * MIN_LANE_WAIT),
        1 => FAR..FAR + 50,
    ]
}

/// Cancelling and arming again choose a timer by how many were armed after it.
fn op(cancels: u32, pops: u32) -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => wait().prop_map(Op::Arm),
        5 => ((0..40usize), wait()).prop_map(|(back, wait)| Op::Again(back, wait)),
        cancels => (0..40usize).prop_map(Op::Cancel),
        pops => wait().prop_map(Op::Pop),
        1 => (0..2u32, any::<u64>()).prop_map(|(machine, word)| Op::Retime(machine, word)),
    ]
}

/// With few cancellations, which are removed at the head, and with enough that cancelled timers are swept.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![
        prop::collection::vec(op(5, 8), 0..300),
        prop::collection::vec(op(18, 1), 400..1_000),
    ]
}

proptest! {
    /// The queue fires the same actions in the same order as a sorted map.
    #[test]
    fn timers_match_a_sorted_map(ops in ops()) {
        let mut timers = Timers::default();
        let mut model = BTreeMap::new();
        let mut keys: Vec<(TimerKey, (u64, u64))> = Vec::new();
        let mut now = 0;
        for op in ops {
            match op {
                Op::Arm(wait) | Op::Again(_, wait) => {
                    let name = keys.len() as u64;
                    let action = action(name);
                    let old = match op {
                        Op::Again(back, _) => keys.iter().rev().nth(back).map(|(key, _)| *key),
                        _ => None,
                    };
                    let at = now + wait;
                    let key = match old {
                        Some(old) => timers.arm_again(old, now, at, action),
                        None => timers.arm(now, at, action),
                    };
                    keys.push((key, (at, name)));
                    model.insert((at, name), ());
                }
                Op::Cancel(back) => if let Some((key, entry)) = keys.iter().rev().nth(back) {
                    let was = model.remove(entry).is_some();
                    prop_assert_eq!(timers.cancel(*key).is_some(), was);
                },
                Op::Pop(wait) => {
                    let until = now + wait;
                    let expected = model.keys().next().copied().filter(|(at, _)| *at <= until);
                    if let Some(first) = expected {
                        model.remove(&first);
                        now = first.0.max(now);
                    }
                    let at = timers.next_at();
                    let due = timers.pop_due_before(until, u64::MAX);
                    let got = due.map(|action| (at.expect("one was due"), word(action)));
                    prop_assert_eq!(got, expected);
                }
                Op::Retime(machine, word) => {
                    let machine = MachineId(machine);
                    // Sometimes equal, sometimes near, sometimes far.
                    let at = |name: u64| now + (name.wrapping_mul(word) >> 61) * (word % (FAR / 3));
                    timers.retime(machine, now, at);
                    for (name, (_, entry)) in keys.iter_mut().enumerate() {
                        let waits = machine_of(name as u64) == Some(machine);
                        if waits && model.remove(entry).is_some() {
                            entry.0 = at(name as u64);
                            model.insert(*entry, ());
                        }
                    }
                }
            }
            prop_assert_eq!(timers.len(), model.len());
            prop_assert_eq!(timers.next_at(), model.keys().next().map(|(at, _)| *at));
        }
        let left: Vec<u64> = timers.drain().into_iter().map(word).collect();
        prop_assert_eq!(left.len(), model.len());
    }
}

#[test]
fn slot_is_one_cache_line() {
    assert_eq!(size_of::<Entry>(), 64);
}

/// Timeouts that are armed and cancelled repeatedly do not accumulate.
#[test]
fn cancelled_timers_are_swept() {
    let mut timers = Timers::default();
    let waits: Vec<_> = (0..100).map(|n| timers.arm(0, n, Action::Call(nothing, n, 0))).collect();
    for at in 0..100_000 {
        let key = timers.arm(0, 1_000_000 + at * 7 % 1_000, Action::Call(nothing, 0, 0));
        assert!(timers.cancel(key).is_some());
    }
    assert_eq!(timers.len(), waits.len());
    assert!(timers.slots.len() <= 2 * waits.len() + MAX_CANCELLED, "{}", timers.slots.len());
    assert!(timers.near.len() + timers.far.len() <= timers.slots.len());
    let left = (0..100).map(|_| timers.pop_due_before(100, u64::MAX).map(word));
    assert!(left.eq((0..100).map(Some)), "pending timers fire in order");
}

/// A timer may be due between two of a chain.
#[test]
fn timer_between_two_of_a_chain_fires_between() {
    let mut timers = Timers::new();
    for (now, at) in [(0, 20), (10, 30), (15, 25)] {
        timers.arm(now * MIN_LANE_WAIT, at * MIN_LANE_WAIT, Action::Call(nothing, at, 0));
    }
    let due = std::iter::from_fn(|| timers.pop_due_before(30 * MIN_LANE_WAIT, u64::MAX));
    assert_eq!(due.map(word).collect::<Vec<_>>(), [20, 25, 30]);
}

/// Timers with the same wait share one node, and a timeout that is armed again and again keeps its node.
#[test]
fn chain_and_rearmed_timer_have_one_node_each() {
    let mut timers = Timers::default();
    let mut time_out = TimerKey::NONE;
    for now in 0..1_000 {
        timers.arm(now, now + 40 * MIN_LANE_WAIT, Action::Call(nothing, now, 0));
        time_out = timers.arm_again(time_out, now, now + 2 * FAR, Action::Call(nothing, now, 1));
        assert!(timers.cancel(time_out).is_some());
    }
    let nodes = timers.near.len() + timers.far.len() + usize::from(timers.front.is_some());
    assert_eq!((nodes, timers.slots.len(), timers.len()), (2, 1_001, 1_000));
    let order = std::iter::from_fn(|| timers.pop_due_before(u64::MAX, u64::MAX)).map(word);
    assert!(order.eq(0..1_000));
}

/// A sweep happens while the rearmed head of a chain is due later than those linked behind it.
#[test]
fn sweep_unlinks_a_rearmed_timer() {
    let mut timers = Timers::default();
    let call = |word| Action::Call(nothing, word, 0);
    timers.arm(0, 0, call(0));
    let first = timers.arm(0, 10 * MIN_LANE_WAIT, call(9));
    timers.arm(1, 10 * MIN_LANE_WAIT + 1, call(1));
    timers.arm(2, 10 * MIN_LANE_WAIT + 2, call(2));
    timers.cancel(first);
    timers.arm_again(first, 3, 20 * MIN_LANE_WAIT, call(3));
    let others: Vec<_> =
        (0..=MAX_CANCELLED as u64).map(|n| timers.arm(3, 50 + n, call(9))).collect();
    others.into_iter().for_each(|key| drop(timers.cancel(key)));
    assert_eq!((timers.cancelled, timers.len()), (0, 4), "they were swept");
    let order = std::iter::from_fn(|| timers.pop_due_before(u64::MAX, u64::MAX)).map(word);
    assert!(order.eq(0..4));
}

/// A timer that became the head of its chain has a node that can be reused.
#[test]
fn chain_head_can_be_rearmed() {
    let mut timers = Timers::default();
    let call = |word| Action::Call(nothing, word, 0);
    let at = 10 * MIN_LANE_WAIT;
    timers.arm(0, at, call(0));
    let second = timers.arm(1, at + 1, call(9));
    assert_eq!(timers.pop_due_before(at, u64::MAX).map(word), Some(0));
    timers.arm(at, at, call(1));
    timers.cancel(second);
    let again = timers.arm_again(second, at, 3 * at, call(2));
    assert_eq!(again.slot, second.slot);
    let order = std::iter::from_fn(|| timers.pop_due_before(u64::MAX, u64::MAX)).map(word);
    assert!(order.eq([1, 2]));
}

/// A slot is reused at once; the old key must not cancel the new timer.
#[test]
fn stale_key_finds_nothing() {
    let mut timers = Timers::default();
    let old = timers.arm(0, 1, Action::Call(nothing, 1, 0));
    timers.cancel(old);
    timers.arm(0, 2, Action::Call(nothing, 2, 0));
    assert!(timers.cancel(old).is_none());
    assert_eq!(timers.len(), 1);
    timers.arm_again(old, 0, 3, Action::Call(nothing, 3, 0));
    let order = std::iter::from_fn(|| timers.pop_due_before(9, u64::MAX)).map(word);
    assert!(order.eq([2, 3]));
}

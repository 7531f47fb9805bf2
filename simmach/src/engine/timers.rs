//! What happens later: a queue of actions ordered by (time, sequence), from which any can be taken out again.
//!
//! A heap of small keys; the actions lie in a slab. First in, first out among equals. What is armed for one moment in a
//! row, as when many sleep for the same time, is a chain of which only the first is in the heap. What was armed to be
//! next, as a packet mostly is in front of all that may time out, lies in front of the heap and never enters it. A timer
//! that is cancelled gives its action back at once; its place goes when it comes to the front, or when too many are like
//! it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::task::Waker;

use super::tasks::TaskKey;
use super::waker::Waiter;

/// What a timer does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Wakes a task.
    Wake(Waiter),
    /// Calls a layer below the user's code, with two words of its own: no allocation, no import upwards.
    Call(fn(u64, u64), u64, u64),
}

/// Names a timer; harmless once that timer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    sequence: u64,
}

/// The first of all is never one that was cancelled.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Before all in the heap, if there is one.
    front: Option<Node>,
    heap: BinaryHeap<Reverse<Node>>,
    slots: Vec<Entry>,
    free: Vec<u32>,
    sequence: u64,
    /// The timer that was armed last, and for when: one for the same moment joins its chain.
    last: Option<(u64, u32)>,
    live: usize,
    /// How many were cancelled and have their place still.
    dead: usize,
}

/// The first of a chain of timers for one moment, armed in a row.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    sequence: u64,
    slot: u32,
}

#[derive(Debug)]
struct Entry {
    /// Of the timer that has this place: no other timer has or had the same.
    sequence: u64,
    /// The next of the chain, or [`NONE`].
    behind: u32,
    /// `None` once it was cancelled.
    action: Option<Action>,
}

const NONE: u32 = u32::MAX;
/// So many places of cancelled timers are borne, or as many as there are timers.
const DEAD: usize = 64;

impl Timers {
    pub(crate) fn arm(&mut self, at: u64, action: Action) -> TimerKey {
        let sequence = self.sequence;
        self.sequence += 1;
        self.live += 1;
        let entry = Entry { sequence, behind: NONE, action: Some(action) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        match self.last {
            Some((same, before)) if same == at => self.slots[before as usize].behind = slot,
            Some(_) | None => {
                let node = Node { at, sequence, slot };
                let is_next = self.first().is_none_or(|first| node < first);
                let pushed = if is_next { self.front.replace(node) } else { Some(node) };
                if let Some(node) = pushed {
                    self.heap.push(Reverse(node));
                }
            }
        }
        self.last = Some((at, slot));
        TimerKey { slot, sequence }
    }

    /// Takes a timer out; `None` if it fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.sequence != key.sequence {
            return None;
        }
        let action = entry.action.take()?;
        self.live -= 1;
        self.dead += 1;
        self.pass_dead();
        if self.dead > DEAD && self.dead > self.live {
            self.sweep();
        }
        Some(action)
    }

    /// Whether a timer wakes `waker`, which is that of `task` if that is given; `None` if the timer is gone.
    pub(crate) fn wakes(
        &self,
        key: TimerKey,
        task: Option<TaskKey>,
        waker: &Waker,
    ) -> Option<bool> {
        let entry = self.slots.get(key.slot as usize)?;
        match entry.action.as_ref().filter(|_| entry.sequence == key.sequence)? {
            Action::Wake(own) => Some(own.is(task, waker)),
            Action::Call(..) => Some(false),
        }
    }

    /// Makes a timer that is not gone wake another: what it did comes back, to be dropped outside; or what it should
    /// do, if it is gone.
    pub(crate) fn rewake(&mut self, key: TimerKey, waiter: Waiter) -> Option<Action> {
        match self.slots.get_mut(key.slot as usize) {
            Some(entry) if entry.sequence == key.sequence && entry.action.is_some() => {
                entry.action.replace(Action::Wake(waiter))
            }
            Some(_) | None => Some(Action::Wake(waiter)),
        }
    }

    /// When the next timer fires.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.first().map(|node| node.at)
    }

    /// How many sequence numbers were given out: a timer armed from here on has a higher one.
    pub(crate) fn armed(&self) -> u64 {
        self.sequence
    }

    /// The next action, if it is due at `now` or before and was armed before `before` was read from [`Timers::armed`].
    pub(crate) fn pop_due_before(&mut self, now: u64, before: u64) -> Option<Action> {
        let first = self.first()?;
        if first.at > now || first.sequence >= before {
            return None;
        }
        let action = self.slots[first.slot as usize].action.take();
        self.live -= 1;
        self.pass(first);
        self.pass_dead();
        action
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Everything, for the end of a run: returned so that wakers are dropped outside.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        let Self { slots, sequence, .. } = std::mem::take(self);
        self.sequence = sequence;
        slots.into_iter().filter_map(|entry| entry.action).collect()
    }

    fn first(&self) -> Option<Node> {
        self.front.or_else(|| self.heap.peek().map(|Reverse(node)| *node))
    }

    /// Goes past those that were cancelled and are first.
    fn pass_dead(&mut self) {
        while self.dead > 0
            && let Some(first) = self.first()
            && self.slots[first.slot as usize].action.is_none()
        {
            self.dead -= 1;
            self.pass(first);
        }
    }

    /// The first is over: the next of its chain has its place, which is as good: no other lies between the two.
    fn pass(&mut self, first: Node) {
        let behind = self.slots[first.slot as usize].behind;
        self.release(first.slot);
        let next = self.slots.get(behind as usize).map(|entry| Node {
            at: first.at,
            sequence: entry.sequence,
            slot: behind,
        });
        if self.front.is_some() {
            self.front = next;
        } else if let Some(next) = next {
            if let Some(mut place) = self.heap.peek_mut() {
                *place = Reverse(next);
            }
        } else {
            self.heap.pop();
        }
    }

    /// A slot is free: no timer joins its chain any more.
    fn release(&mut self, slot: u32) {
        self.free.push(slot);
        if self.last.is_some_and(|(_, last)| last == slot) {
            self.last = None;
        }
    }

    /// Forgets all that were cancelled.
    fn sweep(&mut self) {
        let chains: Vec<Node> =
            self.front.take().into_iter().chain(self.heap.drain().map(|Reverse(n)| n)).collect();
        for Node { at, mut slot, .. } in chains {
            let mut end = None;
            while let Some(entry) = self.slots.get_mut(slot as usize) {
                let behind = std::mem::replace(&mut entry.behind, NONE);
                let sequence = entry.sequence;
                if entry.action.is_none() {
                    self.release(slot);
                } else {
                    match end.replace(slot) {
                        Some(before) => self.slots[before as usize].behind = slot,
                        None => self.heap.push(Reverse(Node { at, sequence, slot })),
                    }
                }
                slot = behind;
            }
        }
        self.dead = 0;
    }
}

impl Node {
    /// Both as one number: compared without a branch.
    fn order(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.sequence)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Node {}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn nothing(_: u64, _: u64) {}

    fn word(action: Action) -> u64 {
        match action {
            Action::Call(_, word, _) => word,
            Action::Wake(_) => unreachable!("these tests arm calls only"),
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arm(u64),
        Cancel(usize),
        Pop(u64),
    }

    /// Of those that were armed, a cancel takes the one that is so many back.
    fn op(cancels: u32, pops: u32) -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..50u64).prop_map(Op::Arm),
            6 => (0..2u64).prop_map(Op::Arm),
            cancels => (0..40usize).prop_map(Op::Cancel),
            pops => (0..60u64).prop_map(Op::Pop),
        ]
    }

    /// With cancelled ones that are passed when they come to the front, and with so many that they are swept.
    fn ops() -> impl Strategy<Value = Vec<Op>> {
        prop_oneof![
            prop::collection::vec(op(2, 4), 0..200),
            prop::collection::vec(op(14, 1), 400..1_000),
        ]
    }

    proptest! {
        /// The heap against the plainest model there is, a sorted map: the same order, whatever was cancelled.
        #[test]
        fn behaves_as_a_sorted_map(ops in ops()) {
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            let mut keys = Vec::new();
            for op in ops {
                match op {
                    Op::Arm(at) => {
                        let name = keys.len() as u64;
                        keys.push((timers.arm(at, Action::Call(nothing, name, 0)), (at, name)));
                        model.insert((at, name), ());
                    }
                    Op::Cancel(back) => if let Some((key, place)) = keys.iter().rev().nth(back) {
                        let was = model.remove(place).is_some();
                        prop_assert_eq!(timers.cancel(*key).is_some(), was);
                    },
                    Op::Pop(now) => {
                        let expected = model.keys().next().copied().filter(|(at, _)| *at <= now);
                        if let Some(first) = expected { model.remove(&first); }
                        let at = timers.next_at();
                        let due = timers.pop_due_before(now, u64::MAX);
                        let got = due.map(|action| (at.expect("one was due"), word(action)));
                        prop_assert_eq!(got, expected);
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.next_at(), model.keys().next().map(|(at, _)| *at));
            }
        }
    }

    /// Time-outs that are armed and cancelled again and again leave no heap of nodes behind.
    #[test]
    fn what_was_cancelled_is_forgotten() {
        let mut timers = Timers::default();
        let waits: Vec<_> = (0..100).map(|n| timers.arm(n, Action::Call(nothing, n, 0))).collect();
        for at in 0..100_000 {
            let key = timers.arm(1_000_000 + at * 7 % 1_000, Action::Call(nothing, 0, 0));
            assert!(timers.cancel(key).is_some());
        }
        assert_eq!(timers.len(), waits.len());
        assert!(timers.slots.len() <= 2 * waits.len() + DEAD, "{}", timers.slots.len());
        assert!(timers.heap.len() <= timers.slots.len(), "{}", timers.heap.len());
        let left = (0..100).map(|_| timers.pop_due_before(100, u64::MAX).map(word));
        assert!(left.eq((0..100).map(Some)), "what was not cancelled fires, each at its time");
    }

    /// A slot is used again at once; the old key must not cancel its new tenant.
    #[test]
    fn a_stale_key_is_harmless() {
        let mut timers = Timers::default();
        let old = timers.arm(1, Action::Call(nothing, 1, 0));
        timers.cancel(old);
        timers.arm(2, Action::Call(nothing, 2, 0));
        assert!(timers.cancel(old).is_none());
        assert_eq!(timers.len(), 1);
    }
}

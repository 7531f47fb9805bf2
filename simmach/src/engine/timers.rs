//! What happens later: a queue of actions ordered by (time, sequence), from which any can be taken out again.
//!
//! A 4-ary heap of small keys; the actions lie in a slab that knows each one's place in the heap, so that a cancelled
//! timer leaves nothing behind. First in, first out among equals.

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
    generation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: Vec<Node>,
    slots: Vec<Entry>,
    free: Vec<u32>,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    sequence: u64,
    slot: u32,
}

impl Node {
    fn before(&self, other: &Self) -> bool {
        self.order() < other.order()
    }

    /// Both as one number: compared without a branch.
    fn order(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.sequence)
    }
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    place: u32,
    action: Option<Action>,
}

const ARITY: usize = 4;

impl Timers {
    pub(crate) fn arm(&mut self, at: u64, action: Action) -> TimerKey {
        let sequence = self.sequence;
        self.sequence += 1;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Entry { generation: 0, place: 0, action: None });
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize].action = Some(action);
        self.heap.push(Node { at, sequence, slot });
        self.sift_up(self.heap.len() - 1);
        TimerKey { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes a timer out; `None` if it fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let entry = self.slots.get(key.slot as usize)?;
        if entry.generation != key.generation || entry.action.is_none() {
            return None;
        }
        Some(self.remove(entry.place as usize))
    }

    /// Whether a timer wakes `waker`, which is that of `task` if that is given; `None` if the timer is gone.
    pub(crate) fn wakes(
        &self,
        key: TimerKey,
        task: Option<TaskKey>,
        waker: &Waker,
    ) -> Option<bool> {
        let entry = self.slots.get(key.slot as usize)?;
        match entry.action.as_ref().filter(|_| entry.generation == key.generation)? {
            Action::Wake(own) => Some(own.is(task, waker)),
            Action::Call(..) => Some(false),
        }
    }

    /// Makes a timer that is not gone wake another: what it did comes back, to be dropped outside; or what it should
    /// do, if it is gone.
    pub(crate) fn rewake(&mut self, key: TimerKey, waiter: Waiter) -> Option<Action> {
        match self.slots.get_mut(key.slot as usize) {
            Some(entry) if entry.generation == key.generation && entry.action.is_some() => {
                entry.action.replace(Action::Wake(waiter))
            }
            Some(_) | None => Some(Action::Wake(waiter)),
        }
    }

    /// When the next timer fires.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.first().map(|node| node.at)
    }

    /// How many sequence numbers were given out: a timer armed from here on has a higher one.
    pub(crate) fn armed(&self) -> u64 {
        self.sequence
    }

    /// The next action, if it is due at `now` or before and was armed before `before` was read from [`Timers::armed`].
    pub(crate) fn pop_due_before(&mut self, now: u64, before: u64) -> Option<Action> {
        let first = self.heap.first()?;
        if first.at > now || first.sequence >= before {
            return None;
        }
        Some(self.remove(0))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Everything, for the end of a run: returned so that wakers are dropped outside.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        self.heap.clear();
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|entry| entry.action).collect()
    }

    fn remove(&mut self, place: usize) -> Action {
        let node = self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.sift_down(place);
            // Only in the middle can what took its place belong further up; there it has not moved.
            if place > 0 {
                self.sift_up(place);
            }
        }
        let entry = &mut self.slots[node.slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        let action = entry.action.take().expect("a timer in the heap has its action");
        self.free.push(node.slot);
        action
    }

    fn sift_up(&mut self, mut place: usize) {
        let node = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if !node.before(&self.heap[parent]) {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, node);
    }

    fn sift_down(&mut self, mut place: usize) {
        let node = self.heap[place];
        loop {
            let first = place * ARITY + 1;
            let behind = self.heap.get(first..).unwrap_or_default();
            let children = behind.iter().take(ARITY).enumerate();
            let Some((nth, least)) = children.min_by_key(|(_, child)| child.order()) else {
                break;
            };
            if !least.before(&node) {
                break;
            }
            self.put(place, *least);
            place = first + nth;
        }
        self.put(place, node);
    }

    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        self.slots[node.slot as usize].place = place as u32;
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

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..50u64).prop_map(Op::Arm),
            1 => (0..40usize).prop_map(Op::Cancel),
            2 => (0..60u64).prop_map(Op::Pop),
        ]
    }

    proptest! {
        /// The heap against the plainest model there is, a sorted map: the same order, whatever was cancelled.
        #[test]
        fn behaves_as_a_sorted_map(ops in prop::collection::vec(op(), 0..200)) {
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
                    Op::Cancel(nth) => if let Some((key, place)) = keys.get(nth) {
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

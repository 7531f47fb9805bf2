//! What happens later: a queue of actions ordered by (time, sequence), from which any can be taken out again.
//!
//! A 4-ary heap of small keys; the actions lie in a slab that knows each one's place in the heap, so that a cancelled
//! timer leaves nothing behind. First in, first out among equals. What is armed for one moment in a row, as when many
//! sleep for the same time, is a chain of which only the first is in the heap. What was armed to be next, as a packet
//! mostly is in front of all that may time out, lies in front of the heap and never enters it.

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
    /// Before all in the heap, if there is one.
    front: Option<Node>,
    heap: Vec<Node>,
    slots: Vec<Entry>,
    free: Vec<u32>,
    sequence: u64,
    /// The timer that was armed last, and for when: one for the same moment joins its chain.
    last: Option<(u64, u32)>,
}

/// The first of a chain of timers for one moment.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    sequence: u64,
    slot: u32,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    /// Its place in the heap, or [`FRONT`] of it; [`NONE`] behind the first of a chain.
    place: u32,
    /// Its neighbours in the chain.
    before: u32,
    behind: u32,
    sequence: u64,
    action: Option<Action>,
}

const ARITY: usize = 4;
const NONE: u32 = u32::MAX;
const FRONT: u32 = u32::MAX - 1;

impl Node {
    fn before(&self, other: &Self) -> bool {
        self.order() < other.order()
    }

    /// Both as one number: compared without a branch.
    fn order(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.sequence)
    }
}

impl Timers {
    pub(crate) fn arm(&mut self, at: u64, action: Action) -> TimerKey {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut entry = Entry {
            generation: 0,
            place: NONE,
            before: NONE,
            behind: NONE,
            sequence,
            action: Some(action),
        };
        let chain = self.last.filter(|(same, _)| *same == at).map(|(_, slot)| slot);
        entry.before = chain.unwrap_or(NONE);
        let slot = match self.free.pop() {
            Some(slot) => {
                let old = &mut self.slots[slot as usize];
                entry.generation = old.generation;
                *old = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        match chain {
            Some(before) => self.slots[before as usize].behind = slot,
            None => {
                let node = Node { at, sequence, slot };
                let is_next = self.first().is_none_or(|first| node.before(&first));
                let pushed = if is_next { self.lead_all(node) } else { Some(node) };
                if let Some(node) = pushed {
                    self.heap.push(node);
                    self.sift_up(self.heap.len() - 1, node);
                }
            }
        }
        self.last = Some((at, slot));
        TimerKey { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes a timer out; `None` if it fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let entry = self.slots.get(key.slot as usize)?;
        if entry.generation != key.generation || entry.action.is_none() {
            return None;
        }
        Some(self.remove(key.slot))
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
        Some(self.remove(first.slot))
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Everything, for the end of a run: returned so that wakers are dropped outside.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        self.front = None;
        self.heap.clear();
        self.free.clear();
        self.last = None;
        std::mem::take(&mut self.slots).into_iter().filter_map(|entry| entry.action).collect()
    }

    fn first(&self) -> Option<Node> {
        self.front.or_else(|| self.heap.first().copied())
    }

    /// From here on this one is in front; the one that was must go into the heap.
    fn lead_all(&mut self, node: Node) -> Option<Node> {
        self.slots[node.slot as usize].place = FRONT;
        self.front.replace(node)
    }

    fn remove(&mut self, slot: u32) -> Action {
        let entry = &mut self.slots[slot as usize];
        let Entry { place, before, behind, .. } = *entry;
        entry.generation = entry.generation.wrapping_add(1);
        let action = entry.action.take().expect("a timer that is armed has its action");
        self.free.push(slot);
        match (before, behind) {
            (NONE, NONE) if place == FRONT => self.front = None,
            (NONE, NONE) => self.remove_node(place as usize),
            (NONE, next) => self.lead(place, next),
            (before, behind) => {
                self.slots[before as usize].behind = behind;
                if let Some(next) = self.slots.get_mut(behind as usize) {
                    next.before = before;
                }
            }
        }
        if let Some((at, last)) = self.last
            && last == slot
        {
            self.last = (before != NONE).then_some((at, before));
        }
        action
    }

    /// The next of a chain leads it. Its sequence is higher, but not than that of any other chain for the same moment: such
    /// a one began when this one had all its timers.
    fn lead(&mut self, place: u32, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.before = NONE;
        entry.place = place;
        let node = if place == FRONT {
            self.front.as_mut().expect("a chain's first that is in front is there")
        } else {
            &mut self.heap[place as usize]
        };
        node.slot = slot;
        node.sequence = entry.sequence;
    }

    /// The hole goes down to where nothing is below it, and what was last goes up from there: it mostly stays.
    fn remove_node(&mut self, place: usize) {
        let last = self.heap.pop().expect("it has a node");
        if place == self.heap.len() {
            return;
        }
        let mut hole = place;
        loop {
            let first = hole * ARITY + 1;
            let below = self.heap.get(first..).unwrap_or_default();
            let least = match below {
                [a, b, c, d, ..] => {
                    let (left, right) = (usize::from(b.before(a)), 2 + usize::from(d.before(c)));
                    if below[right].before(&below[left]) { right } else { left }
                }
                [] => break,
                few => {
                    let least = few.iter().enumerate().min_by_key(|(_, node)| node.order());
                    least.map_or(0, |(nth, _)| nth)
                }
            };
            self.put(hole, below[least]);
            hole = first + least;
        }
        self.sift_up(hole, last);
    }

    /// Puts a node there, or further up.
    fn sift_up(&mut self, mut place: usize, node: Node) {
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
            3 => (0..2u64).prop_map(Op::Arm),
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

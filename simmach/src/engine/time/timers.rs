//! What happens later: a queue of actions ordered by (time, sequence), from which any can be taken out again.
//!
//! Heaps of small keys; the actions lie in a slab. First in, first out among equals. Timers that wait equally long are due
//! in the order in which they were armed: they are a chain, of which only the first is in a heap, as long as nothing of
//! another wait came in between in the chain's [lane](Lane). What was armed to be next, as a packet mostly is in front of
//! all that may time out, lies in front of the heaps and never enters one. What is far off, as time-outs are, which are
//! mostly cancelled, has a heap of its own: it is no burden to what comes and goes. A timer that is cancelled gives its
//! action back at once; its place goes when it comes to the front, or when too many are like it, and until then it serves
//! the same owner again.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::task::Waker;

use crate::engine::draws::K;
use crate::engine::executor::tasks::TaskKey;
use crate::engine::executor::waker::Waiter;
use crate::engine::ids::MachineId;

/// What a timer does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Wakes a task, when a machine's clock shows what it waits for.
    Wake(Waiter, Local),
    /// Calls a layer below the user's code, with two words of its own: no allocation, no import upwards.
    Call(fn(u64, u64), u64, u64),
}

/// A point in time by one machine's monotonic clock. When it comes depends on how that clock is set until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) machine: MachineId,
    /// What the clock shows then, in nanoseconds.
    pub(crate) shows: u64,
}

/// Names a timer; harmless once that timer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    sequence: u64,
}

impl TimerKey {
    /// Names none.
    pub(crate) const NONE: Self = Self { slot: NONE, sequence: u64::MAX };
}

type Heap = BinaryHeap<Reverse<Node>>;

/// The first of all is never one that was cancelled or rearmed.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Before all in the heaps, if there is one.
    front: Option<Node>,
    near: Heap,
    far: Heap,
    slots: Vec<Entry>,
    free: Vec<u32>,
    sequence: u64,
    lanes: [Lane; LANES],
    live: usize,
    /// How many were cancelled and have their place still.
    cancelled: usize,
    /// How many have an earlier place than they are due.
    rearmed: usize,
    /// The first of a heap may be one that was cancelled or rearmed.
    may_have_stale_head: bool,
}

/// The first of a chain of timers, each armed later than the one before it and not due earlier.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    sequence: u64,
    slot: u32,
}

/// One line of a cache.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    /// Of the timer that has this place: no other timer has or had the same. [`u64::MAX`]: none has it.
    sequence: u64,
    at: u64,
    /// The next of the chain, or [`NONE`].
    next_in_chain: u32,
    /// It is not the first of its chain.
    is_linked: bool,
    /// It was cancelled and armed again for later: its node is that of before.
    rearmed: bool,
    /// `None` once it was cancelled.
    action: Option<Action>,
}

/// The timer that was armed last of those that wait so long.
#[derive(Clone, Copy, Debug)]
struct Lane {
    wait: u64,
    last: TimerKey,
}

const NONE: u32 = u32::MAX;
/// So many places of cancelled timers are borne, or as many as there are timers.
const MAX_CANCELLED: usize = 64;
const LANES: usize = 16;
/// Waits that are shorter are a packet's, each another: they have no lane. In nanoseconds.
const MIN_LANE_WAIT: u64 = 1_000_000;
/// Waits that are as long are time-outs.
const FAR: u64 = 100_000_000;

impl Default for Lane {
    fn default() -> Self {
        Self { wait: 0, last: TimerKey::NONE }
    }
}

impl Timers {
    /// None yet, and room for those of a small run.
    pub(crate) fn new() -> Self {
        let (slots, free) = (Vec::with_capacity(32), Vec::with_capacity(32));
        Self { slots, free, near: Heap::with_capacity(8), ..Self::default() }
    }

    /// Arms a timer for `at`, as it is `now`.
    pub(crate) fn arm(&mut self, now: u64, at: u64, action: Action) -> TimerKey {
        let sequence = self.sequence;
        self.sequence += 1;
        self.live += 1;
        let entry = Entry {
            sequence,
            at,
            next_in_chain: NONE,
            is_linked: false,
            rearmed: false,
            action: Some(action),
        };
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
        let key = TimerKey { slot, sequence };
        let wait = at.saturating_sub(now);
        if wait < MIN_LANE_WAIT || !self.link_to_lane(key, at, wait) {
            self.enter(Node { at, sequence, slot }, wait);
        }
        key
    }

    /// As [`arm`](Self::arm), for the owner of a timer that was cancelled: its place serves again where that is earlier.
    pub(crate) fn arm_again(
        &mut self,
        key: TimerKey,
        now: u64,
        at: u64,
        action: Action,
    ) -> TimerKey {
        let old = self.slots.get_mut(key.slot as usize).filter(|entry| {
            entry.sequence == key.sequence
                && entry.action.is_none()
                && !entry.is_linked
                && entry.at <= at
        });
        let Some(entry) = old else { return self.arm(now, at, action) };
        let sequence = self.sequence;
        self.sequence += 1;
        self.live += 1;
        self.cancelled -= 1;
        self.rearmed += usize::from(!entry.rearmed);
        *entry = Entry { sequence, at, rearmed: true, action: Some(action), ..*entry };
        TimerKey { slot: key.slot, sequence }
    }

    /// Takes a timer out; `None` if it fired or was cancelled before.
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.sequence == key.sequence { self.take_out(key.slot) } else { None }
    }

    fn take_out(&mut self, slot: u32) -> Option<Action> {
        let action = self.slots[slot as usize].action.take()?;
        self.live -= 1;
        self.cancelled += 1;
        self.may_have_stale_head = true;
        self.remove_stale_heads();
        if self.cancelled > MAX_CANCELLED && self.cancelled > self.live {
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
            Action::Wake(own, _) => Some(own.is(task, waker)),
            Action::Call(..) => Some(false),
        }
    }

    /// Makes a timer that is not gone wake another: who was to be woken comes back, to be dropped outside; or who should be,
    /// if it is gone.
    pub(crate) fn rewake(&mut self, key: TimerKey, waiter: Waiter) -> Waiter {
        match self.slots.get_mut(key.slot as usize) {
            Some(Entry { sequence, action: Some(Action::Wake(own, _)), .. })
                if *sequence == key.sequence =>
            {
                std::mem::replace(own, waiter)
            }
            Some(_) | None => waiter,
        }
    }

    /// Moves what waits for a machine's clock to where `at` has it, now that the clock was set. Their keys stay, and their
    /// order among equals. Looks at every timer.
    pub(crate) fn retime(&mut self, machine: MachineId, now: u64, at: impl Fn(u64) -> u64) {
        let mut any = false;
        for entry in &mut self.slots {
            if let Some(Action::Wake(_, local)) = &entry.action
                && local.machine == machine
            {
                let at = at(local.shows);
                any |= std::mem::replace(&mut entry.at, at) != at;
            }
        }
        if any {
            self.rebuild(now);
        }
    }

    /// Gives each timer a place of its own, and forgets all that were cancelled.
    fn rebuild(&mut self, now: u64) {
        self.front = None;
        self.near.clear();
        self.far.clear();
        self.lanes = Default::default();
        (self.cancelled, self.rearmed, self.may_have_stale_head) = (0, 0, false);
        for slot in 0..self.slots.len() as u32 {
            let entry = &mut self.slots[slot as usize];
            (entry.next_in_chain, entry.is_linked, entry.rearmed) = (NONE, false, false);
            let node = Node { at: entry.at, sequence: entry.sequence, slot };
            if entry.action.is_some() {
                self.enter(node, node.at.saturating_sub(now));
            } else if entry.sequence != u64::MAX {
                self.release(slot);
            }
        }
    }

    /// When the next timer fires.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.first().map(|node| node.at)
    }

    /// The next timer and when it is due; what it wakes, if it does, and the task if that is known.
    pub(crate) fn next(&self) -> Option<(TimerKey, u64, Option<Option<TaskKey>>)> {
        let &Node { at, sequence, slot } = self.first()?;
        let wakes = match self.slots[slot as usize].action.as_ref()? {
            Action::Wake(Waiter::Task(task), _) => Some(Some(*task)),
            Action::Wake(Waiter::Other(_), _) => Some(None),
            Action::Call(..) => None,
        };
        Some((TimerKey { slot, sequence }, at, wakes))
    }

    /// How many sequence numbers were given out: a timer armed from here on has a higher one.
    pub(crate) fn armed(&self) -> u64 {
        self.sequence
    }

    /// The next action, if it is due at `now` or before and was armed before `before` was read from [`Timers::armed`].
    pub(crate) fn pop_due_before(&mut self, now: u64, before: u64) -> Option<Action> {
        // Read one by one: who reads all of it at once, just after it was written, waits for that.
        let &Node { at, sequence, slot } = self.first()?;
        if at > now || sequence >= before {
            return None;
        }
        let action = self.slots[slot as usize].action.take();
        self.live -= 1;
        self.remove_head(slot);
        self.remove_stale_heads();
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

    fn first(&self) -> Option<&Node> {
        self.front.as_ref().or_else(|| match (self.near.peek(), self.far.peek()) {
            (Some(Reverse(near)), Some(Reverse(far))) => Some(near.min(far)),
            (Some(Reverse(one)), None) | (None, Some(Reverse(one))) => Some(one),
            (None, None) => None,
        })
    }

    /// Whether a timer continues the chain of its lane. The next one may continue it in any case.
    fn link_to_lane(&mut self, key: TimerKey, at: u64, wait: u64) -> bool {
        let lane = &mut self.lanes[(wait.wrapping_mul(K[1]) >> (64 - LANES.ilog2())) as usize];
        let Lane { wait: others, last } = std::mem::replace(lane, Lane { wait, last: key });
        let before = self.slots.get_mut(last.slot as usize);
        let before = before
            .filter(|before| others == wait && before.sequence == last.sequence && before.at <= at);
        let Some(before) = before else { return false };
        before.next_in_chain = key.slot;
        self.slots[key.slot as usize].is_linked = true;
        true
    }

    /// Gives a chain its place.
    fn enter(&mut self, node: Node, wait: u64) {
        let is_next = self.first().is_none_or(|first| node < *first);
        let pushed = if is_next { self.front.replace(node) } else { Some(node) };
        if let Some(node) = pushed {
            let heap = if wait < FAR { &mut self.near } else { &mut self.far };
            heap.push(Reverse(node));
        }
    }

    /// Goes past those that are first and were cancelled or rearmed.
    #[inline]
    fn remove_stale_heads(&mut self) {
        if self.cancelled + self.rearmed == 0 {
            self.may_have_stale_head = false;
        } else if self.may_have_stale_head {
            self.remove_stale_heads_slowly();
        }
        debug_assert!(self.first().is_none_or(|first| {
            let Entry { rearmed, ref action, .. } = self.slots[first.slot as usize];
            !rearmed && action.is_some()
        }));
    }

    fn remove_stale_heads_slowly(&mut self) {
        while self.cancelled + self.rearmed > 0
            && let Some(&Node { slot, .. }) = self.first()
            && let Entry { rearmed, ref action, .. } = self.slots[slot as usize]
            && (rearmed || action.is_none())
        {
            self.cancelled -= usize::from(action.is_none());
            self.remove_head(slot);
        }
        // What lies next_in_chain one in front was not looked at.
        self.may_have_stale_head &= self.front.is_some();
    }

    /// The first is over, or was rearmed: the next of its chain has its place.
    fn remove_head(&mut self, slot: u32) {
        if self.front.take().is_some() {
            return self.remove_front(slot);
        }
        self.may_have_stale_head = true;
        let entry = &mut self.slots[slot as usize];
        let next_in_chain = std::mem::replace(&mut entry.next_in_chain, NONE);
        let rearmed = std::mem::replace(&mut entry.rearmed, false);
        let again = Node { at: entry.at, sequence: entry.sequence, slot };
        let lives = entry.action.is_some();
        self.rearmed -= usize::from(rearmed);
        if !lives {
            self.release(slot);
        }
        let next = self.make_chain_head(next_in_chain);
        let in_near = self.near.peek().is_some_and(|Reverse(near)| near.slot == slot);
        let heap = if in_near { &mut self.near } else { &mut self.far };
        match next {
            Some(next) => {
                if let Some(mut place) = heap.peek_mut() {
                    *place = Reverse(next);
                }
            }
            None => drop(heap.pop()),
        }
        if lives {
            self.enter(again, FAR);
        }
    }

    /// The same for the one in front of the heaps, which is gone from there. It was not rearmed: what is rearmed lies in a heap.
    #[inline]
    fn remove_front(&mut self, slot: u32) {
        let Entry { next_in_chain, rearmed, ref action, .. } = self.slots[slot as usize];
        debug_assert!(!rearmed && action.is_none());
        self.release(slot);
        if let Some(next) = self.make_chain_head(next_in_chain) {
            let is_first = self.first().is_none_or(|other| next < *other);
            if is_first { self.front = Some(next) } else { self.near.push(Reverse(next)) }
        }
    }

    /// One of a chain is its first from here on, if there is one.
    #[inline]
    fn make_chain_head(&mut self, slot: u32) -> Option<Node> {
        let entry = self.slots.get_mut(slot as usize)?;
        entry.is_linked = false;
        Some(Node { at: entry.at, sequence: entry.sequence, slot })
    }

    /// A slot is free: no key names it, and no timer link_to_lane its chain any more.
    fn release(&mut self, slot: u32) {
        self.slots[slot as usize].sequence = u64::MAX;
        self.free.push(slot);
    }

    /// Forgets all that were cancelled.
    fn sweep(&mut self) {
        let near = self.front.take().into_iter().chain(self.near.drain().map(|Reverse(node)| node));
        let near: Vec<(Node, u64)> = near.map(|node| (node, 0)).collect();
        let far = self.far.drain().map(|Reverse(node)| (node, FAR));
        let chains: Vec<(Node, u64)> = near.into_iter().chain(far).collect();
        (self.cancelled, self.rearmed) = (0, 0);
        for (Node { mut slot, .. }, wait) in chains {
            let mut end = None;
            while let Some(entry) = self.slots.get_mut(slot as usize) {
                let next_in_chain = std::mem::replace(&mut entry.next_in_chain, NONE);
                let node = Node { at: entry.at, sequence: entry.sequence, slot };
                let rearmed = std::mem::replace(&mut entry.rearmed, false);
                if entry.action.is_none() {
                    self.release(slot);
                } else if rearmed {
                    self.enter(node, wait);
                } else {
                    entry.is_linked = end.is_some();
                    match end.replace(slot) {
                        Some(before) => self.slots[before as usize].next_in_chain = slot,
                        None => self.enter(node, wait),
                    }
                }
                slot = next_in_chain;
            }
        }
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
            Action::Wake(_, local) => local.shows,
        }
    }

    /// What a timer does in these tests: a call, or to wake at a time of one of two clocks.
    fn action(name: u64) -> Action {
        match machine_of(name) {
            Some(machine) => {
                let waiter = Waiter::Other(Waker::noop().clone());
                Action::Wake(waiter, Local { machine, shows: name })
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
        /// A machine's clock is set, from which follow other times for all that wait for it.
        Retime(u32, u64),
    }

    /// Of every kind: none, a packet's, a few that many have, time-outs.
    fn wait() -> impl Strategy<Value = u64> {
        prop_oneof![
            2 => Just(0),
            2 => 0..MIN_LANE_WAIT,
            4 => (1..4u64).prop_map(|n| n * MIN_LANE_WAIT),
            2 => (1..150u64).prop_map(|n| n * MIN_LANE_WAIT),
            1 => FAR..FAR + 50,
        ]
    }

    /// Of those that were armed, a cancel takes the one that is so many back, and one that is armed again has its place.
    fn op(cancels: u32, pops: u32) -> impl Strategy<Value = Op> {
        prop_oneof![
            10 => wait().prop_map(Op::Arm),
            5 => ((0..40usize), wait()).prop_map(|(back, wait)| Op::Again(back, wait)),
            cancels => (0..40usize).prop_map(Op::Cancel),
            pops => wait().prop_map(Op::Pop),
            1 => (0..2u32, any::<u64>()).prop_map(|(machine, word)| Op::Retime(machine, word)),
        ]
    }

    /// With cancelled ones that are passed when they come to the front, and with so many that they are swept.
    fn ops() -> impl Strategy<Value = Vec<Op>> {
        prop_oneof![
            prop::collection::vec(op(5, 8), 0..300),
            prop::collection::vec(op(18, 1), 400..1_000),
        ]
    }

    proptest! {
        /// The heaps against the plainest model there is, a sorted map: the same order, whatever was cancelled.
        #[test]
        fn behaves_as_a_sorted_map(ops in ops()) {
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
                    Op::Cancel(back) => if let Some((key, place)) = keys.iter().rev().nth(back) {
                        let was = model.remove(place).is_some();
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
                        // Now and then equal, near and far.
                        let at = |name: u64| now + (name.wrapping_mul(word) >> 61) * (word % (FAR / 3));
                        timers.retime(machine, now, at);
                        for (name, (_, place)) in keys.iter_mut().enumerate() {
                            let waits = machine_of(name as u64) == Some(machine);
                            if waits && model.remove(place).is_some() {
                                place.0 = at(name as u64);
                                model.insert(*place, ());
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

    /// Each is one line of a cache, as it says.
    #[test]
    fn a_place_is_one_line() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    /// Time-outs that are armed and cancelled again and again leave no heap of nodes next_in_chain.
    #[test]
    fn what_was_cancelled_is_forgotten() {
        let mut timers = Timers::default();
        let waits: Vec<_> =
            (0..100).map(|n| timers.arm(0, n, Action::Call(nothing, n, 0))).collect();
        for at in 0..100_000 {
            let key = timers.arm(0, 1_000_000 + at * 7 % 1_000, Action::Call(nothing, 0, 0));
            assert!(timers.cancel(key).is_some());
        }
        assert_eq!(timers.len(), waits.len());
        assert!(timers.slots.len() <= 2 * waits.len() + MAX_CANCELLED, "{}", timers.slots.len());
        assert!(timers.near.len() + timers.far.len() <= timers.slots.len());
        let left = (0..100).map(|_| timers.pop_due_before(100, u64::MAX).map(word));
        assert!(left.eq((0..100).map(Some)), "what was not cancelled fires, each at its time");
    }

    /// One of a chain that is before all in the heaps need not be followed by the next of its chain.
    #[test]
    fn what_is_due_between_two_of_a_chain_comes_between() {
        let mut timers = Timers::new();
        for (now, at) in [(0, 20), (10, 30), (15, 25)] {
            timers.arm(now * MIN_LANE_WAIT, at * MIN_LANE_WAIT, Action::Call(nothing, at, 0));
        }
        let due = std::iter::from_fn(|| timers.pop_due_before(30 * MIN_LANE_WAIT, u64::MAX));
        assert_eq!(due.map(word).collect::<Vec<_>>(), [20, 25, 30]);
    }

    /// What waits equally long is one node, whenever it was armed; and a time-out that its owner arms anew each time has
    /// the place of the first.
    #[test]
    fn chains_and_time_outs_have_one_place() {
        let mut timers = Timers::default();
        let mut time_out = TimerKey::NONE;
        for now in 0..1_000 {
            timers.arm(now, now + 40 * MIN_LANE_WAIT, Action::Call(nothing, now, 0));
            time_out =
                timers.arm_again(time_out, now, now + 2 * FAR, Action::Call(nothing, now, 1));
            assert!(timers.cancel(time_out).is_some());
        }
        let nodes = timers.near.len() + timers.far.len() + usize::from(timers.front.is_some());
        assert_eq!((nodes, timers.slots.len(), timers.len()), (2, 1_001, 1_000));
        let order = std::iter::from_fn(|| timers.pop_due_before(u64::MAX, u64::MAX)).map(word);
        assert!(order.eq(0..1_000));
    }

    /// Places are swept while the first of a chain is due later than those next_in_chain it.
    #[test]
    fn one_that_was_moved_leaves_its_chain() {
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

    /// One that has become the first of its chain has a node of its own, which can be armed again.
    #[test]
    fn what_leads_its_chain_keeps_its_place() {
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

    /// A slot is used again at once; the old key must not cancel its new tenant.
    #[test]
    fn a_stale_key_is_harmless() {
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
}

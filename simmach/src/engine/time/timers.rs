//! Timers: a queue of actions ordered by (time, sequence number), from which any action can be cancelled.
//!
//! The actions are in a slab; heaps hold small nodes that point to them. Timers due at the same time fire in the order in
//! which they were armed. Most timers are either due next, as a packet's are, or cancelled, as time-outs are. Four
//! mechanisms keep both cheap:
//!
//! - **Front.** A timer that is due before all others is kept in front of the heaps and never enters one.
//! - **Chains.** Timers with the same wait become due in the order in which they were armed. They are linked to a chain, of
//!   which only the head has a node. A [lane](Lane) remembers the last timer of a wait, so that the next one can be linked.
//! - **Far heap.** Timers far in the future have a heap of their own, so that they do not slow down the near one.
//! - **Lazy cancellation.** Cancelling takes the action out of the slab and leaves the node. The node is dropped when it
//!   reaches the head of its heap, or by a sweep when too many are cancelled. Until then the owner can arm the timer again
//!   without a heap operation: the node stays where it is, and is moved when it reaches the head.
//!
//! An example, in milliseconds. A, B and C wait for 40 and were armed at 0, 1 and 2; D waits for 200; P is a packet:
//!
//! ```text
//! front   P 2.3
//! near    A 40 --> B 41 --> C 42      one node; B and C are linked behind A
//! far     D 200
//! ```
//!
//! P fires, and the front is empty: the next timer is the lower of the heaps' heads, A. When A fires, B takes over its node.
//! If B is cancelled it stays in the chain without an action, and is skipped when it becomes the head. If D is cancelled and
//! armed again for 260, its node stays at 200; when it reaches the head it is pushed again with 260.

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
    /// Wakes a waiter when a machine's clock shows a time.
    Wake(Waiter, LocalTime),
    /// Calls a function of a layer with two words. Needs no allocation and no import of the layer.
    Call(fn(u64, u64), u64, u64),
}

/// A time by a machine's monotonic clock. The virtual time at which it is reached depends on the clock's drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) machine: MachineId,
    /// The clock's reading, in nanoseconds.
    pub(crate) nanos: u64,
}

/// The key of a timer. After the timer has fired or was cancelled the key finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    sequence: u64,
}

impl TimerKey {
    /// The key of no timer.
    pub(crate) const NONE: Self = Self { slot: NONE, sequence: u64::MAX };
}

type Heap = BinaryHeap<Reverse<Node>>;

/// The pending timers. Between calls the first node is never that of a cancelled or rearmed timer.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// A node that is before all in the heaps, if there is one.
    front: Option<Node>,
    near: Heap,
    far: Heap,
    slots: Vec<Entry>,
    free: Vec<u32>,
    sequence: u64,
    lanes: [Lane; LANES],
    live: usize,
    /// Number of cancelled timers that still have their slot.
    cancelled: usize,
    /// Number of timers whose node is earlier than they are due.
    rearmed: usize,
    /// Whether the head of a heap may be of a cancelled or rearmed timer.
    may_have_stale_head: bool,
}

/// The head of a chain of timers. Each was armed after the one before it and is not due earlier.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    sequence: u64,
    slot: u32,
}

/// A slot of the slab: one cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    /// Sequence number of the timer in this slot, unique in the run; `u64::MAX` if the slot is free.
    sequence: u64,
    at: u64,
    /// Slot of the next timer of the chain, or [`NONE`].
    next_in_chain: u32,
    /// Whether it is linked behind another timer, so that it has no node.
    is_linked: bool,
    /// Whether it was cancelled and armed again for later, so that its node is too early.
    rearmed: bool,
    /// `None` after it was cancelled.
    action: Option<Action>,
}

/// The timer with this wait that was armed last.
#[derive(Clone, Copy, Debug)]
struct Lane {
    wait: u64,
    last: TimerKey,
}

const NONE: u32 = u32::MAX;
/// Cancelled timers are swept when there are more than this and more than pending ones.
const MAX_CANCELLED: usize = 64;
const LANES: usize = 16;
/// Minimum wait that uses lanes, in nanoseconds. Shorter ones are latencies of packets, which all differ.
const MIN_LANE_WAIT: u64 = 1_000_000;
/// Minimum wait that goes to the far heap, in nanoseconds. Most of these are time-outs.
const FAR: u64 = 100_000_000;

impl Default for Lane {
    fn default() -> Self {
        Self { wait: 0, last: TimerKey::NONE }
    }
}

impl Timers {
    /// Creates an empty queue with room for a small run's timers.
    pub(crate) fn new() -> Self {
        let (slots, free) = (Vec::with_capacity(32), Vec::with_capacity(32));
        Self { slots, free, near: Heap::with_capacity(8), ..Self::default() }
    }

    /// Arms a timer for the virtual time `at`.
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
            self.insert(Node { at, sequence, slot }, wait);
        }
        key
    }

    /// As [`arm`](Self::arm), reusing the node of the cancelled timer `key` if that is not later than `at`.
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

    /// Cancels a timer and returns its action, or `None` if it has fired or was cancelled.
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.sequence == key.sequence { self.cancel_slot(key.slot) } else { None }
    }

    fn cancel_slot(&mut self, slot: u32) -> Option<Action> {
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

    /// Whether a timer wakes `waker`; `None` if it has fired or was cancelled. `task` is the running task, if `waker` is its
    /// own.
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

    /// Replaces the waiter of a timer. Returns the waiter that is no longer needed, to be dropped outside: the old one, or
    /// `waiter` if the timer has fired or was cancelled.
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

    /// Moves the timers of a machine's clock after its drift changed; `at` converts a clock reading to virtual time. Keys and
    /// sequence numbers stay. Takes time linear in the number of timers.
    pub(crate) fn retime(&mut self, machine: MachineId, now: u64, at: impl Fn(u64) -> u64) {
        let mut any = false;
        for entry in &mut self.slots {
            if let Some(Action::Wake(_, local)) = &entry.action
                && local.machine == machine
            {
                let at = at(local.nanos);
                any |= std::mem::replace(&mut entry.at, at) != at;
            }
        }
        if any {
            self.rebuild(now);
        }
    }

    /// Builds the heaps anew, with a node for each timer, and drops the cancelled ones.
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
                self.insert(node, node.at.saturating_sub(now));
            } else if entry.sequence != u64::MAX {
                self.release(slot);
            }
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.first().map(|node| node.at)
    }

    /// Returns the next timer, when it is due and, if it wakes something, `Some` with the task if that is known.
    pub(crate) fn next(&self) -> Option<(TimerKey, u64, Option<Option<TaskKey>>)> {
        let &Node { at, sequence, slot } = self.first()?;
        let wakes = match self.slots[slot as usize].action.as_ref()? {
            Action::Wake(Waiter::Task(task), _) => Some(Some(*task)),
            Action::Wake(Waiter::Other(_), _) => Some(None),
            Action::Call(..) => None,
        };
        Some((TimerKey { slot, sequence }, at, wakes))
    }

    /// The next sequence number. All timers armed so far have lower ones.
    pub(crate) fn armed(&self) -> u64 {
        self.sequence
    }

    /// Removes and returns the next action, if it is due by `now` and has a sequence number below `before`, a value of
    /// [`Timers::armed`].
    pub(crate) fn pop_due_before(&mut self, now: u64, before: u64) -> Option<Action> {
        // Fields are read one by one. A wide load just after narrow stores of the same fields would stall (store forwarding).
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

    /// Number of pending timers.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Removes all actions, at the end of a run. They are returned so that wakers are dropped outside.
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

    /// Links a timer behind the last one of its lane, if that has the same wait and is not due later. Returns whether it did.
    /// The timer becomes the last of the lane in any case.
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

    /// Inserts the node of a chain into the front or a heap.
    fn insert(&mut self, node: Node, wait: u64) {
        let is_next = self.first().is_none_or(|first| node < *first);
        let pushed = if is_next { self.front.replace(node) } else { Some(node) };
        if let Some(node) = pushed {
            let heap = if wait < FAR { &mut self.near } else { &mut self.far };
            heap.push(Reverse(node));
        }
    }

    /// Removes nodes of cancelled and rearmed timers from the head.
    #[inline]
    fn remove_stale_heads(&mut self) {
        if self.cancelled + self.rearmed == 0 {
            self.may_have_stale_head = false;
        } else if self.may_have_stale_head {
            self.remove_stale_heads_cold();
        }
        debug_assert!(self.first().is_none_or(|first| {
            let Entry { rearmed, ref action, .. } = self.slots[first.slot as usize];
            !rearmed && action.is_some()
        }));
    }

    fn remove_stale_heads_cold(&mut self) {
        while self.cancelled + self.rearmed > 0
            && let Some(&Node { slot, .. }) = self.first()
            && let Entry { rearmed, ref action, .. } = self.slots[slot as usize]
            && (rearmed || action.is_none())
        {
            self.cancelled -= usize::from(action.is_none());
            self.remove_head(slot);
        }
        // The heaps' heads behind the front were not looked at.
        self.may_have_stale_head &= self.front.is_some();
    }

    /// Removes the first node, of the timer in `slot`; the next timer of its chain takes over the node. A rearmed timer is
    /// inserted again.
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
                if let Some(mut head) = heap.peek_mut() {
                    *head = Reverse(next);
                }
            }
            None => drop(heap.pop()),
        }
        if lives {
            self.insert(again, FAR);
        }
    }

    /// As [`remove_head`](Self::remove_head), for the front. A rearmed timer is never there: its node is in a heap.
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

    /// Makes the timer in `slot` the head of its chain. `None` if `slot` is [`NONE`].
    #[inline]
    fn make_chain_head(&mut self, slot: u32) -> Option<Node> {
        let entry = self.slots.get_mut(slot as usize)?;
        entry.is_linked = false;
        Some(Node { at: entry.at, sequence: entry.sequence, slot })
    }

    /// Frees a slot. Keys no longer find it, and no timer is linked behind it.
    fn release(&mut self, slot: u32) {
        self.slots[slot as usize].sequence = u64::MAX;
        self.free.push(slot);
    }

    /// Drops all cancelled timers and their nodes.
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
                    self.insert(node, wait);
                } else {
                    entry.is_linked = end.is_some();
                    match end.replace(slot) {
                        Some(before) => self.slots[before as usize].next_in_chain = slot,
                        None => self.insert(node, wait),
                    }
                }
                slot = next_in_chain;
            }
        }
    }
}

impl Node {
    /// Time and sequence as one number, to compare them without a branch.
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

    /// Waits of every kind: none, packets, a few common ones, time-outs.
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

    /// Time-outs that are armed and cancelled repeatedly do not accumulate.
    #[test]
    fn cancelled_timers_are_swept() {
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

    /// Timers with the same wait share one node, and a time-out that is armed again and again keeps its node.
    #[test]
    fn chain_and_rearmed_timer_have_one_node_each() {
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
}

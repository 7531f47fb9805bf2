//! Timers: a queue of actions ordered by (time, sequence number), from which any action can be cancelled.
//!
//! The actions are in a slab; heaps contain small nodes that point to the actions. Timers due at
//! the same time fire in the order in which they were armed. Most timers are either due next, like
//! the arrivals of packets, or get cancelled, like timeouts. Four mechanisms keep both kinds cheap:
//!
//! - **Front.** A timer that is due before all others is kept in front of the heaps and never enters one.
//! - **Chains.** Timers with the same wait become due in the order in which they were armed. They
//!   are linked to a chain, of which only the head has a node. A [lane](Lane) remembers the last
//!   timer of a wait, so that the next timer can be linked to it.
//! - **Far heap.** Timers far in the future are in a separate heap, so that they do not slow down
//!   the heap of near timers.
//! - **Lazy cancellation.** Cancelling takes the action out of the slab and leaves the node. The
//!   node is dropped when it reaches the head of its heap, or by a sweep when too many timers are
//!   cancelled. Until then, the owner can arm the timer again without a heap operation: the node
//!   stays where it is, and is moved when it reaches the head.
//!
//! An example, in milliseconds. A, B and C wait for 40 ms and were armed at 0, 1 and 2 ms; D waits
//! for 200 ms; P is a packet:
//!
//! ```text
//! front   P 2.3
//! near    A 40 --> B 41 --> C 42      one node; B and C are linked behind A
//! far     D 200
//! ```
//!
//! P fires, which leaves the front empty: the next timer is the earlier of the two heaps' heads, A.
//! When A fires, B takes over A's node. If B is cancelled, it stays in the chain without an action,
//! and is skipped when it becomes the head. If D is cancelled and armed again for 260, its node
//! stays at 200. When the node reaches the head, it is pushed again with 260.

#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::task::Waker;

use crate::engine::draws::K;
use crate::engine::ids::MachineId;
use crate::engine::tasks::table::TaskKey;
use crate::engine::tasks::waiter::Waiter;

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

/// The key of a timer. After the timer has fired or was cancelled, the key finds nothing.
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

/// The pending timers. Between calls, the first node never belongs to a cancelled or rearmed timer.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// A node that is due before all nodes in the heaps, if there is such a node.
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
    /// Whether the head of a heap may belong to a cancelled or rearmed timer.
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

/// The last armed timer with this wait.
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
/// Minimum wait that goes to the far heap, in nanoseconds. Most of these are timeouts.
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

    /// Like [`arm`](Self::arm), reusing the node of the cancelled timer `key` if that is not later
    /// than `at`.
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
    // It has one caller, the run's loop. Not inlined, it costs 2 % of the instructions of a wake.
    #[inline(always)]
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
        // The heads of the heaps behind the front have not been examined.
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

    /// Like [`remove_head`](Self::remove_head), for the front. A rearmed timer is never there: its
    /// node is in a heap.
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

//! Who runs next among the ready tasks.
//!
//! A wake has a priority, drawn at (task, nth wake) and asked for only when two are ready; the least runs first. Calm is
//! priority 0. Equals run first in, first out by the poll or event that woke them, and in the order they were spawned
//! where one poll or event woke several. In which order it called their wakers makes no difference: crates keep waiters
//! in orders of their own, which need not be the seed's (`tokio::sync::watch` spreads them by a counter of the process).
//! Strategies that bound the number of reorderings are not modelled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A task made ready: what its priority is drawn from, and how to find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyTask {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) path: u64,
    pub(crate) wake: u64,
}

/// A task that was woken since the last one was last_popped out: not ranked yet.
#[derive(Clone, Copy, Debug)]
struct WokenTask {
    /// The number of the poll or event that woke it.
    by: u64,
    /// Its number among all tasks of the run, in the order they were spawned.
    spawned: u32,
    ready: ReadyTask,
}

/// One single waits without a priority; only company asks for one.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    single: Option<WokenTask>,
    /// Those that were woken since the last was last_popped out.
    unranked: Vec<WokenTask>,
    /// Some of these were not woken in the order in which equals run.
    is_unranked_unordered: bool,
    heap: BinaryHeap<Reverse<RankedTask>>,
    /// Many that were ready at once are put in order at once, which costs less than a heap does.
    sorted: SortedBatch,
    /// Numbers those that are ranked, or single when they are last_popped out, in the order in which equals run.
    sequence: u64,
    /// The sequence number of the last that was last_popped out.
    last_popped: u64,
}

/// So many are put in order at once.
const SORT_THRESHOLD: usize = 8;

/// Those that were ready at once, and their order: the least last, by their index_mask. Numbers are moved faster than all that
/// is known of a task.
#[derive(Debug, Default)]
struct SortedBatch {
    order: Vec<u64>,
    all: Vec<RankedTask>,
    /// The bits of a number in `order` that are a place.
    index_mask: u64,
}

impl SortedBatch {
    /// Puts those in order which come in the order of their numbers.
    fn fill(&mut self, ranked: impl Iterator<Item = RankedTask>) {
        self.all.clear();
        self.all.extend(ranked);
        self.index_mask = (self.all.len() as u64).next_power_of_two() - 1;
        // As much of a priority as a place leaves room for, which is nearly always enough; the rest is put right.
        let numbered = (0..).zip(&self.all);
        self.order.extend(numbered.map(|(place, one)| one.priority & !self.index_mask | place));
        self.order.sort_unstable_by(|one, other| other.cmp(one));
        for end in 1..self.order.len() {
            let mut at = end;
            while at > 0 && self.at(self.order[at - 1]) < self.at(self.order[at]) {
                self.order.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    fn least(&self) -> Option<&RankedTask> {
        self.order.last().map(|key| self.at(*key))
    }

    fn pop(&mut self) -> Option<RankedTask> {
        let key = self.order.pop()?;
        Some(*self.at(key))
    }

    fn remaining(&self) -> impl Iterator<Item = &RankedTask> {
        self.order.iter().map(|key| self.at(*key))
    }

    fn at(&self, key: u64) -> &RankedTask {
        &self.all[(key & self.index_mask) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
struct RankedTask {
    priority: u64,
    sequence: u64,
    ready: ReadyTask,
}

impl ReadyQueue {
    /// Adds a task that the poll or event of number `by` woke, the `spawned`th task of the run.
    #[inline]
    pub(crate) fn push(&mut self, ready: ReadyTask, by: u64, spawned: u32) {
        let woken = WokenTask { by, spawned, ready };
        if self.is_empty() {
            self.single = Some(woken);
            return;
        }
        if let Some(first) = self.single.take() {
            self.unranked.push(first);
        }
        if let Some(last) = self.unranked.last() {
            self.is_unranked_unordered |= last.by == by && last.spawned > spawned;
        }
        self.unranked.push(woken);
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.unranked.reserve(more);
    }

    /// Takes out the next to run. `priority` is asked for each that was woken since the last was, unless one is single.
    #[inline]
    pub(crate) fn pop(&mut self, priority: impl Fn(ReadyTask) -> u64) -> Option<ReadyTask> {
        match self.single.take() {
            Some(woken) => {
                self.last_popped = self.sequence;
                self.sequence += 1;
                Some(woken.ready)
            }
            None => {
                if !self.unranked.is_empty() {
                    self.rank_unranked(priority);
                }
                let in_heap = match (self.sorted.least(), self.heap.peek()) {
                    (Some(sorted), Some(Reverse(ranked))) => ranked < sorted,
                    (sorted, _) => sorted.is_none(),
                };
                let least = if in_heap { self.heap.pop()?.0 } else { self.sorted.pop()? };
                self.last_popped = least.sequence;
                Some(least.ready)
            }
        }
    }

    /// Those that would have run before the last that was last_popped out, were all equal, by number.
    pub(crate) fn overtaken(&self) -> impl Iterator<Item = u64> + '_ {
        let ranked = self.heap.iter().map(|Reverse(left)| left);
        let left = ranked.chain(self.sorted.remaining()).map(|left| left.sequence);
        left.filter(|sequence| *sequence < self.last_popped)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.single.is_none()
            && self.unranked.is_empty()
            && self.sorted.order.is_empty()
            && self.heap.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.single = None;
        self.unranked.clear();
        self.is_unranked_unordered = false;
        self.heap.clear();
        self.sorted.order.clear();
    }

    /// Numbers them in the order in which equals run, and draws their priorities in that order. Many are put in order at
    /// once, if no others are; a few find their index_mask in the heap.
    fn rank_unranked(&mut self, priority: impl Fn(ReadyTask) -> u64) {
        if std::mem::take(&mut self.is_unranked_unordered) {
            self.unranked.sort_unstable_by_key(|woken| (woken.by, woken.spawned));
        }
        let is_many = self.unranked.len() >= SORT_THRESHOLD && self.sorted.order.is_empty();
        let first = self.sequence;
        self.sequence += self.unranked.len() as u64;
        let ranked = (first..).zip(self.unranked.drain(..)).map(|(sequence, woken)| RankedTask {
            priority: priority(woken.ready),
            sequence,
            ready: woken.ready,
        });
        if is_many {
            self.sorted.fill(ranked);
        } else {
            self.heap.extend(ranked.map(Reverse));
        }
    }
}

impl RankedTask {
    /// Both as one number: compared without a branch.
    fn order(&self) -> u128 {
        u128::from(self.priority) << 64 | u128::from(self.sequence)
    }
}

impl PartialEq for RankedTask {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RankedTask {}

impl PartialOrd for RankedTask {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RankedTask {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;

    use super::*;
    use crate::engine::mix;

    fn ready(slot: u32) -> ReadyTask {
        ReadyTask { slot, generation: 0, path: u64::from(slot), wake: 0 }
    }

    /// Each woken by an event of its own, in the order they were spawned.
    fn push(queue: &mut ReadyQueue, slot: u32) {
        queue.push(ready(slot), u64::from(slot), slot);
    }

    fn order(queue: &mut ReadyQueue, priority: impl Fn(ReadyTask) -> u64) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(&priority)).map(|ready| ready.slot).collect()
    }

    #[test]
    fn calm_is_first_in_first_out() {
        // Few have their index_mask in the heap; many are put in order at once.
        for many in [5, SORT_THRESHOLD as u32, 100] {
            let mut queue = ReadyQueue::default();
            (0..many).for_each(|slot| push(&mut queue, slot));
            assert!(order(&mut queue, |_| 0).into_iter().eq(0..many), "{many}");
        }
    }

    /// A number has no room for all of a priority beside its place.
    #[test]
    fn priorities_that_differ_little_differ() {
        for shift in [0, 3, 7, 57] {
            let mut queue = ReadyQueue::default();
            (0..100).for_each(|slot| push(&mut queue, slot));
            let order = order(&mut queue, |ready| (99 - ready.path) << shift);
            assert!(order.into_iter().eq((0..100).rev()), "{shift}");
        }
    }

    /// Who comes while some of many are left waits in the heap, and is calm behind them.
    #[test]
    fn calm_ones_in_the_heap_come_behind_those_in_order() {
        let mut queue = ReadyQueue::default();
        let many = 3 * SORT_THRESHOLD as u32;
        (0..many).for_each(|slot| push(&mut queue, slot));
        let first = queue.pop(|_| 0).map(|ready| ready.slot);
        (many..2 * many).for_each(|slot| push(&mut queue, slot));
        assert_eq!((first, order(&mut queue, |_| 0)), (Some(0), (1..2 * many).collect()));
    }

    #[test]
    fn the_least_priority_runs_first() {
        let mut queue = ReadyQueue::default();
        let priority = |ready: ReadyTask| 10 - ready.path;
        (0..5).for_each(|slot| push(&mut queue, slot));
        assert_eq!(queue.pop(priority).map(|ready| ready.slot), Some(4));
        assert_eq!(queue.overtaken().count(), 4);
        assert_eq!(order(&mut queue, priority), [3, 2, 1, 0]);
        assert_eq!(queue.overtaken().count(), 0);
        assert!(queue.is_empty());
    }

    /// Whether they were put in order at once or lie in the heap, the least comes first.
    #[test]
    fn many_and_few_come_by_priority() {
        let mut queue = ReadyQueue::default();
        let priority = |ready: ReadyTask| ready.path * 7 % 1009;
        let (mut next, mut left) = (0, Vec::new());
        for round in 0..60 {
            for _ in 0..round % 13 {
                push(&mut queue, next);
                left.push(u64::from(next) * 7 % 1009);
                next += 1;
            }
            for _ in 0..round % 11 {
                let least = left.iter().min().copied();
                assert_eq!(queue.pop(priority).map(priority), least);
                left.retain(|priority| Some(*priority) != least);
            }
        }
    }

    /// A run in which nothing races must draw nothing: its overlay would be long for no reason.
    #[test]
    fn one_alone_asks_for_no_priority() {
        let asked = Cell::new(0);
        let mut queue = ReadyQueue::default();
        for slot in 0..3 {
            push(&mut queue, slot);
            let popped = queue.pop(|_| {
                asked.set(asked.get() + 1);
                0
            });
            assert!(popped.is_some());
        }
        assert_eq!(asked.get(), 0);
    }

    /// `tokio::sync::watch` and others wake their waiters in an order of their own.
    #[test]
    fn calm_forgets_in_which_order_one_poll_woke_several() {
        for many in [2, 5, SORT_THRESHOLD as u32, 100] {
            let mut queue = ReadyQueue::default();
            (0..many).rev().for_each(|slot| queue.push(ready(slot), 7, slot));
            // A later event wakes a task that was spawned before all of them.
            queue.push(ready(many), 8, 0);
            assert!(order(&mut queue, |_| 0).into_iter().eq(0..=many), "{many}");
        }
    }

    /// What is recorded of a draw names it by its place among the draws of a step.
    #[test]
    fn priorities_are_drawn_in_the_calm_order() {
        let asked = RefCell::new(Vec::new());
        let mut queue = ReadyQueue::default();
        [3, 1, 2].into_iter().for_each(|slot| queue.push(ready(slot), 0, slot));
        queue.pop(|ready| {
            asked.borrow_mut().push(ready.slot);
            0
        });
        assert_eq!(*asked.borrow(), [1, 2, 3]);
    }

    /// A task of the model: its priority, who woke it, and its number among the spawned.
    type Modelled = (u64, u64, u32);

    /// Some polls: how many tasks each of the events before it wakes, and in which order it calls their wakers.
    fn polls() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
        let woken = proptest::sample::subsequence((0..40u32).collect::<Vec<_>>(), 0..12);
        let event = woken.prop_shuffle();
        proptest::collection::vec(proptest::collection::vec(event, 0..4), 1..40)
    }

    proptest! {
        /// Whatever is woken in whatever order, the least of (priority, waking event, number) runs next; and how many had
        /// to wait for a later one is what the model says.
        #[test]
        fn runs_as_a_sorted_list_does(polls in polls(), priorities in 1..6u64) {
            let priority = |slot: u32, wake: u64| mix(u64::from(slot), wake) % priorities;
            let mut queue = ReadyQueue::default();
            let mut model: Vec<Modelled> = Vec::new();
            let mut event = 0;
            let check = |queue: &mut ReadyQueue, model: &mut Vec<Modelled>| {
                let popped = queue.pop(|ready| priority(ready.slot, ready.wake));
                let least = model.iter().min().copied();
                model.retain(|left| Some(*left) != least);
                prop_assert_eq!(popped.map(|ready| ready.slot), least.map(|(.., spawned)| spawned));
                if let Some((_, by, spawned)) = least {
                    let older = model.iter().filter(|left| (left.1, left.2) < (by, spawned));
                    prop_assert_eq!(queue.overtaken().count(), older.count());
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                Ok(())
            };
            for events in polls {
                for woken in events {
                    for slot in woken {
                        // One that is ready can't be woken.
                        if model.iter().any(|(.., spawned)| *spawned == slot) {
                            continue;
                        }
                        let one = ReadyTask { wake: event, ..ready(slot) };
                        queue.push(one, event, slot);
                        model.push((priority(slot, event), event, slot));
                    }
                    event += 1;
                }
                check(&mut queue, &mut model)?;
            }
            while !model.is_empty() {
                check(&mut queue, &mut model)?;
            }
        }
    }
}

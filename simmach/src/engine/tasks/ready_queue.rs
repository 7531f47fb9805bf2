//! The scheduler: chooses which ready task runs next.
//!
//! Each wake has a priority at the address (task, nth wake), which is drawn only when two or more
//! tasks are ready. The task with the lowest priority runs first. The calm priority is 0. Tasks of
//! equal priority run in the order of the polls or events that woke them; tasks woken by the same
//! poll or event run in spawn order. The order in which wakers are called does not matter, since it
//! may depend on more than the seed: `tokio::sync::watch` distributes its waiters by a global
//! counter. Strategies that bound the number of reorderings are not implemented.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A ready task: its key, and the address that its priority is drawn at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyTask {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) path: u64,
    pub(crate) wake: u64,
}

/// A task that was woken since the last pop. Its priority is not drawn yet.
#[derive(Clone, Copy, Debug)]
struct WokenTask {
    /// Number of the poll or event that woke the task.
    by: u64,
    /// The task's number among all tasks of the run, in spawn order.
    spawned: u32,
    ready: ReadyTask,
}

/// The ready tasks. A task that is alone in the queue is popped without drawing a priority.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    single: Option<WokenTask>,
    /// Tasks that were woken since the last pop.
    unranked: Vec<WokenTask>,
    /// Whether `unranked` is not in the order in which tasks of equal priority run.
    is_unranked_unordered: bool,
    heap: BinaryHeap<Reverse<RankedTask>>,
    /// A batch of tasks that were ready at once. Sorting the batch once costs less than pushing
    /// each task to the heap.
    sorted: SortedBatch,
    /// The next sequence number. A task gets one when it is ranked or popped alone. Tasks of equal
    /// priority run in this order.
    sequence: u64,
    /// Sequence number of the last task popped.
    last_popped: u64,
}

/// Batches of at least this many tasks are sorted instead of pushed to the heap.
const SORT_THRESHOLD: usize = 8;

/// A sorted batch of tasks. Sorting 8-byte keys instead of whole entries is worth 8% of the benchmark `b2`.
#[derive(Debug, Default)]
struct SortedBatch {
    /// Keys in descending order: the high bits of a priority and, in the low bits, an index in `all`.
    order: Vec<u64>,
    all: Vec<RankedTask>,
    /// Mask of the index bits of a key.
    index_mask: u64,
}

impl SortedBatch {
    /// Fills the batch with tasks that come in the order of their sequence numbers.
    fn fill(&mut self, ranked: impl Iterator<Item = RankedTask>) {
        self.all.clear();
        self.all.extend(ranked);
        self.index_mask = (self.all.len() as u64).next_power_of_two() - 1;
        // The index replaces the priority's low bits. Where the high bits are equal the insertion sort below
        // compares full priorities; that is rare.
        let numbered = (0..).zip(&self.all);
        self.order.extend(numbered.map(|(index, one)| one.priority & !self.index_mask | index));
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
    /// Adds a task that was woken by the poll or event number `by` and was the `spawned`th task of the run.
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

    /// Reserves room for `more` tasks.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.unranked.reserve(more);
    }

    /// Removes and returns the next task to run. Calls `priority` for each task woken since the last pop, unless the queue
    /// holds only one.
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

    /// Sequence numbers of tasks that would have run before the last one popped, had all priorities been equal.
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

    /// Numbers the unranked tasks in the order in which tasks of equal priority run, and draws their priorities in that
    /// order. A large batch is sorted, unless there is a sorted batch already; a small one is pushed to the heap.
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
    /// Priority and sequence as one number, to compare them without a branch.
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

    /// Pushes a task woken by an event of its own, in spawn order.
    fn push(queue: &mut ReadyQueue, slot: u32) {
        queue.push(ready(slot), u64::from(slot), slot);
    }

    fn order(queue: &mut ReadyQueue, priority: impl Fn(ReadyTask) -> u64) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(&priority)).map(|ready| ready.slot).collect()
    }

    #[test]
    fn calm_order_is_first_in_first_out() {
        // Few go to the heap; many are sorted.
        for many in [5, SORT_THRESHOLD as u32, 100] {
            let mut queue = ReadyQueue::default();
            (0..many).for_each(|slot| push(&mut queue, slot));
            assert!(order(&mut queue, |_| 0).into_iter().eq(0..many), "{many}");
        }
    }

    /// A key of the sorted batch has no room for the low bits of a priority.
    #[test]
    fn priority_low_bits_count() {
        for shift in [0, 3, 7, 57] {
            let mut queue = ReadyQueue::default();
            (0..100).for_each(|slot| push(&mut queue, slot));
            let order = order(&mut queue, |ready| (99 - ready.path) << shift);
            assert!(order.into_iter().eq((0..100).rev()), "{shift}");
        }
    }

    /// Tasks that become ready while a sorted batch remains go to the heap, and with equal priorities run after the batch.
    #[test]
    fn calm_tasks_in_the_heap_run_after_the_sorted_batch() {
        let mut queue = ReadyQueue::default();
        let many = 3 * SORT_THRESHOLD as u32;
        (0..many).for_each(|slot| push(&mut queue, slot));
        let first = queue.pop(|_| 0).map(|ready| ready.slot);
        (many..2 * many).for_each(|slot| push(&mut queue, slot));
        assert_eq!((first, order(&mut queue, |_| 0)), (Some(0), (1..2 * many).collect()));
    }

    #[test]
    fn lowest_priority_runs_first() {
        let mut queue = ReadyQueue::default();
        let priority = |ready: ReadyTask| 10 - ready.path;
        (0..5).for_each(|slot| push(&mut queue, slot));
        assert_eq!(queue.pop(priority).map(|ready| ready.slot), Some(4));
        assert_eq!(queue.overtaken().count(), 4);
        assert_eq!(order(&mut queue, priority), [3, 2, 1, 0]);
        assert_eq!(queue.overtaken().count(), 0);
        assert!(queue.is_empty());
    }

    /// The lowest priority runs first, in the sorted batch or in the heap.
    #[test]
    fn priorities_order_batch_and_heap() {
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

    /// A run without races draws no priorities, so that its overlay stays short.
    #[test]
    fn single_task_draws_no_priority() {
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

    /// Libraries such as `tokio::sync::watch` wake their waiters in an order that does not depend on the seed.
    #[test]
    fn calm_order_ignores_the_order_of_wakes_in_one_poll() {
        for many in [2, 5, SORT_THRESHOLD as u32, 100] {
            let mut queue = ReadyQueue::default();
            (0..many).rev().for_each(|slot| queue.push(ready(slot), 7, slot));
            // A later event wakes a task that was spawned before all of them.
            queue.push(ready(many), 8, 0);
            assert!(order(&mut queue, |_| 0).into_iter().eq(0..=many), "{many}");
        }
    }

    /// A recorded draw is named by its number among the draws of a step, so their order must not vary.
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

    /// A task of the model: priority, event that woke it, spawn number.
    type Modelled = (u64, u64, u32);

    /// For each poll, the events before it and the tasks that each wakes, in the order of their wakers' calls.
    fn polls() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
        let woken = proptest::sample::subsequence((0..40u32).collect::<Vec<_>>(), 0..12);
        let event = woken.prop_shuffle();
        proptest::collection::vec(proptest::collection::vec(event, 0..4), 1..40)
    }

    proptest! {
        /// The lowest (priority, waking event, spawn number) runs next, and as many tasks are overtaken as in the model.
        #[test]
        fn queue_matches_a_sorted_list(polls in polls(), priorities in 1..6u64) {
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

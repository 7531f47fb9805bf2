//! Who runs next among the ready tasks.
//!
//! A wake has a priority, drawn at (task, nth wake) and asked for only when two are ready; the least runs first, and
//! first in first out among equals. Calm is priority 0: first in, first out. Strategies that bound the number of
//! reorderings are not modelled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A task made ready: what its priority is drawn from, and how to find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) path: u64,
    pub(crate) wake: u64,
}

/// One alone waits without a priority; only company asks for one.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    alone: Option<(u64, Ready)>,
    /// Those that came since the last was taken out.
    fresh: Vec<Ranked>,
    ranked: BinaryHeap<Reverse<Ranked>>,
    /// Many that were ready at once are put in order at once, which costs less than a heap does.
    sorted: Sorted,
    sequence: u64,
    /// The sequence number of the last that was taken out.
    taken: u64,
}

/// So many are put in order at once.
const MANY: usize = 8;

/// Those that were ready at once, and their order: the least last, by their places. Numbers are moved faster than all that
/// is known of a task.
#[derive(Debug, Default)]
struct Sorted {
    order: Vec<u64>,
    all: Vec<Ranked>,
    /// The bits of a number in `order` that are a place.
    places: u64,
}

impl Sorted {
    /// Puts those in order which came in the order of their numbers.
    fn fill(&mut self, fresh: &mut Vec<Ranked>) {
        self.all.clear();
        self.all.append(fresh);
        self.places = (self.all.len() as u64).next_power_of_two() - 1;
        // As much of a priority as a place leaves room for, which is nearly always enough; the rest is put right.
        let numbered = (0..).zip(&self.all);
        self.order.extend(numbered.map(|(place, one)| one.priority & !self.places | place));
        self.order.sort_unstable_by(|one, other| other.cmp(one));
        for end in 1..self.order.len() {
            let mut at = end;
            while at > 0 && self.at(self.order[at - 1]) < self.at(self.order[at]) {
                self.order.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    fn least(&self) -> Option<&Ranked> {
        self.order.last().map(|key| self.at(*key))
    }

    fn pop(&mut self) -> Option<Ranked> {
        let key = self.order.pop()?;
        Some(*self.at(key))
    }

    fn left(&self) -> impl Iterator<Item = &Ranked> {
        self.order.iter().map(|key| self.at(*key))
    }

    fn at(&self, key: u64) -> &Ranked {
        &self.all[(key & self.places) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    priority: u64,
    sequence: u64,
    ready: Ready,
}

impl ReadyQueue {
    /// `priority` is asked for the new one, and for one that was alone until now.
    #[inline]
    pub(crate) fn push(&mut self, ready: Ready, priority: impl Fn(Ready) -> u64) {
        let sequence = self.sequence;
        self.sequence += 1;
        if self.is_empty() {
            self.alone = Some((sequence, ready));
            return;
        }
        if let Some((earlier, first)) = self.alone.take() {
            self.rank(earlier, first, &priority);
        }
        self.rank(sequence, ready, &priority);
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.fresh.reserve(more);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Ready> {
        match self.alone.take() {
            Some((sequence, ready)) => {
                self.taken = sequence;
                Some(ready)
            }
            None => {
                if !self.fresh.is_empty() {
                    self.place_fresh();
                }
                let in_heap = match (self.sorted.least(), self.ranked.peek()) {
                    (Some(sorted), Some(Reverse(ranked))) => ranked < sorted,
                    (sorted, _) => sorted.is_none(),
                };
                let least = if in_heap { self.ranked.pop()?.0 } else { self.sorted.pop()? };
                self.taken = least.sequence;
                Some(least.ready)
            }
        }
    }

    /// Those that had been ready for longer than the last that was taken out, by number.
    pub(crate) fn overtaken(&self) -> impl Iterator<Item = u64> + '_ {
        let ranked = self.ranked.iter().map(|Reverse(left)| left);
        let left = ranked.chain(self.sorted.left()).chain(&self.fresh).map(|left| left.sequence);
        left.filter(|sequence| *sequence < self.taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alone.is_none()
            && self.fresh.is_empty()
            && self.sorted.order.is_empty()
            && self.ranked.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.alone = None;
        self.fresh.clear();
        self.ranked.clear();
        self.sorted.order.clear();
    }

    fn rank(&mut self, sequence: u64, ready: Ready, priority: &impl Fn(Ready) -> u64) {
        self.fresh.push(Ranked { priority: priority(ready), sequence, ready });
    }

    /// Many are put in order, if no others are; a few find their places in the heap.
    fn place_fresh(&mut self) {
        if self.fresh.len() >= MANY && self.sorted.order.is_empty() {
            self.sorted.fill(&mut self.fresh);
        } else {
            self.ranked.extend(self.fresh.drain(..).map(Reverse));
        }
    }
}

impl Ranked {
    /// Both as one number: compared without a branch.
    fn order(&self) -> u128 {
        u128::from(self.priority) << 64 | u128::from(self.sequence)
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn ready(slot: u32) -> Ready {
        Ready { slot, generation: 0, path: u64::from(slot), wake: 0 }
    }

    fn order(queue: &mut ReadyQueue) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|ready| ready.slot).collect()
    }

    #[test]
    fn calm_is_first_in_first_out() {
        // Few have their places in the heap; many are put in order at once.
        for many in [5, MANY as u32, 100] {
            let mut queue = ReadyQueue::default();
            (0..many).for_each(|slot| queue.push(ready(slot), |_| 0));
            assert!(order(&mut queue).into_iter().eq(0..many), "{many}");
        }
    }

    /// A number has no room for all of a priority beside its place.
    #[test]
    fn priorities_that_differ_little_differ() {
        for shift in [0, 3, 7, 57] {
            let mut queue = ReadyQueue::default();
            (0..100).for_each(|slot| queue.push(ready(slot), |ready| (99 - ready.path) << shift));
            assert!(order(&mut queue).into_iter().eq((0..100).rev()), "{shift}");
        }
    }

    /// Who comes while some of many are left waits in the heap, and is calm behind them.
    #[test]
    fn calm_ones_in_the_heap_come_behind_those_in_order() {
        let mut queue = ReadyQueue::default();
        let many = 3 * MANY as u32;
        (0..many).for_each(|slot| queue.push(ready(slot), |_| 0));
        let first = queue.pop().map(|ready| ready.slot);
        (many..2 * many).for_each(|slot| queue.push(ready(slot), |_| 0));
        assert_eq!((first, order(&mut queue)), (Some(0), (1..2 * many).collect()));
    }

    #[test]
    fn the_least_priority_runs_first() {
        let mut queue = ReadyQueue::default();
        (0..5).for_each(|slot| queue.push(ready(slot), |ready| 10 - ready.path));
        assert_eq!(queue.pop().map(|ready| ready.slot), Some(4));
        assert_eq!(queue.overtaken().count(), 4);
        assert_eq!(order(&mut queue), [3, 2, 1, 0]);
        assert_eq!(queue.overtaken().count(), 0);
        assert!(queue.is_empty());
    }

    /// Whether they were put in order at once or lie in the heap, the least comes first.
    #[test]
    fn many_and_few_come_by_priority() {
        let mut queue = ReadyQueue::default();
        let priority = |ready: Ready| ready.path * 7 % 1009;
        let (mut next, mut left) = (0, Vec::new());
        for round in 0..60 {
            for _ in 0..round % 13 {
                queue.push(ready(next), priority);
                left.push(u64::from(next) * 7 % 1009);
                next += 1;
            }
            for _ in 0..round % 11 {
                let least = left.iter().min().copied();
                assert_eq!(queue.pop().map(priority), least);
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
            queue.push(ready(slot), |_| {
                asked.set(asked.get() + 1);
                0
            });
            assert!(queue.pop().is_some());
        }
        assert_eq!(asked.get(), 0);
    }
}

//! Numbers the tasks that a task spawns, its draws, and its connections. The numbers are part of
//! addresses, so they must not depend on steps that are left out.
//!
//! Outside steps, a task's numbers are counted from the beginning of the task. While the task is in
//! a step of the test, they are counted from the beginning of the step, so that leaving out a step
//! does not change the numbers in other steps.
//!
//! A task is in the step that it began last, until the step's sequence ends or begins its next step. If two sequences
//! alternate in one task, as under `join!`, actions of one may be counted in a step of the other.

use crate::engine::draws::mix;

/// The `nth` item of its kind, counted from 1, from one `source`: a task, or a step of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// The path of the task, mixed with the word of the step if the task is in one.
    pub(crate) source: u64,
    pub(crate) nth: u64,
}

/// The number of items of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) children: u64,
    pub(crate) draws: u64,
    pub(crate) selects: u64,
    pub(crate) entropy: u64,
    pub(crate) file_calls: u64,
}

/// The counts of one task.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    outside: Counts,
    /// The steps that the task is in, in the order in which they began.
    steps: Vec<StepCounts>,
    /// The word of the step in which the task was spawned; 0 if it was spawned outside steps.
    origin: u64,
}

#[derive(Debug)]
struct StepCounts {
    sequence: u64,
    word: u64,
    counts: Counts,
}

impl Numbering {
    /// The numbering of a task that is spawned in the step with the word `origin`, or outside of steps if that is 0.
    pub(crate) fn spawned_in(origin: u64) -> Self {
        Self { origin, ..Self::default() }
    }

    /// Counts a thing of the task with this path.
    pub(crate) fn count(&mut self, path: u64, which: impl Fn(&mut Counts) -> &mut u64) -> Numbered {
        let (source, counts) = match self.steps.last_mut() {
            Some(step) => (mix(path, step.word), &mut step.counts),
            None => (path, &mut self.outside),
        };
        let count = which(counts);
        *count += 1;
        Numbered { source, nth: *count }
    }

    /// The word of the step that the task is in; 0 outside of steps.
    pub(crate) fn own_step(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.word)
    }

    /// The word of the step that the task is in, or in which it or a task above it was spawned; 0 outside of steps.
    pub(crate) fn step(&self) -> u64 {
        self.steps.last().map_or(self.origin, |step| step.word)
    }

    /// Begins a step of a sequence, which ends the one before.
    pub(crate) fn begin_step(&mut self, sequence: u64, step: u64) {
        self.end_steps(sequence);
        let word = mix(sequence, step).max(1);
        self.steps.push(StepCounts { sequence, word, counts: Counts::default() });
    }

    /// Ends the step of a sequence, if the task is in one.
    pub(crate) fn end_steps(&mut self, sequence: u64) {
        self.steps.retain(|step| step.sequence != sequence);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn child(numbering: &mut Numbering) -> Numbered {
        numbering.count(7, |counts| &mut counts.children)
    }

    #[test]
    fn outside_of_steps_a_task_counts_from_its_beginning() {
        let mut task = Numbering::default();
        assert_eq!(child(&mut task), Numbered { source: 7, nth: 1 });
        task.begin_step(1, 0);
        child(&mut task);
        task.end_steps(1);
        assert_eq!(child(&mut task), Numbered { source: 7, nth: 2 });
        assert_eq!((task.own_step(), task.step()), (0, 0));
        assert_eq!(Numbering::spawned_in(5).step(), 5);
    }

    proptest! {
        /// The numbers of a step are the same whichever other steps there are.
        #[test]
        fn step_left_out_shifts_no_other(
            counts in prop::collection::vec(0..4u64, 1..20),
            left_out in prop::collection::vec(any::<bool>(), 20),
        ) {
            let run = |is_there: &dyn Fn(usize) -> bool| {
                let mut task = Numbering::default();
                let mut numbers = Vec::new();
                for (step, count) in counts.iter().enumerate() {
                    if is_there(step) {
                        task.begin_step(3, step as u64);
                        numbers.push((step, (0..*count).map(|_| child(&mut task)).collect::<Vec<_>>()));
                    }
                }
                numbers
            };
            let mut all = run(&|_| true);
            all.retain(|(step, _)| !left_out[*step]);
            prop_assert_eq!(all, run(&|step| !left_out[step]));
        }

        /// Sequences within steps, and side by side, give each step numbers of its own.
        #[test]
        fn no_two_things_have_the_same_number(begun in prop::collection::btree_set((0..3u64, 0..5u64), 0..12)) {
            let mut task = Numbering::default();
            let mut numbers = vec![child(&mut task)];
            for (sequence, step) in &begun {
                task.begin_step(*sequence, *step);
                numbers.extend([child(&mut task), child(&mut task)]);
            }
            (0..3).for_each(|sequence| task.end_steps(sequence));
            numbers.push(child(&mut task));
            let distinct: std::collections::BTreeSet<_> =
                numbers.iter().map(|number| (number.source, number.nth)).collect();
            prop_assert_eq!(distinct.len(), numbers.len());
        }
    }
}

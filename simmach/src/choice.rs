//! The steps of a test and its random choices, both drawn from the seed.
//!
//! A choice is drawn at the address (step sequence, step, nth choice of the step). Its calm value
//! is the smallest number, the first element, or `false`. The calm value of a step leaves the step
//! out. Addresses do not depend on other steps, so the choices in the remaining steps do not
//! change.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::panic::Location;
use std::rc::Rc;

use crate::engine::draws::address::Address;
use crate::engine::draws::positions::StepSequence;
use crate::engine::record::deviations::{Deviation, DeviationKind};
use crate::engine::steps;
use crate::engine::tasks::numbering::Numbered;
use crate::engine::tasks::table::TaskKey;
use crate::engine::{self, Event, context};

/// Iterator over the numbered steps of a test, returned by [`Sim::steps`](crate::Sim::steps).
#[derive(Debug)]
pub struct Steps {
    sequence: u64,
    next: u64,
    count: u64,
    /// The task in which the current step began.
    task: Option<TaskKey>,
    /// Who takes the steps, for reports.
    name: Option<Rc<str>>,
}

impl Steps {
    pub(crate) fn new(sequence: u64, count: u64) -> Self {
        steps::begin_sequence(sequence, count);
        Self { sequence, next: 0, count, task: None, name: None }
    }

    /// Names who takes the steps. Reports then say, for example, `step 3 of client 1`.
    ///
    /// ```no_run
    /// # use simmach::prelude::*;
    /// # fn of(sim: Sim) {
    /// for step in sim.steps(20).named("client 1") {
    ///     sim.log(step.number());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.name = Some(name.as_ref().into());
        self
    }

    /// A step in words: `step 3 of client 1`, or `step 3 on client.b` for an unnamed one on a machine other than that of
    /// the test's body.
    fn describe(&self, number: u64) -> String {
        if let Some(name) = &self.name {
            return format!("step {number} of {name}");
        }
        let elsewhere = context::try_with(|engine| {
            let body = engine.identity(engine.body()?)?.machine;
            let own = engine.scope().machine;
            engine.name(own).filter(|_| own != body)
        });
        match elsewhere.flatten() {
            Some(machine) => format!("step {number} on {machine}"),
            None => format!("step {number}"),
        }
    }

    fn end_step(&mut self) {
        if let Some(task) = self.task.take() {
            steps::end_steps(task, self.sequence);
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.end_step();
    }
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.end_step();
        let number = match self.next < self.count {
            true => engine::next_active(Address::step(self.sequence, self.next)),
            false => None,
        };
        let Some(number) = number.filter(|number| *number < self.count) else {
            self.next = self.count;
            return None;
        };
        self.next = number + 1;
        engine::note_progress();
        engine::record_deviation(|| Deviation {
            text: self.describe(number),
            ..Deviation::new(
                Address::step(self.sequence, number),
                DeviationKind::Step,
                1,
                engine::now(),
            )
        });
        self.task = steps::begin_step(self.sequence, number);
        engine::trace(Event::StepBegun { sequence: self.sequence, number });
        Some(Step {
            number,
            chooser: Chooser { sequence: self.sequence, step: number, nth: Cell::new(0) },
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The shrinker may leave out any step.
        (0, usize::try_from(self.count - self.next).ok())
    }
}

/// One step of a test.
#[derive(Debug)]
pub struct Step {
    number: u64,
    chooser: Chooser,
}

impl Step {
    /// Returns the number of the step, counted from 0. The shrinker may leave steps out, so numbers can have gaps.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns a random integer in `range`, drawn from the seed. Shrinking prefers the smallest.
    ///
    /// An empty range ends the run with an error that is neither a pass nor a failure.
    #[track_caller]
    pub fn random_range<T: SampleUniform>(&self, range: std::ops::Range<T>) -> T {
        self.chooser.random_range(range)
    }

    /// Returns a random element of `among`, drawn from the seed. Shrinking prefers the first.
    ///
    /// # Panics
    ///
    /// If `among` is empty.
    #[track_caller]
    pub fn choose<'a, T>(&self, among: &'a [T]) -> &'a T {
        self.chooser.choose(among)
    }

    /// Returns `true` with probability `p`, drawn from the seed. Shrinking prefers `false`.
    ///
    /// A `p` outside 0 to 1 ends the run with an error that is neither a pass nor a failure.
    #[track_caller]
    pub fn random_bool(&self, p: f64) -> bool {
        self.chooser.random_bool(p)
    }
}

/// Draws one choice after another, each at the next address.
#[derive(Debug)]
pub(crate) struct Chooser {
    sequence: u64,
    step: u64,
    nth: Cell<u64>,
}

impl Chooser {
    /// A chooser for one choice that belongs to no [`Step`], addressed by the running task.
    pub(crate) fn of_task() -> Self {
        let Numbered { source, nth } =
            context::try_with(|engine| engine.next_draw()).unwrap_or_default();
        Self { sequence: source, step: nth, nth: Cell::new(0) }
    }

    #[track_caller]
    pub(crate) fn random_range<T: SampleUniform>(&self, range: std::ops::Range<T>) -> T {
        let at = Location::caller();
        let nth = self.advance();
        let below = T::distance(range.start, range.end);
        if below == 0 {
            reject(format!("random_range({}..{}): the range is empty", range.start, range.end));
        }
        steps::record_choice(self.sequence, nth, below);
        let address = Address::choice(self.sequence, self.step, nth);
        let chosen = range.start.plus(engine::below(address, below));
        describe(address, at, chosen, Some(format_args!("{}..{}", range.start, range.end)));
        chosen
    }

    #[track_caller]
    pub(crate) fn choose<'a, T>(&self, among: &'a [T]) -> &'a T {
        if among.is_empty() {
            let empty = "choose(&[]): the slice is empty";
            reject(empty.to_owned());
            panic!("simmach: {empty}");
        }
        &among[self.random_range(0..among.len())]
    }

    #[track_caller]
    pub(crate) fn random_bool(&self, p: f64) -> bool {
        let at = Location::caller();
        if !(0.0..=1.0).contains(&p) {
            reject(format!("random_bool({p}): the probability must be in 0..=1"));
        }
        let nth = self.advance();
        steps::record_choice(self.sequence, nth, StepSequence::FLAG);
        let address = Address::choice(self.sequence, self.step, nth);
        let chosen = engine::chance(address, p);
        describe(address, at, chosen, None);
        chosen
    }

    fn advance(&self) -> u64 {
        self.nth.replace(self.nth.get() + 1)
    }
}

/// Describes a choice that was just recorded: what was chosen from what, and the line of the test that chose.
fn describe(
    address: Address,
    at: &Location<'_>,
    chosen: impl Display,
    among: Option<fmt::Arguments<'_>>,
) {
    context::try_with(|engine| {
        engine.record(|recorder| {
            recorder.describe_choice(address, || {
                let among = among.map(|among| format!(" from {among}")).unwrap_or_default();
                format!("the test chooses {chosen}{among} at {}:{}", at.file(), at.line())
            });
        });
    });
}

/// Ends the run as broken because a choice has invalid arguments.
fn reject(message: String) {
    engine::break_run(message);
}

/// Integer types that [`Sim::random_range`](crate::Sim::random_range) and [`Step::random_range`] can draw: all up to 64 bits.
///
/// This trait is sealed: it cannot be implemented outside this crate.
pub trait SampleUniform: sealed::Integer {}

mod sealed {
    use std::fmt::Display;

    pub trait Integer: Copy + Display {
        /// The number of values in `start..end`; 0 if the range is empty.
        fn distance(start: Self, end: Self) -> u64;
        /// `self + offset`.
        fn plus(self, offset: u64) -> Self;
    }
}

macro_rules! ranges {
    ($($number:ty),*) => {$(
        impl SampleUniform for $number {}

        impl sealed::Integer for $number {
            fn distance(start: Self, end: Self) -> u64 {
                u64::try_from(end as i128 - start as i128).unwrap_or(0)
            }

            fn plus(self, offset: u64) -> Self {
                (self as i128 + i128::from(offset)) as $number
            }
        }
    )*};
}
ranges!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::Family;
    use crate::engine::draws::overlay::{Overlay, Rule, RuleAction};
    use crate::engine::failure::verdict::Verdict;
    use crate::engine::rig;

    #[test]
    fn choices_are_in_range_and_calm_ones_are_the_smallest() {
        rig::pass(1, async || {
            let mut seen = [0; 7];
            for step in Steps::new(9, 500) {
                seen[step.random_range(0..7usize)] += 1;
                assert!((-3..4).contains(&step.random_range(-3i64..4)));
            }
            assert!(seen.iter().all(|n| *n > 30), "{seen:?}");
        });
        let mut overlay = Overlay::calm();
        overlay.push(Rule::all(Some(Family::Step), RuleAction::Seeded));
        let calm = rig::run_with(
            1,
            overlay,
            || {},
            async || {
                let step = Steps::new(9, 1).next().expect("one step");
                assert_eq!(step.random_range(-3i64..4), -3);
                assert_eq!(*step.choose(&['a', 'b']), 'a');
                assert!(!step.random_bool(0.99));
            },
            || {},
        );
        assert_eq!(calm.verdict, Verdict::Passed);
    }

    /// An invalid argument must neither be accepted nor count as a failure of the program under test.
    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what a test's author may write")]
    fn choices_with_invalid_arguments_break_the_run() {
        fn broken(choose: fn(Step)) -> String {
            let body = async move || choose(Steps::new(9, 1).next().expect("one step"));
            match rig::run_with(1, Overlay::default(), || {}, body, || {}).verdict {
                Verdict::Broken(why) => why,
                other => panic!("{other:?}"),
            }
        }
        assert!(broken(|step| _ = step.random_range(7..2u8)).contains("random_range(7..2)"));
        assert!(broken(|step| _ = step.random_range(5..5i64)).contains("random_range(5..5)"));
        assert!(broken(|step| _ = step.choose::<u8>(&[])).contains("choose(&[])"));
        assert!(broken(|step| _ = step.random_bool(1.5)).contains("random_bool(1.5)"));
    }

    /// The remaining steps keep their numbers and choices.
    #[test]
    fn steps_can_be_left_out() {
        let run_steps = |overlay: Overlay| {
            let (sender, receiver) = mpsc::channel();
            let body = async move || {
                for step in Steps::new(1, 10) {
                    let choice = step.random_range(0..1_000u32);
                    sender.send((step.number(), choice)).expect("receiver is open");
                }
            };
            let ran = rig::run_with(4, overlay, || {}, body, || {});
            assert_eq!(ran.verdict, Verdict::Passed);
            receiver.into_iter().collect::<Vec<_>>()
        };
        let all = run_steps(Overlay::default());
        assert_eq!(all.len(), 10);
        assert_eq!(run_steps(Overlay::calm()), []);
        let calm = |low, high| Rule {
            address: [None, Some((low, high)), None],
            ..Rule::all(Some(Family::Step), RuleAction::Calm)
        };
        let some = run_steps([calm(0, 2), calm(4, 4), calm(9, 20)].into_iter().collect());
        assert_eq!(some, [all[3], all[5], all[6], all[7], all[8]]);
    }

    /// The number of choices in one step must not affect the choices of the next.
    #[test]
    fn steps_do_not_shift_each_other() {
        rig::pass(4, async || {
            let second = |extra: u32| {
                let mut steps = Steps::new(1, 2);
                let first = steps.next().expect("two steps");
                (0..extra).for_each(|_| {
                    first.random_range(0..100u32);
                });
                steps.next().expect("two steps").random_range(0..1_000_000u32)
            };
            assert_eq!(second(0), second(5));
        });
    }
}

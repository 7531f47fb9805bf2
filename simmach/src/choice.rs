//! Choices of a test that the seed makes, at addresses of their own: (walk, step, nth).
//!
//! Calm is the smallest number, the first of several, false; of a step, that it is left out. Each step has its own address,
//! so that one can be left out and the others choose as before.

use std::cell::Cell;
use std::fmt::Display;

use crate::engine::draws::address::Address;
use crate::engine::draws::positions::{self, StepSequence};
use crate::engine::record::deviations::{Deviation, Kind};
use crate::engine::{self, Event, context};

/// Numbered steps. What [`Sim::steps`](crate::Sim::steps) returns.
#[derive(Debug)]
pub struct Steps {
    walk: u64,
    next: u64,
    count: u64,
}

impl Steps {
    pub(crate) fn new(walk: u64, count: u64) -> Self {
        positions::begin_sequence(walk, count);
        Self { walk, next: 0, count }
    }
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let number = match self.next < self.count {
            true => engine::next_active(Address::step(self.walk, self.next)),
            false => None,
        };
        let Some(number) = number.filter(|number| *number < self.count) else {
            self.next = self.count;
            return None;
        };
        self.next = number + 1;
        engine::note_progress();
        engine::record_deviation(|| Deviation {
            text: format!("step {number}"),
            ..Deviation::new(Address::step(self.walk, number), Kind::Step, 1, engine::now())
        });
        positions::begin_step(self.walk, number);
        engine::trace(Event::StepBegun { sequence: self.walk, number });
        Some(Step { number, chooser: Chooser { walk: self.walk, step: number, nth: Cell::new(0) } })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Some may be left out.
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
    /// Its number, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A number of the seed's choice, in a range; calm is the smallest. In an empty range there is none: the run
    /// ends with a message that says so, neither passed nor failed.
    pub fn choose<T: WholeNumber>(&self, range: std::ops::Range<T>) -> T {
        self.chooser.choose(range)
    }

    /// One of several, of the seed's choice; calm is the first.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        self.chooser.pick(among)
    }

    /// True with probability `p`; calm is false.
    pub fn flag(&self, p: f64) -> bool {
        self.chooser.flag(p)
    }
}

/// Makes choices at one address after another.
#[derive(Debug)]
pub(crate) struct Chooser {
    walk: u64,
    step: u64,
    nth: Cell<u64>,
}

impl Chooser {
    /// For a choice outside any step: the task's own next.
    pub(crate) fn of_task() -> Self {
        let task = engine::scope().map_or(0, |scope| scope.task);
        let nth = context::try_with(|engine| engine.next_draw()).unwrap_or(0);
        Self { walk: task, step: nth, nth: Cell::new(0) }
    }

    pub(crate) fn choose<T: WholeNumber>(&self, range: std::ops::Range<T>) -> T {
        let nth = self.advance();
        let below = T::distance(&range.start, &range.end);
        if below == 0 {
            mistake(format!(
                "choose({}..{}): no number lies in this range",
                range.start, range.end
            ));
        }
        positions::record_choice(self.walk, nth, below);
        range.start.plus(engine::below(Address::choice(self.walk, self.step, nth), below))
    }

    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        if among.is_empty() {
            let nothing = "pick(&[]): there is nothing to pick from";
            mistake(nothing.to_owned());
            panic!("simmach: {nothing}");
        }
        &among[self.choose(0..among.len())]
    }

    pub(crate) fn flag(&self, p: f64) -> bool {
        if !(0.0..=1.0).contains(&p) {
            mistake(format!("flag({p}): a probability lies from 0 to 1"));
        }
        let nth = self.advance();
        positions::record_choice(self.walk, nth, StepSequence::FLAG);
        engine::chance(Address::choice(self.walk, self.step, nth), p)
    }

    fn advance(&self) -> u64 {
        self.nth.replace(self.nth.get() + 1)
    }
}

/// The test asks for what makes no sense: the run is neither a pass nor a failure of what is tested.
fn mistake(what: String) {
    engine::break_run(what);
}

/// Whole numbers of which a range can be chosen from.
pub trait WholeNumber: Copy + Display {
    /// How many lie from `start` to `end`; none if that is upside down.
    fn distance(start: &Self, end: &Self) -> u64;
    /// The one so many further.
    fn plus(self, offset: u64) -> Self;
}

macro_rules! ranges {
    ($($number:ty),*) => {$(
        impl WholeNumber for $number {
            fn distance(start: &Self, end: &Self) -> u64 {
                u64::try_from(*end as i128 - *start as i128).unwrap_or(0)
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
    fn choices_hold_their_range_and_calm_ones_are_the_smallest() {
        rig::pass(1, async || {
            let mut seen = [0; 7];
            for step in Steps::new(9, 500) {
                seen[step.choose(0..7usize)] += 1;
                assert!((-3..4).contains(&step.choose(-3i64..4)));
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
                assert_eq!(step.choose(-3i64..4), -3);
                assert_eq!(*step.pick(&['a', 'b']), 'a');
                assert!(!step.flag(0.99));
            },
            || {},
        );
        assert_eq!(calm.verdict, Verdict::Passed);
    }

    /// A range that is upside down must not pass in silence, nor for a bug that was found.
    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what a test's author may write")]
    fn what_can_not_be_chosen_from_breaks_the_run() {
        fn broken(choose: fn(Step)) -> String {
            let body = async move || choose(Steps::new(9, 1).next().expect("one step"));
            match rig::run_with(1, Overlay::default(), || {}, body, || {}).verdict {
                Verdict::Broken(why) => why,
                other => panic!("{other:?}"),
            }
        }
        assert!(broken(|step| _ = step.choose(7..2u8)).contains("choose(7..2)"));
        assert!(broken(|step| _ = step.choose(5..5i64)).contains("choose(5..5)"));
        assert!(broken(|step| _ = step.pick::<u8>(&[])).contains("pick(&[])"));
        assert!(broken(|step| _ = step.flag(1.5)).contains("flag(1.5)"));
    }

    /// The others keep their numbers and what they choose.
    #[test]
    fn steps_are_left_out() {
        let walked = |overlay: Overlay| {
            let (told, hears) = mpsc::channel();
            let body = async move || {
                for step in Steps::new(1, 10) {
                    told.send((step.number(), step.choose(0..1_000u32))).expect("it is heard");
                }
            };
            let ran = rig::run_with(4, overlay, || {}, body, || {});
            assert_eq!(ran.verdict, Verdict::Passed);
            hears.into_iter().collect::<Vec<_>>()
        };
        let all = walked(Overlay::default());
        assert_eq!(all.len(), 10);
        assert_eq!(walked(Overlay::calm()), []);
        let calm = |low, high| Rule {
            address: [None, Some((low, high)), None],
            ..Rule::all(Some(Family::Step), RuleAction::Calm)
        };
        let some = walked([calm(0, 2), calm(4, 4), calm(9, 20)].into_iter().collect());
        assert_eq!(some, [all[3], all[5], all[6], all[7], all[8]]);
    }

    /// A step that chooses once more, or not at all, must not change the next step's choices.
    #[test]
    fn steps_do_not_shift_each_other() {
        rig::pass(4, async || {
            let second = |extra: u32| {
                let mut steps = Steps::new(1, 2);
                let first = steps.next().expect("two steps");
                (0..extra).for_each(|_| {
                    first.choose(0..100u32);
                });
                steps.next().expect("two steps").choose(0..1_000_000u32)
            };
            assert_eq!(second(0), second(5));
        });
    }
}

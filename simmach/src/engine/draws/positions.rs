//! Positions in the test: the step sequences, the current step, and the number of a draw within it.
//!
//! The shrinker binds draws and strikes to the step in which they happened, not to a time since the
//! run began. So they still happen in that step when earlier steps are left out.

use std::collections::BTreeMap;
use std::task::Waker;

use serde::{Deserialize, Serialize};

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::Position;

/// The steps that have begun, and the number of draws since the last step began.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    last: Option<StepStart>,
    /// The last step that no plan began.
    last_of_program: Option<StepStart>,
    /// The last step of each sequence, and its virtual time in nanoseconds.
    begun: BTreeMap<u64, (u64, u64)>,
    waiting: Vec<Waker>,
    /// The current lane of draws.
    lane: u64,
    /// The step sequences that have begun.
    sequences: BTreeMap<u64, StepSequence>,
    /// Number of draws by family and lane since the last step began.
    counts: BTreeMap<(Family, u64), u64>,
}

impl Positions {
    /// Records that a step sequence begins.
    pub(crate) fn begin_sequence(&mut self, sequence: u64, steps: u64) {
        self.sequences.entry(sequence).or_insert_with(|| StepSequence::new(sequence, steps));
    }

    /// Records that the nth choice of a step has `of` possible values.
    pub(crate) fn record_choice(&mut self, sequence: u64, nth: u64, of: u64) {
        if let Some(sequence) = self.sequences.get_mut(&sequence) {
            sequence.record_choice(nth, of);
        }
    }

    /// Takes the sequences that have begun.
    pub(crate) fn take_sequences(&mut self) -> Vec<StepSequence> {
        std::mem::take(&mut self.sequences).into_values().collect()
    }

    /// The step that began last.
    pub(crate) fn last_step(&self) -> Option<StepStart> {
        self.last
    }

    /// The step that began last, except those of plans.
    pub(crate) fn last_step_of_program(&self) -> Option<StepStart> {
        self.last_of_program
    }

    /// Begins a step. Returns the wakers of what waits for a step.
    pub(crate) fn begin_step(&mut self, start: StepStart, is_by_plan: bool) -> Vec<Waker> {
        self.last = Some(start);
        if !is_by_plan {
            self.last_of_program = Some(start);
        }
        self.begun.insert(start.sequence, (start.step, start.at));
        self.counts.clear();
        self.take_waiting()
    }

    /// When a step, or a later one of its sequence, began. `None` if none has; then `waker` is called when a step begins.
    pub(crate) fn begun_at(&mut self, sequence: u64, step: u64, waker: &Waker) -> Option<u64> {
        match self.begun.get(&sequence) {
            Some((begun, at)) if *begun >= step => Some(*at),
            _ => {
                self.waiting.push(waker.clone());
                None
            }
        }
    }

    /// Takes the wakers of what waits for a step.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting)
    }

    /// Sets the lane of the following draws.
    pub(crate) fn set_lane(&mut self, lane: u64) {
        self.lane = lane;
    }

    /// Counts a draw of a family and returns its position.
    pub(crate) fn next_position(&mut self, family: Family) -> Position {
        // Wakes have no lane, since they have no path between machines.
        let lane = if family == Family::Wake { 0 } else { self.lane };
        let count = self.counts.entry((family, lane)).or_default();
        let nth = *count;
        *count += 1;
        let (sequence, step) = self.last.map_or((0, 0), |last| (last.sequence, last.step));
        Position { sequence, step, lane, nth }
    }
}

/// A sequence of steps of the test (`Sim::steps`), as a token describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepSequence {
    /// The low bits of its number.
    pub id: u16,
    /// Number of steps if none is left out.
    pub steps: u64,
    /// For each choice of a step the number of possible values; [`VARIES`](Self::VARIES) if the steps differ,
    /// [`FLAG`](Self::FLAG) for a boolean.
    pub choices: Vec<u64>,
}

impl StepSequence {
    /// The steps differ in the number of possible values.
    pub(crate) const VARIES: u64 = 0;
    /// The choice is a boolean.
    pub(crate) const FLAG: u64 = 1;
    /// Maximum number of choices of a step that are recorded.
    const CHOICES: u64 = 16;

    fn new(sequence: u64, steps: u64) -> Self {
        Self { id: sequence as u16, steps, choices: Vec::new() }
    }

    fn record_choice(&mut self, nth: u64, of: u64) {
        match self.choices.get_mut(nth as usize) {
            Some(known) if *known != of => *known = Self::VARIES,
            Some(_) => {}
            None if nth < Self::CHOICES => {
                self.choices.resize(nth as usize, Self::VARIES);
                self.choices.push(of);
            }
            None => {}
        }
    }

    /// Whether `other` may be the same sequence in another run.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mut both = self.choices.iter().zip(&other.choices);
        self.steps == other.steps
            && both.all(|(a, b)| a == b || *a == Self::VARIES || *b == Self::VARIES)
    }
}

/// A step that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepStart {
    pub(crate) sequence: u64,
    pub(crate) step: u64,
    /// Virtual nanoseconds since the run began.
    pub(crate) at: u64,
}

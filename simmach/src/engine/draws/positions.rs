//! Positions in the test: the sequences of steps, the current step, and the number of a draw within it.
//!
//! The shrinker binds draws and strikes to the step during which they happened, not to the time since the run began. So they
//! still happen there when earlier steps are left out.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use serde::{Deserialize, Serialize};

use crate::engine::context::try_with;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::Position;
use crate::engine::executor::waits::Wait;

/// The steps that have begun, and the draws counted since the last one.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    last: Option<StepStart>,
    /// The last step of each sequence, and when it began.
    begun: BTreeMap<u64, (u64, u64)>,
    waiting: Vec<Waker>,
    /// The current lane of draws.
    lane: u64,
    /// The sequences that have begun.
    sequences: BTreeMap<u64, StepSequence>,
    /// Number of draws by family and lane since the last step began.
    counts: BTreeMap<(Family, u64), u64>,
}

impl Positions {
    /// Sets the lane of the following draws.
    pub(crate) fn set_lane(&mut self, lane: u64) {
        self.lane = lane;
    }

    /// Counts a draw of a family and returns its position.
    pub(crate) fn next_position(&mut self, family: Family) -> Position {
        // Wakes are not packets: they have no path between machines.
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

/// Records that a sequence of steps begins.
pub(crate) fn begin_sequence(sequence: u64, steps: u64) {
    try_with(|engine| {
        let mut positions = engine.positions.borrow_mut();
        positions.sequences.entry(sequence).or_insert_with(|| StepSequence::new(sequence, steps));
    });
}

/// Records that the nth choice of a step has `of` possible values.
pub(crate) fn record_choice(sequence: u64, nth: u64, of: u64) {
    try_with(|engine| {
        if let Some(sequence) = engine.positions.borrow_mut().sequences.get_mut(&sequence) {
            sequence.record_choice(nth, of);
        }
    });
}

/// Takes the sequences that have begun.
pub(crate) fn take_sequences() -> Vec<StepSequence> {
    let taken = try_with(|engine| std::mem::take(&mut engine.positions.borrow_mut().sequences));
    taken.into_iter().flatten().map(|(_, sequence)| sequence).collect()
}

/// A step that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepStart {
    pub(crate) sequence: u64,
    pub(crate) step: u64,
    /// Virtual nanoseconds since the run began.
    pub(crate) at: u64,
}

/// Returns the step that began last.
pub(crate) fn last_step() -> Option<StepStart> {
    try_with(|engine| engine.positions.borrow().last).flatten()
}

/// Begins a step and wakes what waits for it.
pub(crate) fn begin_step(sequence: u64, step: u64) {
    let waiting = try_with(|engine| {
        let at = engine.clock.now();
        let mut positions = engine.positions.borrow_mut();
        positions.last = Some(StepStart { sequence, step, at });
        positions.begun.insert(sequence, (step, at));
        positions.counts.clear();
        std::mem::take(&mut positions.waiting)
    });
    waiting.into_iter().flatten().for_each(Waker::wake);
}

/// Waits until a step, or a later one of its sequence, has begun. Returns when that was.
pub(crate) async fn wait_for_step(sequence: u64, step: u64) -> u64 {
    poll_fn(|cx| {
        crate::engine::record_wait(Wait::Named("a step of the test to begin"));
        let found = try_with(|engine| {
            let mut positions = engine.positions.borrow_mut();
            match positions.begun.get(&sequence) {
                Some((begun, at)) if *begun >= step => Some(*at),
                _ => {
                    positions.waiting.push(cx.waker().clone());
                    None
                }
            }
        });
        found.flatten().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Drops the wakers of tasks that wait for a step, at the end of the run.
pub(crate) fn clear_waiters() {
    let waiting = try_with(|engine| std::mem::take(&mut engine.positions.borrow_mut().waiting));
    drop(waiting);
}

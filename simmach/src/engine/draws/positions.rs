//! Which steps of the test have begun: what a plan's strike is told to wait for.
//!
//! A strike that has been seen to matter is bound to the step during which it fell, not to the time since the run began:
//! so it still falls there when steps before it are left out.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use serde::{Deserialize, Serialize};

use crate::engine::context::try_with;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::Position;
use crate::engine::executor::waits::Wait;

/// The steps that have begun.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    last: Option<StepStart>,
    /// The latest of each sequence, and when it began.
    begun: BTreeMap<u64, (u64, u64)>,
    waiting: Vec<Waker>,
    /// What draws are counted apart by, now.
    lane: u64,
    /// What is known of each sequence's steps.
    sequences: BTreeMap<u64, StepSequence>,
    /// How many draws of a family were made in a lane since the last step began.
    counts: BTreeMap<(Family, u64), u64>,
}

impl Positions {
    /// From now on draws are counted apart by this.
    pub(crate) fn set_lane(&mut self, lane: u64) {
        self.lane = lane;
    }

    /// Where in the test the next draw of a family is made: counts it.
    pub(crate) fn next_position(&mut self, family: Family) -> Position {
        // Wakes have no way from one machine to another.
        let lane = if family == Family::Wake { 0 } else { self.lane };
        let count = self.counts.entry((family, lane)).or_default();
        let nth = *count;
        *count += 1;
        let (sequence, step) = self.last.map_or((0, 0), |last| (last.sequence, last.step));
        Position { sequence, step, lane, nth }
    }
}

/// A sequence of steps, as the test has it: how many there are to be, and among how many numbers each of a step's choices is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepSequence {
    /// A part of its number.
    pub id: u16,
    /// How many steps it has if none is left out.
    pub steps: u64,
    /// By position in a step; [`VARIES`](Self::VARIES) where steps differ, [`FLAG`](Self::FLAG) for true or false.
    pub choices: Vec<u64>,
}

impl StepSequence {
    /// Steps choose among different numbers there.
    pub(crate) const VARIES: u64 = 0;
    /// Whether something is to be.
    pub(crate) const FLAG: u64 = 1;
    /// So many choices of a step are looked at.
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

    /// Whether the other may be the same sequence in another run.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mut both = self.choices.iter().zip(&other.choices);
        self.steps == other.steps
            && both.all(|(a, b)| a == b || *a == Self::VARIES || *b == Self::VARIES)
    }
}

/// A sequence of so many steps begins.
pub(crate) fn begin_sequence(sequence: u64, steps: u64) {
    try_with(|engine| {
        let mut positions = engine.positions.borrow_mut();
        positions.sequences.entry(sequence).or_insert_with(|| StepSequence::new(sequence, steps));
    });
}

/// A step chooses, in the nth position, among so many numbers.
pub(crate) fn record_choice(sequence: u64, nth: u64, of: u64) {
    try_with(|engine| {
        if let Some(sequence) = engine.positions.borrow_mut().sequences.get_mut(&sequence) {
            sequence.record_choice(nth, of);
        }
    });
}

/// All sequences that have begun.
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

/// The step that began last.
pub(crate) fn last_step() -> Option<StepStart> {
    try_with(|engine| engine.positions.borrow().last).flatten()
}

/// A step begins.
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

/// Waits until a step, or a later one of its sequence, has begun; when that was.
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

/// Forgets who waits: the run is over.
pub(crate) fn clear_waiters() {
    let waiting = try_with(|engine| std::mem::take(&mut engine.positions.borrow_mut().waiting));
    drop(waiting);
}

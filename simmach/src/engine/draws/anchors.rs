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
use crate::engine::draws::overlay::Place;
use crate::engine::executor::waits::Wait;

/// The steps that have begun.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    last: Option<Anchor>,
    /// The latest of each walk, and when it began.
    begun: BTreeMap<u64, (u64, u64)>,
    waiting: Vec<Waker>,
    /// What draws are counted apart by, now.
    lane: u64,
    /// What is known of each walk's steps.
    walks: BTreeMap<u64, Walk>,
    /// How many draws of a family were made in a lane since the last step began.
    counts: BTreeMap<(Family, u64), u64>,
}

impl Anchors {
    /// From now on draws are counted apart by this.
    pub(crate) fn set_lane(&mut self, lane: u64) {
        self.lane = lane;
    }

    /// Where in the test the next draw of a family is made: counts it.
    pub(crate) fn place(&mut self, family: Family) -> Place {
        // Wakes have no way from one machine to another.
        let lane = if family == Family::Wake { 0 } else { self.lane };
        let count = self.counts.entry((family, lane)).or_default();
        let nth = *count;
        *count += 1;
        let (walk, step) = self.last.map_or((0, 0), |last| (last.walk, last.step));
        Place { walk, step, lane, nth }
    }
}

/// A walk of steps, as the test has it: how many there are to be, and among how many numbers each of a step's choices is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Walk {
    /// A part of its number.
    pub id: u16,
    /// How many steps it has if none is left out.
    pub steps: u64,
    /// By place in a step; [`VARIES`](Self::VARIES) where steps differ, [`FLAG`](Self::FLAG) for true or false.
    pub choices: Vec<u64>,
}

impl Walk {
    /// Steps choose among different numbers there.
    pub(crate) const VARIES: u64 = 0;
    /// Whether something is to be.
    pub(crate) const FLAG: u64 = 1;
    /// So many choices of a step are looked at.
    const CHOICES: u64 = 16;

    fn new(walk: u64, steps: u64) -> Self {
        Self { id: walk as u16, steps, choices: Vec::new() }
    }

    fn chooses(&mut self, nth: u64, of: u64) {
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

    /// Whether the other may be the same walk in another run.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mut both = self.choices.iter().zip(&other.choices);
        self.steps == other.steps
            && both.all(|(a, b)| a == b || *a == Self::VARIES || *b == Self::VARIES)
    }
}

/// A walk of so many steps begins.
pub(crate) fn walks(walk: u64, steps: u64) {
    try_with(|engine| {
        let mut anchors = engine.anchors.borrow_mut();
        anchors.walks.entry(walk).or_insert_with(|| Walk::new(walk, steps));
    });
}

/// A step chooses, in the nth place, among so many numbers.
pub(crate) fn chooses(walk: u64, nth: u64, of: u64) {
    try_with(|engine| {
        if let Some(walk) = engine.anchors.borrow_mut().walks.get_mut(&walk) {
            walk.chooses(nth, of);
        }
    });
}

/// All walks that have begun.
pub(crate) fn take_walks() -> Vec<Walk> {
    let taken = try_with(|engine| std::mem::take(&mut engine.anchors.borrow_mut().walks));
    taken.into_iter().flatten().map(|(_, walk)| walk).collect()
}

/// A step that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) walk: u64,
    pub(crate) step: u64,
    /// Virtual nanoseconds since the run began.
    pub(crate) at: u64,
}

/// The step that began last.
pub(crate) fn last() -> Option<Anchor> {
    try_with(|engine| engine.anchors.borrow().last).flatten()
}

/// A step begins.
pub(crate) fn begin(walk: u64, step: u64) {
    let waiting = try_with(|engine| {
        let at = engine.clock.now();
        let mut anchors = engine.anchors.borrow_mut();
        anchors.last = Some(Anchor { walk, step, at });
        anchors.begun.insert(walk, (step, at));
        anchors.counts.clear();
        std::mem::take(&mut anchors.waiting)
    });
    waiting.into_iter().flatten().for_each(Waker::wake);
}

/// Waits until a step, or a later one of its walk, has begun; when that was.
pub(crate) async fn begun(walk: u64, step: u64) -> u64 {
    poll_fn(|cx| {
        crate::engine::waits(Wait::Named("a step of the test to begin"));
        let found = try_with(|engine| {
            let mut anchors = engine.anchors.borrow_mut();
            match anchors.begun.get(&walk) {
                Some((begun, at)) if *begun >= step => Some(*at),
                _ => {
                    anchors.waiting.push(cx.waker().clone());
                    None
                }
            }
        });
        found.flatten().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Forgets who waits: the run is over.
pub(crate) fn end() {
    let waiting = try_with(|engine| std::mem::take(&mut engine.anchors.borrow_mut().waiting));
    drop(waiting);
}

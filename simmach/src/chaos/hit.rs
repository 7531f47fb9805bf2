//! [`Hit`]: one strike of a fault, with its victims and its draws.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::chaos::pace::{DurationRange, Strike};
use crate::chaos::target::selector;
use crate::engine::{MachineId, mix};
use crate::machine::Selector;
use crate::sim::Sim;
use crate::time::nanos;

/// One strike of a [`Fault`](crate::Fault): the machines that it hits, and the values drawn for it.
///
/// The fault chooses a number for each draw. Draws with the same number have the same value in one
/// strike: when the fault begins, when it is undone, and when a failing run is replayed without its
/// plans. Shrinking prefers small values.
pub struct Hit {
    sim: Sim,
    victims: Vec<MachineId>,
    others: Vec<MachineId>,
    source: Source,
    drawn: RefCell<BTreeMap<u32, u64>>,
    kept: RefCell<Vec<Box<dyn Any>>>,
    /// The part of the strike that has begun and not ended, if its fault comes and goes.
    part: RefCell<Option<Rc<Hit>>>,
}

/// Where the draws come from.
#[derive(Clone, Debug)]
enum Source {
    /// The strike of a plan, and the first field of the strike that belongs to this fault. Fields
    /// wrap around.
    Plan(Strike, u64),
    /// The act of a script.
    Script,
}

/// Number of fields of a strike that belong to one of its faults.
const FIELDS_OF_A_FAULT: u64 = 1 << 40;

impl Hit {
    /// Creates a strike of a plan, for its fault number `nth`, counted from 0.
    pub(super) fn of_plan(
        sim: Sim,
        strike: Strike,
        nth: u64,
        victims: Vec<MachineId>,
        others: Vec<MachineId>,
    ) -> Self {
        let source = Source::Plan(strike, (nth + 1) * FIELDS_OF_A_FAULT);
        let (drawn, kept, part) = Default::default();
        Self { sim, victims, others, source, drawn, kept, part }
    }

    /// Creates a part of this strike, which begins and ends while the strike lasts. The `nth` part has
    /// draws of its own.
    pub(super) fn part(&self, nth: u64) -> Self {
        let source = match self.source {
            Source::Plan(strike, first) => Source::Plan(strike, mix(first, nth + 1)),
            Source::Script => Source::Script,
        };
        let (sim, victims, others) = (self.sim, self.victims.clone(), self.others.clone());
        let (drawn, kept, part) = Default::default();
        Self { sim, victims, others, source, drawn, kept, part }
    }

    /// Sets the part of the strike that has begun. Returns the one before.
    pub(super) fn set_part(&self, part: Option<Rc<Self>>) -> Option<Rc<Self>> {
        self.part.replace(part)
    }

    /// The part of the strike that has begun and not ended.
    pub(super) fn present_part(&self) -> Option<Rc<Self>> {
        self.part.borrow().clone()
    }

    /// A word that identifies the strike of the plan and the fault in it; 0 in a script.
    pub(super) fn word(&self) -> u64 {
        match self.source {
            Source::Plan(strike, first) => mix(strike.word(), first),
            Source::Script => 0,
        }
    }

    /// Creates a strike of a script, with the values drawn for it.
    pub(super) fn of_script(
        sim: Sim,
        victims: Vec<MachineId>,
        others: Vec<MachineId>,
        drawn: &[(u32, u64)],
    ) -> Self {
        let drawn = RefCell::new(drawn.iter().copied().collect());
        let (source, (kept, part)) = (Source::Script, Default::default());
        Self { sim, victims, others, source, drawn, kept, part }
    }

    /// The control of the cluster.
    pub fn sim(&self) -> Sim {
        self.sim
    }

    /// The machines that are hit.
    pub fn victims(&self) -> Selector {
        selector(self.victims.iter().copied())
    }

    /// The other machines that the plan may hit. The selector matches nothing if there are none.
    pub fn others(&self) -> Selector {
        selector(self.others.iter().copied())
    }

    /// Draws a number in `0..n`, or 0 if `n` is 0. Shrinking prefers the smallest.
    pub fn below(&self, number: u32, n: u64) -> u64 {
        if let Some(drawn) = self.drawn.borrow().get(&number) {
            return (*drawn).min(n.saturating_sub(1));
        }
        let value = match &self.source {
            Source::Plan(strike, first) => strike.below(first.wrapping_add(number.into()), n),
            Source::Script => 0,
        };
        self.drawn.borrow_mut().insert(number, value);
        value
    }

    /// Draws `true` with probability `p`, from 0.0 to 1.0. Shrinking prefers `false`.
    pub fn chance(&self, number: u32, p: f64) -> bool {
        let most = f64::from(1 << 30);
        self.below(number, 1 << 30) as f64 >= (1.0 - p) * most
    }

    /// Draws a duration from `range`, including both ends. Shrinking prefers the shortest.
    pub fn duration(&self, number: u32, range: impl Into<DurationRange>) -> Duration {
        let range = range.into();
        let least = nanos(range.least());
        let span = nanos(range.most()).saturating_sub(least).saturating_add(1);
        Duration::from_nanos(least + self.below(number, span))
    }

    /// Keeps a value until the fault is undone, such as the guard of a packet filter.
    pub fn keep(&self, value: impl Any) {
        self.kept.borrow_mut().push(Box::new(value));
    }

    /// Drops the kept values.
    pub(super) fn drop_kept(&self) {
        drop(self.kept.take());
    }

    pub(super) fn victim_ids(&self) -> &[MachineId] {
        &self.victims
    }

    pub(super) fn other_ids(&self) -> &[MachineId] {
        &self.others
    }

    /// The drawn values by number, for the record.
    pub(super) fn drawn(&self) -> Vec<(u32, u64)> {
        self.drawn.borrow().iter().map(|(number, value)| (*number, *value)).collect()
    }

    /// The strike of the plan; `None` in a script.
    pub(super) fn strike(&self) -> Option<Strike> {
        match self.source {
            Source::Plan(strike, _) => Some(strike),
            Source::Script => None,
        }
    }
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit").field("victims", &self.victims).finish_non_exhaustive()
    }
}

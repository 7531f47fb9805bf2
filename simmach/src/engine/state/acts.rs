//! The acts of a run: records the acts of plans, or carries out the acts of a script.

use std::cell::{Cell, RefCell};

use crate::engine::acts::{
    Act, AnchorCounts, AnchorEvent, DueAct, RecordedAct, Script, ScriptRunner, When,
};
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::ids::{ProcessId, Scope};
use crate::engine::points::Pass;
use crate::engine::record::deviations::{Deviation, DeviationKind, RecordLevel};
use crate::engine::state::Engine;
use crate::engine::time::timers::{Action, TimerKey};

/// The state of a run's acts.
#[derive(Default)]
pub(crate) struct Acts {
    /// The script that replaces the plans.
    script: Option<RefCell<ScriptRunner>>,
    /// When the script's next act is due, in virtual nanoseconds; the maximum time if no act is
    /// known to be due.
    next_at: Cell<u64>,
    /// The timer for the next act, so that virtual time stops there.
    timer: Cell<Option<TimerKey>>,
    /// Carries out an act. The layer `sim` sets this function.
    carry_out: Cell<Option<fn(DueAct)>>,
    /// The id of the act that is being carried out.
    current: Cell<Option<u32>>,
    /// Whether the places of acts are counted.
    counts_places: bool,
    /// Number of polls of the program at this virtual time, that is, of all tasks except plans.
    polls: Cell<(u64, u32)>,
    /// Whether the events that acts can be bound to are counted.
    counts_events: bool,
    events: RefCell<AnchorCounts>,
    /// When the test's body began, in virtual nanoseconds.
    body_began: Cell<u64>,
    /// Acts are not recorded while it is greater than 0.
    unrecorded: Cell<i32>,
}

impl Acts {
    pub(super) fn new(script: Option<&Script>, recording: RecordLevel) -> Self {
        let script = script.map(ScriptRunner::new);
        let records = recording == RecordLevel::All;
        Self {
            counts_events: records || script.as_ref().is_some_and(ScriptRunner::has_anchors),
            counts_places: script.is_some() || records,
            script: script.map(RefCell::new),
            next_at: Cell::new(u64::MAX),
            ..Self::default()
        }
    }

    /// Whether a script replaces the plans.
    pub(crate) fn has_script(&self) -> bool {
        self.script.is_some()
    }

    /// Begins the script, with the test's body. `carry_out` carries out one of its acts.
    pub(crate) fn begin_body(&self, engine: &Engine, carry_out: fn(DueAct)) {
        let now = engine.clock.now();
        self.body_began.set(now);
        self.carry_out.set(Some(carry_out));
        if let Some(script) = &self.script {
            script.borrow_mut().begin_body(now);
        }
        self.find_next(engine);
    }

    /// When the test's body began, in virtual nanoseconds. Times of acts count from there until a step begins, so that they do
    /// not depend on how long the machines took to boot.
    pub(crate) fn body_began(&self) -> u64 {
        self.body_began.get()
    }

    /// Handles the beginning of a step of the program.
    pub(crate) fn begin_step(&self, engine: &Engine, sequence: u64, step: u64) {
        self.events.borrow_mut().clear();
        if !engine.event_waits.is_empty() {
            engine.event_waits.note(None);
        }
        if let Some(script) = &self.script {
            script.borrow_mut().begin_step(sequence, step, engine.clock.now());
            self.find_next(engine);
        }
    }

    /// An event happens that acts can be bound to.
    #[inline]
    pub(crate) fn note_event(&self, engine: &Engine, event: impl FnOnce() -> AnchorEvent) {
        if self.counts_events || !engine.event_waits.is_empty() {
            self.count_event(engine, event());
        }
    }

    #[cold]
    fn count_event(&self, engine: &Engine, event: AnchorEvent) {
        let now = engine.clock.now();
        engine.event_waits.note(Some(event));
        if !self.counts_events {
            return;
        }
        self.events.borrow_mut().count(event, now);
        if let Some(script) = &self.script {
            script.borrow_mut().note_event(event, now);
            self.find_next(engine);
        }
    }

    /// Adds to the number of acts that are being carried out as one. While it is greater than 0,
    /// the acts that they consist of are not recorded.
    pub(crate) fn add_unrecorded(&self, by: i32) {
        self.unrecorded.set(self.unrecorded.get() + by);
    }

    /// Drops the pending acts of the script.
    pub(crate) fn end_script(&self, engine: &Engine) {
        if let Some(script) = &self.script {
            script.borrow_mut().clear();
            self.find_next(engine);
        }
    }

    /// Counts a poll of the program.
    #[inline]
    pub(crate) fn count_poll(&self, now: u64, process: ProcessId) {
        if self.counts_places && process != ProcessId::HARNESS {
            let (at, polls) = self.polls.get();
            self.polls.set((now, if at == now { polls + 1 } else { 1 }));
        }
    }

    /// Returns the number of polls of the program at this virtual time.
    fn place(&self, now: u64) -> u32 {
        let (at, polls) = self.polls.get();
        if at == now { polls } else { 0 }
    }

    /// Finds when the next act is due, and makes time stop there.
    fn find_next(&self, engine: &Engine) {
        let Some(script) = &self.script else { return };
        let next_at = script.borrow().next_at().unwrap_or(u64::MAX);
        if self.next_at.replace(next_at) == next_at {
            return;
        }
        if let Some(timer) = self.timer.take() {
            drop(engine.cancel(timer));
        }
        if next_at != u64::MAX {
            let nothing = Action::Call(|_, _| {}, 0, 0);
            self.timer.set(Some(engine.arm(next_at, nothing)));
        }
    }
}

impl Engine {
    /// Carries out the next act of the script if it is due. If nothing else `is_ready`, an act of this time is due in any
    /// case. Returns false if no act is due.
    #[inline]
    pub(crate) fn carry_out_act(&self, is_ready: bool) -> bool {
        self.clock.now() >= self.acts.next_at.get() && self.carry_out_due_act(is_ready)
    }

    #[cold]
    fn carry_out_due_act(&self, is_ready: bool) -> bool {
        let (acts, now) = (&self.acts, self.clock.now());
        let Some(script) = &acts.script else { return false };
        let place = is_ready.then(|| acts.place(now));
        let due = script.borrow_mut().take_due(now, place);
        let (Some(due), Some(carry_out)) = (due, acts.carry_out.get()) else { return false };
        acts.find_next(self);
        self.set_scope(Scope::HARNESS);
        self.map_keys.begin_poll(Scope::HARNESS.task, self.counters.polls.get());
        self.status.begin_poll(Scope::HARNESS.machine, now);
        acts.current.set(Some(due.id));
        carry_out(due);
        acts.current.set(None);
        self.status.end_poll();
        true
    }

    /// Carries out an act of the script that is bound to this pass of a point. Returns false if there is none.
    pub(super) fn carry_out_act_at(&self, pass: Pass) -> bool {
        let (acts, now) = (&self.acts, self.clock.now());
        let Some(script) = &acts.script else { return false };
        let event = AnchorEvent::Point { machine: pass.machine, point: pass.point };
        let due = script.borrow_mut().take_at(event, now);
        let (Some(due), Some(carry_out)) = (due, acts.carry_out.get()) else { return false };
        acts.find_next(self);
        acts.current.set(Some(due.id));
        carry_out(due);
        acts.current.set(None);
        true
    }

    /// Records an act of a plan or of the script, with its description.
    pub(crate) fn record_act(&self, owner: Option<u64>, act: &Act, text: impl FnOnce() -> String) {
        let is_part = self.acts.unrecorded.get() > 0;
        if is_part || !self.is_recorded() || self.scope().process != ProcessId::HARNESS {
            return;
        }
        let (now, id) = (self.clock.now(), self.acts.current.get());
        let step = self.positions.borrow().last_step_of_program();
        let begun = step.map_or(self.acts.body_began(), |step| step.at);
        let step = step.map(|step| (step.sequence, step.step));
        let (offset, place) = (now - begun, self.acts.place(now));
        let by_time = When { step, anchor: None, offset, place };
        let at_point = self.points.current().and_then(|Pass { machine, point }| {
            let anchor = self.acts.events.borrow().last(AnchorEvent::Point { machine, point });
            Some(When { step, anchor: Some(anchor?), offset: 0, place: 0 })
        });
        let when = at_point.unwrap_or(by_time);
        let mut whens = vec![when];
        whens.extend(self.acts.events.borrow().nearest(&act.involved(), step, now));
        let kind = if act.is_fault() { DeviationKind::Strike } else { DeviationKind::Repair };
        let (machine, text) = (act.machine(), text());
        self.record(|recorder| {
            let id = match id {
                Some(id) => id,
                None => recorder.record_act(RecordedAct { at: now, owner, when, act: act.clone() }),
            };
            let address = Address::new(Family::Act, [u64::from(id), 0, 0]);
            let deviation = Deviation::new(address, kind, 1, now);
            recorder.add(Deviation { machine, text, whens, ..deviation });
            if act.is_fault() {
                act.affected().iter().for_each(|machine| recorder.mark_affected(*machine));
            }
        });
    }
}

//! One run's state below all layers.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;

use crate::engine::draws::Draws;
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Position};
use crate::engine::draws::positions::Positions;
use crate::engine::executor::scheduler::ReadyQueue;
use crate::engine::executor::tasks::{TaskKey, Tasks};
use crate::engine::executor::waker::Waiter;
use crate::engine::failure::refusals::Refusals;
use crate::engine::failure::verdict::{Failure, Verdict};
use crate::engine::ids::{MachineId, ProcessId, RunId, Scope};
use crate::engine::map_keys::MapKeys;
use crate::engine::name::Name;
use crate::engine::record::deviations::{Deviation, RecordLevel, Recorder, Size};
use crate::engine::record::effects::{Effect, Effects, Fault};
use crate::engine::record::event::NewEvent;
use crate::engine::record::failed_calls::FailedCalls;
use crate::engine::record::trace::Trace;
use crate::engine::status::RunStatus;
use crate::engine::time::clock::Clock;
use crate::engine::time::machine_clocks::{self, ClockChange};
use crate::engine::time::timer_info::TimerInfo;
use crate::engine::time::timers::{Action, Local, TimerKey, Timers};

/// The state of one run below all layers.
pub(crate) struct Engine {
    pub(crate) run: RunId,
    pub(crate) status: Arc<RunStatus>,
    pub(crate) clock: Clock,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) tasks: Tasks,
    pub(crate) ready: RefCell<ReadyQueue>,
    pub(crate) draws: Draws,
    pub(crate) counters: Counters,
    pub(crate) refusals: Refusals,
    pub(crate) map_keys: MapKeys,
    /// The machines' names, by number.
    pub(crate) names: RefCell<Vec<Name>>,
    trace: RefCell<Trace>,
    pub(crate) positions: RefCell<Positions>,
    /// Whether it is counted where in the test draws are made.
    counts_positions: bool,
    recording: RecordLevel,
    recorder: RefCell<Recorder>,
    effects: RefCell<(Effects, Vec<Fault>)>,
    verdict: RefCell<Option<Verdict>>,
    pub(crate) failed_calls: FailedCalls,
    /// Panics of tasks whose handle may yet be awaited.
    pub(crate) unobserved: RefCell<BTreeMap<u64, UnobservedPanic>>,
    pub(crate) policy: Cell<Option<Policy>>,
    pub(crate) timer_infos: RefCell<Vec<TimerInfo>>,
    scope: Cell<Scope>,
    body: Cell<Option<TaskKey>>,
    /// The test's own processes: the body and what it runs on machines.
    clients: RefCell<BTreeSet<ProcessId>>,
}

/// What machines make of failures of their processes' code.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// A process's code failed: gives the failure back if it is the run's, and makes it a crash otherwise.
    pub(crate) on_failure: fn(ProcessId, Failure) -> Option<Failure>,
    /// Whether a failure of a process would be no more than a crash.
    pub(crate) is_crash_tolerated: fn(ProcessId) -> bool,
}

/// A panic of a task whose handle may yet be awaited.
pub(crate) struct UnobservedPanic {
    pub(crate) failure: Failure,
    /// The process that panicked.
    pub(crate) process: ProcessId,
    /// The number of the poll that it panicked in: of several panics the first is the cause of the others.
    pub(crate) poll: u64,
    /// On its machine it would be a crash of the process and no more.
    pub(crate) is_tolerated: bool,
}

/// What a run counts for its report.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) steps: Cell<u64>,
    pub(crate) jumps: Cell<u64>,
    pub(crate) progress_at: Cell<u64>,
    /// The moment of the last step, and how many steps there have been at it since the last progress.
    pub(crate) moment: Cell<u64>,
    pub(crate) steps_at_moment: Cell<u64>,
    /// What was drawn draws_outside_tasks of any task.
    pub(crate) draws_outside_tasks: Cell<u64>,
}

impl Engine {
    /// Keeps every event of the trace where `events` says so, and as much as `recording` says of what is not calm.
    pub(crate) fn new(
        seed: u64,
        overlay: &Overlay,
        events: bool,
        recording: RecordLevel,
        status: Arc<RunStatus>,
    ) -> Self {
        let draws = Draws::new(seed, overlay);
        Self {
            run: RunId::next(),
            status,
            clock: Clock::default(),
            timers: RefCell::new(Timers::new()),
            tasks: Tasks::default(),
            ready: RefCell::default(),
            counters: Counters::default(),
            refusals: Refusals::default(),
            map_keys: MapKeys::default(),
            names: RefCell::default(),
            trace: RefCell::new(Trace::new(events)),
            positions: RefCell::default(),
            counts_positions: recording != RecordLevel::Nothing || draws.overlay().has_positions(),
            draws,
            recording,
            recorder: RefCell::new(Recorder::new(recording)),
            effects: RefCell::default(),
            verdict: RefCell::default(),
            failed_calls: FailedCalls::default(),
            unobserved: RefCell::default(),
            policy: Cell::new(None),
            timer_infos: RefCell::default(),
            scope: Cell::new(Scope::HARNESS),
            body: Cell::new(None),
            clients: RefCell::default(),
        }
    }

    /// Draws what std and crates draw once a thread, first thing in a run: from the run, and not from the task that
    /// happens to be the first to need it.
    pub(crate) fn seed_thread(&self) {
        fastrand::seed(self.draws.word(Address::run_entropy(), 0).unwrap_or(0));
        self.map_keys.draw_keys(self.trace.borrow().is_kept());
    }

    /// How many `HashMap`s the run has made; 0 where events are not kept.
    pub(crate) fn maps_made(&self) -> u64 {
        self.map_keys.made()
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope.get()
    }

    pub(crate) fn set_scope(&self, scope: Scope) {
        self.scope.set(scope);
    }

    /// Runs `f` as `scope`, and comes back.
    #[cfg(test)]
    pub(crate) fn as_scope<R>(&self, scope: Scope, f: impl FnOnce() -> R) -> R {
        let before = self.scope.replace(scope);
        let result = f();
        self.scope.set(before);
        result
    }

    /// Notes a process of the test's own: its long sleeps are no stall.
    pub(crate) fn add_client(&self, process: ProcessId) {
        self.clients.borrow_mut().insert(process);
    }

    pub(crate) fn is_client(&self, process: ProcessId) -> bool {
        self.clients.borrow().contains(&process)
    }

    /// Which task is the test's body.
    pub(crate) fn set_body(&self, task: TaskKey) {
        self.body.set(Some(task));
    }

    pub(crate) fn body(&self) -> Option<TaskKey> {
        self.body.get()
    }

    /// The raw word of a draw; `None` is calm, as all is for a dead process.
    pub(crate) fn word(&self, address: Address) -> Option<u64> {
        self.word_at(address, None)
    }

    /// As [`word`](Self::word), where it is known where in the test it is drawn.
    pub(crate) fn word_at(&self, address: Address, position: Option<Position>) -> Option<u64> {
        match self.scope().alive {
            true => self.draws.word_at(address, self.clock.now(), position),
            false => None,
        }
    }

    /// Where in the test the next draw of a family is made, where that is counted: counts it.
    #[inline]
    pub(crate) fn next_position(&self, family: Family) -> Option<Position> {
        if self.counts_positions { Some(self.count_position(family)) } else { None }
    }

    #[inline(never)]
    fn count_position(&self, family: Family) -> Position {
        self.positions.borrow_mut().next_position(family)
    }

    /// From now on draws are counted apart by this.
    pub(crate) fn set_lane(&self, lane: u64) {
        if self.counts_positions {
            self.positions.borrow_mut().set_lane(lane);
        }
    }

    /// Whether what is not calm is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recording != RecordLevel::Nothing
    }

    /// Reaches the record of what was not calm, where there is one.
    #[inline]
    pub(crate) fn record(&self, f: impl FnOnce(&mut Recorder)) {
        if self.is_recorded() {
            self.record_in(f);
        }
    }

    #[cold]
    fn record_in(&self, f: impl FnOnce(&mut Recorder)) {
        f(&mut self.recorder.borrow_mut());
    }

    /// What was not calm, and how much that was.
    pub(crate) fn take_deviations(&self) -> (Option<Size>, Vec<Deviation>) {
        self.recorder.take().finish(self.clock.now())
    }

    /// Puts an action into the future. What is due already fires at once, after what is ready.
    pub(crate) fn arm(&self, at: u64, action: Action) -> TimerKey {
        self.timers.borrow_mut().arm(self.clock.now(), at, action)
    }

    /// Wakes someone when the monotonic clock of the machine that runs now shows `shows` nanoseconds.
    pub(crate) fn arm_local(&self, shows: u64, waiter: Waiter) -> TimerKey {
        let local = Local { machine: self.scope().machine, shows };
        let at = self.clock.machine_clocks.true_time(local.machine, shows);
        self.arm(at, Action::Wake(waiter, local))
    }

    /// As [`arm`](Self::arm), for the owner of a timer that was cancelled, who pays less where this one is for later.
    pub(crate) fn arm_again(&self, key: TimerKey, at: u64, action: Action) -> TimerKey {
        self.timers.borrow_mut().arm_again(key, self.clock.now(), at, action)
    }

    /// Takes an action out of the future; a key whose timer is gone does nothing.
    #[inline]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Action> {
        self.timers.borrow_mut().cancel(key)
    }

    /// Makes a timer wake `waker`; false if it is gone.
    pub(crate) fn rewake(&self, key: TimerKey, waker: &Waker) -> bool {
        let own = self.own_task(waker);
        let wakes = self.timers.borrow().wakes(key, own, waker);
        if wakes == Some(false) {
            // Cloned and dropped while nothing is borrowed: either may run anything.
            let waiter = Waiter::new(own, waker);
            let old = self.timers.borrow_mut().rewake(key, waiter);
            drop(old);
        }
        wakes.is_some()
    }

    /// Sets a machine's clocks from now on. What waits for its monotonic clock goes by the new speed at once.
    pub(crate) fn set_clock(
        &self,
        machine: MachineId,
        clock: machine_clocks::ClockSkew,
    ) -> Option<ClockChange> {
        let (now, machine_clocks) = (self.clock.now(), &self.clock.machine_clocks);
        let changed = machine_clocks.set(machine, now, clock)?;
        if changed.drift.is_some() {
            let at = |local| machine_clocks.true_time(machine, local);
            self.timers.borrow_mut().retime(machine, now, at);
        }
        Some(changed)
    }

    /// The monotonic clock of the machine that runs now, in nanoseconds. No reading of the user's.
    pub(crate) fn local_now(&self) -> u64 {
        self.clock.machine_clocks.monotonic(self.scope().machine, self.clock.now())
    }

    /// To which machine the faults of packets happened that were just drawn, and what they were in words.
    pub(crate) fn describe_packet_faults(&self, machine: MachineId, text: impl FnOnce() -> String) {
        self.record(|recorder| {
            recorder.mark_affected(machine);
            recorder.describe_packet_faults(machine, text);
        });
    }

    #[inline]
    pub(crate) fn trace(&self, event: NewEvent<'_>) {
        self.trace.borrow_mut().add(self.clock.now(), self.scope(), event);
    }

    #[inline]
    pub(crate) fn trace_state(&self) -> RefMut<'_, Trace> {
        self.trace.borrow_mut()
    }

    pub(crate) fn note_progress(&self) {
        self.note_process_change();
        self.counters.steps_at_moment.set(0);
    }

    /// As [`Engine::note_progress`], but for what can go on for ever at one moment: starts and ends of processes.
    pub(crate) fn note_process_change(&self) {
        self.counters.progress_at.set(self.clock.now());
    }

    pub(crate) fn count_effect(&self, effect: Effect, n: u64) {
        self.effects.borrow_mut().0.add(effect, n);
    }

    pub(crate) fn record_fault(&self, effect: Effect, machine: Option<MachineId>, text: String) {
        let mut effects = self.effects.borrow_mut();
        effects.0.add(effect, 1);
        effects.1.push(Fault { at: self.clock.now(), effect, machine, text });
    }

    pub(crate) fn take_effects(&self) -> (Effects, Vec<Fault>) {
        self.effects.take()
    }

    pub(crate) fn name(&self, machine: MachineId) -> Option<String> {
        self.names.borrow().get(machine.0 as usize).map(|name| name.to_string())
    }

    /// Ends the run. The first verdict stands, unless a later one says that the run was not one.
    pub(crate) fn end(&self, verdict: Verdict) {
        let mut standing = self.verdict.borrow_mut();
        let broken = matches!(verdict, Verdict::Broken(_));
        if standing.is_none() || (broken && !matches!(*standing, Some(Verdict::Broken(_)))) {
            *standing = Some(verdict);
        }
    }

    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.set(Some(policy));
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.refusals.is_any_recorded() || self.verdict.borrow().is_some()
    }

    pub(crate) fn take_verdict(&self) -> Option<Verdict> {
        self.verdict.take()
    }
}

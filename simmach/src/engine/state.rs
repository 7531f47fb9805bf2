//! The state of one run, except the state of the layers above the engine.

mod acts;
mod drawing;
mod next_timer;
mod points;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;

use crate::engine::draws::Draws;
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Position};
use crate::engine::draws::positions::Positions;
use crate::engine::event_waits::EventWaits;
use crate::engine::failure::refusals::Refusals;
use crate::engine::failure::verdict::{Failure, PanicNote, Verdict};
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
use crate::engine::futures_random;
use crate::engine::ids::{MachineId, ProcessId, RunId, Scope};
use crate::engine::map_keys::MapKeys;
use crate::engine::name::Name;
use crate::engine::points::Points;
use crate::engine::record::deviations::{RecordLevel, Recorded, Recorder};
use crate::engine::record::effects::{Effect, Effects, Fault};
use crate::engine::record::event::NewEvent;
use crate::engine::record::failed_calls::FailedCalls;
use crate::engine::record::trace::Trace;
use crate::engine::roles::Roles;
use crate::engine::state::acts::Acts;
use crate::engine::status::RunStatus;
use crate::engine::tasks::identity::Identity;
use crate::engine::tasks::pauses::Pauses;
use crate::engine::tasks::ready_queue::ReadyQueue;
use crate::engine::tasks::table::{TaskKey, Tasks};
use crate::engine::tasks::wait::Wait;
use crate::engine::tasks::waiter::Waiter;
use crate::engine::time::clock::Clock;
use crate::engine::time::machine_clocks::{self, ClockChange};
use crate::engine::time::timer_info::TimerInfo;
use crate::engine::time::timers::{Action, LocalTime, TimerKey, Timers};

/// The state of one run: time, tasks, draws, records and the verdict.
pub(crate) struct Engine {
    pub(crate) run: RunId,
    pub(crate) status: Arc<RunStatus>,
    pub(crate) clock: Clock,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) tasks: Tasks,
    pub(crate) ready: RefCell<ReadyQueue>,
    pub(crate) pauses: Pauses,
    pub(crate) draws: Draws,
    pub(crate) counters: Counters,
    pub(crate) refusals: Refusals,
    pub(crate) map_keys: MapKeys,
    /// The machines' names, by number.
    pub(crate) names: RefCell<Vec<Name>>,
    trace: RefCell<Trace>,
    pub(crate) positions: RefCell<Positions>,
    /// Whether the positions of draws are counted: where deviations are recorded or the overlay has rules by position.
    counts_positions: bool,
    recording: RecordLevel,
    recorder: RefCell<Recorder>,
    effects: RefCell<(Effects, Vec<Fault>)>,
    verdict: RefCell<Option<Verdict>>,
    /// Processes whose own code has ended them within a poll.
    pub(crate) ended_in_poll: RefCell<Vec<ProcessId>>,
    pub(crate) failed_calls: FailedCalls,
    /// Panics of tasks whose `JoinHandle` may still be awaited, by task path.
    pub(crate) unobserved: RefCell<BTreeMap<u64, UnobservedPanic>>,
    pub(crate) policy: Cell<Option<Policy>>,
    /// Describes what the epoll instance with this descriptor watches, for reports. Set by the layer `system`.
    pub(crate) watched: Cell<Option<DescribeWatched>>,
    pub(crate) timer_infos: RefCell<Vec<TimerInfo>>,
    scope: Cell<Scope>,
    /// Number of guest frames on the stack: slices of its runtime, polls of its tasks, its end.
    guest_depth: Cell<u32>,
    /// Panics of a guest's tasks that tokio has caught since the guest's code began to run.
    pub(crate) lost_panics: RefCell<Vec<PanicNote>>,
    body: Cell<Option<TaskKey>>,
    /// The test's own processes: the body's and those of `Sim::run_on`.
    clients: RefCell<BTreeSet<ProcessId>>,
    /// The script that stands in for plans, if there is one, and the places of acts.
    pub(crate) acts: Acts,
    pub(crate) roles: Roles,
    pub(crate) points: Points,
    pub(crate) event_waits: EventWaits,
}

/// Names what an epoll instance watches, given its descriptor.
pub(crate) type DescribeWatched = fn(i32) -> Vec<String>;

/// How a failure in a process's code is handled. Set by the layer `machine`.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// Returns the failure if it fails the run; otherwise crashes the process and returns `None`.
    pub(crate) on_failure: fn(ProcessId, Failure) -> Option<Failure>,
    /// Whether a failure of the process would only crash it.
    pub(crate) is_crash_tolerated: fn(ProcessId) -> bool,
}

/// A panic of a task whose `JoinHandle` may still be awaited.
pub(crate) struct UnobservedPanic {
    pub(crate) failure: Failure,
    /// The process that panicked.
    pub(crate) process: ProcessId,
    /// The number of the poll in which it panicked. Of several panics the first is reported, since it may have caused the others.
    pub(crate) poll: u64,
    /// Whether the panic would only crash its process.
    pub(crate) is_tolerated: bool,
}

/// Counters of a run.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Polls of tasks and fired timers.
    pub(crate) polls: Cell<u64>,
    /// Number of steps of the virtual clock.
    pub(crate) clock_advances: Cell<u64>,
    pub(crate) progress_at: Cell<u64>,
    /// Virtual time of the last poll or fired timer.
    pub(crate) moment: Cell<u64>,
    pub(crate) polls_at_moment: Cell<u64>,
    /// Draws made while no task was running.
    pub(crate) draws_outside_tasks: Cell<u64>,
}

impl Engine {
    /// Creates the engine of a run. `events`: whether the events of the trace are kept; `recording`: how much is recorded of
    /// deviations.
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
            pauses: Pauses::default(),
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
            ended_in_poll: RefCell::default(),
            failed_calls: FailedCalls::default(),
            unobserved: RefCell::default(),
            policy: Cell::new(None),
            watched: Cell::new(None),
            timer_infos: RefCell::default(),
            scope: Cell::new(Scope::HARNESS),
            guest_depth: Cell::new(0),
            lost_panics: RefCell::default(),
            body: Cell::new(None),
            clients: RefCell::default(),
            acts: Acts::new(overlay.script(), recording),
            roles: Roles::default(),
            points: Points::default(),
            event_waits: EventWaits::default(),
        }
    }

    /// Seeds the thread-local generators of std, fastrand and futures at the start of the run. Otherwise they would be seeded by
    /// whichever task uses them first.
    pub(crate) fn seed_thread(&self) {
        let word = self.draws.word(Address::run_entropy(), 0).unwrap_or(0);
        fastrand::seed(word);
        self.map_keys.draw_keys(self.trace.borrow().is_kept());
        #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
        self.map_keys.uncounted(|| futures_random::seed(word));
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope.get()
    }

    pub(crate) fn set_scope(&self, scope: Scope) {
        self.scope.set(scope);
    }

    /// Calls `f` with `scope` as the running code's scope.
    pub(crate) fn as_scope<R>(&self, scope: Scope, f: impl FnOnce() -> R) -> R {
        let before = self.scope.replace(scope);
        let result = f();
        self.scope.set(before);
        result
    }

    /// Whether the running code is a guest's.
    pub(crate) fn is_in_guest(&self) -> bool {
        self.guest_depth.get() > 0
    }

    /// Calls `f`, which is a guest's code.
    pub(crate) fn in_guest<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Cell<u32>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.guest_depth.set(self.guest_depth.get() + 1);
        let leave = Leave(&self.guest_depth);
        let result = f();
        drop(leave);
        self.report_lost_panics();
        result
    }

    /// Registers a process as a client of the test. Long sleeps of clients do not count as stalls.
    pub(crate) fn add_client(&self, process: ProcessId) {
        self.clients.borrow_mut().insert(process);
    }

    pub(crate) fn is_client(&self, process: ProcessId) -> bool {
        self.clients.borrow().contains(&process)
    }

    /// Sets the task of the test's body.
    pub(crate) fn set_body(&self, task: TaskKey) {
        self.body.set(Some(task));
    }

    pub(crate) fn body(&self) -> Option<TaskKey> {
        self.body.get()
    }

    /// Returns the raw word of a draw. `None` means calm. In a terminated process, every draw is calm.
    pub(crate) fn word(&self, address: Address) -> Option<u64> {
        self.word_at(address, None)
    }

    /// Like [`word`](Self::word), for a draw with a position.
    pub(crate) fn word_at(&self, address: Address, position: Option<Position>) -> Option<u64> {
        match self.scope().alive {
            true => self.draws.word_at(address, self.clock.now(), position),
            false => None,
        }
    }

    /// Counts a draw and returns its position, if positions are counted.
    #[inline]
    pub(crate) fn next_position(&self, family: Family) -> Option<Position> {
        if self.counts_positions { Some(self.count_position(family)) } else { None }
    }

    #[inline(never)]
    fn count_position(&self, family: Family) -> Position {
        self.positions.borrow_mut().next_position(family)
    }

    /// Sets the lane of the following draws. Draws of different lanes are numbered separately.
    pub(crate) fn set_lane(&self, lane: u64) {
        if self.counts_positions {
            self.positions.borrow_mut().set_lane(lane);
        }
    }

    /// Whether deviations are recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recording != RecordLevel::Nothing
    }

    /// Calls `f` with the recorder, if deviations are recorded.
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

    /// Takes the deviations, their total size, and the acts of plans.
    pub(crate) fn take_deviations(&self) -> Recorded {
        self.recorder.take().finish(self.clock.now())
    }

    /// Returns the running task if `waker` is the task's own, not one that wraps it.
    pub(crate) fn own_task(&self, waker: &Waker) -> Option<TaskKey> {
        self.tasks.own(waker)
    }

    pub(crate) fn current_task(&self) -> Option<TaskKey> {
        self.tasks.current()
    }

    /// Returns a task's identity, or `None` if it has ended. Never allocates.
    pub(crate) fn identity(&self, key: TaskKey) -> Option<Identity> {
        self.tasks.identity(key)
    }

    /// Returns what the running task last recorded that it waits for.
    #[cfg(feature = "tokio")]
    pub(crate) fn current_wait(&self) -> Wait {
        let key = self.tasks.current();
        key.and_then(|key| self.tasks.with(key, |task| task.wait)).unwrap_or(Wait::Nothing)
    }

    /// Records what the running task waits for. Called by a future that is about to return `Pending`.
    #[inline]
    pub(crate) fn record_wait(&self, wait: Wait) {
        if let Some(key) = self.tasks.current() {
            self.tasks.with(key, |task| {
                task.wait = wait;
                if let Wait::Sleep { since, until } = wait {
                    task.longest_sleep = task.longest_sleep.max(until.saturating_sub(since));
                }
            });
        }
    }

    /// Arms a timer. A timer that is already due fires after the tasks that are ready.
    pub(crate) fn arm(&self, at: u64, action: Action) -> TimerKey {
        self.timers.borrow_mut().arm(self.clock.now(), at, action)
    }

    /// Arms a timer that wakes `waiter` when the monotonic clock of the running code's machine shows `nanos` nanoseconds.
    pub(crate) fn arm_local(&self, nanos: u64, waiter: Waiter) -> TimerKey {
        let local = LocalTime { machine: self.scope().machine, nanos };
        let at = self.clock.machine_clocks.true_time(local.machine, nanos);
        self.arm(at, Action::Wake(waiter, local))
    }

    /// Like [`arm`](Self::arm), reusing the slot of the cancelled timer `key`: cheaper if the new
    /// timer is due later.
    pub(crate) fn arm_again(&self, key: TimerKey, at: u64, action: Action) -> TimerKey {
        self.timers.borrow_mut().arm_again(key, self.clock.now(), at, action)
    }

    /// Cancels a timer and returns its action, or `None` if it has fired or was cancelled.
    #[inline]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Action> {
        self.timers.borrow_mut().cancel(key)
    }

    /// Makes a timer wake `waker`. Returns false if the timer has fired or was cancelled.
    pub(crate) fn rewake(&self, key: TimerKey, waker: &Waker) -> bool {
        let own = self.own_task(waker);
        let wakes = self.timers.borrow().wakes(key, own, waker);
        if wakes == Some(false) {
            // Cloning and dropping a waker may run user code, so nothing may be borrowed meanwhile.
            let waiter = Waiter::new(own, waker);
            let old = self.timers.borrow_mut().rewake(key, waiter);
            drop(old);
        }
        wakes.is_some()
    }

    /// Sets the skew of a machine's clocks. Pending timers of its monotonic clock are moved to the new speed.
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

    /// The monotonic clock of the running code's machine, in nanoseconds. Does not count as a reading by the code under test.
    pub(crate) fn local_now(&self) -> u64 {
        self.clock.machine_clocks.monotonic(self.scope().machine, self.clock.now())
    }

    /// Sets the machine and the description of the packet faults that were just recorded.
    pub(crate) fn describe_packet_faults(&self, machine: MachineId, text: impl FnOnce() -> String) {
        self.record(|recorder| {
            recorder.mark_affected(machine);
            recorder.describe_packet_faults(machine, text);
        });
    }

    #[inline]
    pub(crate) fn trace(&self, event: NewEvent<'_>) {
        self.trace_as(self.scope(), event);
    }

    /// Like [`trace`](Self::trace), for code that runs in `scope`. Inlining it is worth 2% of the
    /// benchmark `c`.
    #[inline(always)]
    pub(crate) fn trace_as(&self, scope: Scope, event: NewEvent<'_>) {
        self.trace.borrow_mut().add(self.clock.now(), scope, event, || self.map_keys.made());
    }

    #[inline]
    pub(crate) fn trace_state(&self) -> RefMut<'_, Trace> {
        self.trace.borrow_mut()
    }

    pub(crate) fn note_progress(&self) {
        self.note_process_change();
        self.counters.polls_at_moment.set(0);
    }

    /// Like [`Engine::note_progress`], for starts and ends of processes. These do not reset the
    /// count of polls at one moment: a process that restarts forever at one moment must not hide an
    /// endless loop.
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

    /// Ends the run. The first verdict is kept, except that `Broken` replaces any other.
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
        self.refusals.is_recorded() || self.verdict.borrow().is_some()
    }

    pub(crate) fn take_verdict(&self) -> Option<Verdict> {
        self.verdict.take()
    }
}

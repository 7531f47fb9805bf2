//! One run's state on its thread.
//!
//! The engine has its own slot here; the layers above keep theirs in a [`Slot`] each, so that none has to know the
//! others. `run.rs` fills them first thing on the run's fresh thread and empties them before it ends.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::clock::Clock;
use super::draws::Draws;
use super::effects::{Effect, Effects, Fault};
use super::executor::{Executor, TaskKey};
use super::ids::{MachineId, ProcessId, RunId, Scope};
use super::overlay::Overlay;
use super::panics;
use super::timers::Timers;
use super::trace::{Trace, TraceKind};
use super::verdict::{Failure, Verdict};

thread_local! {
    static ENGINE: RefCell<Option<Rc<Engine>>> = const { RefCell::new(None) };
}

/// The state of one run below all layers.
pub(crate) struct Engine {
    pub(crate) run: RunId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) executor: Executor,
    pub(crate) draws: Draws,
    pub(crate) counters: Counters,
    /// The machines' names, by number; and where the same are found in a report.
    pub(crate) names: RefCell<Vec<String>>,
    trace: RefCell<Trace>,
    effects: RefCell<(Effects, Vec<Fault>)>,
    verdict: RefCell<Option<Verdict>>,
    /// Panics of tasks whose handle may yet be awaited.
    unobserved: RefCell<BTreeMap<u64, Failure>>,
    /// What the machines' policy makes of a process's failure: `None` if it is no more than a crash.
    policy: Cell<Option<Policy>>,
    scope: Cell<Scope>,
    body: Cell<Option<TaskKey>>,
}

/// Decides whether a failure of a process's code is the run's: gives it back if so.
pub(crate) type Policy = fn(ProcessId, Failure) -> Option<Failure>;

/// What a run counts for its report.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) steps: Cell<u64>,
    pub(crate) jumps: Cell<u64>,
    pub(crate) progress_at: Cell<u64>,
}

/// What a watchdog on another thread may read of a run, and a late waker may count.
#[derive(Debug, Default)]
pub struct Shared {
    polls: AtomicU64,
    polling: AtomicBool,
    machine: AtomicU32,
    at: AtomicU64,
    foreign_wakes: AtomicU64,
    names: OnceLock<Vec<String>>,
}

/// A moment of a run, as a watchdog sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// How many polls began.
    pub polls: u64,
    /// True inside a poll: only then can a run be hung.
    pub polling: bool,
    /// The machine whose task is polled.
    pub machine: MachineId,
    /// Virtual nanoseconds.
    pub at: u64,
}

/// Makes `engine` this thread's run.
pub(crate) fn install(engine: Engine) -> Rc<Engine> {
    let engine = Rc::new(engine);
    ENGINE.with(|slot| *slot.borrow_mut() = Some(Rc::clone(&engine)));
    engine
}

/// Ends this thread's run: from here on every handle is outside of it.
pub(crate) fn remove() {
    let engine = ENGINE.with(|slot| slot.borrow_mut().take());
    drop(engine);
}

/// Reaches this thread's run; `None` outside one, and after a thread's locals are gone.
pub(crate) fn try_with<R>(f: impl FnOnce(&Engine) -> R) -> Option<R> {
    ENGINE.try_with(|slot| slot.try_borrow().ok()?.as_deref().map(f)).ok().flatten()
}

/// A layer's state for this thread's run.
#[derive(Debug)]
pub(crate) struct Slot<T>(RefCell<Option<T>>);

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub(crate) fn install(&self, state: T) {
        *self.0.borrow_mut() = Some(state);
    }

    pub(crate) fn remove(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    /// `None` outside a run. Nothing of the user's may be called or dropped inside.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.borrow_mut().as_mut().map(f)
    }
}

impl Engine {
    pub(crate) fn new(seed: u64, overlay: Overlay, record: bool, shared: Arc<Shared>) -> Self {
        Self {
            run: RunId::next(),
            shared,
            clock: Clock::default(),
            timers: RefCell::default(),
            executor: Executor::default(),
            draws: Draws::new(seed, overlay),
            counters: Counters::default(),
            names: RefCell::default(),
            trace: RefCell::new(Trace::new(record)),
            effects: RefCell::default(),
            verdict: RefCell::default(),
            unobserved: RefCell::default(),
            policy: Cell::new(None),
            scope: Cell::new(Scope::HARNESS),
            body: Cell::new(None),
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope.get()
    }

    pub(crate) fn set_scope(&self, scope: Scope) {
        self.scope.set(scope);
    }

    /// Runs `f` as `scope`, and comes back.
    pub(crate) fn as_scope<R>(&self, scope: Scope, f: impl FnOnce() -> R) -> R {
        let before = self.scope.replace(scope);
        let result = f();
        self.scope.set(before);
        result
    }

    /// Which task is the test's body: the one whose long sleeps are no stall.
    pub(crate) fn set_body(&self, task: TaskKey) {
        self.body.set(Some(task));
    }

    pub(crate) fn body(&self) -> Option<TaskKey> {
        self.body.get()
    }

    pub(crate) fn trace(&self, kind: TraceKind, a: u64, b: u64, bytes: &[u8]) {
        self.trace.borrow_mut().event(self.clock.now(), &self.scope(), kind, [a, b], bytes);
    }

    pub(crate) fn trace_state(&self) -> std::cell::RefMut<'_, Trace> {
        self.trace.borrow_mut()
    }

    pub(crate) fn progress(&self) {
        self.counters.progress_at.set(self.clock.now());
    }

    pub(crate) fn effect(&self, effect: Effect, n: u64) {
        self.effects.borrow_mut().0.add(effect, n);
    }

    pub(crate) fn fault(&self, effect: Effect, machine: Option<MachineId>, text: String) {
        let mut effects = self.effects.borrow_mut();
        effects.0.add(effect, 1);
        effects.1.push(Fault { at: self.clock.now(), effect, machine, text });
    }

    pub(crate) fn take_effects(&self) -> (Effects, Vec<Fault>) {
        self.effects.take()
    }

    pub(crate) fn name(&self, machine: MachineId) -> Option<String> {
        self.names.borrow().get(machine.0 as usize).cloned()
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

    /// The code that runs now failed: ends the run, unless its machine's policy makes it a crash and no more.
    pub(crate) fn fail(&self, failure: Failure) {
        let failure = self.located(failure);
        self.fail_as(self.scope().process, failure);
    }

    /// A panic of the user's code that nobody will hear of otherwise.
    pub(crate) fn user_panicked(&self, payload: Box<dyn Any + Send>) {
        let failure = Failure::of_panic(panics::note(payload.as_ref()));
        self.fail(failure);
    }

    /// A panic of a task whose handle is alive: it fails the run unless the handle is awaited.
    pub(crate) fn panicked_unobserved(&self, name: u64, payload: &(dyn Any + Send)) {
        let failure = self.located(Failure::of_panic(panics::note(payload)));
        self.unobserved.borrow_mut().insert(name, failure);
    }

    /// The panic was heard of.
    pub(crate) fn observe(&self, name: u64) {
        self.unobserved.borrow_mut().remove(&name);
    }

    /// The handle went, and nobody had asked it: the panic is the run's.
    pub(crate) fn unobservable(&self, name: u64, process: ProcessId) {
        let failure = self.unobserved.borrow_mut().remove(&name);
        if let Some(failure) = failure {
            self.fail_as(process, failure);
        }
    }

    /// The first panic that nobody heard of, when the run is over.
    pub(crate) fn take_unobserved(&self) -> Option<Failure> {
        self.unobserved.take().into_values().min_by_key(|failure| failure.at)
    }

    fn fail_as(&self, process: ProcessId, failure: Failure) {
        let failure = match self.policy.get() {
            Some(policy) => policy(process, failure),
            None => Some(failure),
        };
        if let Some(failure) = failure {
            self.end(Verdict::Failed(failure));
        }
    }

    fn located(&self, mut failure: Failure) -> Failure {
        failure.at = self.clock.now();
        failure.machine = failure.machine.or_else(|| self.name(self.scope().machine));
        failure.task = failure.task.or_else(|| {
            let task = self.current_task().and_then(|task| self.spawned_at(task));
            task.map(panics::place_of)
        });
        failure
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.verdict.borrow().is_some()
    }

    pub(crate) fn take_verdict(&self) -> Option<Verdict> {
        self.verdict.take()
    }
}

impl Shared {
    /// What a watchdog sees now.
    pub fn pulse(&self) -> Pulse {
        Pulse {
            polls: self.polls.load(Ordering::Relaxed),
            polling: self.polling.load(Ordering::Relaxed),
            machine: MachineId(self.machine.load(Ordering::Relaxed)),
            at: self.at.load(Ordering::Relaxed),
        }
    }

    /// The name of a machine, once the run has its machines.
    pub fn name(&self, machine: MachineId) -> Option<&str> {
        self.names.get()?.get(machine.0 as usize).map(String::as_str)
    }

    /// The machines' names, by number: said once.
    pub(crate) fn set_names(&self, names: Vec<String>) {
        let _ = self.names.set(names);
    }

    /// How many wakes came late or from another thread, and were dropped.
    pub fn foreign_wakes(&self) -> u64 {
        self.foreign_wakes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_foreign_wake(&self) {
        self.foreign_wakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn begin_poll(&self, machine: MachineId, at: u64) {
        self.polls.store(self.polls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.machine.store(machine.0, Ordering::Relaxed);
        self.at.store(at, Ordering::Relaxed);
        self.polling.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end_poll(&self) {
        self.polling.store(false, Ordering::Relaxed);
    }
}

//! The executor: runs the tasks of one run on one thread.
//!
//! Wakers hold only ids, so futures never leave their thread. A wake from another thread, or after the run has ended, is
//! dropped and counted. The [`ready_queue`](super::tasks::ready_queue) chooses which ready task runs next. A task's scope says
//! which machine and process it belongs to.

pub(crate) mod drive;
mod failures;
mod waker;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::Context;

use crate::engine::context;
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::mix;
use crate::engine::executor::waker::waker;
use crate::engine::ids::{ProcessId, Scope};
use crate::engine::panics::hook;
use crate::engine::record::deviations::{Deviation, DeviationKind};
use crate::engine::record::event::Event;
use crate::engine::state::Engine;
use crate::engine::tasks::identity::{Identity, Role};
use crate::engine::tasks::numbering::{Counts, Numbered, Numbering};
use crate::engine::tasks::pauses::PauseReason;
use crate::engine::tasks::ready_queue::ReadyTask;
use crate::engine::tasks::table::{TaskFuture, TaskKey};
use crate::engine::time::timers::Action;

/// The poll number while a task is dropped. The keys of the maps that the task then creates are
/// derived from this number.
const DROPPED: u64 = u32::MAX as u64;

impl Engine {
    /// Returns the scope for a new child of the running task: in the same process, with a new path.
    pub(crate) fn child_scope(&self) -> Scope {
        let parent = self.scope();
        let child = self.tasks.count(|counts| &mut counts.children);
        let Numbered { source, nth } = child.unwrap_or(Numbered { source: parent.task, nth: 0 });
        Scope { task: mix(source, nth), ..parent }
    }

    /// Spawns a task that runs in `scope`.
    pub(crate) fn spawn(
        &self,
        role: Role,
        scope: Scope,
        spawned_at: &'static Location<'static>,
        future: TaskFuture,
    ) -> TaskKey {
        let origin = match role {
            Role::Spawned | Role::Thread => self.step_word(),
            Role::Body | Role::Plan | Role::Main => 0,
        };
        let numbering = Numbering::spawned_in(origin);
        let waker = |key| waker(&self.status, key);
        let key = self.tasks.insert(role, scope, spawned_at, numbering, future, waker);
        self.trace(Event::TaskSpawned { task: scope.task, process: scope.process });
        self.trace_state().note_task(Identity::new(role, scope, spawned_at));
        self.wake(key);
        key
    }

    /// Reserves room for `more` tasks.
    pub(crate) fn reserve_tasks(&self, more: usize) {
        self.tasks.reserve(more);
        self.ready.borrow_mut().reserve(more);
    }

    /// Makes a task ready, unless it already is.
    #[inline]
    pub(crate) fn wake(&self, key: TaskKey) {
        let Some((ready, spawned)) = self.tasks.make_ready(key) else { return };
        self.ready.borrow_mut().push(ready, self.counters.polls.get(), spawned);
    }

    fn priority(&self, ready: ReadyTask) -> u64 {
        let address = Address::wake(ready.path, ready.wake);
        let position = self.next_position(Family::Wake);
        let drawn = self.draws.word_at(address, self.clock.now(), position);
        if let Some(word) = drawn {
            self.record(|recorder| {
                let key = TaskKey::from(ready);
                let at = self.clock.now();
                recorder.add(Deviation {
                    position,
                    text: self
                        .identity(key)
                        .map(|task| task.name(&self.status.names))
                        .unwrap_or_default(),
                    ..Deviation::new(address, DeviationKind::Order, word, at)
                });
            });
        }
        drawn.unwrap_or(0)
    }

    /// Polls the next ready task. Returns false if no task is ready.
    pub(crate) fn poll_next(&self) -> bool {
        let next = self.ready.borrow_mut().pop(|ready| self.priority(ready));
        let Some(ready) = next else { return false };
        if self.pauses.is_any() {
            let scope = self.tasks.with(TaskKey::from(ready), |task| task.scope);
            if scope.is_some_and(|scope| self.is_held(scope, ready)) {
                return true;
            }
        }
        self.record(|recorder| {
            self.ready.borrow().overtaken().for_each(|sequence| recorder.overtaken(sequence));
        });
        let key = TaskKey::from(ready);
        // The task has ended since it was woken. Other tasks may still be ready.
        let Some((mut polled, scope, cancelled)) = self.tasks.take(key) else { return true };
        self.clock.begin_poll();
        self.acts.count_poll(self.clock.now(), scope.process);
        self.enter(scope, Some(key));
        let event = Event::TaskPolled { wake: ready.wake };
        self.trace_as(scope, event);
        let pending = !cancelled && {
            self.map_keys.begin_poll(scope.task, ready.wake);
            self.tasks.set_waker(&polled.1);
            self.status.begin_poll(scope.machine, self.clock.now());
            let poll = polled.0.as_mut().poll(&mut Context::from_waker(&polled.1));
            self.status.end_poll();
            if ready.wake == 1 {
                // A service may have installed a panic hook at its start.
                hook::reinstall();
            }
            poll.is_pending()
        };
        let over = if pending { self.tasks.put_back(key, polled) } else { Some(polled) };
        if let Some(over) = over {
            // The polled task may have ended its own process and thereby released itself.
            let alive = self.tasks.release(key).is_some();
            self.drop_as(Scope { alive, ..scope }, over);
        }
        self.enter(Scope::HARNESS, None);
        true
    }

    /// Holds a ready task if its process is paused, or becomes so now because its machine's CPU is
    /// slow. Returns false if it is not paused.
    #[cold]
    fn is_held(&self, scope: Scope, ready: ReadyTask) -> bool {
        if let Some(until) = self.pauses.pause_if_slow(scope, self.clock.now()) {
            let resume = |process, _| {
                let process = ProcessId(process as u32);
                context::try_with(|engine| engine.resume_process(process, PauseReason::SlowCpu));
            };
            self.arm(until, Action::Call(resume, u64::from(scope.process.0), 0));
        }
        self.pauses.hold(scope.process, ready)
    }

    /// Cancels a task: instead of its next poll it is dropped, in its own scope.
    pub(crate) fn cancel_task(&self, key: TaskKey) {
        self.tasks.with(key, |task| task.cancelled = true);
        self.wake(key);
    }

    /// Drops every task of a process except the running one, each in its own scope. Returns false if there was none.
    pub(crate) fn drop_other_tasks(&self, process: ProcessId) -> bool {
        let (scope, current) = (self.scope(), self.tasks.current());
        let mut ended = false;
        loop {
            let mut others = self.tasks.select(|scope| scope.process == process);
            others.retain(|key| Some(*key) != current);
            if others.is_empty() {
                break;
            }
            ended = true;
            // A destructor may have spawned another task: look again.
            for task in others.into_iter().filter_map(|key| self.tasks.release(key)) {
                self.drop_as(task.scope, task.poll_state);
            }
        }
        self.enter(scope, current);
        ended
    }

    /// Pauses a process: its tasks are not polled until it is resumed. Returns false if it is paused for this reason already.
    pub(crate) fn pause_process(&self, process: ProcessId, reason: PauseReason) -> bool {
        self.pauses.pause(process, reason)
    }

    /// Lets a paused process go on, unless it is paused for another reason too. Returns false if it is not paused for this one.
    pub(crate) fn resume_process(&self, process: ProcessId, reason: PauseReason) -> bool {
        let Some(held) = self.pauses.resume(process, reason) else { return false };
        let (by, mut ready) = (self.counters.polls.get(), self.ready.borrow_mut());
        for (nth, task) in (0..).zip(held) {
            ready.push(task, by, nth);
        }
        true
    }

    /// Ends the roles of a process and drops its tasks. Their destructors run with a dead scope and cannot affect the run.
    pub(crate) fn end_process(&self, process: ProcessId) {
        self.pauses.forget(process);
        self.roles.end_process(process);
        self.end_tasks(|scope| scope.process == process);
    }

    /// Drops every task, at the end of the run.
    pub(crate) fn end_all_tasks(&self) {
        // A destructor may have spawned another task: look again.
        while self.end_tasks(|_| true) {}
        self.ready.borrow_mut().clear();
    }

    /// Counts a draw of the running task and returns its number. Counted per task and step, so that other tasks and steps do
    /// not change its address. When no task is running, as in a packet filter called from a timer, one counter of the run is
    /// used.
    pub(crate) fn next_draw(&self) -> Numbered {
        self.count(|counts| &mut counts.draws)
    }

    /// Like [`Engine::next_draw`], for polls of `select!`.
    pub(crate) fn next_select(&self) -> Numbered {
        self.count(|counts| &mut counts.selects)
    }

    /// Like [`Engine::next_draw`], for calls of the system's source of randomness.
    pub(crate) fn next_entropy(&self) -> Numbered {
        self.count(|counts| &mut counts.entropy)
    }

    /// As [`Engine::next_draw`], for calls on files that take time.
    pub(crate) fn next_file_call(&self) -> Numbered {
        self.count(|counts| &mut counts.file_calls)
    }

    /// The word of the step that the running task is in, or was spawned in; 0 outside of steps. What a task does in a step is
    /// numbered in the step.
    pub(crate) fn step_word(&self) -> u64 {
        self.tasks.numbering(|numbering| numbering.step()).unwrap_or(0)
    }

    fn count(&self, of: impl Fn(&mut Counts) -> &mut u64) -> Numbered {
        self.tasks.count(of).unwrap_or_else(|| {
            let outside = &self.counters.draws_outside_tasks;
            outside.set(outside.get() + 1);
            Numbered { source: self.scope().task, nth: outside.get() }
        })
    }

    fn end_tasks(&self, which: impl Fn(&Scope) -> bool) -> bool {
        let keys = self.tasks.select(&which);
        let (scope, current) = (self.scope(), self.tasks.current());
        for key in &keys {
            if let Some(task) = self.tasks.release(*key) {
                self.drop_as(Scope { alive: false, ..task.scope }, task.poll_state);
            }
        }
        // A task that ended its own process has a dead scope for the rest of its poll.
        self.enter(Scope { alive: scope.alive && !which(&scope), ..scope }, current);
        !keys.is_empty()
    }

    /// Drops a value of the user's in `scope`. A panic fails the run, unless the scope is dead: then it is ignored.
    fn drop_as<T>(&self, scope: Scope, value: T) {
        self.enter(scope, None);
        self.map_keys.begin_poll(scope.task, DROPPED);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
        if let Err(panic) = dropped
            && scope.alive
        {
            self.user_panicked(panic);
        }
    }

    fn enter(&self, scope: Scope, task: Option<TaskKey>) {
        self.set_scope(scope);
        self.tasks.set_current(task);
    }
}

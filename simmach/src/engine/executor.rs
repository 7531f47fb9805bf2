//! Running the tasks of one run on its one thread.
//!
//! Wakers hold ids only, and are the standard library's `Wake`: a wake from another thread, or one that comes after its
//! run, finds no such run where it is and is dropped and counted; a future never leaves its thread. Who runs next is the
//! scheduler's choice; what a task is part of (machine, process) is its scope.

pub(crate) mod drive;
pub(crate) mod identity;
pub(crate) mod scheduler;
pub(crate) mod tasks;
pub(crate) mod waits;
pub(crate) mod waker;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Waker};

use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::mix;
use crate::engine::executor::identity::{Identity, Role};
use crate::engine::executor::scheduler::ReadyTask;
use crate::engine::executor::tasks::{Task, TaskFuture, TaskKey};
use crate::engine::executor::waits::Wait;
use crate::engine::executor::waker::waker;
use crate::engine::failure::hook;
use crate::engine::ids::{ProcessId, Scope};
use crate::engine::record::deviations::{Deviation, Kind};
use crate::engine::record::event::Event;
use crate::engine::state::Engine;

/// Stands for the number of a poll where a task is dropped.
const DROPPED: u64 = u32::MAX as u64;

impl Engine {
    /// The scope of a new child of the running task: the same process, a path of its own.
    pub(crate) fn child_scope(&self) -> Scope {
        let parent = self.scope();
        let nth = self.tasks.count(|task| &mut task.children).unwrap_or(0);
        Scope { task: mix(parent.task, nth), ..parent }
    }

    /// Makes a task that runs as `scope`.
    pub(crate) fn spawn(
        &self,
        role: Role,
        scope: Scope,
        spawned_at: &'static Location<'static>,
        future: TaskFuture,
    ) -> TaskKey {
        let key =
            self.tasks.insert(role, scope, spawned_at, future, |key| waker(&self.status, key));
        self.trace(Event::TaskSpawned { task: scope.task, process: scope.process });
        self.trace_state().note_task(Identity::new(role, scope, spawned_at));
        self.wake(key);
        key
    }

    /// Makes room for so many more tasks, which are about to begin together.
    pub(crate) fn reserve_tasks(&self, more: usize) {
        self.tasks.reserve(more);
        self.ready.borrow_mut().reserve(more);
    }

    /// Makes a task ready. Once is enough until it is polled.
    #[inline]
    pub(crate) fn wake(&self, key: TaskKey) {
        let Some((ready, spawned)) = self.tasks.make_ready(key) else { return };
        self.ready.borrow_mut().push(ready, self.counters.steps.get(), spawned);
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
                        .map(|task| task.name(&self.status))
                        .unwrap_or_default(),
                    ..Deviation::new(address, Kind::Order, word, at)
                });
            });
        }
        drawn.unwrap_or(0)
    }

    /// Polls one ready task; false when there is none.
    pub(crate) fn poll_next(&self) -> bool {
        let next = self.ready.borrow_mut().pop(|ready| self.priority(ready));
        let Some(ready) = next else { return false };
        self.record(|recorder| {
            self.ready.borrow().overtaken().for_each(|sequence| recorder.overtaken(sequence));
        });
        let key = TaskKey::from(ready);
        // A task that ended while it was ready is no turn, but not the end of the turns either.
        let Some((mut polled, scope, cancelled)) = self.tasks.take(key) else { return true };
        self.clock.begin_poll();
        self.enter(scope, Some(key));
        let event = Event::TaskPolled { wake: ready.wake };
        self.trace_state().add(self.clock.now(), scope, event);
        let pending = !cancelled && {
            self.map_keys.begin_poll(scope.task, ready.wake);
            self.tasks.set_waker(&polled.1);
            self.status.begin_poll(scope.machine, self.clock.now());
            let poll = polled.0.as_mut().poll(&mut Context::from_waker(&polled.1));
            self.status.end_poll();
            if ready.wake == 1 {
                // Where services begin they set panic hooks.
                hook::keep_in_front();
            }
            poll.is_pending()
        };
        let over = if pending { self.tasks.put_back(key, polled) } else { Some(polled) };
        if let Some(over) = over {
            // The process may have ended while its task was polled.
            let alive = self.tasks.release(key).is_some();
            self.drop_as(Scope { alive, ..scope }, over);
        }
        self.enter(Scope::HARNESS, None);
        true
    }

    /// Ends one task: it is dropped at its next turn, as its own code.
    pub(crate) fn cancel_task(&self, key: TaskKey) {
        self.tasks.with(key, |task| task.cancelled = true);
        self.wake(key);
    }

    /// Ends every task of a process at once but the running one, each as its own code; false if there was none.
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
            // A destructor may have spawned another.
            for task in others.into_iter().filter_map(|key| self.tasks.release(key)) {
                self.drop_as(task.scope, task.polled);
            }
        }
        self.enter(scope, current);
        ended
    }

    /// Ends every task of a process at once. What their destructors do touches nothing of the run.
    pub(crate) fn end_process(&self, process: ProcessId) {
        self.end_tasks(|scope| scope.process == process);
    }

    /// Ends every task there is, for the end of the run.
    pub(crate) fn end_all_tasks(&self) {
        // A destructor may spawn in vain but not make work: still, look again until nothing is left.
        while self.end_tasks(|_| true) {}
        self.ready.borrow_mut().clear();
    }

    /// The running task, if this is its own waker and not one that something in it made round that.
    pub(crate) fn own_task(&self, waker: &Waker) -> Option<TaskKey> {
        self.tasks.own(waker)
    }

    pub(crate) fn current_task(&self) -> Option<TaskKey> {
        self.tasks.current()
    }

    /// The number of draws this task has made so far: an address that stays when other tasks change. Where no task runs, as
    /// in a rule on packets that a timer sends, the run counts.
    pub(crate) fn next_draw(&self) -> u64 {
        self.count(|task| &mut task.draws)
    }

    /// As [`Engine::next_draw`], counting the polls of `select!`.
    pub(crate) fn next_select(&self) -> u64 {
        self.count(|task| &mut task.selects)
    }

    /// As [`Engine::next_draw`], counting what the system's source of randomness was asked for.
    pub(crate) fn next_entropy(&self) -> u64 {
        self.count(|task| &mut task.entropy)
    }

    fn count(&self, of: impl Fn(&mut Task) -> &mut u64) -> u64 {
        self.tasks.count(of).unwrap_or_else(|| {
            let outside = &self.counters.draws_outside_tasks;
            outside.set(outside.get() + 1);
            outside.get()
        })
    }

    /// What the running task waits for, told by the future that is about to return `Pending`.
    #[inline]
    pub(crate) fn record_wait(&self, wait: Wait) {
        if let Some(key) = self.tasks.current() {
            self.tasks.with(key, |task| {
                task.waits = wait;
                if let Wait::Sleep { since, until } = wait {
                    task.sleeps = task.sleeps.max(until.saturating_sub(since));
                }
            });
        }
    }

    /// Who a task is, unless it is gone. Never allocates.
    pub(crate) fn identity(&self, key: TaskKey) -> Option<Identity> {
        self.tasks.identity(key)
    }

    fn end_tasks(&self, which: impl Fn(&Scope) -> bool) -> bool {
        let keys = self.tasks.select(&which);
        let (scope, current) = (self.scope(), self.tasks.current());
        for key in &keys {
            if let Some(task) = self.tasks.release(*key) {
                self.drop_as(Scope { alive: false, ..task.scope }, task.polled);
            }
        }
        // Whoever ends its own process is dead for the rest of its poll.
        self.enter(Scope { alive: scope.alive && !which(&scope), ..scope }, current);
        !keys.is_empty()
    }

    /// Drops what is the user's in its scope. A destructor of the dead that panics has nobody to tell.
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

//! Tasks of one run, polled on its one thread.
//!
//! A slab of boxed futures. Wakers hold ids only, and are the standard library's `Wake`: a wake from another thread, or
//! one that comes after its run, finds no such run where it is and is dropped and counted; a future never leaves its
//! thread. Who runs next is the scheduler's; what a task is part of (machine, process) is its scope.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use super::context::{self, Engine, Shared};
use super::draws::{Family, mix};
use super::ids::{MachineId, ProcessId, Scope};
use super::scheduler::{Ready, ReadyQueue};
use super::trace::TraceKind;
use super::waits::Wait;

type Boxed = Pin<Box<dyn Future<Output = ()>>>;
type Polled = (Boxed, Waker);

/// Names a task; harmless once it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    slot: u32,
    generation: u32,
}

#[derive(Default)]
pub(crate) struct Executor {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    ready: RefCell<ReadyQueue>,
    current: Cell<Option<TaskKey>>,
}

struct Slot {
    generation: u32,
    task: Option<Task>,
}

struct Task {
    /// Taken out while it is polled.
    polled: Option<Polled>,
    scope: Scope,
    spawned_at: &'static Location<'static>,
    scheduled: bool,
    cancelled: bool,
    wakes: u64,
    children: u64,
    draws: u64,
    waits: Wait,
}

/// A task, for a report: who it is and what it waits for.
#[derive(Debug)]
pub(crate) struct TaskReport {
    pub(crate) machine: MachineId,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) waits: Wait,
    pub(crate) ready: bool,
}

impl Engine {
    /// The scope of a new child of the running task: the same process, a path of its own.
    pub(crate) fn child_scope(&self) -> Scope {
        let parent = self.scope();
        let nth = self.executor.count(|task| &mut task.children).unwrap_or(0);
        Scope { task: mix(parent.task, nth), ..parent }
    }

    /// Makes a task that runs as `scope`.
    pub(crate) fn spawn(
        &self,
        scope: Scope,
        spawned_at: &'static Location<'static>,
        future: Boxed,
    ) -> TaskKey {
        let executor = &self.executor;
        let slot = match executor.free.borrow_mut().pop() {
            Some(slot) => slot,
            None => {
                let mut slots = executor.slots.borrow_mut();
                slots.push(Slot { generation: 0, task: None });
                (slots.len() - 1) as u32
            }
        };
        let generation = executor.slots.borrow()[slot as usize].generation;
        let key = TaskKey { slot, generation };
        let waker = Waker::from(Arc::new(TaskWaker { run: Arc::clone(&self.shared), key }));
        executor.slots.borrow_mut()[slot as usize].task = Some(Task {
            polled: Some((future, waker)),
            scope,
            spawned_at,
            scheduled: false,
            cancelled: false,
            wakes: 0,
            children: 0,
            draws: 0,
            waits: Wait::Nothing,
        });
        self.trace(TraceKind::Spawn, scope.task, u64::from(scope.process.0), &[]);
        self.wake(key);
        key
    }

    /// Makes a task ready. Once is enough until it is polled.
    pub(crate) fn wake(&self, key: TaskKey) {
        let ready = {
            let mut slots = self.executor.slots.borrow_mut();
            let Some(task) = find(&mut slots, key) else {
                return;
            };
            if task.scheduled {
                return;
            }
            task.scheduled = true;
            task.wakes += 1;
            Ready {
                slot: key.slot,
                generation: key.generation,
                path: task.scope.task,
                wake: task.wakes,
            }
        };
        self.executor.ready.borrow_mut().push(ready, |ready| {
            self.draws.word(Family::Wake, ready.path, ready.wake, 0).unwrap_or(0)
        });
    }

    /// Polls one ready task; false when there is none.
    pub(crate) fn turn(&self) -> bool {
        let Some(ready) = self.executor.ready.borrow_mut().pop() else {
            return false;
        };
        let key = TaskKey { slot: ready.slot, generation: ready.generation };
        let taken = {
            let mut slots = self.executor.slots.borrow_mut();
            find(&mut slots, key).and_then(|task| {
                task.scheduled = false;
                task.waits = Wait::Nothing;
                let polled = task.polled.take()?;
                Some((polled, task.scope, task.cancelled))
            })
        };
        // A task that ended while it was ready is no turn, but not the end of the turns either.
        let Some((mut polled, scope, cancelled)) = taken else {
            return true;
        };
        self.clock.rest();
        self.enter(scope, Some(key));
        self.trace(TraceKind::Poll, ready.wake, 0, &[]);
        let pending = !cancelled && {
            self.shared.begin_poll(scope.machine, self.clock.now());
            let poll = polled.0.as_mut().poll(&mut Context::from_waker(&polled.1));
            self.shared.end_poll();
            poll.is_pending()
        };
        let over = if pending { self.put_back(key, polled) } else { Some(polled) };
        if let Some(over) = over {
            let alive = self.executor.release(key).is_some();
            self.enter(Scope { alive, ..scope }, None);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(over)))
                && alive
            {
                self.user_panicked(panic);
            }
        }
        self.enter(Scope::HARNESS, None);
        true
    }

    /// Ends one task: it is dropped at its next turn, as its own code.
    pub(crate) fn cancel_task(&self, key: TaskKey) {
        let found = find(&mut self.executor.slots.borrow_mut(), key)
            .map(|task| task.cancelled = true)
            .is_some();
        if found {
            self.wake(key);
        }
    }

    /// Ends one task at once, as its own code. It must not be the running one.
    pub(crate) fn drop_task(&self, key: TaskKey) {
        let Some(task) = self.executor.release(key) else { return };
        let (scope, current) = (self.scope(), self.executor.current.get());
        self.enter(task.scope, None);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(task.polled))) {
            self.user_panicked(panic);
        }
        self.enter(scope, current);
    }

    /// Ends every task of a process at once. What their destructors do touches nothing of the run.
    pub(crate) fn end_process(&self, process: ProcessId) {
        self.end_tasks(|scope| scope.process == process);
    }

    /// Ends every task there is, for the end of the run.
    pub(crate) fn end_all(&self) {
        // A destructor may spawn in vain but not make work: still, look again until nothing is left.
        while self.end_tasks(|_| true) {}
        self.executor.ready.borrow_mut().clear();
    }

    pub(crate) fn current_task(&self) -> Option<TaskKey> {
        self.executor.current.get()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.executor.ready.borrow().is_empty()
    }

    /// The number of draws this task has made so far: an address that stays when other tasks change.
    pub(crate) fn next_draw(&self) -> u64 {
        self.executor.count(|task| &mut task.draws).unwrap_or(0)
    }

    /// What the running task waits for, told by the future that is about to return `Pending`.
    pub(crate) fn waits(&self, wait: Wait) {
        let Some(key) = self.executor.current.get() else {
            return;
        };
        if let Some(task) = find(&mut self.executor.slots.borrow_mut(), key) {
            task.waits = wait;
        }
    }

    pub(crate) fn wait_of(&self, key: TaskKey) -> Option<Wait> {
        find(&mut self.executor.slots.borrow_mut(), key).map(|task| task.waits)
    }

    /// Every task, in the order of their slots.
    pub(crate) fn tasks(&self) -> Vec<(TaskKey, TaskReport)> {
        let slots = self.executor.slots.borrow();
        let numbered = (0..).zip(slots.iter());
        let tasks = numbered.filter_map(|(slot, at)| {
            let key = TaskKey { slot, generation: at.generation };
            Some((key, at.task.as_ref()?))
        });
        tasks
            .map(|(key, task)| {
                let report = TaskReport {
                    machine: task.scope.machine,
                    spawned_at: task.spawned_at,
                    waits: task.waits,
                    ready: task.scheduled,
                };
                (key, report)
            })
            .collect()
    }

    pub(crate) fn spawned_at(&self, key: TaskKey) -> Option<&'static Location<'static>> {
        find(&mut self.executor.slots.borrow_mut(), key).map(|task| task.spawned_at)
    }

    /// Hands the future back if its process ended while it was polled.
    fn put_back(&self, key: TaskKey, polled: Polled) -> Option<Polled> {
        match find(&mut self.executor.slots.borrow_mut(), key) {
            Some(task) => {
                task.polled = Some(polled);
                None
            }
            None => Some(polled),
        }
    }

    fn end_tasks(&self, which: impl Fn(&Scope) -> bool) -> bool {
        let keys: Vec<_> = {
            let slots = self.executor.slots.borrow();
            let numbered = slots.iter().enumerate();
            numbered
                .filter(|(_, slot)| slot.task.as_ref().is_some_and(|task| which(&task.scope)))
                .map(|(at, slot)| TaskKey { slot: at as u32, generation: slot.generation })
                .collect()
        };
        let (scope, current) = (self.scope(), self.executor.current.get());
        for key in &keys {
            let Some(task) = self.executor.release(*key) else {
                continue;
            };
            self.enter(Scope { alive: false, ..task.scope }, None);
            drop_quietly(task.polled);
        }
        self.enter(scope, current);
        !keys.is_empty()
    }

    fn enter(&self, scope: Scope, task: Option<TaskKey>) {
        self.set_scope(scope);
        self.executor.current.set(task);
    }
}

impl Executor {
    fn release(&self, key: TaskKey) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[key.slot as usize];
        if slot.generation != key.generation {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.free.borrow_mut().push(key.slot);
        slot.task.take()
    }

    fn count(&self, which: impl Fn(&mut Task) -> &mut u64) -> Option<u64> {
        let key = self.current.get()?;
        let mut slots = self.slots.borrow_mut();
        let counter = which(find(&mut slots, key)?);
        *counter += 1;
        Some(*counter)
    }
}

fn find(slots: &mut [Slot], key: TaskKey) -> Option<&mut Task> {
    let slot = slots.get_mut(key.slot as usize)?;
    if slot.generation == key.generation { slot.task.as_mut() } else { None }
}

/// A destructor of a dead process that panics has nobody to tell.
fn drop_quietly<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

struct TaskWaker {
    run: Arc<Shared>,
    key: TaskKey,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = context::try_with(|engine| {
            let own = Arc::ptr_eq(&engine.shared, &self.run);
            if own {
                engine.wake(self.key);
            }
            own
        });
        if here != Some(true) {
            self.run.count_foreign_wake();
        }
    }
}

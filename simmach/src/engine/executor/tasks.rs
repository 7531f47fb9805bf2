//! The tasks of one run: a slab of boxed futures, each with its scope, what it counts and what it waits for.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

use crate::engine::executor::identity::{Identity, Role};
use crate::engine::executor::scheduler::ReadyTask;
use crate::engine::executor::waits::Wait;
use crate::engine::ids::Scope;

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;
pub(crate) type PollState = (TaskFuture, Waker);

/// Names a task; harmless once it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    slot: u32,
    generation: u32,
}

/// A task, for a report: who it is and what it waits for.
#[derive(Debug)]
pub(crate) struct TaskReport {
    pub(crate) identity: Identity,
    pub(crate) waits: Wait,
    /// The longest of the sleeps it waits for; 0 if for none.
    pub(crate) sleeps: u64,
    pub(crate) ready: bool,
}

/// All tasks, and which of them runs.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// How many there have been.
    spawned: Cell<u32>,
    current: Cell<Option<TaskKey>>,
    /// What the waker of the task that is being polled is made of.
    waker: Cell<Option<(*const (), *const RawWakerVTable)>>,
}

/// Whole lines of a cache, in this order: what wakes and polls look at is in the first two.
#[repr(C, align(64))]
struct Slot {
    generation: u32,
    task: Option<Task>,
}

/// One task.
#[repr(C)]
pub(crate) struct Task {
    /// Taken out while it is polled.
    pub(crate) polled: Option<PollState>,
    pub(crate) scope: Scope,
    pub(crate) wakes: u64,
    pub(crate) scheduled: bool,
    pub(crate) cancelled: bool,
    pub(crate) role: Role,
    /// Its number among the run's tasks, in the order they were spawned.
    pub(crate) number: u32,
    /// The longest of the sleeps it waits for, in nanoseconds: of several branches the last one polled is not the one
    /// that counts.
    pub(crate) sleeps: u64,
    pub(crate) waits: Wait,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) children: u64,
    pub(crate) draws: u64,
    pub(crate) selects: u64,
    pub(crate) entropy: u64,
}

impl Task {
    fn identity(&self) -> Identity {
        Identity::new(self.role, self.scope, self.spawned_at)
    }
}

impl From<ReadyTask> for TaskKey {
    fn from(ready: ReadyTask) -> Self {
        Self { slot: ready.slot, generation: ready.generation }
    }
}

impl Slot {
    fn task_of(&mut self, key: TaskKey) -> Option<&mut Task> {
        if self.generation == key.generation { self.task.as_mut() } else { None }
    }
}

impl Tasks {
    /// A new task, with the waker that is made for its key.
    pub(crate) fn insert(
        &self,
        role: Role,
        scope: Scope,
        spawned_at: &'static Location<'static>,
        future: TaskFuture,
        waker: impl FnOnce(TaskKey) -> Waker,
    ) -> TaskKey {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, task: None });
            (slots.len() - 1) as u32
        });
        let place = &mut slots[slot as usize];
        let key = TaskKey { slot, generation: place.generation };
        let number = self.spawned.get();
        self.spawned.set(number.wrapping_add(1));
        place.task = Some(Task {
            polled: Some((future, waker(key))),
            scope,
            spawned_at,
            scheduled: false,
            cancelled: false,
            role,
            number,
            wakes: 0,
            children: 0,
            draws: 0,
            selects: 0,
            entropy: 0,
            waits: Wait::Nothing,
            sleeps: 0,
        });
        key
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&self, more: usize) {
        self.slots.borrow_mut().reserve(more);
    }

    /// Takes a task out of the slab; its key is stale from here on.
    pub(crate) fn release(&self, key: TaskKey) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[key.slot as usize];
        if slot.generation != key.generation {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.free.borrow_mut().push(key.slot);
        slot.task.take()
    }

    /// Reads or changes a task that is not gone. Nothing of the user's may be called or dropped inside.
    pub(crate) fn with<R>(&self, key: TaskKey, f: impl FnOnce(&mut Task) -> R) -> Option<R> {
        self.slots.borrow_mut().get_mut(key.slot as usize)?.task_of(key).map(f)
    }

    /// As [`Tasks::with`]; `None`, too, for what comes from inside an allocator or a signal handler while they are in use.
    fn with_if_free<R>(&self, key: TaskKey, f: impl FnOnce(&mut Task) -> R) -> Option<R> {
        self.slots.try_borrow_mut().ok()?.get_mut(key.slot as usize)?.task_of(key).map(f)
    }

    /// Whether a task is not over.
    pub(crate) fn has(&self, key: TaskKey) -> bool {
        self.with(key, |_| ()).is_some()
    }

    /// Who a task is. Never allocates, and `None` in the middle of a change.
    pub(crate) fn identity(&self, key: TaskKey) -> Option<Identity> {
        self.with_if_free(key, |task| task.identity())
    }

    /// Takes a task's future out to be polled, with its scope and whether it was cancelled; it is no longer ready.
    #[inline]
    pub(crate) fn take(&self, key: TaskKey) -> Option<(PollState, Scope, bool)> {
        let mut slots = self.slots.borrow_mut();
        let task = slots.get_mut(key.slot as usize)?.task_of(key)?;
        task.scheduled = false;
        task.waits = Wait::Nothing;
        task.sleeps = 0;
        Some((task.polled.take()?, task.scope, task.cancelled))
    }

    /// Puts a future back after its poll; hands it over again if its task is gone.
    #[inline]
    pub(crate) fn put_back(&self, key: TaskKey, polled: PollState) -> Option<PollState> {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(key.slot as usize).and_then(|slot| slot.task_of(key)) {
            Some(task) => {
                task.polled = Some(polled);
                None
            }
            None => Some(polled),
        }
    }

    /// Marks a task as ready: what the scheduler needs to know of it and its number, unless it was ready before.
    pub(crate) fn make_ready(&self, key: TaskKey) -> Option<(ReadyTask, u32)> {
        self.with(key, |task| {
            if std::mem::replace(&mut task.scheduled, true) {
                return None;
            }
            task.wakes += 1;
            let ready = ReadyTask {
                slot: key.slot,
                generation: key.generation,
                path: task.scope.task,
                wake: task.wakes,
            };
            Some((ready, task.number))
        })
        .flatten()
    }

    pub(crate) fn current(&self) -> Option<TaskKey> {
        self.current.get()
    }

    pub(crate) fn set_current(&self, key: Option<TaskKey>) {
        self.current.set(key);
        self.waker.set(None);
    }

    /// From here on the current task is polled with this waker.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.waker.set(Some((waker.data(), ptr::from_ref(waker.vtable()))));
    }

    /// The current task, if this is the waker that it is being polled with.
    pub(crate) fn own(&self, waker: &Waker) -> Option<TaskKey> {
        let (data, vtable) = self.waker.get()?;
        let same = ptr::eq(data, waker.data()) && ptr::eq(vtable, waker.vtable());
        self.current.get().filter(|_| same)
    }

    /// Counts one more of something the running task counts; `None` if no task runs.
    pub(crate) fn count(&self, which: impl Fn(&mut Task) -> &mut u64) -> Option<u64> {
        self.with_if_free(self.current.get()?, |task| {
            let counter = which(task);
            *counter += 1;
            *counter
        })
    }

    /// Those of which `which` is true, in the order of their slots.
    pub(crate) fn select(&self, which: impl Fn(&Scope) -> bool) -> Vec<TaskKey> {
        self.occupied(|key, task| which(&task.scope).then_some(key))
    }

    /// Whether there is one of which `which` is true, by its scope and how long it sleeps.
    pub(crate) fn any(&self, which: impl Fn(&Scope, u64) -> bool) -> bool {
        let slots = self.slots.borrow();
        slots.iter().flat_map(|slot| &slot.task).any(|task| which(&task.scope, task.sleeps))
    }

    /// Every task, in the order of their slots.
    pub(crate) fn reports(&self) -> Vec<(TaskKey, TaskReport)> {
        self.occupied(|key, task| {
            let report = TaskReport {
                identity: task.identity(),
                waits: task.waits,
                sleeps: task.sleeps,
                ready: task.scheduled,
            };
            Some((key, report))
        })
    }

    fn occupied<R>(&self, f: impl Fn(TaskKey, &Task) -> Option<R>) -> Vec<R> {
        let slots = self.slots.borrow();
        let numbered = (0..).zip(slots.iter());
        let found = numbered.filter_map(|(slot, place)| {
            f(TaskKey { slot, generation: place.generation }, place.task.as_ref()?)
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// Where thousands take turns, each line is waited for.
    #[test]
    fn wakes_and_polls_look_at_two_lines() {
        assert!(offset_of!(Slot, task) + offset_of!(Task, spawned_at) <= 2 * 64);
    }
}

//! The tasks of one run: a slab of boxed futures with their scopes, counters and waits.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

use crate::engine::ids::Scope;
use crate::engine::tasks::identity::{Identity, Role};
use crate::engine::tasks::numbering::{Counts, Numbered, Numbering};
use crate::engine::tasks::ready_queue::ReadyTask;
use crate::engine::tasks::wait::Wait;

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;
pub(crate) type PollState = (TaskFuture, Waker);

/// The key of a task. After the task has ended, the key finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    slot: u32,
    generation: u32,
}

/// A task in a report: its identity and what it waits for.
#[derive(Debug)]
pub(crate) struct TaskReport {
    pub(crate) identity: Identity,
    pub(crate) wait: Wait,
    /// The longest sleep that the task waits for, in nanoseconds; 0 if there is none.
    pub(crate) longest_sleep: u64,
    pub(crate) ready: bool,
}

/// All tasks of a run, and which one is running.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Number of tasks spawned so far.
    spawned: Cell<u32>,
    current: Cell<Option<TaskKey>>,
    /// Data and vtable of the waker that the running task is polled with.
    waker: Cell<Option<(*const (), *const RawWakerVTable)>>,
}

/// Aligned to cache lines, with the fields that wakes and polls use in the first two lines: with thousands of tasks each
/// further line is a cache miss.
#[repr(C, align(64))]
struct Slot {
    generation: u32,
    task: Option<Task>,
}

/// One task.
#[repr(C)]
pub(crate) struct Task {
    /// `None` while it is polled.
    pub(crate) poll_state: Option<PollState>,
    pub(crate) scope: Scope,
    pub(crate) wakes: u64,
    pub(crate) scheduled: bool,
    pub(crate) cancelled: bool,
    pub(crate) role: Role,
    /// Its number among the run's tasks, in spawn order.
    pub(crate) number: u32,
    /// The longest sleep it waits for, in nanoseconds. A task that selects over several sleeps records each of them.
    pub(crate) longest_sleep: u64,
    pub(crate) wait: Wait,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) numbering: Numbering,
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
    /// Inserts a task. `waker` creates the waker for its key.
    pub(crate) fn insert(
        &self,
        role: Role,
        scope: Scope,
        spawned_at: &'static Location<'static>,
        numbering: Numbering,
        future: TaskFuture,
        waker: impl FnOnce(TaskKey) -> Waker,
    ) -> TaskKey {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, task: None });
            (slots.len() - 1) as u32
        });
        let entry = &mut slots[slot as usize];
        let key = TaskKey { slot, generation: entry.generation };
        let number = self.spawned.get();
        self.spawned.set(number.wrapping_add(1));
        entry.task = Some(Task {
            poll_state: Some((future, waker(key))),
            scope,
            spawned_at,
            scheduled: false,
            cancelled: false,
            role,
            number,
            wakes: 0,
            numbering,
            wait: Wait::Nothing,
            longest_sleep: 0,
        });
        key
    }

    /// Reserves room for `more` tasks.
    pub(crate) fn reserve(&self, more: usize) {
        self.slots.borrow_mut().reserve(more);
    }

    /// Removes a task. Its key finds nothing from here on.
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

    /// Calls `f` with a task, unless it has ended. `f` must not call or drop user code, which could reach the slab again.
    pub(crate) fn with<R>(&self, key: TaskKey, f: impl FnOnce(&mut Task) -> R) -> Option<R> {
        self.slots.borrow_mut().get_mut(key.slot as usize)?.task_of(key).map(f)
    }

    /// Like [`Tasks::with`], but also returns `None` while the slab is borrowed: an allocator or a
    /// signal handler may call this at any time.
    fn with_if_free<R>(&self, key: TaskKey, f: impl FnOnce(&mut Task) -> R) -> Option<R> {
        self.slots.try_borrow_mut().ok()?.get_mut(key.slot as usize)?.task_of(key).map(f)
    }

    /// Whether a task has not ended.
    pub(crate) fn has(&self, key: TaskKey) -> bool {
        self.with(key, |_| ()).is_some()
    }

    /// Returns a task's identity; `None` if it has ended or the slab is borrowed. Never allocates.
    pub(crate) fn identity(&self, key: TaskKey) -> Option<Identity> {
        self.with_if_free(key, |task| task.identity())
    }

    /// Takes a task's future to poll it, with its scope and whether it was cancelled. The task is no longer ready.
    #[inline]
    pub(crate) fn take(&self, key: TaskKey) -> Option<(PollState, Scope, bool)> {
        let mut slots = self.slots.borrow_mut();
        let task = slots.get_mut(key.slot as usize)?.task_of(key)?;
        task.scheduled = false;
        task.wait = Wait::Nothing;
        task.longest_sleep = 0;
        Some((task.poll_state.take()?, task.scope, task.cancelled))
    }

    /// Puts a future back after its poll. Returns it if its task has ended.
    #[inline]
    pub(crate) fn put_back(&self, key: TaskKey, polled: PollState) -> Option<PollState> {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(key.slot as usize).and_then(|slot| slot.task_of(key)) {
            Some(task) => {
                task.poll_state = Some(polled);
                None
            }
            None => Some(polled),
        }
    }

    /// Marks a task as ready and returns what the scheduler needs, with its spawn number. `None` if it was ready already.
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

    /// Sets the waker that the current task is polled with.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.waker.set(Some((waker.data(), ptr::from_ref(waker.vtable()))));
    }

    /// Returns the current task if it is being polled with `waker`.
    pub(crate) fn own(&self, waker: &Waker) -> Option<TaskKey> {
        let (data, vtable) = self.waker.get()?;
        let same = ptr::eq(data, waker.data()) && ptr::eq(vtable, waker.vtable());
        self.current.get().filter(|_| same)
    }

    /// Counts a thing of the running task; `None` if no task is running.
    pub(crate) fn count(&self, which: impl Fn(&mut Counts) -> &mut u64) -> Option<Numbered> {
        let count = |task: &mut Task| task.numbering.count(task.scope.task, &which);
        self.with_if_free(self.current.get()?, count)
    }

    /// Calls `f` with the numbering of the running task; `None` if no task is running.
    pub(crate) fn numbering<R>(&self, f: impl FnOnce(&mut Numbering) -> R) -> Option<R> {
        self.with_if_free(self.current.get()?, |task| f(&mut task.numbering))
    }

    /// The tasks whose scope matches `which`, in the order of their slots.
    pub(crate) fn select(&self, which: impl Fn(&Scope) -> bool) -> Vec<TaskKey> {
        self.occupied(|key, task| which(&task.scope).then_some(key))
    }

    /// Whether `which` is true for some task's scope and longest sleep.
    pub(crate) fn any(&self, which: impl Fn(&Scope, u64) -> bool) -> bool {
        let slots = self.slots.borrow();
        slots.iter().flat_map(|slot| &slot.task).any(|task| which(&task.scope, task.longest_sleep))
    }

    /// Every task, in the order of their slots.
    pub(crate) fn reports(&self) -> Vec<(TaskKey, TaskReport)> {
        self.occupied(|key, task| {
            let report = TaskReport {
                identity: task.identity(),
                wait: task.wait,
                longest_sleep: task.longest_sleep,
                ready: task.scheduled,
            };
            Some((key, report))
        })
    }

    fn occupied<R>(&self, f: impl Fn(TaskKey, &Task) -> Option<R>) -> Vec<R> {
        let slots = self.slots.borrow();
        let numbered = (0..).zip(slots.iter());
        let found = numbered.filter_map(|(slot, entry)| {
            f(TaskKey { slot, generation: entry.generation }, entry.task.as_ref()?)
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// With thousands of tasks each cache line is a miss.
    #[test]
    fn hot_fields_are_in_two_cache_lines() {
        assert!(offset_of!(Slot, task) + offset_of!(Task, spawned_at) <= 2 * 64);
    }
}

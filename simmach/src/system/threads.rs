//! Threads that a guest starts. They are real threads, but only one runs at a time.
//!
//! Each thread is also a task of the engine. When that task is polled, the run moves to the thread
//! (see [`Carry`](crate::engine::slot::Carry)). The run's own thread is suspended until the guest's
//! thread waits or ends. So the thread's code uses the run like any other code, in the scope of its
//! task. As for tasks, draws from the seed decide which thread runs next.
//!
//! When a process ends, the waits of its threads fail and their clocks run ahead, so that the
//! threads end. Only a join does not fail: it waits for its thread. A thread that does not end is
//! left behind, parked forever. The run counts such threads, and the OS process must not execute
//! further runs.

mod carried;
pub(super) mod futex;
mod thread;

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::engine::failure::refusals::ForbiddenCall;
use crate::engine::{self, ProcessId, Role, Slot, Wait, context};
use crate::interpose::system::{Answer, Errno, Routine};
use crate::system::threads::futex::Futexes;
use crate::system::threads::thread::{Request, Thread, ThreadTask};
use crate::task;
use crate::time::nanos;

pub(crate) use crate::system::threads::carried::set_carried;

thread_local! {
    pub(crate) static THREADS: Slot<Threads> = const { Slot::new() };
}

/// The threads of a run.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    all: Vec<Arc<Thread>>,
    futexes: Futexes,
    /// The number of threads that each process started after its end.
    late: BTreeMap<ProcessId, u32>,
}

/// Number of threads that a process may start after its end.
const MAX_LATE_THREADS: u32 = 64;

impl Threads {
    /// Returns the threads of ended processes that have not ended.
    fn lingering(&mut self) -> Vec<Arc<Thread>> {
        let lingers = |thread: &&Arc<Thread>| {
            let state = thread.lock();
            state.is_dying && state.result.is_none()
        };
        self.all.iter().filter(lingers).cloned().collect()
    }
}

/// When a wait ends without an event, in nanoseconds of the machine's monotonic clock. `None` means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Option<u64>);

impl Deadline {
    /// A wait that ends at once.
    pub(crate) const NOW: Self = Self(Some(0));

    /// Returns the deadline after a timeout. `None` means forever.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.map(|timeout| engine::local_now().saturating_add(nanos(timeout))))
    }

    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|deadline| engine::local_now() >= deadline)
    }
}

/// Creates the table of threads of this thread's run.
pub(crate) fn install() {
    THREADS.with(|slot| slot.install(Threads::default()));
}

/// Removes the table of threads. Returns the number of threads that did not end, which stay parked.
pub(crate) fn remove() -> usize {
    let left = thread::end_lingering();
    let all = with(|threads| threads.all.clone()).unwrap_or_default();
    all.iter().for_each(|thread| thread.reap());
    drop(THREADS.with(Slot::remove));
    left
}

fn with<R>(f: impl FnOnce(&mut Threads) -> R) -> Option<R> {
    THREADS.try_with(|slot| slot.with(f)).ok().flatten()
}

/// Starts a thread of the running guest. `create` creates the thread, given its routine. `is_detached`: the C library frees it
/// when it ends.
pub(super) fn start(
    routine: Routine,
    is_detached: bool,
    create: &mut dyn FnMut(Routine) -> Result<libc::pthread_t, c_int>,
) -> c_int {
    let Some(scope) = context::try_with(|engine| engine.child_scope()) else { return libc::EAGAIN };
    if !scope.alive && !admit_late_thread(scope.process) {
        return libc::EAGAIN;
    }
    let thread = Arc::new(Thread::default());
    match create(thread::routine(Arc::clone(&thread), routine)) {
        Err(error) => error,
        Ok(handle) => {
            {
                let mut state = thread.lock();
                (state.handle, state.scope, state.is_woken) = (Some(handle), Some(scope), true);
                state.is_dying = !scope.alive;
                state.is_reaped = is_detached;
            }
            with(|threads| threads.all.push(Arc::clone(&thread)));
            if !scope.alive {
                // It runs when it is joined, or when other threads of the process have ended.
                return 0;
            }
            let task = ThreadTask::new(thread);
            drop(task::spawn_as(Role::Thread, scope, Location::caller(), task));
            0
        }
    }
}

/// Counts a thread that a process starts after its end. Returns false if there were too many: code that replaces threads which
/// end would go on forever. Some must be admitted, since C++ code that has started some threads aborts if it cannot start the
/// others.
fn admit_late_thread(process: ProcessId) -> bool {
    let count = with(|threads| {
        let count = threads.late.entry(process).or_default();
        *count += 1;
        *count
    });
    count.is_some_and(|count| count <= MAX_LATE_THREADS)
}

/// Whether this thread is one that a guest started.
pub(super) fn is_own() -> bool {
    thread::own().is_some()
}

/// Waits on a guest's thread until its waker, which is passed to `register`, is woken, or until `deadline`. Spurious returns
/// are possible.
///
/// # Errors
///
/// `EBADF` if the thread's process has ended. `EDEADLK` on the run's own thread, which cannot wait; the run then fails.
pub(super) fn wait(
    deadline: Deadline,
    what: &'static str,
    register: impl FnOnce(&Waker) -> Answer<()>,
) -> Answer<()> {
    let Some(own) = thread::own() else {
        context::try_with(|engine| engine.refuse(ForbiddenCall::Block(what)));
        return Err(Errno(libc::EDEADLK));
    };
    if own.fail_if_dying() {
        return Err(Errno(libc::EBADF));
    }
    register(&Waker::from(Arc::clone(&own)))?;
    own.give_back(Request::Wait { deadline, what: Wait::Named(what) });
    if own.lock().is_dying { Err(Errno(libc::EBADF)) } else { Ok(()) }
}

/// The longest sleep on the run's own thread that is answered. Longer ones stop the tasks of a runtime for too long.
const SHORT_SLEEP: Duration = Duration::from_millis(1);

/// Sleeps on a guest's thread. On the run's own thread a short sleep lets another thread of the guest run, since destructors of
/// storage engines wait like this for their threads. Returns false if the sleep is not answered.
pub(super) fn sleep(time: Duration) -> bool {
    if !is_own() {
        if engine::live_scope().is_none() {
            // Its threads may have ended: a sleep of a process that does not exist any more has no effect.
            let _ = thread::run_next() || thread::end_one();
            return true;
        }
        return time <= SHORT_SLEEP && thread::run_next();
    }
    let deadline = Deadline::after(Some(time));
    while !deadline.has_passed() && wait(deadline, "the end of a sleep", |_| Ok(())).is_ok() {}
    true
}

/// Waits until a thread of the run has ended, and returns its result. Returns `None` if the thread does not belong to the
/// run.
///
/// This wait does not fail when its process ends: the code after a join relies on the end of the thread, which may use the
/// joining thread's stack.
pub(super) fn join(handle: libc::pthread_t) -> Option<Answer<usize>> {
    let thread = with(|threads| threads.find(handle).cloned()).flatten()?;
    loop {
        let result = thread.lock().result;
        if let Some(result) = result {
            thread.reap();
            return Some(Ok(result));
        }
        if thread::end_if_dying(&thread) || !is_own() && thread::run_next() {
            continue;
        }
        let register = |waker: &Waker| {
            thread.lock().joiners.push(waker.clone());
            Ok(())
        };
        if let Err(error) = wait(Deadline(None), "the end of a thread", register) {
            let Some(own) = thread::own() else { return Some(Err(error)) };
            // The thread waits for one that can end only later.
            own.give_back(Request::Linger);
        }
    }
}

/// Names a thread of the run in reports.
pub(super) fn set_name(handle: libc::pthread_t, name: &str) {
    // std sets the name on the new thread itself, after it has set the thread's id and before it runs the thread's code.
    if let Some(own) = thread::own()
        && own.lock().handle == Some(handle)
    {
        own.seed_generators();
    }
    let found = with(|threads| threads.find(handle).and_then(|it| it.lock().scope));
    if let Some(scope) = found.flatten() {
        context::try_with(|engine| engine.status.names.set_task_title(scope.task, name.to_owned()));
    }
}

/// Detaches a thread of the run, which is reaped when it ends. Returns false if the thread does not belong to the run.
pub(super) fn detach(handle: libc::pthread_t) -> bool {
    let found = with(|threads| threads.find(handle).cloned());
    let Some(thread) = found.flatten() else { return false };
    thread.lock().is_detached = true;
    thread.reap();
    true
}

//! One thread of a guest, and the task of the engine that runs it.

use std::cell::RefCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::engine::draws::address::Address;
use crate::engine::log;
use crate::engine::panics::{self, Uncaught};
use crate::engine::{self, ProcessId, Scope, Wait, context};
use crate::interpose::baton::Baton;
use crate::interpose::system::{Routine, advance_own_clock, join_really, on_thread_end};
use crate::system::threads::carried::Carried;
use crate::system::threads::{Deadline, Threads, with};
use crate::time::simulated::{Sleep, sleep_until_clock};

/// Number of failed waits after which a thread of an ended process is suspended until other threads
/// have ended.
const MAX_FAILED_WAITS: u32 = 1_000;
/// How far each failed wait advances a thread's clocks, in nanoseconds: an hour.
const AHEAD: u64 = 3_600_000_000_000;

thread_local! {
    /// This thread, if a guest started it. It is `ManuallyDrop`, since it is needed while the
    /// thread's other thread-locals are destroyed.
    static OWN: RefCell<ManuallyDrop<Option<Arc<Thread>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// A thread of a guest. At any time one thread executes the run, and only this thread locks the
/// state. So the lock is never contended.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// Raised when the run moves to this thread.
    go: Baton,
    /// Raised when the run moves back.
    back: Baton,
    state: Mutex<ThreadState>,
}

/// The state of a thread.
#[derive(Debug, Default)]
pub(super) struct ThreadState {
    /// The run, while it moves to or from the thread.
    carried: Option<Carried>,
    request: Option<Request>,
    pub(super) handle: Option<libc::pthread_t>,
    /// Whether it was detached, so that it is freed when it ends.
    pub(super) is_detached: bool,
    /// Whether it was freed, so that the C library may give its handle to a new thread.
    pub(super) is_reaped: bool,
    pub(super) scope: Option<Scope>,
    /// Wakes the engine's task that runs the thread.
    task: Option<Waker>,
    /// Whether the thread can run: it is new, or was woken since it began to wait.
    pub(super) is_woken: bool,
    /// The thread's panics, set when its start routine has returned, since its thread-locals are gone when it gives the run
    /// back.
    panics: Uncaught,
    /// The return value of its start routine, once the thread has ended.
    pub(super) result: Option<usize>,
    returned: usize,
    /// Whether it has the run, or a thread that it runs has it.
    is_running: bool,
    /// Whether its process has ended.
    pub(super) is_dying: bool,
    failed_waits: u32,
    is_seeded: bool,
    pub(super) joiners: Vec<Waker>,
}

/// Why a thread gives the run back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Wait {
        deadline: Deadline,
        what: Wait,
    },
    /// Its process has ended, but the thread keeps waiting.
    Linger,
    Exit,
}

/// This thread, if a guest started it.
pub(super) fn own() -> Option<Arc<Thread>> {
    OWN.try_with(|own| (**own.try_borrow().ok()?).clone()).ok().flatten()
}

/// Returns the routine of a new thread, which waits for the run and then runs the guest's routine.
pub(super) fn routine(thread: Arc<Thread>, routine: Routine) -> Routine {
    Routine::new(move || {
        thread.go.wait();
        let carried = thread.lock().carried.take();
        if let Some(carried) = carried {
            carried.put();
        }
        OWN.with(|own| **own.borrow_mut() = Some(Arc::clone(&thread)));
        // Called after the destructors of the thread's locals, which may still make calls.
        on_thread_end(end);
        let _log = log::capture_on_thread();
        if log::is_kept() {
            panics::capture_all();
        }
        let returned = routine.call();
        let mut state = thread.lock();
        (state.returned, state.panics) = (returned.expose_provenance(), Uncaught::take());
        drop(state);
        returned
    })
}

/// Gives the run back for the last time.
fn end() {
    let Some(own) = OWN.with(|own| own.borrow_mut().take()) else { return };
    {
        let carried = Carried::take();
        context::remove();
        let mut state = own.lock();
        state.carried = carried;
        state.request = Some(Request::Exit);
    }
    own.back.give();
}

impl Thread {
    pub(super) fn lock(&self) -> MutexGuard<'_, ThreadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the thread until it gives the run back. Returns what it waits for, or `None` if it has ended.
    fn resume(&self) -> Option<Request> {
        if self.lock().result.is_some() {
            return None;
        }
        let carried = Carried::take();
        {
            let mut state = self.lock();
            state.carried = carried;
            state.is_woken = false;
            state.is_running = true;
        }
        self.go.give();
        self.back.wait();
        let (carried, request) = {
            let mut state = self.lock();
            state.is_running = false;
            (state.carried.take(), state.request.take())
        };
        if let Some(carried) = carried {
            carried.put();
        }
        match request {
            Some(Request::Exit) | None => {
                std::mem::take(&mut self.lock().panics).put();
                self.finish();
                None
            }
            waits => waits,
        }
    }

    /// Publishes the thread's result. The thread does not run the guest's code any more.
    fn finish(&self) {
        let (joiners, is_detached) = {
            let mut state = self.lock();
            state.result = Some(state.returned);
            (std::mem::take(&mut state.joiners), state.is_detached)
        };
        if is_detached {
            self.reap();
        }
        joiners.into_iter().for_each(Waker::wake);
        with(|threads| threads.futexes.forget(self));
    }

    /// Frees the thread's handle and its stack, once it has ended and was joined or detached. Earlier, a new thread could get
    /// the same handle as this one, and be joined in its place.
    pub(super) fn reap(&self) {
        let handle = {
            let mut state = self.lock();
            let can_be_reaped = state.result.is_some() && !state.is_reaped;
            state.is_reaped |= can_be_reaped;
            state.handle.filter(|_| can_be_reaped)
        };
        if let Some(handle) = handle {
            join_really(handle);
        }
    }

    /// Gives the run back, and waits until it returns. Called on the thread itself.
    pub(super) fn give_back(&self, request: Request) {
        self.seed_generators();
        let carried = Carried::take();
        {
            let mut state = self.lock();
            state.carried = carried;
            state.request = Some(request);
        }
        self.back.give();
        self.go.wait();
        let carried = self.lock().carried.take();
        if let Some(carried) = carried {
            carried.put();
        }
    }

    /// Seeds the thread's generator of fastrand, before the thread's first wait or when it is named. Otherwise, fastrand
    /// would take the seed from the thread's id, which counts all threads of the process. This cannot happen when the thread
    /// starts, since std has not set its id yet.
    pub(super) fn seed_generators(&self) {
        if std::mem::replace(&mut self.lock().is_seeded, true) {
            return;
        }
        let task = engine::scope().map_or(0, |scope| scope.task);
        fastrand::seed(engine::word(Address::entropy(task, 0, 0)).unwrap_or(task));
    }

    /// Gives the run back, and stays ready. Called on the thread itself.
    pub(super) fn yield_now(self: &Arc<Self>) {
        if self.lock().is_dying {
            return;
        }
        self.wake_by_ref();
        self.give_back(Request::Wait { deadline: Deadline(None), what: Wait::Named("its turn") });
    }

    /// Returns whether a wait of the thread must fail, because its process has ended. Called on the thread itself.
    pub(super) fn fail_if_dying(&self) -> bool {
        let linger = {
            let mut state = self.lock();
            if !state.is_dying {
                return false;
            }
            state.failed_waits += 1;
            state.failed_waits >= MAX_FAILED_WAITS
        };
        advance_own_clock(AHEAD);
        if linger {
            self.give_back(Request::Linger);
            self.lock().failed_waits = 0;
        }
        true
    }

    /// Runs the thread of an ended process so that it can end. Returns false if it keeps waiting, or if it is running: a thread
    /// that runs others ends after them.
    fn end(&self) -> bool {
        let scope = {
            let mut state = self.lock();
            state.is_dying = true;
            if state.is_running {
                return false;
            }
            state.scope
        };
        let Some(engine) = context::current() else { return false };
        let resume = || engine.in_guest(|| self.resume());
        loop {
            let request = match scope {
                Some(scope) => engine.as_scope(Scope { alive: false, ..scope }, resume),
                None => resume(),
            };
            match request {
                None => return true,
                Some(Request::Linger) => return false,
                Some(Request::Wait { .. } | Request::Exit) => {}
            }
        }
    }
}

/// Runs a thread to its end if its process has ended. Returns false if it waits for something, or if its process lives.
pub(super) fn end_if_dying(thread: &Thread) -> bool {
    let (is_dying, scope) = {
        let state = thread.lock();
        (state.is_dying, state.scope)
    };
    let has_ended = |scope: Scope| {
        engine::scope().is_some_and(|own| own.process == scope.process)
            && engine::live_scope().is_none()
    };
    (is_dying || scope.is_some_and(has_ended)) && thread.end()
}

/// The waker for a thread's waits.
impl Wake for Thread {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = {
            let mut state = self.lock();
            state.is_woken = true;
            state.task.clone()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Runs a thread that can run, while the run's own thread waits. Returns false if no thread can run.
pub(super) fn run_next() -> bool {
    let next = with(|threads| {
        let runnable = |thread: &&Arc<Thread>| {
            let state = thread.lock();
            state.is_woken && state.result.is_none() && !state.is_dying
        };
        threads.all.iter().find(runnable).cloned()
    });
    let Some(next) = next.flatten() else { return false };
    let scope = next.lock().scope;
    if let (Some(engine), Some(scope)) = (context::current(), scope) {
        // The thread's task is ready, and checks what the thread waits for when it is polled.
        engine.as_scope(scope, || engine.in_guest(|| next.resume()));
    }
    true
}

/// Lets a thread of the running process end, if the process has ended. The run's own thread calls this in destructors, which
/// may wait for threads. Returns false if no thread is left.
pub(super) fn end_one() -> bool {
    let own = engine::scope().filter(|scope| !scope.alive).map(|scope| scope.process);
    let left = with(|threads| {
        let is_left = |thread: &&Arc<Thread>| {
            let state = thread.lock();
            state.result.is_none() && state.scope.is_some_and(|scope| Some(scope.process) == own)
        };
        threads.all.iter().filter(is_left).cloned().collect::<Vec<_>>()
    });
    let left = left.unwrap_or_default();
    left.iter().any(|thread| thread.end()) || !left.is_empty()
}

/// Runs the remaining threads of ended processes, as long as at least one of them ends. Returns the number of threads left.
pub(super) fn end_lingering() -> usize {
    loop {
        let lingering = with(Threads::lingering).unwrap_or_default();
        let ended = lingering.iter().filter(|thread| thread.end()).count();
        if ended == 0 {
            return lingering.len();
        }
    }
}

/// Reaps the threads of a process that has ended, once no thread of it is left.
fn reap_all_of(process: ProcessId) {
    let threads = with(|threads| {
        let is_of_it = |thread: &&Arc<Thread>| {
            thread.lock().scope.is_some_and(|scope| scope.process == process)
        };
        threads.all.iter().filter(is_of_it).cloned().collect::<Vec<_>>()
    });
    let threads = threads.unwrap_or_default();
    if threads.iter().all(|thread| thread.lock().result.is_some()) {
        threads.iter().for_each(|thread| thread.reap());
    }
}

impl Threads {
    /// Finds a thread by its handle. A thread that was reaped is found only if no other has its handle.
    pub(super) fn find(&self, handle: libc::pthread_t) -> Option<&Arc<Thread>> {
        let has_handle = |thread: &&Arc<Thread>| thread.lock().handle == Some(handle);
        let found = || self.all.iter().rev().filter(has_handle);
        found().find(|thread| !thread.lock().is_reaped).or_else(|| found().next())
    }
}

/// The engine's task of a thread.
#[derive(Debug)]
pub(crate) struct ThreadTask {
    thread: Arc<Thread>,
    sleep: Option<Sleep>,
}

impl ThreadTask {
    pub(super) fn new(thread: Arc<Thread>) -> Self {
        Self { thread, sleep: None }
    }
}

impl Future for ThreadTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep = None;
        {
            let mut state = self.thread.lock();
            if !state.task.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                state.task = Some(cx.waker().clone());
            }
        }
        loop {
            let engine = context::current();
            let resumed = match &engine {
                Some(engine) => engine.in_guest(|| self.thread.resume()),
                None => None,
            };
            let Some(Request::Wait { deadline, what }) = resumed else { return Poll::Ready(()) };
            let Some(deadline) = deadline.0 else {
                engine::record_wait(what);
                return Poll::Pending;
            };
            let mut sleep = sleep_until_clock(deadline);
            if Pin::new(&mut sleep).poll(cx).is_pending() {
                self.sleep = Some(sleep);
                return Poll::Pending;
            }
        }
    }
}

impl Drop for ThreadTask {
    fn drop(&mut self) {
        if self.thread.lock().result.is_some() {
            return;
        }
        // The thread may wait for a resource that others hold, so it is run again after they have ended.
        if self.thread.end() {
            end_lingering();
            let scope = self.thread.lock().scope;
            if let Some(scope) = scope {
                reap_all_of(scope.process);
            }
        }
    }
}

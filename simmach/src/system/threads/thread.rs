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
use crate::engine::{self, Scope, Wait, context};
use crate::interpose::baton::Baton;
use crate::interpose::system::{Routine, advance_own_clock, join_really, on_thread_end};
use crate::system::threads::carried::Carried;
use crate::system::threads::{Deadline, Threads, with};
use crate::time::simulated::{Sleep, sleep_until_clock};

/// Failing waits after which a thread of an ended process is left alone until others have ended.
const MAX_FAILED_WAITS: u32 = 1_000;
/// How far a thread's clock is advanced by each failing wait, in nanoseconds: an hour.
const AHEAD: u64 = 3_600_000_000_000;

thread_local! {
    /// This thread, if a guest started it. `ManuallyDrop`: it is needed while the thread's other locals are destroyed.
    static OWN: RefCell<ManuallyDrop<Option<Arc<Thread>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// A thread of a guest. Its state is only locked by the thread that has the run, so never contended.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// Raised when the run comes to the thread.
    go: Baton,
    /// Raised when the run comes back.
    back: Baton,
    state: Mutex<ThreadState>,
}

/// The state of a thread.
#[derive(Debug, Default)]
pub(super) struct ThreadState {
    /// The run on its way.
    carried: Option<Carried>,
    request: Option<Request>,
    pub(super) handle: Option<libc::pthread_t>,
    pub(super) scope: Option<Scope>,
    /// Wakes the engine's task that runs the thread.
    task: Option<Waker>,
    /// Whether it could run: it is new, or was woken since it began to wait.
    pub(super) is_woken: bool,
    /// Its panics, when its start routine has returned: the thread's locals are gone when it gives the run back.
    panics: Uncaught,
    /// What its start routine returned, once it has ended.
    pub(super) result: Option<usize>,
    returned: usize,
    /// Its process has ended.
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
    /// Its process has ended, but it goes on waiting.
    Linger,
    Exit,
}

/// This thread, if a guest started it.
pub(super) fn own() -> Option<Arc<Thread>> {
    OWN.try_with(|own| (**own.try_borrow().ok()?).clone()).ok().flatten()
}

/// The routine of a new thread: waits for the run, and runs the guest's.
pub(super) fn routine(thread: Arc<Thread>, routine: Routine) -> Routine {
    Routine::new(move || {
        thread.go.wait();
        let carried = thread.lock().carried.take();
        if let Some(carried) = carried {
            carried.put();
        }
        OWN.with(|own| **own.borrow_mut() = Some(Arc::clone(&thread)));
        // After the destructors of the thread's locals, which may still make calls.
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

/// Gives the run back for good.
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
        }
        self.go.give();
        self.back.wait();
        let (carried, request) = {
            let mut state = self.lock();
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

    /// Reaps the thread, which runs no code of the guest any more.
    fn finish(&self) {
        let handle = self.lock().handle;
        if let Some(handle) = handle {
            join_really(handle);
        }
        let joiners = {
            let mut state = self.lock();
            state.result = Some(state.returned);
            std::mem::take(&mut state.joiners)
        };
        joiners.into_iter().for_each(Waker::wake);
        with(|threads| threads.futexes.forget(self));
    }

    /// Gives the run back, and waits until it comes again. On the thread itself.
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

    /// Seeds the thread's generator of fastrand, before its first wait or when it is named: it would take its seed from the
    /// thread's id, which counts all threads of the process. Not when the thread starts: std has not set its id then.
    pub(super) fn seed_generators(&self) {
        if std::mem::replace(&mut self.lock().is_seeded, true) {
            return;
        }
        let task = engine::scope().map_or(0, |scope| scope.task);
        fastrand::seed(engine::word(Address::entropy(task, 0, 0)).unwrap_or(task));
    }

    /// Gives the run back, and is ready to go on. On the thread itself.
    pub(super) fn yield_now(self: &Arc<Self>) {
        if self.lock().is_dying {
            return;
        }
        self.wake_by_ref();
        self.give_back(Request::Wait { deadline: Deadline(None), what: Wait::Named("its turn") });
    }

    /// Fails a wait of the thread if its process has ended. On the thread itself.
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

    /// Lets the thread of an ended process leave. Returns false if it goes on waiting.
    fn end(&self) -> bool {
        self.lock().is_dying = true;
        loop {
            match self.resume() {
                None => return true,
                Some(Request::Linger) => return false,
                Some(Request::Wait { .. } | Request::Exit) => {}
            }
        }
    }
}

/// The waker of a thread's waits.
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

/// Runs a thread that could run, while the run's own thread waits for it. Returns false if there is none.
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
        // Its task, which is ready, looks at what it waits for when it is polled.
        engine.as_scope(scope, || engine.in_guest(|| next.resume()));
    }
    true
}

/// Lets threads of ended processes leave that have not so far, as long as one does. Returns how many are left.
pub(super) fn end_lingering() -> usize {
    let Some(engine) = context::current() else { return 0 };
    loop {
        let lingering = with(Threads::lingering).unwrap_or_default();
        let ended = lingering.iter().filter(|thread| engine.in_guest(|| thread.end())).count();
        if ended == 0 {
            return lingering.len();
        }
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
        // Others may hold what it waits for: one that lingers is tried again after they have ended.
        if let Some(engine) = context::current() {
            let has_ended = engine.in_guest(|| self.thread.end());
            if has_ended {
                end_lingering();
            }
        }
    }
}

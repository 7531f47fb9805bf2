//! Slices: the execution of a runtime on the run's own thread between two waits.
//!
//! A runtime cannot block on that thread, since the run must continue. Therefore a guest's task
//! executes the runtime until the runtime would wait in `epoll_wait`. That call records the
//! deadline and the waker, completes the future that the runtime blocks on, and returns without an
//! event.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;
use std::task::Waker;

use crate::engine::context;
use crate::interpose::system::Answer;
use crate::system::threads::Deadline;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Slice>>> = const { RefCell::new(None) };
}

/// The slices of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// The epoll instance of the runtime: that of the runtime's first wait.
    epoll: Cell<Option<c_int>>,
    /// The deadline of the wait that ended this slice. At this time the runtime has work again even
    /// without an event.
    ended: Cell<Option<Deadline>>,
    /// Wakes the future that the runtime blocks on.
    root: RefCell<Option<Waker>>,
    /// Wakes the engine's task that runs the slices.
    task: RefCell<Option<Waker>>,
    /// Whether `root` is being woken. The runtime then also writes to its eventfd.
    is_waking_root: Cell<bool>,
}

impl Slice {
    /// Runs `f`, which executes one slice of the runtime. `task` is woken when an event ends the
    /// wait. Returns the result of `f`. If the runtime waits, also returns the time at which it has
    /// work again without an event.
    pub(crate) fn run<R>(
        self: &Rc<Self>,
        task: &Waker,
        f: impl FnOnce() -> R,
    ) -> (R, Option<Deadline>) {
        struct Leave(Option<Rc<Slice>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                set_uncounted(false);
                CURRENT.set(self.0.take());
            }
        }
        self.ended.set(None);
        let known = self.task.borrow().as_ref().is_some_and(|known| known.will_wake(task));
        if !known {
            self.task.replace(Some(task.clone()));
        }
        let _leave = Leave(CURRENT.replace(Some(Rc::clone(self))));
        // The runtime reads the clock for its metrics before it runs anything.
        set_uncounted(true);
        let result = f();
        (result, self.ended.take())
    }

    /// Marks that the guest's own code runs from here on, whose readings of the clock are counted.
    pub(crate) fn enter_code(&self) {
        set_uncounted(false);
    }

    /// Sets what wakes the future that the runtime blocks on.
    pub(crate) fn set_root(&self, waker: &Waker) {
        let mut root = self.root.borrow_mut();
        if !root.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *root = Some(waker.clone());
        }
    }

    /// The epoll instance of the runtime, once it has waited.
    pub(crate) fn epoll(&self) -> Option<c_int> {
        self.epoll.get()
    }

    /// Whether the runtime has waited in this slice.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }
}

/// Ends the slice whose runtime waits at the instance `epoll` until `deadline`. `register` registers the waker for events.
/// Returns false if no slice of that runtime is running on this thread.
pub(super) fn end(
    epoll: c_int,
    deadline: Deadline,
    register: impl FnOnce(&Waker) -> Answer<()>,
) -> Answer<bool> {
    let Some(slice) = CURRENT.with_borrow(Option::clone) else { return Ok(false) };
    if slice.epoll.get().is_some_and(|own| own != epoll) {
        return Ok(false);
    }
    slice.epoll.set(Some(epoll));
    if let Some(task) = &*slice.task.borrow() {
        register(task)?;
    }
    slice.ended.set(Some(deadline));
    // Nothing is borrowed during the wake.
    let root = slice.root.borrow().clone();
    // The runtime has read the clock for its metrics before this wait, and reads it after it, for timers that are due.
    #[cfg(feature = "tokio")]
    context::try_with(|engine| engine.clock.take_back_reading());
    set_uncounted(true);
    slice.is_waking_root.set(true);
    if let Some(root) = root {
        root.wake();
    }
    slice.is_waking_root.set(false);
    Ok(true)
}

fn set_uncounted(on: bool) {
    context::try_with(|engine| engine.clock.set_uncounted(on));
}

/// Whether a runtime on this thread is being woken from its own wait. A write to its eventfd would then only cause an
/// additional slice.
pub(super) fn is_waking_own_runtime() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|slice| slice.is_waking_root.get()))
}

//! The state of one run on its thread.
//!
//! A thread-local here contains the engine. Each layer above keeps its state in its own [`Slot`],
//! so that the layers do not have to know each other. `run.rs` fills the slots when the run's
//! thread starts. It empties them when the thread ends, even by a panic. The slots are
//! `ManuallyDrop`, because a thread-local with a destructor must be registered and checks its state
//! on each access.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;

pub(crate) use crate::engine::slot::Slot;
pub(crate) use crate::engine::state::{Engine, Policy};
pub(crate) use crate::engine::status::{RunStatus, StatusSnapshot, StuckReport};

thread_local! {
    static ENGINE: RefCell<ManuallyDrop<Option<Rc<Engine>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// Whether `ENGINE` is set. Code can read this at any time in a thread's life, with a single
    /// load.
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Installs `engine` as this thread's run.
pub(crate) fn install(engine: Engine) -> Rc<Engine> {
    let engine = Rc::new(engine);
    ENGINE.with(|slot| **slot.borrow_mut() = Some(Rc::clone(&engine)));
    HERE.set(true);
    engine.clock.set_origin();
    engine
}

/// Removes this thread's run. From then on, handles of the run fail on this thread.
pub(crate) fn remove() {
    HERE.set(false);
    let engine = ENGINE.with(|slot| slot.borrow_mut().take());
    drop(engine);
}

/// Detaches this thread from its run, because another thread is about to execute the run's code. Returns the engine.
pub(crate) fn leave() -> Option<Rc<Engine>> {
    HERE.set(false);
    current()
}

/// Attaches this thread to the run of `engine`, from which another thread has been detached.
pub(crate) fn enter(engine: Rc<Engine>) {
    // The run's own thread keeps the engine when it is detached, since it may be in a call on it.
    ENGINE.with(|slot| {
        let is_kept = slot.try_borrow().map_or(true, |kept| kept.is_some());
        if !is_kept {
            **slot.borrow_mut() = Some(engine);
        }
    });
    HERE.set(true);
}

/// Calls `f` as if this thread had no run.
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    struct Return(bool);
    impl Drop for Return {
        fn drop(&mut self) {
            HERE.set(self.0);
        }
    }
    let _return = Return(HERE.replace(false));
    f()
}

/// Whether this thread has a run. Never allocates, even while the thread starts or ends.
#[inline]
pub(crate) fn is_here() -> bool {
    HERE.get()
}

/// Returns a reference-counted handle to this thread's run.
pub(crate) fn current() -> Option<Rc<Engine>> {
    ENGINE.try_with(|slot| (**slot.try_borrow().ok()?).clone()).ok().flatten()
}

/// Calls `f` with this thread's run. Returns `None` outside a run and after the thread's locals were destroyed.
#[inline]
pub(crate) fn try_with<R>(f: impl FnOnce(&Engine) -> R) -> Option<R> {
    ENGINE.try_with(|slot| slot.try_borrow().ok()?.as_deref().map(f)).ok().flatten()
}

//! One run's state on its thread.
//!
//! The engine has its own slot here; the layers above keep theirs in a [`Slot`] each, so that none has to know the
//! others. `run.rs` fills them first thing on the run's fresh thread and empties them before it ends, however it ends: they
//! have no destructors, which a thread would have to be told of, and each access to ask for.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;

pub(crate) use crate::engine::state::{Engine, Policy};
pub(crate) use crate::engine::status::{RunStatus, StatusSnapshot, StuckReport};

thread_local! {
    static ENGINE: RefCell<ManuallyDrop<Option<Rc<Engine>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// True while there is one: it can be read at any time in a thread's life, and costs a load.
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Makes `engine` this thread's run.
pub(crate) fn install(engine: Engine) -> Rc<Engine> {
    let engine = Rc::new(engine);
    ENGINE.with(|slot| **slot.borrow_mut() = Some(Rc::clone(&engine)));
    HERE.set(true);
    engine.clock.set_origin();
    engine
}

/// Ends this thread's run: from here on every handle is outside of it.
pub(crate) fn remove() {
    HERE.set(false);
    let engine = ENGINE.with(|slot| slot.borrow_mut().take());
    drop(engine);
}

/// True if this thread has a run. Never allocates, whatever part of its life the thread is in.
#[inline]
pub(crate) fn is_here() -> bool {
    HERE.get()
}

/// This thread's run, held.
pub(crate) fn current() -> Option<Rc<Engine>> {
    ENGINE.try_with(|slot| (**slot.try_borrow().ok()?).clone()).ok().flatten()
}

/// Reaches this thread's run; `None` outside one, and after a thread's locals are gone.
#[inline]
pub(crate) fn try_with<R>(f: impl FnOnce(&Engine) -> R) -> Option<R> {
    ENGINE.try_with(|slot| slot.try_borrow().ok()?.as_deref().map(f)).ok().flatten()
}

/// A layer's state for this thread's run.
#[derive(Debug)]
pub(crate) struct Slot<T>(RefCell<ManuallyDrop<Option<T>>>);

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(ManuallyDrop::new(None)))
    }

    pub(crate) fn install(&self, state: T) {
        **self.0.borrow_mut() = Some(state);
    }

    pub(crate) fn remove(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    /// `None` outside a run. Nothing of the user's may be called or dropped inside.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.with_if(|_| true, f)
    }

    /// As [`with`](Self::with), if `admit` says so.
    #[inline]
    pub(crate) fn with_if<R>(
        &self,
        admit: impl FnOnce(&T) -> bool,
        f: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        match self.0.borrow_mut().as_mut() {
            Some(state) if admit(state) => Some(f(state)),
            _ => None,
        }
    }
}

//! A layer's state for the run on a thread.

use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::thread::LocalKey;

/// The state of a layer for this thread's run.
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

    /// Calls `f` with the state; returns `None` outside a run. `f` must not call or drop user code, which could reach the
    /// slot again.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.with_if(|_| true, f)
    }

    /// Like [`with`](Self::with), but also returns `None` while the state is in use.
    pub(crate) fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok()?.as_mut().map(f)
    }

    /// Like [`with`](Self::with), but calls `f` only if `admit` returns true.
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

/// A layer's state that moves with the run to another thread and back.
pub(crate) trait Carry: Sync {
    /// Takes the state from this thread.
    fn take(&'static self) -> Option<Box<dyn Any>>;

    /// Gives this thread the state that was taken from another thread.
    fn put(&'static self, state: Box<dyn Any>);
}

impl<T: 'static> Carry for LocalKey<Slot<T>> {
    fn take(&'static self) -> Option<Box<dyn Any>> {
        let state = self.with(Slot::remove)?;
        Some(Box::new(state))
    }

    fn put(&'static self, state: Box<dyn Any>) {
        if let Ok(state) = state.downcast::<T>() {
            self.with(|slot| slot.install(*state));
        }
    }
}

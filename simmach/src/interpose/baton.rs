//! Handing a run from one thread to another.
//!
//! Not by std's locks and channels: their waits come through the interposed functions, which ask the run.

use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::interpose::linux;

/// A flag that one thread raises and another waits for.
#[derive(Debug, Default)]
pub(crate) struct Baton(AtomicU32);

impl Baton {
    /// Waits until the flag is raised, and lowers it.
    pub(crate) fn wait(&self) {
        while self.0.swap(0, Ordering::Acquire) == 0 {
            self.futex(libc::FUTEX_WAIT, 0);
        }
    }

    /// Raises the flag.
    pub(crate) fn give(&self) {
        self.0.store(1, Ordering::Release);
        self.futex(libc::FUTEX_WAKE, 1);
    }

    fn futex(&self, operation: c_int, value: c_long) {
        let operation = c_long::from(operation | libc::FUTEX_PRIVATE_FLAG);
        // SAFETY: the word is a futex that lives as long as `self`; there is no time-out.
        unsafe {
            linux::pass_on(libc::SYS_futex, [self.0.as_ptr() as c_long, operation, value, 0, 0, 0]);
        }
    }
}

/// A value that is moved to another thread although its type does not allow it.
#[derive(Debug)]
pub(crate) struct Handed<T>(T);

// SAFETY: `Handed::new` is unsafe: its callers see to it that one thread at a time uses what the value shares with others.
unsafe impl<T> Send for Handed<T> {}

impl<T> Handed<T> {
    /// Wraps a value.
    ///
    /// # Safety
    ///
    /// While another thread uses the value, this thread and all others use neither it nor anything it shares without
    /// synchronisation, such as the count of an `Rc`; and each use happens before the next thread's, as [`Baton`] sees to.
    pub(crate) unsafe fn new(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

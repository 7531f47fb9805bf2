//! Hands a run over from one thread to another.
//!
//! std's locks and channels cannot do this, since their waits call the interposed functions, which
//! the run answers.

use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::interpose::linux;

/// A flag that one thread raises and another waits for.
#[derive(Debug, Default)]
pub(crate) struct Baton(AtomicU32);

impl Baton {
    /// Waits until the flag is raised, then lowers it.
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
        // SAFETY: the pointer is to a futex word that lives as long as `self`; the timeout is null.
        unsafe {
            linux::pass_on(libc::SYS_futex, [self.0.as_ptr() as c_long, operation, value, 0, 0, 0]);
        }
    }
}

/// A value that is moved to another thread although its type does not allow it.
#[derive(Debug)]
pub(crate) struct Handed<T>(T);

// SAFETY: `Handed::new` is unsafe. Its callers guarantee that only one thread at a time uses the
// value, and everything that the value shares with other values.
unsafe impl<T> Send for Handed<T> {}

impl<T> Handed<T> {
    /// Wraps a value.
    ///
    /// # Safety
    ///
    /// One thread at a time may use the value and anything that it shares without synchronization,
    /// such as the count of an
    /// `Rc`. Each use must happen before the use by the next thread, as a [`Baton`] guarantees.
    pub(crate) unsafe fn new(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

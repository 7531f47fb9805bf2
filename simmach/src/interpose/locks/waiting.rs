//! Waits of a guest's threads for locks of the C library.
//!
//! The C library manages the memory of a lock. A thread tries to take the lock, and waits in the
//! run if it cannot. The functions that release a lock wake the threads that wait for the lock's
//! address. If no thread waits, this costs a load and a branch.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libc::{clockid_t, timespec};

use crate::interpose::answers::{self, ClockKind};
use crate::interpose::linux::{kind_of, to_duration};
use crate::interpose::system::{self, Answer, Errno, SystemCalls};

/// Number of threads of this process that currently wait in a run.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// The time at which a wait ends without a wake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    clock: ClockKind,
    at: Duration,
}

impl Deadline {
    /// Creates a deadline by `clock`. Returns `None` if the run does not have that clock.
    pub(super) fn by(clock: clockid_t, at: timespec) -> Option<Self> {
        kind_of(clock).map(|clock| Self { clock, at: to_duration(at) })
    }

    /// Creates a deadline by a clock that only the waited-for object knows. Chooses the clock whose
    /// reading is nearer to `at`; a run's clocks are decades apart.
    pub(super) fn by_nearest_clock(at: timespec) -> Self {
        let at = to_duration(at);
        let distance = |clock| answers::peek_clock(clock).abs_diff(at);
        let is_wall = distance(ClockKind::Wall) <= distance(ClockKind::Monotonic);
        Self { clock: if is_wall { ClockKind::Wall } else { ClockKind::Monotonic }, at }
    }

    fn rest(self) -> Duration {
        self.at.saturating_sub(answers::peek_clock(self.clock))
    }
}

/// Returns the implementation that answers the waits of a guest; `None` for other code.
pub(super) fn guest_calls() -> Option<&'static dyn SystemCalls> {
    system::calls().filter(|calls| calls.has_threads())
}

/// Waits once for a wake of `address`, or until `deadline`; see [`SystemCalls::futex_wait`].
pub(super) fn wait_once(
    calls: &dyn SystemCalls,
    address: usize,
    is_unchanged: &dyn Fn() -> bool,
    deadline: Option<Deadline>,
) -> Option<Answer<()>> {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
    }
    WAITING.fetch_add(1, Ordering::Relaxed);
    let _waits = Waits;
    let waited = calls.futex_wait(address, is_unchanged, deadline.map(Deadline::rest));
    waited.map(|answer| answer.map(|_| ()))
}

/// Waits until `is_busy`, called again after each wake of `address`, returns false. Returns false if `deadline` passes
/// first, or `None` if the run cannot wait here. `is_busy` is not called again after it has returned false.
pub(super) fn wait_while(
    address: usize,
    is_busy: &mut dyn FnMut() -> bool,
    deadline: Option<Deadline>,
) -> Option<bool> {
    let calls = guest_calls()?;
    let is_busy = RefCell::new((true, is_busy));
    let is_busy = || {
        let (is_known, ask) = &mut *is_busy.borrow_mut();
        *is_known = *is_known && ask();
        *is_known
    };
    loop {
        let waited = wait_once(calls, address, &is_busy, deadline)?;
        if !is_busy() {
            return Some(true);
        }
        if deadline.is_some() && waited == Err(Errno(libc::ETIMEDOUT)) {
            return Some(false);
        }
    }
}

/// Wakes at most `most` threads that wait for `address`.
#[inline]
pub(super) fn wake(address: usize, most: usize) {
    if WAITING.load(Ordering::Relaxed) > 0 {
        wake_waiting(address, most);
    }
}

#[cold]
fn wake_waiting(address: usize, most: usize) {
    if let Some(calls) = system::calls() {
        calls.futex_wake(address, most);
    }
}

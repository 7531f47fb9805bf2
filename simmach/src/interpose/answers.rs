//! The run's answers to interposed calls, independent of the platform.
//!
//! A call may come from an allocator, a signal handler or a thread's destructors. So the functions
//! here do not allocate, lock, unwind or wait. They return `None` if this thread has no run, or if
//! the run's state is borrowed.

use std::cell::Cell;
use std::time::Duration;
use std::{ptr, slice};

pub(super) use crate::engine::context::is_here;
use crate::engine::context::try_with;
use crate::engine::draws::address::Address;
use crate::engine::failure::refusals::ForbiddenCall;
#[cfg(target_os = "linux")]
pub(super) use crate::engine::failure::refusals::count_thread_end;
pub(super) use crate::engine::failure::refusals::count_thread_start;
use crate::engine::mix;
use crate::engine::tasks::numbering::Numbered;

/// Monotonic clock at the start of a run, in nanoseconds: the machines have been up for a year. It
/// is not 0, since some code uses 0 for "never", or subtracts durations from an unsigned reading.
/// Deadlines by this clock mean nothing to the kernel, so waits must not be forwarded unchanged.
const BOOTED: u64 = 365 * 86_400 * 1_000_000_000;

/// Host name of the harness.
const HARNESS: &[u8] = b"simmach";

thread_local! {
    /// How far the clocks of this thread are ahead of those of its machine, in nanoseconds.
    static AHEAD: Cell<u64> = const { Cell::new(0) };
    /// The time that the clocks of this thread show outside a run; `None` for real time.
    static STOPPED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Stops the clocks that this thread reads outside a run.
#[cfg(feature = "tokio")]
pub(crate) fn stop_own_clock(at: Duration) {
    STOPPED.set(Some(at));
}

/// Advances the clocks that this thread reads. A thread whose process has ended needs this: its
/// waits fail, and it must see their timeouts pass.
pub(crate) fn advance_own_clock(nanos: u64) {
    AHEAD.set(AHEAD.get().saturating_add(nanos));
}

/// A clock of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockKind {
    Monotonic,
    Wall,
}

/// Reads a clock for the code under test: time since the machine's boot, or since 1970.
#[inline]
pub(super) fn now(kind: ClockKind) -> Option<Duration> {
    if !is_here() {
        return STOPPED.get();
    }
    try_with(|engine| {
        let machine = engine.scope().machine;
        let now = match kind {
            ClockKind::Monotonic => since_boot(engine.clock.read_monotonic(machine)),
            ClockKind::Wall => engine.clock.read_wall(machine),
        };
        now + Duration::from_nanos(AHEAD.get())
    })
}

/// Fills `bytes` with random bytes drawn for the running task. Returns false outside a run.
#[inline]
pub(super) fn fill(bytes: &mut [u8]) -> bool {
    if !is_here() {
        return false;
    }
    try_with(|engine| {
        // Some crates request 0 bytes once per process, to check that the source exists. Such a request must not count as a
        // draw.
        if bytes.is_empty() {
            return;
        }
        let Numbered { source, nth } = engine.next_entropy();
        for (word, chunk) in (0..).zip(bytes.chunks_mut(8)) {
            let drawn = if engine.scope().alive {
                engine.draws.word(Address::entropy(source, nth, word), engine.clock.now())
            } else {
                None
            };
            // Calm bytes are the same for every seed, but differ between calls, so that identifiers remain unique.
            let drawn = drawn.unwrap_or_else(|| mix(mix(source, nth), word));
            chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
        }
    })
    .is_some()
}

/// Refuses a call on a run's thread, unless it is allowed. Returns true if the call must fail; in that case the run fails
/// too.
#[inline]
pub(super) fn refuse(what: ForbiddenCall) -> bool {
    is_here() && try_with(|engine| engine.refuse(what)).unwrap_or(false)
}

/// Keeps the description of a failed call for the report.
#[cfg(target_os = "linux")]
#[cold]
pub(super) fn record_failed_call(code: i32, text: impl FnOnce() -> String) {
    try_with(|engine| engine.call_failed(code, text()));
}

/// Whether the running code may start threads or processes. If so, the descriptors that it creates are real.
#[cfg(target_os = "linux")]
pub(super) fn are_threads_or_processes_allowed() -> bool {
    try_with(|engine| {
        engine.refusals.are_threads_allowed() || engine.refusals.allows(ForbiddenCall::Process)
    })
    .unwrap_or(true)
}

/// Whether the running code uses the host's files.
#[cfg(target_os = "linux")]
pub(super) fn are_files_allowed() -> bool {
    try_with(|engine| engine.refusals.are_files_allowed()).unwrap_or(true)
}

/// Records that a run's thread is about to start a thread. Returns false outside a run.
#[inline]
pub(super) fn record_allowed_thread() -> bool {
    is_here() && try_with(|engine| engine.refusals.record_thread()).is_some()
}

/// Like [`fill`], for `length` bytes from `buffer` on.
///
/// # Safety
///
/// `buffer` is null or has room for `length` bytes.
pub(super) unsafe fn fill_raw(buffer: *mut u8, length: usize) -> bool {
    if !is_here() {
        return false;
    }
    if length == 0 {
        return fill(&mut []);
    }
    if buffer.is_null() || length > isize::MAX as usize {
        return false;
    }
    // The caller's buffer may be uninitialized.
    // SAFETY: `buffer` is valid for writes of `length` bytes, as guaranteed by the caller; it is not null, and `length` is
    // at most `isize::MAX`.
    let bytes = unsafe {
        ptr::write_bytes(buffer, 0, length);
        slice::from_raw_parts_mut(buffer, length)
    };
    fill(bytes)
}

/// Writes the name of the calling code's machine and a terminating NUL. Returns `Some(false)` if they do not fit.
///
/// # Safety
///
/// `buffer` is null or has room for `length` bytes.
pub(super) unsafe fn host_name(buffer: *mut u8, length: usize) -> Option<bool> {
    if !is_here() {
        return None;
    }
    try_with(|engine| {
        let names = engine.names.try_borrow().ok();
        let name = names.as_ref().and_then(|all| all.get(engine.scope().machine.0 as usize));
        let name = name.map_or(HARNESS, |name| name.as_bytes());
        if buffer.is_null() || length <= name.len() {
            return false;
        }
        // SAFETY: `buffer` is not null and valid for writes of `length` bytes, as guaranteed by the caller. This is enough
        // for the name and the NUL.
        unsafe {
            ptr::copy_nonoverlapping(name.as_ptr(), buffer, name.len());
            buffer.add(name.len()).write(0);
        }
        true
    })
}

/// How a wait with a timeout is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitMode {
    /// Virtual time advances by the timeout at once, since no other thread could end the wait earlier.
    Skip,
    /// The wait takes real time, since another thread may end it.
    Real,
}

/// Returns how a wait with a timeout is carried out; `None` outside a run.
#[inline]
pub(super) fn wait_mode() -> Option<WaitMode> {
    if !is_here() {
        return None;
    }
    try_with(
        |engine| {
            if engine.refusals.can_other_thread_wake() { WaitMode::Real } else { WaitMode::Skip }
        },
    )
}

/// Whether no thread but the run's own, which is waiting, could end a wait without a timeout.
#[inline]
pub(super) fn is_only_thread() -> bool {
    is_here() && try_with(|engine| engine.refusals.is_only_thread()).unwrap_or(false)
}

/// Reports that the run's thread is blocked forever.
#[cold]
pub(super) fn report_blocked() {
    try_with(|engine| engine.report_stuck(true));
}

/// Reads a clock without counting it as a reading by the code under test.
pub(super) fn peek_clock(kind: ClockKind) -> Duration {
    try_with(|engine| {
        let (machine, now) = (engine.scope().machine, engine.clock.now());
        match kind {
            ClockKind::Monotonic => since_boot(engine.clock.machine_clocks.monotonic(machine, now)),
            ClockKind::Wall => engine.clock.wall(machine, now),
        }
    })
    .unwrap_or_default()
}

/// Converts a monotonic clock's nanoseconds since the start of the run to time since boot.
#[inline]
fn since_boot(nanos: u64) -> Duration {
    Duration::from_nanos(nanos.saturating_add(BOOTED))
}

/// Advances virtual time by a wait that timed out, measured by the clock of the calling code's machine.
pub(super) fn advance_clock(time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    try_with(|engine| {
        let (machine, machine_clocks) = (engine.scope().machine, &engine.clock.machine_clocks);
        let due = machine_clocks.monotonic(machine, engine.clock.now()).saturating_add(nanos);
        engine.clock.advance(machine_clocks.true_time(machine, due));
    });
}

//! What a run answers, whatever the platform calls the question.
//!
//! A question may come from inside an allocator, from a signal handler, or from the destructors of a thread: nothing here
//! allocates, locks, unwinds or waits. `None` means that there is no run here, or none that can be reached right now.

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

/// What the monotonic clock shows when a run begins: the machines have been up for a year. There is code that takes 0 for
/// "never", and code that subtracts from what it reads, in unsigned numbers: nothing looks back further than this. A
/// deadline by this clock means nothing to the kernel: waits must not get through to it as they are.
const BOOTED: u64 = 365 * 86_400 * 1_000_000_000;

/// What the harness's own machine is called.
const HARNESS: &[u8] = b"simmach";

/// The clock of the machine that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockKind {
    Monotonic,
    Wall,
}

/// Reads a clock, as the user does: the time since the machine was booted, or since 1970.
#[inline]
pub(super) fn now(kind: ClockKind) -> Option<Duration> {
    if !is_here() {
        return None;
    }
    try_with(|engine| {
        let machine = engine.scope().machine;
        match kind {
            ClockKind::Monotonic => since_boot(engine.clock.read_monotonic(machine)),
            ClockKind::Wall => engine.clock.read_wall(machine),
        }
    })
}

/// Fills `bytes` with what the seed has for the task that asks. False outside a run.
#[inline]
pub(super) fn fill(bytes: &mut [u8]) -> bool {
    if !is_here() {
        return false;
    }
    try_with(|engine| {
        // Some crates ask for nothing, once a process, to see whether the source is there: that is not a draw.
        if bytes.is_empty() {
            return;
        }
        let scope = engine.scope();
        let nth = engine.next_entropy();
        for (word, chunk) in (0..).zip(bytes.chunks_mut(8)) {
            let drawn = if scope.alive {
                engine.draws.word(Address::entropy(scope.task, nth, word), engine.clock.now())
            } else {
                None
            };
            // Calm is the same for every seed, but not twice the same: identifiers stay unique.
            let drawn = drawn.unwrap_or_else(|| mix(mix(scope.task, nth), word));
            chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
        }
    })
    .is_some()
}

/// True if what was asked for is refused here; the run is marked.
#[inline]
pub(super) fn refuse(what: ForbiddenCall) -> bool {
    is_here() && try_with(|engine| engine.refuse(what)).unwrap_or(false)
}

/// A thread is about to be started. True if the run let it through; false outside of any run.
#[inline]
pub(super) fn record_allowed_thread() -> bool {
    is_here() && try_with(|engine| engine.refusals.record_thread()).is_some()
}

/// As [`fill`], for `length` bytes from `buffer` on.
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
    // What the caller gives need not be initialised: it is, before it is borrowed.
    // SAFETY: the caller gives room for so many bytes, not null and of a size that there can be.
    let bytes = unsafe {
        ptr::write_bytes(buffer, 0, length);
        slice::from_raw_parts_mut(buffer, length)
    };
    fill(bytes)
}

/// Writes the name of the machine that asks, and a null behind it. False if there is no room for both.
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
        // SAFETY: the caller gives room for `length` bytes, not null; the name and a null are no more.
        unsafe {
            ptr::copy_nonoverlapping(name.as_ptr(), buffer, name.len());
            buffer.add(name.len()).write(0);
        }
        true
    })
}

/// How a wait with a time-out is to be waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitMode {
    /// Not at all: nobody could end it before its time.
    Skip,
    /// In real time: a real thread might.
    Real,
}

/// How to wait, in a run.
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

/// True if a wait without a time-out could be ended by the run's own thread only, which is the one that waits.
#[inline]
pub(super) fn is_only_thread() -> bool {
    is_here() && try_with(|engine| engine.refusals.is_only_thread()).unwrap_or(false)
}

/// The run's thread waits for what never comes.
#[cold]
pub(super) fn report_blocked() {
    try_with(|engine| engine.report_stuck(true));
}

/// A clock as it is, without a reading of the user's.
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

/// What the monotonic clock shows `nanos` after the run began, by itself.
#[inline]
fn since_boot(nanos: u64) -> Duration {
    Duration::from_nanos(nanos.saturating_add(BOOTED))
}

/// So much time was waited for in vain, by the clock of the machine that asked.
pub(super) fn advance_clock(time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    try_with(|engine| {
        let (machine, machine_clocks) = (engine.scope().machine, &engine.clock.machine_clocks);
        let due = machine_clocks.monotonic(machine, engine.clock.now()).saturating_add(nanos);
        engine.clock.advance(machine_clocks.true_time(machine, due));
    });
}

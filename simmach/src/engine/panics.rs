//! Panics inside a run: they are recorded with their location and backtrace, and not printed.
//!
//! Panics outside a run go to the hook that was installed before simmach's.

pub(crate) mod abort_report;
pub(crate) mod hook;
mod tokio_tasks;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind};

use crate::engine::context;
use crate::engine::failure::backtrace::{Origin, RawBacktrace};
use crate::engine::failure::verdict::PanicNote;
use crate::engine::state::Engine;
use crate::panic_message::panic_message;

/// Maximum number of panics that are remembered. Only panics that are unwinding at the
/// same time must be remembered: a panic, and the panics in destructors that run while it unwinds.
const REMEMBERED: usize = 8;

/// Maximum number of backtraces captured in a run that is not reported. A capture takes as long as
/// the panic itself, so the limit bounds the cost for code that catches thousands of panics.
const CAPTURED: u32 = 16;

thread_local! {
    /// Number of backtraces that may still be captured.
    static CAPTURES: Cell<u32> = const { Cell::new(CAPTURED) };
    /// The latest panics that the engine has not caught, each with the number of its poll.
    static RECORDED: RefCell<Vec<(u64, PanicNote)>> = const { RefCell::new(Vec::new()) };
}

/// Records a panic. Returns false outside a run.
pub(crate) fn record(info: &PanicHookInfo<'_>) -> bool {
    let Some(poll) = context::try_with(|engine| engine.status.snapshot().polls) else {
        return false;
    };
    let note = PanicNote {
        message: panic_message(info.payload()),
        location: info.location().map(location_of),
        origin: origin(),
    };
    context::try_with(|engine| record_lost(engine, &note));
    remember(poll, note);
    if abort_report::is_fatal(info) {
        context::try_with(|engine| abort_report::write(engine, in_flight(poll)));
    }
    true
}

/// Records a panic of a guest's task, which tokio catches.
fn record_lost(engine: &Engine, note: &PanicNote) {
    let is_lost = engine.is_in_guest() && engine.map_keys.uncounted(tokio_tasks::will_catch);
    if is_lost {
        engine.lost_panics.borrow_mut().push(note.clone());
    }
}

/// Captures the backtraces of all panics on this thread from now on, since its run is reported.
pub(crate) fn capture_all() {
    CAPTURES.set(u32::MAX);
}

fn origin() -> Origin {
    let left = CAPTURES.get();
    if left == 0 {
        return Origin::default();
    }
    CAPTURES.set(left - 1);
    Origin::of(&RawBacktrace::here())
}

fn remember(poll: u64, note: PanicNote) {
    let _ = RECORDED.try_with(|recorded| {
        let Ok(mut recorded) = recorded.try_borrow_mut() else { return };
        if recorded.len() == REMEMBERED {
            recorded.remove(0);
        }
        recorded.push((poll, note));
    });
}

/// Returns the panics of a poll that are not known to have been caught, the oldest first.
fn in_flight(poll: u64) -> Vec<PanicNote> {
    let recorded = RECORDED.try_with(RefCell::take).unwrap_or_default();
    recorded.into_iter().filter(|(of, _)| *of == poll).map(|(_, note)| note).collect()
}

/// Returns what the hook recorded of a panic that was caught.
pub(crate) fn note(payload: &(dyn Any + Send)) -> PanicNote {
    let mut recorded = RECORDED.try_with(RefCell::take).unwrap_or_default();
    let message = panic_message(payload);
    // Later panics occurred in destructors and were caught there. `resume_unwind` does not call the hook; in that case only
    // the payload is known.
    match recorded.iter().rposition(|(_, note)| note.message == message) {
        Some(at) => recorded.swap_remove(at).1,
        None => PanicNote { message, ..PanicNote::default() },
    }
}

/// Panics of a thread that the engine has not caught.
#[derive(Debug, Default)]
pub(crate) struct Uncaught(Vec<(u64, PanicNote)>);

impl Uncaught {
    /// Takes the panics of this thread, when another thread is about to execute the run's code.
    pub(crate) fn take() -> Self {
        Self(RECORDED.try_with(RefCell::take).unwrap_or_default())
    }

    /// Adds these panics to those of this thread.
    pub(crate) fn put(self) {
        // If the thread-local is gone, the panics can no longer be taken.
        let _ = RECORDED.try_with(|recorded| recorded.borrow_mut().extend(self.0));
    }
}

/// Formats a location as `file:line:column`.
pub(crate) fn location_of(location: &Location<'_>) -> String {
    format!("{}:{}:{}", location.file(), location.line(), location.column())
}

/// Drops the payload of a panic. If that panics too, the second payload is leaked.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

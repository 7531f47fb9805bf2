//! Calls user code and catches its panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::context::try_with;
use crate::engine::current::live_scope;
use crate::engine::log;
use crate::engine::panics;

/// Calls a closure of the test, such as a packet filter. If the closure panics, the run fails, and
/// this function returns `otherwise`.
pub(crate) fn catch_test_panic<R>(otherwise: R, call: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        try_with(|engine| engine.test_panicked(panic.as_ref()));
        otherwise
    })
}

/// Calls user code and catches its panics, as tokio does: a panic is only logged. `what` names the code in the log, such as
/// "the destructor of a task's output".
pub(crate) fn catch_and_log_panic(what: &str, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        log_panic(what, payload);
    }
}

#[cold]
fn log_panic(what: &str, payload: Box<dyn Any + Send>) {
    let note = panics::note(payload.as_ref());
    if let Some(scope) = live_scope() {
        log::write_line(log::Level::Error, scope.machine, || {
            let location =
                note.location.map(|location| format!(" at {location}")).unwrap_or_default();
            format!("{what} panicked{location}: {}", note.message)
        });
    }
    panics::drop_payload(payload);
}

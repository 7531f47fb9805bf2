//! Panics inside a run: recorded with their place, not printed.
//!
//! Outside a run they are left to whatever hook there was.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{Location, PanicHookInfo};

use super::context;
use super::verdict::Note;
use crate::panic_message::panic_message;

thread_local! {
    static LAST: RefCell<Option<Note>> = const { RefCell::new(None) };
}

/// Records a panic of a run; false outside of any.
pub(super) fn record(info: &PanicHookInfo<'_>) -> bool {
    if context::try_with(|_| ()).is_none() {
        return false;
    }
    let note =
        Note { message: panic_message(info.payload()), place: info.location().map(place_of) };
    let _ = LAST.try_with(|last| last.replace(Some(note)));
    true
}

/// What the hook recorded of a panic that was caught.
pub(crate) fn note(payload: &(dyn Any + Send)) -> Note {
    let recorded = LAST.try_with(RefCell::take).ok().flatten();
    // `resume_unwind` calls no hook: then the payload is all there is.
    let message = panic_message(payload);
    match recorded {
        Some(note) if note.message == message => note,
        _ => Note { message, place: None },
    }
}

/// `file:line:column`, the file relative to its crate where that can be told.
pub(crate) fn place_of(location: &Location<'_>) -> String {
    format!("{}:{}:{}", location.file(), location.line(), location.column())
}

//! The most recent calls that failed with an error code of the operating system.
//!
//! An `io::Error` with a code cannot contain a text. The description of the call is therefore kept
//! here, for the report of a run that fails with such an error.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::engine::ids::ProcessId;

/// Maximum number of calls kept. An error that ends a run is usually the last one of its process.
const MAX_CALLS: usize = 64;

/// The last failed calls of a run.
#[derive(Debug, Default)]
pub(crate) struct FailedCalls(RefCell<VecDeque<FailedCall>>);

#[derive(Debug)]
struct FailedCall {
    process: ProcessId,
    code: i32,
    text: String,
}

impl FailedCalls {
    pub(crate) fn add(&self, process: ProcessId, code: i32, text: String) {
        let mut calls = self.0.borrow_mut();
        if calls.len() == MAX_CALLS {
            calls.pop_front();
        }
        calls.push_back(FailedCall { process, code, text });
    }

    /// Returns the description of the last failed call whose error code appears in `message` and
    /// whose process matches `process`.
    pub(crate) fn find_cause(
        &self,
        message: &str,
        process: impl Fn(ProcessId) -> bool,
    ) -> Option<String> {
        let calls = self.0.borrow();
        let found = calls.iter().rev().find(|call| process(call.process) && call.is_in(message))?;
        Some(found.text.clone())
    }
}

impl FailedCall {
    /// Whether a message contains the error code as `io::Error`'s `Display` or `Debug` prints it.
    fn is_in(&self, message: &str) -> bool {
        let code = self.code;
        message.contains(&format!("(os error {code})"))
            || message.contains(&format!("Os {{ code: {code},"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const OWN: ProcessId = ProcessId(1);

    fn calls() -> FailedCalls {
        let calls = FailedCalls::default();
        calls.add(OWN, 111, "the first".to_owned());
        calls.add(ProcessId(2), 111, "another's".to_owned());
        calls.add(OWN, 110, "the last".to_owned());
        calls
    }

    #[test]
    fn failed_call_is_found_by_process_and_code() {
        let refused = io::Error::from_raw_os_error(111);
        for message in [refused.to_string(), format!("called `unwrap()`: {refused:?}")] {
            let found = calls().find_cause(&message, |process| process == OWN);
            assert_eq!(found.as_deref(), Some("the first"));
        }
        assert_eq!(calls().find_cause("(os error 11)", |_| true), None);
        assert_eq!(calls().find_cause("no code at all", |_| true), None);
    }

    #[test]
    fn failed_calls_are_bounded() {
        let calls = calls();
        for _ in 0..1_000 {
            calls.add(OWN, 104, "reset".to_owned());
        }
        assert_eq!(calls.0.borrow().len(), MAX_CALLS);
        assert_eq!(calls.find_cause("(os error 111)", |_| true), None);
    }
}

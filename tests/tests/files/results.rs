//! Formats the results of calls.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Formats the result of a call of the C library: the returned value or the error.
pub(crate) fn result(returned: impl Into<i64>) -> String {
    match returned.into() {
        -1 => error(&io::Error::last_os_error()),
        returned => returned.to_string(),
    }
}

/// Formats an error with its number.
pub(crate) fn error(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("error {number} ({error})"),
        None => error.to_string(),
    }
}

/// Formats a result of std.
pub(crate) fn of<T>(result: io::Result<T>, text: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => text(value),
        Err(failure) => error(&failure),
    }
}

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

//! Detects panics that tokio will catch, because they occur in one of its tasks.
//!
//! tokio keeps the panic of a task until the task's handle is awaited. If the handle is dropped,
//! nobody sees the panic, but the run must not pass. The panic hook is not told who will catch a
//! panic, but the innermost call of `catch_unwind` on the stack shows it. If tokio's code for tasks
//! made that call, tokio catches the panic. If other code made it, that code handles the panic.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::engine::context;

/// What a stack frame shows about who catches a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// std's function that catches panics.
    Catch,
    /// tokio's code that runs a task.
    TokioTask,
    /// Other code of the standard library.
    Std,
    Other,
}

/// The resolved frames, by instruction pointer. The map stays small, since it only contains stacks of tasks that panic.
static RESOLVED: Mutex<BTreeMap<usize, Vec<Frame>>> = Mutex::new(BTreeMap::new());

/// Whether tokio will catch the panic of the running code as the panic of a task.
pub(super) fn will_catch() -> bool {
    let mut catcher = Catcher::default();
    // SAFETY: the missing synchronization matters only on Windows, where the debugging library
    // needs a lock.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let mut resolved = RESOLVED.lock().unwrap_or_else(PoisonError::into_inner);
            let pointer = frame.ip() as usize;
            let frames = resolved.entry(pointer).or_insert_with(|| resolve(frame.ip()));
            catcher.pass_all(frames)
        });
    }
    catcher.is_tokio
}

/// Follows the frames of a stack, innermost first.
#[derive(Debug, Default)]
struct Catcher {
    /// Whether `catch_unwind` was passed: the next frame outside std made that call.
    is_caught: bool,
    is_tokio: bool,
}

impl Catcher {
    /// Passes frames. Returns false once it is known who catches the panic.
    fn pass_all(&mut self, frames: &[Frame]) -> bool {
        frames.iter().all(|frame| self.pass(*frame))
    }

    fn pass(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Catch => self.is_caught = true,
            Frame::TokioTask => self.is_tokio = true,
            Frame::Std | Frame::Other => {}
        }
        !(self.is_tokio || self.is_caught && frame == Frame::Other)
    }
}

/// The frames at an instruction pointer; more than one if functions were inlined.
fn resolve(pointer: *mut c_void) -> Vec<Frame> {
    let mut frames = Vec::new();
    let add = |symbol: &backtrace::Symbol| {
        let name = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
        let file = symbol.filename().and_then(Path::to_str).unwrap_or_default();
        frames.push(frame(&name, file));
    };
    // The program's own file is the host's.
    context::outside(|| backtrace::resolve(pointer, add));
    frames
}

fn frame(name: &str, file: &str) -> Frame {
    // Debug information may only have the function's own name. Without debug information, only the path is known.
    let is_std = file.starts_with("/rustc/")
        || file.contains("/rustlib/src/rust/library/")
        || ["std::", "core::", "alloc::", "__rust"].iter().any(|start| name.starts_with(start));
    // Only the beginning of the path counts, since types in angle brackets may also belong to tokio.
    let path = name.trim_start_matches('<');
    let is_task = |of: &str| match file {
        "" => path.starts_with(&format!("tokio::runtime::{of}::")),
        file => file.contains("/tokio-1.") && file.contains(&format!("/src/runtime/{of}/")),
    };
    if is_std {
        let function = name.split_once('<').map_or(name, |(function, _)| function);
        let catches = ["catch_unwind", "do_call", "__rust_try", "panicking::try"];
        let is_catch = function == "try" || catches.iter().any(|catch| function.contains(catch));
        if is_catch { Frame::Catch } else { Frame::Std }
    } else if is_task("task") || is_task("blocking") {
        Frame::TokioTask
    } else {
        Frame::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STD: &str = "/rustc/59807616/library/std/src/panicking.rs";
    const TOKIO: &str = "/registry/src/index/tokio-1.54.1/src/runtime/task/harness.rs";

    fn is_caught_by_tokio(frames: &[(&str, &str)]) -> bool {
        let mut catcher = Catcher::default();
        let _ = frames.iter().all(|(name, file)| catcher.pass(frame(name, file)));
        catcher.is_tokio
    }

    #[test]
    fn panic_of_a_task_is_caught_by_tokio() {
        assert!(is_caught_by_tokio(&[
            ("rust_panic_with_hook", STD),
            ("app::serve::{closure#0}", "src/app.rs"),
            ("do_call<F, R>", STD),
            ("catch_unwind<F, R>", STD),
            ("poll_future<T, S>", TOKIO),
        ]));
        // Without debug information.
        assert!(is_caught_by_tokio(&[
            ("std::panicking::rust_panic_with_hook", ""),
            ("app::serve::{closure#0}", ""),
            ("tokio::runtime::task::harness::Harness<T,S>::poll", ""),
        ]));
    }

    #[test]
    fn panic_that_other_code_catches_is_not_caught_by_tokio() {
        assert!(!is_caught_by_tokio(&[
            ("rust_panic_with_hook", STD),
            ("app::serve::{closure#0}", "src/app.rs"),
            ("try<F, R>", STD),
            (
                "poll<F>",
                "/registry/src/index/futures-util-0.3.34/src/future/future/catch_unwind.rs"
            ),
            ("catch_unwind<F, R>", STD),
            ("poll_future<T, S>", TOKIO),
        ]));
    }

    #[test]
    fn panic_outside_tasks_is_not_caught_by_tokio() {
        assert!(!is_caught_by_tokio(&[
            ("main", "src/main.rs"),
            ("app::wait<tokio::runtime::task::join::JoinHandle<()>>", ""),
            ("tokio::runtime::Runtime::block_on<F>", "/tokio-1.54.1/src/runtime/runtime.rs"),
        ]));
    }
}

//! Backtraces: captured as instruction pointers, resolved to symbols only for a report.
//!
//! Capturing neither allocates nor locks, so it is possible in a signal handler and in an interposed C function. Resolving
//! reads the binary's debug information, which takes up to a second the first time.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::engine::failure::frames::{Frame, called_from, reaches_executor, trim};

/// Maximum number of frames that are captured.
const DEPTH: usize = 96;

/// Instruction pointers of a stack, innermost frame first.
#[derive(Clone, Copy)]
pub(crate) struct RawBacktrace {
    pointers: [usize; DEPTH],
    length: usize,
}

/// The backtrace of a failure, for its report. It is not part of the failure's identity, so any two origins are equal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Location of the first frame in user code, if the failure's own location is in a library.
    pub called_from: Option<String>,
    /// The backtrace, if `RUST_BACKTRACE` asks for it.
    pub frames: Vec<Frame>,
    /// The captured pointers, until they are resolved.
    #[serde(skip)]
    pointers: Vec<usize>,
}

/// The setting of `RUST_BACKTRACE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BacktraceMode {
    Off,
    Trimmed,
    Full,
}

impl Default for RawBacktrace {
    fn default() -> Self {
        Self { pointers: [0; DEPTH], length: 0 }
    }
}

impl fmt::Debug for RawBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBacktrace").field("length", &self.length).finish_non_exhaustive()
    }
}

impl RawBacktrace {
    /// Captures this thread's stack, starting at the caller. Neither allocates nor locks.
    #[inline(never)]
    pub(crate) fn here() -> Self {
        let mut captured = Self::default();
        // SAFETY: `unsynchronized` matters on Windows only, where the debugging library needs a lock.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                captured.pointers[captured.length] = frame.ip() as usize;
                captured.length += 1;
                captured.length < DEPTH
            });
        }
        captured
    }
}

impl Origin {
    /// Creates an origin from a captured stack, not resolved yet.
    pub(crate) fn of(captured: &RawBacktrace) -> Self {
        let pointers = captured.pointers[..captured.length].to_vec();
        Self { pointers, ..Self::default() }
    }

    /// Resolves the symbols that a report needs. A failure located in user code needs them only if `RUST_BACKTRACE` asks for
    /// a backtrace.
    pub(crate) fn resolve(&mut self, location: Option<&str>) {
        self.resolve_as(BacktraceMode::by(std::env::var_os("RUST_BACKTRACE").as_deref()), location);
    }

    /// Resolves the symbols and keeps the backtrace, whatever `RUST_BACKTRACE` says.
    pub(crate) fn resolve_all(&mut self) {
        let mode = BacktraceMode::by(std::env::var_os("RUST_BACKTRACE").as_deref());
        self.resolve_as(mode.max(BacktraceMode::Trimmed), None);
    }

    fn resolve_as(&mut self, mode: BacktraceMode, location: Option<&str>) {
        let is_own = location.is_some_and(|location| !is_foreign(location));
        let pointers = std::mem::take(&mut self.pointers);
        if pointers.is_empty() || (is_own && mode == BacktraceMode::Off) {
            return;
        }
        let mut frames = Vec::new();
        for pointer in pointers {
            frames.extend(frames_at(pointer));
            // The remaining frames are trimmed anyway, and symbols of the C library are slow to find.
            if mode != BacktraceMode::Full && reaches_executor(&frames) {
                break;
            }
        }
        if !is_own {
            self.called_from = called_from(&frames, location);
        }
        self.frames = match mode {
            BacktraceMode::Off => Vec::new(),
            BacktraceMode::Trimmed => trim(frames),
            BacktraceMode::Full => frames,
        };
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl BacktraceMode {
    /// Reads `RUST_BACKTRACE` as std does.
    fn by(variable: Option<&OsStr>) -> Self {
        match variable {
            None => Self::Off,
            Some(value) if value == "0" => Self::Off,
            Some(value) if value == "full" => Self::Full,
            Some(_) => Self::Trimmed,
        }
    }
}

/// Whether a location is in the standard library or in a dependency.
fn is_foreign(location: &str) -> bool {
    let parts = ["/rustlib/src/rust/library/", "/registry/src/", "/git/checkouts/"];
    location.starts_with("/rustc/") || parts.iter().any(|part| location.contains(part))
}

static SOURCES: OnceLock<(&str, &str)> = OnceLock::new();

/// Sets where the sources of the code under test are: the folder of its manifest, and a source file under the name that the
/// compiler uses. Locations are shown relative to the folder that the compiler's names are relative to.
pub(crate) fn set_sources(manifest_dir: &'static str, file: &'static str) {
    let _ = SOURCES.set((manifest_dir, file));
}

/// The folder that the compiler's file names are relative to.
fn root() -> Option<&'static str> {
    static ROOT: OnceLock<Option<&str>> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let (manifest_dir, file) = SOURCES.get()?;
        let mut folders = Path::new(*manifest_dir).ancestors();
        folders.find(|folder| folder.join(file).is_file())?.to_str()
    })
}

/// Returns the frames at an instruction pointer; more than one if functions were inlined.
fn frames_at(pointer: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(pointer as *mut std::ffi::c_void, |symbol| {
        let Some(name) = symbol.name() else { return };
        // `{:#}` leaves out the hash.
        let function = format!("{name:#}");
        let file = symbol.filename().and_then(Path::to_str);
        let owner = super::frames::Owner::of(&function, file, root());
        let location = file.map(|file| {
            let file =
                root().and_then(|root| file.strip_prefix(root)?.strip_prefix('/')).unwrap_or(file);
            let numbers = [symbol.lineno(), symbol.colno()].into_iter().flatten();
            numbers.fold(file.to_owned(), |location, number| format!("{location}:{number}"))
        });
        frames.push(Frame { function, location, owner });
    });
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_backtrace_is_read_as_std_does() {
        let by = |value: &str| BacktraceMode::by(Some(OsStr::new(value)));
        assert_eq!(BacktraceMode::by(None), BacktraceMode::Off);
        assert_eq!(
            [by("0"), by("1"), by("full")],
            [BacktraceMode::Off, BacktraceMode::Trimmed, BacktraceMode::Full]
        );
        assert_eq!(by(""), BacktraceMode::Trimmed);
    }

    #[test]
    fn captured_frames_have_their_symbols() {
        let mut origin = Origin::of(&RawBacktrace::here());
        origin.resolve(Some("/rustc/1/library/core/src/option.rs:1:1"));
        let frames: Vec<Frame> =
            RawBacktrace::here().pointers.into_iter().flat_map(frames_at).collect();
        let own = frames.iter().find(|f| f.function.contains("captured_frames_have_their_symbols"));
        let location = own.and_then(|frame| frame.location.as_deref()).unwrap_or_default();
        assert!(location.contains("engine/failure/backtrace.rs:"), "{frames:#?}");
    }

    #[test]
    fn origins_are_always_equal() {
        let origin = Origin { called_from: Some("a.rs:1:1".to_owned()), ..Origin::default() };
        assert_eq!(origin, Origin::default());
    }
}

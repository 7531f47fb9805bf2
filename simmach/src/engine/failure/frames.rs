//! Resolved stack frames: whose code each frame is in, and which frames a report shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stack frame with its symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Path of the function.
    pub function: String,
    /// `file:line:column`.
    pub location: Option<String>,
    /// Whose code the frame is in.
    pub owner: Owner,
}

/// Whose code a frame is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Owner {
    /// The code under test, or its test.
    User,
    /// A crate from a registry or a Git repository.
    Dependency,
    /// simmach.
    Simmach,
    /// The standard library, the C library or thread start-up code.
    Runtime,
}

/// simmach's own sources, as debug information names them.
const OWN_SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");

impl Owner {
    /// Returns the owner of a function by its name and file. `root` is the folder of the workspace under test, if known.
    pub(crate) fn of(function: &str, file: Option<&str>, root: Option<&str>) -> Self {
        let is_rust = function.contains("::");
        let Some(file) = file else {
            return match crate_of(function) {
                "simmach" => Self::Simmach,
                "std" | "core" | "alloc" => Self::Runtime,
                _ if is_rust => Self::User,
                _ => Self::Runtime,
            };
        };
        if file.starts_with(OWN_SOURCES) {
            Self::Simmach
        } else if file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/") {
            Self::Runtime
        } else if file.contains("/registry/src/") || file.contains("/git/checkouts/") {
            match crate_of(function) {
                "simmach" => Self::Simmach,
                _ => Self::Dependency,
            }
        } else if is_rust
            || file.ends_with(".rs")
            || root.is_some_and(|root| file.starts_with(root))
        {
            Self::User
        } else {
            Self::Runtime
        }
    }
}

/// Returns the crate of a demangled path: `core` in `<core::pin::Pin<P> as core::future::Future>::poll`.
fn crate_of(function: &str) -> &str {
    let path = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = ["mut ", "dyn ", "const "]
        .iter()
        .fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
    &path[..end.unwrap_or(path.len())]
}

/// Returns where library code at `location` was called from: the first frame of user or dependency code elsewhere and, if
/// that is a dependency, the first frame of user code.
pub(crate) fn called_from(frames: &[Frame], location: Option<&str>) -> Option<String> {
    let frames = &frames[capture_frames(frames)..];
    let is_elsewhere =
        |frame: &&Frame| frame.is_of_interest() && frame.location.as_deref() != location;
    let first = frames.iter().find(is_elsewhere)?;
    let own = frames.iter().find(|frame| frame.owner == Owner::User);
    let describe = |frame: &Frame| frame.location.clone().unwrap_or_else(|| frame.function.clone());
    Some(match own {
        Some(own) if own != first => format!("{}, by {}", describe(first), describe(own)),
        _ => describe(first),
    })
}

/// Removes the frames that captured the backtrace, those of the executor and those that started the thread.
pub(crate) fn trim(frames: Vec<Frame>) -> Vec<Frame> {
    let rest = &frames[capture_frames(&frames)..];
    let Some(first) = rest.iter().position(Frame::is_of_interest) else {
        return frames;
    };
    let kept = &rest[..executor(rest, first).unwrap_or(rest.len())];
    let last = kept.iter().rposition(|frame| frame.is_of_interest() && !frame.is_adapter());
    kept[..=last.unwrap_or(first)].to_vec()
}

/// Whether these frames, innermost first, reach the executor. [`called_from`] and [`trim`] do not look at frames beyond it.
pub(super) fn reaches_executor(frames: &[Frame]) -> bool {
    let rest = &frames[capture_frames(frames)..];
    let first = rest.iter().position(|frame| frame.is_of_interest() && !frame.is_capture_frame());
    first.is_some_and(|first| executor(rest, first).is_some())
}

/// Index of the executor's frame that called the frame `first`.
fn executor(frames: &[Frame], first: usize) -> Option<usize> {
    frames[first..].iter().position(Frame::is_executor).map(|at| first + at)
}

/// Number of innermost frames that belong to the capture itself: of the panic, the interposed C function or the signal
/// handler.
fn capture_frames(frames: &[Frame]) -> usize {
    let is_elsewhere = |frame: &Frame| frame.is_of_interest() && !frame.is_capture_frame();
    let end = frames.iter().position(is_elsewhere).unwrap_or(frames.len());
    frames[..end].iter().rposition(Frame::is_capture_frame).map_or(0, |last| last + 1)
}

/// Files of the standard library that a panic passes through before its hook is called.
const PANIC_FILES: [&str; 6] = [
    "/std/src/panicking.rs",
    "/core/src/panicking.rs",
    "/std/src/sys/backtrace.rs",
    "/std/src/panic.rs",
    "/alloc/src/boxed.rs",
    "/core/src/ops/function.rs",
];
/// The functions in these files, for a binary without debug information.
const PANIC_NAMES: [&str; 5] =
    ["std::panicking::", "core::panicking::", "std::sys::backtrace::", "rust_begin_unwind", "Fn<"];

impl Frame {
    fn is_of_interest(&self) -> bool {
        matches!(self.owner, Owner::User | Owner::Dependency)
    }

    fn is_capture_frame(&self) -> bool {
        let name = self.function.as_str();
        match (self.owner, self.location.as_deref()) {
            (Owner::Simmach, _) => true,
            (Owner::Runtime, Some(location)) => {
                PANIC_FILES.iter().any(|file| location.contains(file))
            }
            (Owner::Runtime, None) => PANIC_NAMES.iter().any(|own| name.contains(own)),
            (Owner::Dependency, Some(location)) => {
                location.contains("/backtrace-0") || location.contains("/signal-hook-")
            }
            (Owner::User, None) => ["backtrace", "signal_hook_registry"].contains(&crate_of(name)),
            (Owner::User, Some(_)) | (Owner::Dependency, None) => false,
        }
    }

    /// Whether the frame is of the code that calls a run's tasks, or that starts a thread.
    fn is_executor(&self) -> bool {
        const NAMES: [&str; 2] = ["simmach::engine::", "simmach::run::"];
        const FILES: [&str; 4] =
            ["/src/engine/", "/src/run.rs", "/src/run/", "/src/task/simulated.rs"];
        if self.function.contains("__rust_begin_short_backtrace") {
            return true;
        }
        let location = self.location.as_deref().unwrap_or_default();
        self.owner == Owner::Simmach
            && (NAMES.iter().any(|name| self.function.contains(name))
                || FILES.iter().any(|file| location.contains(file)))
    }

    /// Whether the frame is of a combinator that simmach wraps round a service or a body.
    fn is_adapter(&self) -> bool {
        self.location.as_deref().is_some_and(|location| location.contains("/futures-util-"))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match &self.location {
            Some(location) => write!(f, "\n    at {location}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STD: &str = "/rustc/59807616e/library/";
    const CRATE: &str = "/cargo/registry/src/index-1/slab-0.4.11/src/lib.rs";

    fn frame(function: &str, file: &str) -> Frame {
        let known = (!file.is_empty()).then_some(file);
        let owner = Owner::of(function, known, Some("/app/"));
        let location = known.map(|file| format!("{file}:1:1"));
        Frame { function: function.to_owned(), location, owner }
    }

    fn engine(function: &str) -> Frame {
        frame(function, &format!("{OWN_SOURCES}engine/executor.rs"))
    }

    fn in_std(function: &str) -> Frame {
        frame(function, &format!("{STD}core/src/x.rs"))
    }

    #[test]
    fn owner_by_file() {
        let owner = |function, file: &str| Owner::of(function, Some(file), Some("/app/"));
        assert_eq!(owner("shop::serve", "/app/src/lib.rs"), Owner::User);
        assert_eq!(owner("callback", "/app/src/glue.c"), Owner::User);
        assert_eq!(owner("exported", "/elsewhere/lib.rs"), Owner::User);
        assert_eq!(owner("start_thread", "./nptl/pthread_create.c"), Owner::Runtime);
        assert_eq!(owner("slab::Slab<T>::get", CRATE), Owner::Dependency);
        assert_eq!(owner("core::slice::sort", &format!("{STD}core/src/slice.rs")), Owner::Runtime);
        let local = "/toolchains/stable/lib/rustlib/src/rust/library/alloc/src/vec.rs";
        assert_eq!(owner("alloc::vec::Vec<T>::remove", local), Owner::Runtime);
        // simmach from a registry.
        let published = CRATE.replace("slab", "simmach");
        assert_eq!(owner("simmach::net::bind", &published), Owner::Simmach);
    }

    #[test]
    fn owner_by_name_without_debug_information() {
        let owner = |function| Owner::of(function, None, None);
        assert_eq!(owner("shop::serve::{{closure}}"), Owner::User);
        assert_eq!(owner("<core::pin::Pin<P> as core::future::Future>::poll"), Owner::Runtime);
        assert_eq!(owner("<&mut alloc::vec::Vec<T>>::get"), Owner::Runtime);
        assert_eq!(owner("simmach::task::spawn"), Owner::Simmach);
        assert_eq!(owner("simmach_tests::run"), Owner::User);
        assert_eq!(owner("__libc_start_main"), Owner::Runtime);
    }

    #[test]
    fn called_from_names_the_dependency_and_its_caller() {
        let [swap, user] = [in_std("VecDeque::swap"), frame("shop::serve", "/app/src/lib.rs")];
        let dependency = frame("slab::get", CRATE);
        let at = |location: &str, frames: &[&Frame]| {
            let frames: Vec<_> = frames.iter().map(|frame| (*frame).clone()).collect();
            called_from(&frames, Some(location))
        };
        let of = |frames: &[&Frame]| at("/rustc/1/library/core/src/x.rs:2:2", frames);
        assert_eq!(of(&[&swap, &user]).as_deref(), Some("/app/src/lib.rs:1:1"));
        let both = format!("{CRATE}:1:1, by /app/src/lib.rs:1:1");
        assert_eq!(of(&[&swap, &dependency, &user]), Some(both));
        assert_eq!(of(&[&swap, &dependency]), Some(format!("{CRATE}:1:1")));
        assert_eq!(of(&[&swap]), None);
        // The panic is in the dependency itself.
        let own = at(&format!("{CRATE}:1:1"), &[&dependency, &user]);
        assert_eq!(own.as_deref(), Some("/app/src/lib.rs:1:1"));
        let bare = frame("shop::serve", "");
        assert_eq!(of(&[&swap, &bare]).as_deref(), Some("shop::serve"));
    }

    #[test]
    fn trim_keeps_the_frames_between_panic_and_executor() {
        let frames = vec![
            frame("trace", &CRATE.replace("slab-0.4.11", "backtrace-0.3.77")),
            engine("{{closure}}"),
            frame("rust_panic_with_hook", &format!("{STD}std/src/panicking.rs")),
            frame("panic_fmt", &format!("{STD}core/src/panicking.rs")),
            in_std("core::option::unwrap_failed"),
            frame("shop::serve", "/app/src/lib.rs"),
            in_std("core::future::poll"),
            frame("shop::main", "/app/src/lib.rs"),
            frame("poll<Map>", &CRATE.replace("slab", "futures-util")),
            in_std("<core::pin::Pin<P> as core::future::Future>::poll"),
            engine("poll_next"),
            frame("shop::outer", "/app/src/lib.rs"),
        ];
        let kept: Vec<_> = trim(frames).into_iter().map(|frame| frame.function).collect();
        assert_eq!(
            kept,
            ["core::option::unwrap_failed", "shop::serve", "core::future::poll", "shop::main"]
        );
    }

    /// Frames beyond the executor are not looked at, so they need not be resolved.
    #[test]
    fn resolving_stops_at_the_executor() {
        let captured = frame("trace", &CRATE.replace("slab-0.4.11", "backtrace-0.3.77"));
        let panic = frame("rust_panic_with_hook", &format!("{STD}std/src/panicking.rs"));
        let hook = engine("{{closure}}");
        let user = frame("shop::serve", "/app/src/lib.rs");
        let dependency = frame("slab::get", CRATE);
        let std = in_std("core::option::unwrap_failed");
        let outside = [frame("std::sys::thread_start", &format!("{STD}std/src/sys/thread.rs"))];
        let stacks = [
            vec![&captured, &hook, &panic, &std, &user, &std],
            vec![&captured, &hook, &panic, &dependency],
            vec![&captured, &hook, &panic, &std, &dependency, &user],
            vec![&hook, &panic, &user, &dependency, &user],
            vec![&user],
        ];
        for stack in stacks {
            let mut frames: Vec<Frame> = stack.into_iter().cloned().collect();
            assert!(
                (0..=frames.len()).all(|count| !reaches_executor(&frames[..count])),
                "{frames:?}"
            );
            frames.push(engine("poll_next"));
            assert!(reaches_executor(&frames), "{frames:?}");
            let all = [&frames[..], &outside].concat();
            assert_eq!(trim(frames.clone()), trim(all.clone()));
            for location in [None, Some("/rustc/1/library/core/src/x.rs:2:2")] {
                assert_eq!(called_from(&frames, location), called_from(&all, location));
            }
        }
        // No frame is the user's: a report shows all.
        assert!(!reaches_executor(&[captured, hook, panic, std, engine("poll_next")]));
    }

    #[test]
    fn trim_removes_the_frames_of_a_signal_handler() {
        let c = "./nptl/pthread_mutex_lock.c";
        let frames = vec![
            engine("report_stuck"),
            in_std("core::option::map"),
            frame("handler", &CRATE.replace("slab", "signal-hook-registry")),
            frame("pthread_mutex_lock", c),
            frame("shop::serve", "/app/src/lib.rs"),
            engine("poll_next"),
        ];
        assert_eq!(called_from(&frames, None).as_deref(), Some("/app/src/lib.rs:1:1"));
        let kept: Vec<_> = trim(frames).into_iter().map(|frame| frame.function).collect();
        assert_eq!(kept, ["pthread_mutex_lock", "shop::serve"]);
    }

    #[test]
    fn trim_keeps_all_without_a_frame_of_user_code() {
        let frames = vec![in_std("core::option::unwrap_failed"), engine("drive")];
        assert_eq!(trim(frames.clone()), frames);
    }
}

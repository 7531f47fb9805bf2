//! The report on standard error when a panic is about to abort the process.
//!
//! These panics cannot be caught: a panic in a destructor during another panic or in an
//! `extern "C"` function, a violated precondition of unsafe code, and any panic with
//! `panic = "abort"`. The run cannot report them, so the report goes to the output of this process,
//! which the parent process reads.

use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::PanicHookInfo;
use std::time::Duration;

use crate::engine::context;
use crate::engine::failure::verdict::PanicNote;
use crate::engine::state::Engine;

thread_local! {
    /// Module path and name of this thread's test, if it has one.
    static TEST: Cell<Option<(&'static str, &'static str)>> = const { Cell::new(None) };
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Sets the seed that this thread runs.
pub(crate) fn set_seed(seed: u64) {
    SEED.set(seed);
}

/// Sets the test that this thread runs.
pub(crate) fn set_test(module_path: &'static str, name: &'static str) {
    TEST.set(Some((module_path, name)));
}

/// Whether the process aborts after the panic hook.
pub(crate) fn is_fatal(info: &PanicHookInfo<'_>) -> bool {
    // `can_unwind` has no stable accessor, but `Debug` prints it.
    cfg!(panic = "abort") || format!("{info:?}").contains("can_unwind: false")
}

/// Writes the panics of the current poll, oldest first.
pub(crate) fn write(engine: &Engine, panics: Vec<PanicNote>) {
    let mut text = String::from("\nsimmach: this panic cannot unwind, so the OS process aborts\n");
    let _ = writeln!(text, "  {}", scene(engine));
    for mut note in panics {
        // The program's own file is the host's.
        context::outside(|| note.origin.resolve(note.location.as_deref()));
        text.push_str(&paragraph(&note));
    }
    to_stderr(text.as_bytes());
}

/// Describes where in the run the panic occurred: test, seed, machine, task and time.
fn scene(engine: &Engine) -> String {
    let mut text = match TEST.get() {
        Some((module_path, name)) => {
            let module = module_path.split_once("::").map(|(_, modules)| format!("{modules}::"));
            format!("in {}{name} with seed {}", module.unwrap_or_default(), SEED.get())
        }
        None => format!("with seed {}", SEED.get()),
    };
    let machine = engine.scope().machine.0 as usize;
    if let Ok(names) = engine.names.try_borrow()
        && let Some(name) = names.get(machine)
    {
        let _ = write!(text, ", on {name}");
    }
    let task = engine.current_task().and_then(|task| engine.identity(task));
    if let Some(task) = task.and_then(|task| task.name_on_its_machine(&engine.status.names)) {
        let _ = write!(text, ", in {task}");
    }
    let _ = write!(text, ", at {:?}", Duration::from_nanos(engine.clock.now()));
    text
}

fn paragraph(note: &PanicNote) -> String {
    let mut text = String::from("  panic");
    if let Some(location) = &note.location {
        let _ = write!(text, " at {location}");
    }
    if let Some(caller) = &note.origin.called_from {
        let _ = write!(text, ", called from {caller}");
    }
    text.push_str(":\n");
    for line in note.message.lines() {
        let _ = writeln!(text, "    {line}");
    }
    for (nth, frame) in note.origin.frames.iter().enumerate() {
        let frame = frame.to_string().replace('\n', "\n      ");
        let _ = writeln!(text, "    {nth:>3}: {frame}");
    }
    text
}

/// Writes to the file descriptor, not to std's handle: its lock may be held by the code that panics, and libtest may capture
/// what is printed.
fn to_stderr(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stderr(), bytes) {
            Ok(0) => return,
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error == rustix::io::Errno::INTR => {}
            // An error cannot be reported anywhere else.
            Err(_) => return,
        }
    }
}

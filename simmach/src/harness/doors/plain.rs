//! The door for ordinary test binaries: each test is a `#[test]`, and libtest runs it.

use std::io::{self, IsTerminal, Write};
use std::panic::resume_unwind;

use crate::harness::doors::session::session;
use crate::harness::verdict::judge::judge;
use crate::harness::verdict::judgement::{Judgement, unfit};
use crate::harness::workers::launch::launcher;
use crate::harness::workers::worker;
use crate::harness::{progress, registry};
use crate::report::style::Style;
use crate::run;

/// Runs one test; in a worker, serves all.
///
/// # Panics
///
/// If the test fails: that is how libtest is told. The report has been printed before.
pub fn run(module_path: &str, name: &str) {
    if worker::is_worker() {
        worker::serve_process(run::run);
    }
    let style = Style::for_output(io::stdout().is_terminal());
    let Some(test) = registry::find(module_path, name) else {
        fail(&format!(
            "{module_path}::{name} is not in the registry of this binary: simmach can't run it\n"
        ));
    };
    let flags = Flags::of_this_process();
    if flags.alone {
        progress::set_column(column(&test.path()));
    }
    let session = session(|| {
        let mut arguments = vec!["--exact".to_owned(), test.path()];
        for flag in ["--include-ignored", "--nocapture", "--test-threads=1"] {
            arguments.push(flag.to_owned());
        }
        launcher(arguments, flags.shows)
    });
    let judgement = match session {
        Ok(session) => judge(&session.pool, session.config, test, style),
        Err(why) => Judgement::Red(unfit(test, why, style)),
    };
    match judgement {
        Judgement::Green(text) => {
            // In one write, so that other tests' lines do not tear it; and not through `eprintln!`, which libtest holds
            // back. The line that libtest has begun when tests run one at a time is left.
            let begin = if flags.alone { "\n" } else { "" };
            let _ = io::stderr().write_all(format!("{begin}{text}\n").as_bytes());
        }
        Judgement::Red(text) => fail(&text),
    }
}

/// Fails the test without a panic's own message and backtrace, which would drown the report.
fn fail(text: &str) -> ! {
    eprintln!("{text}");
    resume_unwind(Box::new("the report is above"));
}

/// What libtest was told.
struct Flags {
    /// Output is shown as it comes.
    shows: bool,
    /// One test at a time, each on the line that libtest has begun.
    alone: bool,
}

impl Flags {
    fn of_this_process() -> Self {
        let arguments: Vec<String> =
            std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let has = |flag: &str| arguments.iter().any(|arg| arg == flag);
        let threads = arguments
            .iter()
            .enumerate()
            .find_map(|(at, arg)| match arg.strip_prefix("--test-threads") {
                Some("") => arguments.get(at + 1).cloned(),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => None,
            })
            .or_else(|| std::env::var("RUST_TEST_THREADS").ok());
        let one_processor = || std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
        let shows = has("--nocapture")
            || has("--no-capture")
            || std::env::var("RUST_TEST_NOCAPTURE").is_ok_and(|value| value != "0");
        Self {
            shows: shows && !is_captured_by_nextest(),
            alone: threads.map_or_else(one_processor, |threads| threads.trim() == "1"),
        }
    }
}

/// Nextest gives the flag to every test, and captures the output itself unless it is to be seen.
pub(crate) fn is_captured_by_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some() && !io::stdout().is_terminal()
}

/// Where the cursor stands behind `test name ... `.
fn column(name: &str) -> usize {
    if io::stdout().is_terminal() { name.chars().count() + "test  ... ".len() } else { 0 }
}

//! The entry point for ordinary test binaries: each test is a `#[test]`, and libtest calls it.

use std::io::{self, IsTerminal, Write};
use std::panic::resume_unwind;

use crate::harness::doors::session::session;
use crate::harness::evaluation::run_test::run_test;
use crate::harness::evaluation::{TestResult, setup_error};
use crate::harness::workers::launch::launcher;
use crate::harness::workers::worker;
use crate::harness::{progress, registry};
use crate::report::style::Style;
use crate::run;

/// Runs one test. In a worker process, executes runs of all tests for the parent instead.
///
/// # Panics
///
/// Panics if the test fails, after the report has been printed.
pub fn run(module_path: &str, name: &str) {
    if worker::is_worker() {
        worker::serve_process(run::run);
    }
    let style = Style::for_output(io::stdout().is_terminal());
    let Some(test) = registry::find(module_path, name) else {
        fail(&format!(
            "{module_path}::{name} cannot be run: it is not in the list of tests of this binary, because the static \
             constructor that adds it (crate `inventory`) did not run; check the linker options of this target\n"
        ));
    };
    let flags = LibtestFlags::of_this_process();
    if flags.one_at_a_time {
        progress::set_column(column(&test.path()));
    }
    let session = session(|| {
        let mut arguments = vec!["--exact".to_owned(), test.path()];
        for flag in ["--include-ignored", "--nocapture", "--test-threads=1"] {
            arguments.push(flag.to_owned());
        }
        launcher(arguments, flags.show_output)
    });
    let result = match session {
        Ok(session) => run_test(&session.pool, session.config, test, style),
        Err(error) => TestResult::Failed(setup_error(test, error, style)),
    };
    match result {
        TestResult::Passed(text) => {
            // A single write, so that lines of other tests do not break up the report. Not `eprintln!`, which libtest
            // captures. With one test at a time, libtest has already begun a line, so a line break comes first.
            let begin = if flags.one_at_a_time { "\n" } else { "" };
            let _ = io::stderr().write_all(format!("{begin}{text}\n").as_bytes());
        }
        TestResult::Failed(text) => fail(&text),
    }
}

/// Fails the test without the panic's own message and backtrace, which would hide the report.
fn fail(text: &str) -> ! {
    eprintln!("{text}");
    resume_unwind(Box::new("the report is above"));
}

/// Flags of libtest that the harness obeys.
struct LibtestFlags {
    /// Output is not captured.
    show_output: bool,
    /// One test runs at a time; libtest begins the line with its name before it runs.
    one_at_a_time: bool,
}

impl LibtestFlags {
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
        let show_output = has("--nocapture")
            || has("--no-capture")
            || std::env::var("RUST_TEST_NOCAPTURE").is_ok_and(|value| value != "0");
        Self {
            show_output: show_output && !is_captured_by_nextest(),
            one_at_a_time: threads.map_or_else(one_processor, |threads| threads.trim() == "1"),
        }
    }
}

/// Whether nextest captures the output. It passes `--nocapture` to every test and captures the output by itself.
pub(crate) fn is_captured_by_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some() && !io::stdout().is_terminal()
}

/// Column of the cursor behind `test name ... `.
fn column(name: &str) -> usize {
    if io::stdout().is_terminal() { name.chars().count() + "test  ... ".len() } else { 0 }
}

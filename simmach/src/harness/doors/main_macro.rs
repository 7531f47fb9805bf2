//! The entry point for targets with `harness = false`: `simmach::main!()` runs all registered tests
//! with libtest-mimic.
//!
//! `simmach::main!()` accepts libtest's flags and flags for the configuration variables. It prints
//! the lines of passed tests together after all tests, so that they do not break up the list of
//! results.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libtest_mimic::{Failed, Trial};

use crate::harness::doors::arguments::CommandLine;
use crate::harness::doors::{libtest, session};
use crate::harness::evaluation::run_test::run_test;
use crate::harness::evaluation::{TestResult, setup_error};
use crate::harness::workers::launch::launcher;
use crate::harness::workers::worker;
use crate::harness::{config, progress, registry};
use crate::report::style::Style;
use crate::run;
use crate::spec::SimTest;

/// libtest's exit code for an invalid command line.
const USAGE_ERROR: u8 = 101;

/// Lines of passed tests, by the path of the test.
type PassedLines = Arc<Mutex<BTreeMap<String, String>>>;

/// Runs the tests of this binary. In a worker process, executes runs for the parent instead.
pub fn main() -> ExitCode {
    if worker::is_worker() {
        worker::serve_process(run::run);
    }
    let given = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let line = match CommandLine::parse(given, |name| std::env::var(name).ok()) {
        Ok(line) => line,
        Err(error) => {
            // The error is ignored, since standard error may be closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    if line.help {
        // Ignored: standard output may be closed.
        let _ = io::stdout().write_all(CommandLine::usage().as_bytes());
        return ExitCode::SUCCESS;
    }
    config::set_flags(line.flags.clone());
    let style = Style::for_output(io::stdout().is_terminal());
    let tests = registry::all();
    if runs_one_at_a_time(&line) && io::stdout().is_terminal() {
        let widest = tests.iter().map(|test| test.path().chars().count()).max().unwrap_or(0);
        progress::set_column(widest + "test  ... ".len());
    }
    let passed = PassedLines::default();
    let show_output = line.nocapture && !libtest::is_captured_by_nextest();
    let trials = tests.iter().map(|test| {
        let (test, passed) = (*test, Arc::clone(&passed));
        let ignored = test.ignore.is_some();
        let trial = move || run_trial(test, style, show_output, &passed);
        Trial::test(test.path(), trial).with_ignored_flag(ignored)
    });
    let arguments = line.arguments(tests.iter().map(|test| test.path()));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let passed: String = lock(&passed).values().map(|line| format!("{line}\n")).collect();
    // Ignored: standard error may be closed.
    let _ = io::stderr().write_all(passed.as_bytes());
    session::close();
    conclusion.exit_code()
}

fn run_trial(
    test: &'static SimTest,
    style: Style,
    show_output: bool,
    passed: &Mutex<BTreeMap<String, String>>,
) -> Result<(), Failed> {
    let result = match session::session(|| launcher(Vec::new(), show_output)) {
        Ok(session) => run_test(&session.pool, session.config, test, style),
        Err(error) => TestResult::Failed(setup_error(test, error, style)),
    };
    match result {
        TestResult::Passed(text) => {
            lock(passed).insert(test.path(), text);
            Ok(())
        }
        TestResult::Failed(text) => Err(Failed::from(text.trim_end())),
    }
}

fn runs_one_at_a_time(line: &CommandLine) -> bool {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    line.test_threads().unwrap_or_else(processors) == 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

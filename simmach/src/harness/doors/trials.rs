//! The door for `harness = false`: `simmach::main!()` runs the registry on libtest-mimic.
//!
//! It takes libtest's flags, and those that name a variable of the configuration. Green lines are printed together, when
//! all tests are over, so that they do not tear the list of results.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libtest_mimic::{Failed, Trial};

use crate::harness::doors::arguments::CommandLine;
use crate::harness::doors::{plain, session};
use crate::harness::verdict::judge::judge;
use crate::harness::verdict::judgement::{Judgement, unfit};
use crate::harness::workers::launch::launcher;
use crate::harness::workers::worker;
use crate::harness::{config, progress, registry};
use crate::report::style::Style;
use crate::run;
use crate::spec::SimTest;

/// libtest's exit code for a command line that it does not understand.
const USAGE_ERROR: u8 = 101;

/// Green lines by the place of their test.
type Greens = Arc<Mutex<BTreeMap<String, String>>>;

/// Runs the tests of this binary; in a worker, serves.
pub fn main() -> ExitCode {
    if worker::is_worker() {
        worker::serve_process(run::run);
    }
    let given = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let line = match CommandLine::parse(given, |name| std::env::var(name).ok()) {
        Ok(line) => line,
        Err(why) => {
            // Nobody reads it when standard error is gone.
            let _ = writeln!(io::stderr(), "error: {why}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    if line.help {
        // Nor when standard output is.
        let _ = io::stdout().write_all(CommandLine::usage().as_bytes());
        return ExitCode::SUCCESS;
    }
    config::set_flags(line.flags.clone());
    let style = Style::for_output(io::stdout().is_terminal());
    let tests = registry::all();
    if is_alone(&line) && io::stdout().is_terminal() {
        let widest = tests.iter().map(|test| test.path().chars().count()).max().unwrap_or(0);
        progress::set_column(widest + "test  ... ".len());
    }
    let greens = Greens::default();
    let shows = line.nocapture && !plain::is_captured_by_nextest();
    let trials = tests.iter().map(|test| {
        let (test, greens) = (*test, Arc::clone(&greens));
        let ignored = test.ignore.is_some();
        let trial = move || trial(test, style, shows, &greens);
        Trial::test(test.path(), trial).with_ignored_flag(ignored)
    });
    let arguments = line.arguments(tests.iter().map(|test| test.path()));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let greens: String = lock(&greens).values().map(|line| format!("{line}\n")).collect();
    // Nobody reads it when standard error is gone.
    let _ = io::stderr().write_all(greens.as_bytes());
    session::close();
    conclusion.exit_code()
}

fn trial(
    test: &'static SimTest,
    style: Style,
    shows: bool,
    greens: &Mutex<BTreeMap<String, String>>,
) -> Result<(), Failed> {
    let judgement = match session::session(|| launcher(Vec::new(), shows)) {
        Ok(session) => judge(&session.pool, session.config, test, style),
        Err(why) => Judgement::Red(unfit(test, why, style)),
    };
    match judgement {
        Judgement::Green(text) => {
            lock(greens).insert(test.path(), text);
            Ok(())
        }
        Judgement::Red(text) => Err(Failed::from(text.trim_end())),
    }
}

fn is_alone(line: &CommandLine) -> bool {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    line.test_threads().unwrap_or_else(processors) == 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

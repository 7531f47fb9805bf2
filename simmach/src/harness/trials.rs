//! The door for `harness = false`: `simmach::main!()` runs the registry on libtest-mimic.
//!
//! It takes libtest's flags, and those that name a variable of the configuration. Green lines are printed together, when
//! all tests are over, so that they do not tear the list of results.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use super::config::{self, Vars};
use super::judge::judge;
use super::judgement::{Judgement, unfit};
use super::launch::launcher;
use super::{plain, progress, registry, session, worker};
use crate::report::style::Style;
use crate::run;
use crate::spec::SimTest;

/// The flags that stand for a variable, and whether a value follows.
const FLAGS: [(&str, &str, bool); 7] = [
    ("--seed", config::SEED, true),
    ("--seeds", config::SEEDS, true),
    ("--jobs", config::JOBS, true),
    ("--shard", config::SHARD, true),
    ("--budget", config::BUDGET, true),
    ("--keep-going", config::KEEP_GOING, false),
    ("--check", config::CHECK, false),
];

const HELP: &str = "\
simmach's own options, each also as an environment variable:
    --seed N          SIMMACH_SEED        this seed only
    --seeds N|A..B    SIMMACH_SEEDS       so many, these, or `random`
    --jobs N          SIMMACH_JOBS        so many runs at once; 1 runs them in this process
    --shard I/N       SIMMACH_SHARD       the I-th of N shares of the seeds
    --budget TIME     SIMMACH_BUDGET      as many seeds as fit into so much real time, for each test
    --keep-going      SIMMACH_KEEP_GOING  all seeds, though some fail
    --check           SIMMACH_CHECK       each seed twice, to see that it is the same run
";

/// Green lines by the place of their test.
type Greens = Arc<Mutex<BTreeMap<String, String>>>;

/// Runs the tests of this binary; in a worker, serves.
pub fn main() -> ExitCode {
    if worker::is_worker() {
        worker::serve_process(run::run);
    }
    let (flags, rest) = split(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()));
    if rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
    }
    config::set_flags(flags);
    let arguments = Arguments::from_iter(rest);
    let style = Style::for_output(io::stdout().is_terminal());
    let tests = registry::all();
    if is_alone(&arguments) && io::stdout().is_terminal() {
        let widest = tests.iter().map(|test| test.path().chars().count()).max().unwrap_or(0);
        progress::set_column(widest + "test  ... ".len());
    }
    let greens = Greens::default();
    let shows = arguments.nocapture && !plain::is_captured_by_nextest();
    let trials = tests.iter().map(|test| {
        let (test, greens) = (*test, Arc::clone(&greens));
        let ignored = test.ignore.is_some();
        let trial = move || trial(test, style, shows, &greens);
        Trial::test(test.path(), trial).with_ignored_flag(ignored)
    });
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

/// Takes our own flags out of the command line.
fn split(arguments: impl IntoIterator<Item = String>) -> (Vars, Vec<String>) {
    let (mut flags, mut rest) = (Vars::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        match FLAGS.iter().find(|(flag, ..)| *flag == name) {
            Some((_, variable, true)) => {
                // A space is a value that nothing takes: the error names what is missing.
                let value = given.or_else(|| arguments.next()).unwrap_or_default();
                let value = if value.is_empty() { " ".to_owned() } else { value };
                flags.insert((*variable).to_owned(), value);
            }
            Some((_, variable, false)) => {
                flags.insert((*variable).to_owned(), given.unwrap_or_else(|| "1".to_owned()));
            }
            None => rest.push(argument),
        }
    }
    (flags, rest)
}

fn is_alone(arguments: &Arguments) -> bool {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.unwrap_or_else(processors) == 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_flags_are_taken_out_and_libtests_are_left() {
        let arguments = ["bin", "--seed", "417", "--exact", "zoo::a", "--keep-going", "--jobs=2"];
        let (flags, rest) = split(arguments.map(str::to_owned));
        assert_eq!(rest, ["bin", "--exact", "zoo::a"]);
        let flags: Vec<_> = flags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(flags, [(config::JOBS, "2"), (config::KEEP_GOING, "1"), (config::SEED, "417")]);
    }

    #[test]
    fn a_flag_without_its_value_is_no_silent_default() {
        let (flags, _) = split(["bin", "--seed"].map(str::to_owned));
        let error = config::Config::read(&Vars::new(), &flags).expect_err("no seed");
        assert!(error.to_string().contains(config::SEED), "{error}");
    }
}

//! The command line of `simmach::main!()`: libtest's flags, and flags for the configuration variables.
//!
//! Like libtest, this module parses the command line with `getopts`. It follows libtest's rules and
//! messages. libtest-mimic's parser differs: it accepts only one FILTER, and it accepts a thread
//! count of zero, with which no test ever starts. Flags that libtest accepts only on nightly and
//! that have no meaning here (`--shuffle`, `--report-time` and similar) are errors.

use std::num::ParseIntError;

use getopts::{Matches, Options};
use libtest_mimic::{Arguments, ColorSetting, FormatSetting};

use crate::harness::config::{self, Vars};

/// A flag for a configuration variable: the flag's name, the variable, the name of the flag's
/// value, and a description.
type FlagSpec = (&'static str, &'static str, &'static str, &'static str);

/// Flags that take a value.
const OPTIONS: [FlagSpec; 5] = [
    ("seed", config::SEED, "N", "run only this seed"),
    ("seeds", config::SEEDS, "N|A..B|random", "number of seeds, a range, or random seeds"),
    ("jobs", config::JOBS, "N", "number of parallel runs; 1 executes runs in this OS process"),
    ("shard", config::SHARD, "I/N", "divide the seeds into N parts, and run only part I"),
    (
        "budget",
        config::BUDGET,
        "TIME",
        "run as many seeds as fit into this real time, for each test",
    ),
];

/// Flags that take no value, or a value after an equals sign.
const SWITCHES: [FlagSpec; 2] = [
    ("keep-going", config::KEEP_GOING, "0|1", "run all seeds, even if some fail"),
    ("check", config::CHECK, "0|1", "run every seed twice, and fail if the two runs differ"),
];

/// Flags that libtest accepts only on nightly, and what libtest calls them. None is supported.
const UNSTABLE: [(&str, &str); 6] = [
    ("force-run-in-process", "flag"),
    ("exclude-should-panic", "flag"),
    ("report-time", "flag"),
    ("ensure-time", "flag"),
    ("shuffle", "flag"),
    ("shuffle-seed", "option"),
];

/// An invalid command line, in libtest's words where libtest has the same error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Option(#[from] getopts::Fail),
    #[error("the options --include-ignored and --ignored are mutually exclusive")]
    IgnoredTwice,
    #[error("Unrecognized option to `Z`")]
    UnknownZ,
    #[error("The \"--{0}\" {1} is only accepted on the nightly compiler with -Z unstable-options")]
    NightlyOnly(&'static str, &'static str),
    #[error("`--{0}` is not supported by `simmach::main!()`: remove it")]
    NotSupported(&'static str),
    #[error("argument for --test-threads must not be 0")]
    NoThreads,
    #[error("argument for --test-threads must be a number > 0 (error: {0})")]
    Threads(ParseIntError),
    #[error("RUST_TEST_THREADS is `{0}`, should be a positive integer.")]
    ThreadsVariable(String),
    #[error("argument for --color must be auto, always, or never (was {0})")]
    Color(String),
    #[error("argument for --format must be pretty, terse or json (was {0})")]
    Format(String),
}

/// A parsed command line.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    /// Print the options and do nothing else.
    pub(crate) help: bool,
    /// Values of simmach's own flags, by the name of the variable.
    pub(crate) flags: Vars,
    /// Show the output of runs as it is written.
    pub(crate) nocapture: bool,
    exact: bool,
    filters: Vec<String>,
    skip: Vec<String>,
    /// The rest of libtest's flags.
    rest: Arguments,
}

impl CommandLine {
    /// Parses the arguments after the program's name. `env` reads an environment variable.
    ///
    /// # Errors
    ///
    /// The command line is invalid.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UsageError> {
        let matches = options().parse(arguments)?;
        if matches.opt_present("help") {
            return Ok(Self { help: true, ..Self::default() });
        }
        check_unstable(&matches)?;
        let has = |name: &str| matches.opt_present(name);
        if has("include-ignored") && has("ignored") {
            return Err(UsageError::IgnoredTwice);
        }
        let nocapture = has("nocapture")
            || has("no-capture")
            || env("RUST_TEST_NOCAPTURE").is_some_and(|value| value != "0");
        let format = format(&matches)?;
        let rest = Arguments {
            include_ignored: has("include-ignored"),
            ignored: has("ignored"),
            test: has("test"),
            bench: has("bench") && !has("test"),
            list: has("list"),
            nocapture,
            show_output: has("show-output"),
            quiet: has("quiet") && format.is_none(),
            test_threads: threads(&matches, env)?,
            logfile: matches.opt_str("logfile"),
            color: color(&matches)?,
            format,
            ..Arguments::default()
        };
        Ok(Self {
            help: false,
            flags: variables(&matches),
            nocapture,
            exact: has("exact"),
            skip: matches.opt_strs("skip"),
            filters: matches.free,
            rest,
        })
    }

    /// Returns the help text.
    pub(crate) fn usage() -> String {
        let usage = options().usage("Usage: [OPTIONS] [FILTERS...]");
        let own = OPTIONS.iter().chain(&SWITCHES);
        let variables = own.map(|(flag, variable, ..)| format!("    --{flag:<12}{variable}\n"));
        format!(
            "{usage}\nA test is run if its name contains one of the FILTERS. With --exact, its name must equal one of them.\n\n\
             Options that can also be given as an environment variable:\n{}",
            variables.collect::<String>()
        )
    }

    /// Number of tests that run at once, if given.
    pub(crate) fn test_threads(&self) -> Option<usize> {
        self.rest.test_threads
    }

    /// Arguments for libtest-mimic, which runs the tests.
    ///
    /// It supports only one filter, so it gets the exact names of all tests that are not selected as `--skip`.
    pub(crate) fn arguments(&self, names: impl Iterator<Item = String>) -> Arguments {
        let mut arguments = self.rest.clone();
        arguments.exact = true;
        arguments.skip = names.filter(|name| !self.selects(name)).collect();
        arguments
    }

    fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact { name == filter } else { name.contains(filter.as_str()) }
        };
        let is_named = self.filters.is_empty() || self.filters.iter().any(matches);
        is_named && !self.skip.iter().any(matches)
    }
}

fn options() -> Options {
    let mut options = Options::new();
    options
        .optflag("", "include-ignored", "run ignored and not ignored tests")
        .optflag("", "ignored", "run only ignored tests")
        .optflag("", "test", "run tests and not benchmarks")
        .optflag("", "bench", "run benchmarks instead of tests (there are none)")
        .optflag("", "list", "list all tests")
        .optflag("h", "help", "display this message")
        .optopt("", "logfile", "write the results to a file", "PATH")
        .optflag("", "nocapture", "do not capture the output of runs")
        .optflag("", "no-capture", "same as --nocapture")
        .optopt("", "test-threads", "number of tests to run at once", "N")
        .optmulti("", "skip", "skip tests whose names contain FILTER; may be repeated", "FILTER")
        .optflag("q", "quiet", "display one character per test; same as --format=terse")
        .optflag("", "exact", "match filters exactly rather than by substring")
        .optopt("", "color", "colors of the output", "auto|always|never")
        .optopt("", "format", "format of the output", "pretty|terse|json")
        .optflag("", "show-output", "accepted for compatibility with libtest")
        .optmulti("Z", "", "accepted for compatibility with libtest", "unstable-options")
        .optflagopt("", "report-time", "not supported", "plain|colored")
        .optflag("", "ensure-time", "not supported")
        .optflag("", "shuffle", "not supported")
        .optopt("", "shuffle-seed", "not supported", "SEED")
        .optflag("", "force-run-in-process", "not supported")
        .optflag("", "exclude-should-panic", "not supported");
    for (name, _, value, description) in OPTIONS {
        options.optopt("", name, description, value);
    }
    for (name, _, value, description) in SWITCHES {
        options.optflagopt("", name, description, value);
    }
    options
}

/// Values of simmach's own flags, by the name of the variable.
fn variables(matches: &Matches) -> Vars {
    let mut flags = Vars::new();
    for (name, variable, ..) in OPTIONS {
        if let Some(value) = matches.opt_str(name) {
            // An empty variable counts as unset; a space is invalid for all of them.
            let value = if value.is_empty() { " ".to_owned() } else { value };
            flags.insert(variable.to_owned(), value);
        }
    }
    for (name, variable, ..) in SWITCHES {
        if let Some(value) = matches.opt_default(name, "1") {
            flags.insert(variable.to_owned(), value);
        }
    }
    flags
}

fn check_unstable(matches: &Matches) -> Result<(), UsageError> {
    let mut allowed = false;
    for option in matches.opt_strs("Z") {
        if option != "unstable-options" {
            return Err(UsageError::UnknownZ);
        }
        allowed = true;
    }
    match UNSTABLE.iter().find(|(name, _)| matches.opt_present(name)) {
        Some((name, _)) if allowed => Err(UsageError::NotSupported(name)),
        Some((name, kind)) => Err(UsageError::NightlyOnly(name, kind)),
        None => Ok(()),
    }
}

fn threads(
    matches: &Matches,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<usize>, UsageError> {
    if let Some(given) = matches.opt_str("test-threads") {
        return match given.parse() {
            Ok(0) => Err(UsageError::NoThreads),
            Ok(threads) => Ok(Some(threads)),
            Err(error) => Err(UsageError::Threads(error)),
        };
    }
    let Some(given) = env("RUST_TEST_THREADS") else {
        return Ok(None);
    };
    match given.parse() {
        Ok(threads) if threads > 0 => Ok(Some(threads)),
        _ => Err(UsageError::ThreadsVariable(given)),
    }
}

fn color(matches: &Matches) -> Result<Option<ColorSetting>, UsageError> {
    match matches.opt_str("color").as_deref() {
        None => Ok(None),
        Some("auto") => Ok(Some(ColorSetting::Auto)),
        Some("always") => Ok(Some(ColorSetting::Always)),
        Some("never") => Ok(Some(ColorSetting::Never)),
        Some(other) => Err(UsageError::Color(other.to_owned())),
    }
}

fn format(matches: &Matches) -> Result<Option<FormatSetting>, UsageError> {
    match matches.opt_str("format").as_deref() {
        None => Ok(None),
        Some("pretty") => Ok(Some(FormatSetting::Pretty)),
        Some("terse") => Ok(Some(FormatSetting::Terse)),
        Some("json") => Ok(Some(FormatSetting::Json)),
        Some(other) => Err(UsageError::Format(other.to_owned())),
    }
}

#[cfg(test)]
mod tests;

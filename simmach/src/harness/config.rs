//! Configuration of the harness: environment variables, and command line flags with the same meaning.
//!
//! Flags override the environment, which overrides the attribute. An invalid value fails every test, with an error that
//! names the variable, the value and what is expected. Otherwise, tests could pass because the requested seeds were not run.

mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fmt, thread};

use crate::engine::log::filter::{BadDirective, LogFilter, RUST_LOG};
use crate::harness::config::values::{
    parse_duration, parse_jobs, parse_keep, parse_kinds, parse_log_lines, parse_path,
    parse_regressions, parse_seed, parse_selection, parse_shard, parse_shrink, parse_switch,
};
use crate::harness::debugger;

/// The configuration of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Which seeds are run.
    pub(crate) selection: SeedSelection,
    /// Maximum number of parallel runs, over all tests of the process.
    pub(crate) jobs: usize,
    /// Whether this process executes the runs itself, for use with a debugger. By default it does
    /// not, since a run that aborts ends the process.
    pub(crate) in_process: bool,
    /// The shard to which the seeds are restricted; `None` means all seeds.
    pub(crate) shard: Option<Shard>,
    /// Real time for which each test starts new runs.
    pub(crate) budget: Option<Duration>,
    /// Whether all seeds are run even if some fail.
    pub(crate) keep_going: bool,
    /// Whether every seed or no seed is run twice; `None` leaves this to the attribute.
    pub(crate) check: Option<bool>,
    /// Limit on shrinking.
    pub(crate) shrink: Shrink,
    /// Kinds of failures that are ignored: `panic`, `stall`, or the key of `Sim::fail`.
    pub(crate) ignore: Vec<String>,
    /// The token to replay, or `@` and the file that holds it.
    pub(crate) replay: Option<String>,
    /// Whether regressions files are read and written.
    pub(crate) regressions: Regressions,
    /// File or folder for the packets of a single run.
    pub(crate) pcap: Option<PathBuf>,
    /// Folder for the content of a failed run's disks.
    pub(crate) kept_disks: Option<PathBuf>,
    /// Folder for the disks of runs; `None` looks for a memory disk.
    pub(crate) folder: Option<PathBuf>,
    /// Maximum number of log lines in a report, counted from the end of the log.
    pub(crate) log_lines: usize,
    /// Maximum real time of one poll.
    pub(crate) hang: Duration,
}

/// Which seeds are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeedSelection {
    /// The seeds that the attribute selects.
    Attribute,
    /// A single seed (`SIMMACH_SEED`).
    One(u64),
    /// This number of seeds, starting at the attribute's base.
    Count(u64),
    /// An inclusive range.
    Range {
        /// First seed.
        first: u64,
        /// Last seed.
        last: u64,
    },
    /// The attribute's number of seeds, starting at a random one.
    Random {
        /// First seed.
        first: u64,
    },
}

/// Limit on shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// Real time for each failure and for all failures of the process: see `seeds/shrinking.rs`.
    Usual,
    /// Failures are not shrunk.
    Off,
    /// Maximum number of runs.
    Runs(u64),
    /// Maximum real time.
    Time(Duration),
}

/// Whether regressions files, which keep the tokens of failures, are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regressions {
    /// They are neither read nor written.
    Off,
    /// They are read: their tokens are run first.
    Read,
    /// They are read, and new failures are added.
    Write,
}

/// One shard of the seeds: those with `seed % of == index - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Counted from 1.
    pub(crate) index: u64,
    /// Number of shards.
    pub(crate) of: u64,
}

/// An invalid configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A value that cannot be parsed.
    #[error("invalid value {value:?} for {variable}: expected {expected}")]
    Value {
        /// Name of the variable.
        variable: &'static str,
        /// The invalid value.
        value: String,
        /// Description of valid values.
        expected: &'static str,
    },
    /// A value that is not UTF-8.
    #[error("invalid value {value:?} for {variable}: expected valid UTF-8")]
    NotUtf8 {
        /// Name of the variable.
        variable: &'static str,
        /// The invalid value.
        value: OsString,
    },
    /// Two variables that exclude each other.
    #[error("{0} and {1} cannot be used together: unset one of them")]
    Exclusive(&'static str, &'static str),
    /// A variable that requires a single run.
    #[error("{0} requires a single run: set {1} or {2}, too")]
    RequiresOneRun(&'static str, &'static str, &'static str),
    /// An invalid log filter.
    #[error(transparent)]
    Filter(#[from] BadDirective),
    /// A name that nearly equals the name of one of simmach's variables.
    #[error("unknown variable {0}; did you mean {1}? Correct the name, or unset it")]
    UnknownVariable(String, &'static str),
}

// The names of the variables in the environment.
pub(crate) const SEED: &str = "SIMMACH_SEED";
pub(crate) const SEEDS: &str = "SIMMACH_SEEDS";
pub(crate) const JOBS: &str = "SIMMACH_JOBS";
pub(crate) const SHARD: &str = "SIMMACH_SHARD";
pub(crate) const BUDGET: &str = "SIMMACH_BUDGET";
pub(crate) const KEEP_GOING: &str = "SIMMACH_KEEP_GOING";
pub(crate) const CHECK: &str = "SIMMACH_CHECK";
pub(crate) const SHRINK: &str = "SIMMACH_SHRINK";
pub(crate) const IGNORE: &str = "SIMMACH_IGNORE";
pub(crate) const REPLAY: &str = "SIMMACH_REPLAY";
pub(crate) const REGRESSIONS: &str = "SIMMACH_REGRESSIONS";
pub(crate) const PCAP: &str = "SIMMACH_PCAP";
pub(crate) const KEEP: &str = "SIMMACH_KEEP";
pub(crate) const DIR: &str = "SIMMACH_DIR";
pub(crate) const LOG_LINES: &str = "SIMMACH_LOG_LINES";
/// Used by the harness's own tests.
pub(crate) const HANG: &str = "SIMMACH_HANG";

const KNOWN: [&str; 16] = [
    SEED,
    SEEDS,
    JOBS,
    SHARD,
    BUDGET,
    KEEP_GOING,
    CHECK,
    SHRINK,
    IGNORE,
    REPLAY,
    REGRESSIONS,
    PCAP,
    KEEP,
    DIR,
    LOG_LINES,
    HANG,
];

/// Default of `log_lines`.
const DEFAULT_LOG_LINES: usize = 40;

/// The configuration of this process, read once.
pub(crate) fn config() -> &'static Result<Config, ConfigError> {
    static CONFIG: OnceLock<Result<Config, ConfigError>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let flags = FLAGS.get().cloned().unwrap_or_default();
        Config::read(&environment(std::env::vars_os())?, &flags)
    })
}

/// Maximum number of log lines in this process's reports.
pub(crate) fn log_lines() -> usize {
    config().as_ref().map_or(DEFAULT_LOG_LINES, |config| config.log_lines)
}

/// Sets the flags of the command line, by the names of their variables. Must be called before [`config`].
pub(crate) fn set_flags(flags: Vars) {
    // Only `main` calls this, and only once.
    let _ = FLAGS.set(flags);
}

static FLAGS: OnceLock<Vars> = OnceLock::new();

/// Values of variables by name.
pub(crate) type Vars = BTreeMap<String, String>;

impl Config {
    /// Reads the environment, overridden by flags.
    pub(crate) fn read(environment: &Vars, flags: &Vars) -> Result<Self, ConfigError> {
        for name in environment.keys() {
            check_name(name)?;
        }
        let mut config = Self { regressions: Regressions::unless_ci(), ..Self::default() };
        config.apply(environment)?;
        config.apply(flags)?;
        if let (SeedSelection::One(_), Some(_)) = (config.selection, config.shard) {
            return Err(ConfigError::Exclusive(SEED, SHARD));
        }
        let is_one_run =
            config.replay.is_some() || matches!(config.selection, SeedSelection::One(_));
        if config.pcap.is_some() && !is_one_run {
            return Err(ConfigError::RequiresOneRun(PCAP, SEED, REPLAY));
        }
        Ok(config)
    }

    /// Overrides settings by the variables that are set.
    fn apply(&mut self, vars: &Vars) -> Result<(), ConfigError> {
        if is_set(vars, SEED) && is_set(vars, SEEDS) {
            return Err(ConfigError::Exclusive(SEED, SEEDS));
        }
        if let Some(seed) = variable(vars, SEED, "a non-negative integer", parse_seed)? {
            self.selection = SeedSelection::One(seed);
        }
        let expected = "a number of seeds, a range `a..b` with a < b, or `random`";
        if let Some(selection) = variable(vars, SEEDS, expected, parse_selection)? {
            self.selection = selection;
        }
        let expected = "a number of parallel runs from 1 to 1024";
        if let Some(jobs) = variable(vars, JOBS, expected, parse_jobs)? {
            self.jobs = jobs;
            self.in_process = jobs == 1;
        }
        let expected = "`i/n` with 1 <= i <= n, to divide the seeds into n parts and run part i";
        self.shard = variable(vars, SHARD, expected, parse_shard)?.or(self.shard);
        let expected = "a real time for each test, such as `30s`, `5m` or `1h30m`";
        self.budget = variable(vars, BUDGET, expected, parse_duration)?.or(self.budget);
        if let Some(on) = variable(vars, KEEP_GOING, "1 or 0", parse_switch)? {
            self.keep_going = on;
        }
        let expected = "1 (run every seed twice) or 0 (run no seed twice)";
        self.check = variable(vars, CHECK, expected, parse_switch)?.or(self.check);
        let expected = "a number of runs such as `2000`, a real time such as `10s`, or `off`";
        self.shrink = variable(vars, SHRINK, expected, parse_shrink)?.unwrap_or(self.shrink);
        let expected = "kinds of failures, separated by commas, such as `panic` or the key given to `Sim::fail`";
        if let Some(kinds) = variable(vars, IGNORE, expected, parse_kinds)? {
            self.ignore = kinds;
        }
        let expected = "a token, or `@` followed by the path of a file";
        self.replay =
            variable(vars, REPLAY, expected, |text| Some(text.to_owned()))?.or(self.replay.take());
        let expected = "`off`, `read` or `write`";
        self.regressions =
            variable(vars, REGRESSIONS, expected, parse_regressions)?.unwrap_or(self.regressions);
        let expected = "the path of a file or of a folder";
        self.pcap = variable(vars, PCAP, expected, parse_path)?.or(self.pcap.take());
        let expected = "1 (keep a failed run's disks), 0, or a folder to keep them in";
        if let Some(folder) = variable(vars, KEEP, expected, parse_keep)? {
            self.kept_disks = folder;
        }
        let expected = "a folder";
        self.folder = variable(vars, DIR, expected, parse_path)?.or(self.folder.take());
        let expected = "a number of log lines such as `40`, or `all`";
        self.log_lines =
            variable(vars, LOG_LINES, expected, parse_log_lines)?.unwrap_or(self.log_lines);
        // The engine reads this variable by itself; here it is only validated.
        if let Some(filter) = vars.get(RUST_LOG) {
            LogFilter::parse(filter)?;
        }
        let expected = "a real time such as `10s`";
        self.hang = variable(vars, HANG, expected, parse_duration)?.unwrap_or(self.hang);
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            selection: SeedSelection::Attribute,
            jobs: thread::available_parallelism().map_or(1, usize::from),
            in_process: debugger::is_attached(),
            shard: None,
            budget: None,
            keep_going: false,
            check: None,
            shrink: Shrink::Usual,
            ignore: Vec::new(),
            replay: None,
            regressions: Regressions::Read,
            pcap: None,
            kept_disks: None,
            folder: None,
            log_lines: DEFAULT_LOG_LINES,
            hang: Duration::from_secs(10),
        }
    }
}

impl Regressions {
    /// The default. Regressions are not written on CI, whose checkout is discarded.
    fn unless_ci() -> Self {
        match std::env::var_os("CI").is_some_and(|value| !value.is_empty()) {
            true => Self::Read,
            false => Self::Write,
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// The environment variables that simmach reads. A value that is not UTF-8 is an error: converted lossily, a path would
/// name another file.
fn environment(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Vars, ConfigError> {
    let mut vars = Vars::new();
    for (name, value) in all {
        let is_read = |name: &&str| name.starts_with("SIMMACH_") || *name == RUST_LOG;
        let Some(name) = name.to_str().filter(is_read) else { continue };
        let known = KNOWN.iter().chain([&RUST_LOG]).find(|known| **known == name);
        match (value.into_string(), known) {
            (Ok(value), _) => drop(vars.insert(name.to_owned(), value)),
            (Err(value), Some(variable)) => {
                return Err(ConfigError::NotUtf8 { variable, value });
            }
            // Only the name is checked for spelling.
            (Err(_), None) => drop(vars.insert(name.to_owned(), String::new())),
        }
    }
    Ok(vars)
}

/// Rejects names that are nearly those of simmach's variables: a misspelt variable would have no effect.
fn check_name(name: &str) -> Result<(), ConfigError> {
    if KNOWN.contains(&name) {
        return Ok(());
    }
    match KNOWN.iter().find(|known| distance(known, name) <= 2) {
        Some(near) => Err(ConfigError::UnknownVariable(name.to_owned(), near)),
        None => Ok(()),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// Whether the variable has a value. An empty one counts as unset.
fn is_set(vars: &Vars, variable: &str) -> bool {
    vars.get(variable).is_some_and(|value| !value.is_empty())
}

/// Parses a variable's value; `None` if it is unset.
fn variable<T>(
    vars: &Vars,
    variable: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    if !is_set(vars, variable) {
        return Ok(None);
    }
    let text = &vars[variable];
    match parse(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(ConfigError::Value { variable, value: text.clone(), expected }),
    }
}

#[cfg(test)]
mod tests;

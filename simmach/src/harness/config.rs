//! Configuration of the harness: environment variables, and command line flags with the same meaning.
//!
//! Flags override the environment, which overrides the attribute. An invalid value fails every test with an error that
//! names the variable, the value and what is expected: running other seeds than requested could pass for the wrong reason.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fmt, thread};

use crate::engine::log::filter::{BadDirective, LogFilter, RUST_LOG};
use crate::harness::debugger;

/// The configuration of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Which seeds are run.
    pub(crate) selection: SeedSelection,
    /// Maximum number of parallel runs, over all tests of the process.
    pub(crate) jobs: usize,
    /// Whether this process makes the runs itself, for a debugger. Only on request, since a run that aborts ends the
    /// process.
    pub(crate) in_process: bool,
    /// Restricts the seeds to one share.
    pub(crate) shard: Option<Shard>,
    /// Real time for each test.
    pub(crate) budget: Option<Duration>,
    /// Whether all seeds are run even if some fail.
    pub(crate) keep_going: bool,
    /// Whether every seed or none is run twice; `None` leaves it to the attribute.
    pub(crate) check: Option<bool>,
    /// Limit of shrinking.
    pub(crate) shrink: Shrink,
    /// The token to replay, or `@` and the file that holds it.
    pub(crate) replay: Option<String>,
    /// Whether regressions files are read and written.
    pub(crate) regressions: Regressions,
    /// File or folder for the packets of a single run.
    pub(crate) pcap: Option<PathBuf>,
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
    /// Those of the attribute.
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

/// Limit of shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// No shrinking.
    Off,
    /// Maximum number of runs.
    Runs(u64),
    /// Maximum real time.
    Time(Duration),
}

/// Whether regressions files, which keep the tokens of failures, are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regressions {
    /// Neither read nor written.
    Off,
    /// Read: their tokens are run first.
    Read,
    /// Read, and new failures are added.
    Write,
}

/// One share of the seeds: those with `seed % of == index - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Counted from 1.
    pub(crate) index: u64,
    /// Number of shares.
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
    #[error("{0} requires a single run: set {1} or {2} too")]
    RequiresOneRun(&'static str, &'static str, &'static str),
    /// An invalid log filter.
    #[error(transparent)]
    Filter(#[from] BadDirective),
    /// A name that is nearly one of simmach's.
    #[error("unknown variable {0}; did you mean {1}?")]
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
pub(crate) const REPLAY: &str = "SIMMACH_REPLAY";
pub(crate) const REGRESSIONS: &str = "SIMMACH_REGRESSIONS";
pub(crate) const PCAP: &str = "SIMMACH_PCAP";
pub(crate) const DIR: &str = "SIMMACH_DIR";
pub(crate) const LOG_LINES: &str = "SIMMACH_LOG_LINES";
/// Used by the harness's own tests.
pub(crate) const HANG: &str = "SIMMACH_HANG";

const KNOWN: [&str; 14] = [
    SEED,
    SEEDS,
    JOBS,
    SHARD,
    BUDGET,
    KEEP_GOING,
    CHECK,
    SHRINK,
    REPLAY,
    REGRESSIONS,
    PCAP,
    DIR,
    LOG_LINES,
    HANG,
];

/// Default of `log_lines`.
const DEFAULT_LOG_LINES: usize = 40;

/// Maximum of `jobs`.
const MAX_JOBS: usize = 1024;

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
        config.read_one_level(environment)?;
        config.read_one_level(flags)?;
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

    fn read_one_level(&mut self, vars: &Vars) -> Result<(), ConfigError> {
        if is_set(vars, SEED) && is_set(vars, SEEDS) {
            return Err(ConfigError::Exclusive(SEED, SEEDS));
        }
        if let Some(seed) = value(vars, SEED, "a non-negative integer", seed)? {
            self.selection = SeedSelection::One(seed);
        }
        let expected = "a number of seeds, a range `a..b` with a < b, or `random`";
        if let Some(selection) = value(vars, SEEDS, expected, selection)? {
            self.selection = selection;
        }
        let expected = "a number of parallel runs from 1 to 1024";
        if let Some(jobs) = value(vars, JOBS, expected, jobs)? {
            self.jobs = jobs;
            self.in_process = jobs == 1;
        }
        let expected = "`i/n`, the i-th of n shares of the seeds, with 1 <= i <= n";
        self.shard = value(vars, SHARD, expected, shard)?.or(self.shard);
        let expected = "a real time for each test, such as `30s`, `5m` or `1h30m`";
        self.budget = value(vars, BUDGET, expected, duration)?.or(self.budget);
        if let Some(on) = value(vars, KEEP_GOING, "1 or 0", switch)? {
            self.keep_going = on;
        }
        let expected = "1 (run every seed twice) or 0 (run no seed twice)";
        self.check = value(vars, CHECK, expected, switch)?.or(self.check);
        let expected = "a number of runs such as `2000`, a real time such as `10s`, or `off`";
        self.shrink = value(vars, SHRINK, expected, shrink)?.unwrap_or(self.shrink);
        let expected = "a token, or `@` followed by a file name";
        self.replay =
            value(vars, REPLAY, expected, |text| Some(text.to_owned()))?.or(self.replay.take());
        let expected = "`off`, `read` or `write`";
        self.regressions =
            value(vars, REGRESSIONS, expected, regressions)?.unwrap_or(self.regressions);
        let expected = "a file name, or a folder";
        self.pcap = value(vars, PCAP, expected, path)?.or(self.pcap.take());
        let expected = "a folder";
        self.folder = value(vars, DIR, expected, path)?.or(self.folder.take());
        let expected = "a number of log lines such as `40`, or `all`";
        self.log_lines = value(vars, LOG_LINES, expected, lines)?.unwrap_or(self.log_lines);
        // The engine reads it by itself; here it is only validated.
        if let Some(filter) = vars.get(RUST_LOG) {
            LogFilter::parse(filter)?;
        }
        let expected = "a real time such as `10s`";
        self.hang = value(vars, HANG, expected, duration)?.unwrap_or(self.hang);
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
            shrink: Shrink::Runs(2_000),
            replay: None,
            regressions: Regressions::Read,
            pcap: None,
            folder: None,
            log_lines: DEFAULT_LOG_LINES,
            hang: Duration::from_secs(10),
        }
    }
}

impl Regressions {
    /// Default: not written in CI, whose checkout is discarded.
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

fn value<T>(
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

/// Parses a non-negative integer; underscores are allowed, as in `1_000`.
fn seed(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn count(text: &str) -> Option<u64> {
    seed(text).filter(|count| *count > 0)
}

fn selection(text: &str) -> Option<SeedSelection> {
    if text == "random" {
        return Some(SeedSelection::Random { first: random() });
    }
    match text.split_once("..") {
        None => count(text).map(SeedSelection::Count),
        Some((first, end)) => {
            let first = seed(first.trim())?;
            let last = match end.trim().strip_prefix('=') {
                Some(last) => seed(last.trim())?,
                None => seed(end.trim())?.checked_sub(1)?,
            };
            (first <= last).then_some(SeedSelection::Range { first, last })
        }
    }
}

fn jobs(text: &str) -> Option<usize> {
    let jobs = usize::try_from(count(text)?).ok()?;
    (jobs <= MAX_JOBS).then_some(jobs)
}

fn shard(text: &str) -> Option<Shard> {
    let (index, of) = text.split_once('/')?;
    let (index, of) = (count(index.trim())?, count(of.trim())?);
    // A larger number of shares would overflow the arithmetic of `Seeds`.
    (index <= of && of <= 1 << 32).then_some(Shard { index, of })
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn lines(text: &str) -> Option<usize> {
    match text {
        "all" => Some(usize::MAX),
        _ => usize::try_from(count(text)?).ok(),
    }
}

fn shrink(text: &str) -> Option<Shrink> {
    match text {
        "off" => Some(Shrink::Off),
        _ => count(text).map(Shrink::Runs).or_else(|| duration(text).map(Shrink::Time)),
    }
}

fn regressions(text: &str) -> Option<Regressions> {
    match text {
        "off" => Some(Regressions::Off),
        "read" => Some(Regressions::Read),
        "write" => Some(Regressions::Write),
        _ => None,
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// Maximum duration, a century: a longer one could overflow an `Instant`.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Parses a duration such as `90s`, `5m`, `1h30m`, `500ms` or `1.5 s`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" | "sec" | "secs" => 1.0,
            "m" | "min" | "mins" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?.min(MAX_DURATION);
        rest = after.trim_start();
    }
    (total > Duration::ZERO).then_some(total)
}

/// A random first seed of at most 40 bits, short enough to be read and typed.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 24
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use proptest::prelude::*;

    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vars {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(&vars(pairs), &Vars::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn pcap_requires_a_single_run() {
        let file =
            read(&[(PCAP, "a.pcapng"), (SEED, "3")]).expect("a single run is configured").pcap;
        assert_eq!(file, Some(PathBuf::from("a.pcapng")));
        assert!(read(&[(PCAP, "a.pcapng"), (REPLAY, "sm1.x")]).is_ok());
        for many in [&[][..], &[(SEEDS, "1..3")], &[(SEEDS, "random")]] {
            let vars = [many, &[(PCAP, "a.pcapng")]].concat();
            let error = read(&vars).expect_err("more than one run");
            assert!(error.contains(PCAP) && error.contains(SEED), "{error}");
        }
    }

    #[test]
    fn valid_values() {
        let config = read(&[
            (SEEDS, "10..20"),
            (JOBS, "3"),
            (SHARD, "2/4"),
            (BUDGET, "1h30m"),
            (KEEP_GOING, "1"),
            (CHECK, "1"),
            (DIR, "/tmp/x"),
        ])
        .expect("the configuration is valid");
        assert_eq!(config.selection, SeedSelection::Range { first: 10, last: 19 });
        assert_eq!(config.jobs, 3);
        assert_eq!(config.shard, Some(Shard { index: 2, of: 4 }));
        assert_eq!(config.budget, Some(Duration::from_secs(5400)));
        assert!(config.keep_going);
        assert_eq!((config.check, Config::default().check), (Some(true), None));
        assert_eq!(config.folder, Some(PathBuf::from("/tmp/x")));
        let selection = |text| read(&[(SEEDS, text)]).map(|config| config.selection);
        assert_eq!(selection("1_000"), Ok(SeedSelection::Count(1000)));
        assert_eq!(selection("5..=5"), Ok(SeedSelection::Range { first: 5, last: 5 }));
        assert!(matches!(selection("random"), Ok(SeedSelection::Random { .. })));
        let shrink = |text| read(&[(SHRINK, text)]).map(|config| config.shrink);
        assert_eq!(shrink("off"), Ok(Shrink::Off));
        assert_eq!(shrink("50"), Ok(Shrink::Runs(50)));
        assert_eq!(shrink("10s"), Ok(Shrink::Time(Duration::from_secs(10))));
        assert_eq!(read(&[(SEED, "0")]).map(|c| c.selection), Ok(SeedSelection::One(0)));
        assert_eq!(read(&[(SEED, "")]).map(|c| c.selection), Ok(SeedSelection::Attribute));
    }

    /// The message names the variable, the value and what is expected.
    #[test]
    fn invalid_values() {
        for (variable, bad) in [
            (SEED, "abc"),
            (SEED, "-1"),
            (SEED, "+1"),
            (SEED, "1.5"),
            (SEED, "99999999999999999999999"),
            (SEED, " "),
            (SEEDS, "0"),
            (SEEDS, "20..10"),
            (SEEDS, "10..10"),
            (SEEDS, "10.."),
            (SEEDS, "..10"),
            (SEEDS, "0..0"),
            (JOBS, "0"),
            (JOBS, "many"),
            (JOBS, "100000"),
            (SHARD, "0/4"),
            (SHARD, "5/4"),
            (SHARD, "1"),
            (SHARD, "1/18446744073709551615"),
            (BUDGET, "5"),
            (BUDGET, "0s"),
            (BUDGET, "5 parsecs"),
            (BUDGET, "1e400s"),
            (BUDGET, "999999999999999999999h"),
            (KEEP_GOING, "maybe"),
            (CHECK, "2"),
            (SHRINK, "0"),
            (SHRINK, "never"),
            (SHRINK, "0s"),
            (REGRESSIONS, "on"),
            (LOG_LINES, "0"),
            (LOG_LINES, "some"),
        ] {
            let error = read(&[(variable, bad)]).expect_err(bad);
            assert!(
                error.contains(variable) && error.contains(bad) && error.contains("expected"),
                "{error}"
            );
        }
    }

    /// Converted lossily, it would name another folder.
    #[test]
    fn value_that_is_not_utf8_is_refused() {
        let bad = OsString::from_vec(b"/tmp/caf\xe9".to_vec());
        for variable in [DIR, PCAP, REPLAY, SEED, RUST_LOG] {
            let error = environment([(variable.into(), bad.clone())].into_iter());
            let error = error.expect_err(variable).to_string();
            assert!(error.contains(variable) && error.contains("expected valid UTF-8"), "{error}");
        }
        let others = [("PATH".into(), bad.clone()), ("SIMMACH_THING_OF_MINE".into(), bad)];
        assert!(environment(others.into_iter()).is_ok());
    }

    #[test]
    fn log_filter_is_checked_with_the_rest() {
        for filter in ["", "warn,my_crate=debug,h2=off", "info,"] {
            assert_eq!(read(&[(RUST_LOG, filter)]), read(&[]), "{filter:?}");
        }
        let error = read(&[(RUST_LOG, "warn,[span{field=x}]=debug")]).expect_err("no spans");
        let named = "invalid directive `[span{field=x}]=debug` in RUST_LOG=";
        assert!(error.contains(named) && error.contains("expected directives"), "{error}");
    }

    #[test]
    fn log_lines_are_a_number_or_all() {
        let lines = |text| read(&[(LOG_LINES, text)]).map(|config| config.log_lines);
        assert_eq!(lines("1_000"), Ok(1_000));
        assert_eq!(lines("all"), Ok(usize::MAX));
        assert_eq!(lines(""), Ok(40));
    }

    #[test]
    fn exclusive_variables_are_an_error() {
        let error = read(&[(SEED, "1"), (SEEDS, "2")]).expect_err("both");
        assert!(error.contains(SEED) && error.contains(SEEDS), "{error}");
        let error = read(&[(SEED, "1"), (SHARD, "1/2")]).expect_err("both");
        assert!(error.contains(SHARD), "{error}");
    }

    #[test]
    fn misspelt_name_is_an_error() {
        let error = read(&[("SIMMACH_SEEED", "1")]).expect_err("a misspelt name");
        assert!(error.contains("did you mean SIMMACH_SEED?"), "{error}");
        assert!(read(&[("SIMMACH_SHRUNK", "1")]).is_err());
        assert!(read(&[("SIMMACH_THING_OF_MINE", "1")]).is_ok());
    }

    #[test]
    fn flags_override_the_environment() {
        let environment = vars(&[(SEEDS, "10"), (JOBS, "2")]);
        let config =
            Config::read(&environment, &vars(&[(SEED, "7")])).expect("the configuration is valid");
        assert_eq!((config.selection, config.jobs), (SeedSelection::One(7), 2));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in prop_oneof![".*", "[0-9.,_/= hmsx-]{0,12}"]) {
            for variable in KNOWN.into_iter().chain([RUST_LOG]) {
                if let Ok(config) = read(&[(variable, &text)]) {
                    prop_assert!(config.jobs >= 1);
                    prop_assert!(config.shard.is_none_or(|s| s.index >= 1 && s.index <= s.of));
                }
            }
        }
    }
}

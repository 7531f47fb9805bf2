//! What the user asks of the harness beside the attribute: environment variables, and the same as flags.
//!
//! Attribute < environment < flags. A value that makes no sense is an error that names the variable, the value and what
//! it takes; it fails the tests, since a sweep that silently is another one passes for the wrong reason.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fmt, thread};

use crate::engine::record::log::filter::{BadDirective, LogFilter, RUST_LOG};
use crate::harness::debugger;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Which seeds.
    pub(crate) choice: Choice,
    /// How many runs at once, over all tests of the process.
    pub(crate) jobs: usize,
    /// Whether this process makes the runs itself, for a debugger: only where that was asked for, since it does not
    /// outlive a run that aborts.
    pub(crate) here: bool,
    /// Only the seeds of this share.
    pub(crate) shard: Option<Shard>,
    /// Wall time for each test.
    pub(crate) budget: Option<Duration>,
    /// All seeds, though some fail.
    pub(crate) keep_going: bool,
    /// Whether all seeds are run twice, or none; `None` leaves it to the attribute.
    pub(crate) check: Option<bool>,
    /// How much is done to make a failure smaller.
    pub(crate) shrink: Shrink,
    /// The token of the one run to make, or `@` and the file it is in.
    pub(crate) replay: Option<String>,
    /// What becomes of the files that keep tokens.
    pub(crate) regressions: Regressions,
    /// The file that the packets of the one run are written to.
    pub(crate) pcap: Option<PathBuf>,
    /// Where the runs' disks are; `None` looks for a memory disk.
    pub(crate) folder: Option<PathBuf>,
    /// How many of the last lines of a run's log a report shows.
    pub(crate) log_lines: usize,
    /// The real time that one poll may take.
    pub(crate) hang: Duration,
}

/// Which seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// As the attribute says.
    Attribute,
    /// `SIMMACH_SEED`.
    One(u64),
    /// This many from the attribute's base on.
    Count(u64),
    /// These, the last included.
    Range {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// As many as the attribute says from here on: drawn for this process.
    Random {
        /// The first.
        first: u64,
    },
}

/// How much is done to make a failure smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// Nothing.
    Off,
    /// So many runs.
    Runs(u64),
    /// As many as fit into so much real time.
    Time(Duration),
}

/// What becomes of the files that keep the tokens of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regressions {
    /// They are passed over.
    Off,
    /// They are tried first.
    Read,
    /// And new ones are put in.
    Write,
}

/// One share of the seeds: those with `seed % of == index - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1.
    pub(crate) index: u64,
    /// How many shares there are.
    pub(crate) of: u64,
}

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A bad value.
    #[error("{variable}={value:?} makes no sense: it takes {takes}")]
    Value {
        /// The variable.
        variable: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        takes: &'static str,
    },
    /// A value that is no text.
    #[error("{variable}={value:?} is not UTF-8: give it a value that is")]
    NotUtf8 {
        /// The variable.
        variable: &'static str,
        /// What it is.
        value: OsString,
    },
    /// Two that exclude each other.
    #[error("{0} and {1} are both set and exclude each other: unset one of them")]
    Both(&'static str, &'static str),
    /// One that is for one run only, where one is not what was asked for.
    #[error("{0} is for one run: set {1} or {2} too")]
    OneRun(&'static str, &'static str, &'static str),
    /// A filter for the log that makes no sense.
    #[error(transparent)]
    Filter(#[from] BadDirective),
    /// A name that is nearly one of ours.
    #[error("{0} is no variable of simmach: do you mean {1}?")]
    Misspelt(String, &'static str),
}

/// The variables, by the names they have in the environment.
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
/// For the harness's own tests.
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

/// How many of the last lines of a run's log a report shows.
const DEFAULT_LOG_LINES: usize = 40;

/// More runs at once than any machine has use for.
const MOST_JOBS: usize = 1024;

/// This process's configuration: read once.
pub(crate) fn config() -> &'static Result<Config, ConfigError> {
    static CONFIG: OnceLock<Result<Config, ConfigError>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let flags = FLAGS.get().cloned().unwrap_or_default();
        Config::read(&environment(std::env::vars_os())?, &flags)
    })
}

/// How many of the last lines of a run's log this process's reports show.
pub(crate) fn log_lines() -> usize {
    config().as_ref().map_or(DEFAULT_LOG_LINES, |config| config.log_lines)
}

/// What the command line says, by the names of the variables: before anything is read.
pub(crate) fn set_flags(flags: Vars) {
    // Only `main` calls this, once.
    let _ = FLAGS.set(flags);
}

static FLAGS: OnceLock<Vars> = OnceLock::new();

/// Variables and their values.
pub(crate) type Vars = BTreeMap<String, String>;

impl Config {
    /// Reads the environment, overruled by flags.
    pub(crate) fn read(environment: &Vars, flags: &Vars) -> Result<Self, ConfigError> {
        for name in environment.keys() {
            check_name(name)?;
        }
        let mut config = Self { regressions: Regressions::unless_ci(), ..Self::default() };
        config.read_one_level(environment)?;
        config.read_one_level(flags)?;
        if let (Choice::One(_), Some(_)) = (config.choice, config.shard) {
            return Err(ConfigError::Both(SEED, SHARD));
        }
        let is_one_run = config.replay.is_some() || matches!(config.choice, Choice::One(_));
        if config.pcap.is_some() && !is_one_run {
            return Err(ConfigError::OneRun(PCAP, SEED, REPLAY));
        }
        Ok(config)
    }

    fn read_one_level(&mut self, vars: &Vars) -> Result<(), ConfigError> {
        if is_set(vars, SEED) && is_set(vars, SEEDS) {
            return Err(ConfigError::Both(SEED, SEEDS));
        }
        if let Some(seed) = value(vars, SEED, "a seed: a number from 0 on", seed)? {
            self.choice = Choice::One(seed);
        }
        let takes = "a number of seeds from 1 on, a range `a..b` with a < b, or `random`";
        if let Some(choice) = value(vars, SEEDS, takes, choice)? {
            self.choice = choice;
        }
        let takes = "how many runs go on at once: a number from 1 to 1024";
        if let Some(jobs) = value(vars, JOBS, takes, jobs)? {
            self.jobs = jobs;
            self.here = jobs == 1;
        }
        let takes = "`i/n`, the i-th of n shares of the seeds, i from 1 to n";
        self.shard = value(vars, SHARD, takes, shard)?.or(self.shard);
        let takes = "the real time for each test, such as `30s`, `5m` or `1h30m`";
        self.budget = value(vars, BUDGET, takes, duration)?.or(self.budget);
        if let Some(on) = value(vars, KEEP_GOING, "1 or 0", switch)? {
            self.keep_going = on;
        }
        let takes = "1, which runs each seed twice, or 0, which runs none twice";
        self.check = value(vars, CHECK, takes, switch)?.or(self.check);
        let takes = "how many runs, such as `2000`, how much real time, such as `10s`, or `off`";
        self.shrink = value(vars, SHRINK, takes, shrink)?.unwrap_or(self.shrink);
        let takes = "a token, or `@` and the file it is in";
        self.replay =
            value(vars, REPLAY, takes, |text| Some(text.to_owned()))?.or(self.replay.take());
        let takes = "`off`, `read` or `write`";
        self.regressions =
            value(vars, REGRESSIONS, takes, regressions)?.unwrap_or(self.regressions);
        let takes = "a file for the packets of the one run, or a folder";
        self.pcap = value(vars, PCAP, takes, path)?.or(self.pcap.take());
        let takes = "a folder for the runs' disks";
        self.folder = value(vars, DIR, takes, path)?.or(self.folder.take());
        let takes = "how many of the last log lines a report shows, such as `40`, or `all`";
        self.log_lines = value(vars, LOG_LINES, takes, lines)?.unwrap_or(self.log_lines);
        // The engine reads it by itself; here it is an error if it makes no sense.
        if let Some(filter) = vars.get(RUST_LOG) {
            LogFilter::parse(filter)?;
        }
        let takes = "the real time that one poll may take, such as `10s`";
        self.hang = value(vars, HANG, takes, duration)?.unwrap_or(self.hang);
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            choice: Choice::Attribute,
            jobs: thread::available_parallelism().map_or(1, usize::from),
            here: debugger::is_attached(),
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
    /// A CI's checkout is thrown away: what is written there helps nobody.
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

/// The variables of the environment that are read. A value that is not UTF-8 is refused: shown as near as it can be, a path
/// would name another file.
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
            // The name alone is looked at.
            (Err(_), None) => drop(vars.insert(name.to_owned(), String::new())),
        }
    }
    Ok(vars)
}

/// Refuses what is nearly one of our names: its user would take the default for what was asked.
fn check_name(name: &str) -> Result<(), ConfigError> {
    if KNOWN.contains(&name) {
        return Ok(());
    }
    match KNOWN.iter().find(|known| distance(known, name) <= 2) {
        Some(near) => Err(ConfigError::Misspelt(name.to_owned(), near)),
        None => Ok(()),
    }
}

/// How many letters are wrong, missing or too many.
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

/// An empty variable is as good as none.
fn is_set(vars: &Vars, variable: &str) -> bool {
    vars.get(variable).is_some_and(|value| !value.is_empty())
}

fn value<T>(
    vars: &Vars,
    variable: &'static str,
    takes: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    if !is_set(vars, variable) {
        return Ok(None);
    }
    let text = &vars[variable];
    match parse(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(ConfigError::Value { variable, value: text.clone(), takes }),
    }
}

/// A number as it is written by hand: `1_000` too.
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

fn choice(text: &str) -> Option<Choice> {
    if text == "random" {
        return Some(Choice::Random { first: random() });
    }
    match text.split_once("..") {
        None => count(text).map(Choice::Count),
        Some((first, end)) => {
            let first = seed(first.trim())?;
            let last = match end.trim().strip_prefix('=') {
                Some(last) => seed(last.trim())?,
                None => seed(end.trim())?.checked_sub(1)?,
            };
            (first <= last).then_some(Choice::Range { first, last })
        }
    }
}

fn jobs(text: &str) -> Option<usize> {
    let jobs = usize::try_from(count(text)?).ok()?;
    (jobs <= MOST_JOBS).then_some(jobs)
}

fn shard(text: &str) -> Option<Shard> {
    let (index, of) = text.split_once('/')?;
    let (index, of) = (count(index.trim())?, count(of.trim())?);
    // So large a number of shares would overflow the arithmetic, and is none that was meant.
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

/// A century: what is longer could not be added to a clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// `90s`, `5m`, `1h30m`, `500ms`, `1.5 s`.
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
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?.min(LONGEST);
        rest = after.trim_start();
    }
    (total > Duration::ZERO).then_some(total)
}

/// A first seed that a human can still read.
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
    fn packets_are_written_of_one_run_only() {
        let file = read(&[(PCAP, "a.pcapng"), (SEED, "3")]).expect("one run").pcap;
        assert_eq!(file, Some(PathBuf::from("a.pcapng")));
        assert!(read(&[(PCAP, "a.pcapng"), (REPLAY, "sm1.x")]).is_ok());
        for many in [&[][..], &[(SEEDS, "1..3")], &[(SEEDS, "random")]] {
            let vars = [many, &[(PCAP, "a.pcapng")]].concat();
            let error = read(&vars).expect_err("more than one run");
            assert!(error.contains(PCAP) && error.contains(SEED), "{error}");
        }
    }

    #[test]
    fn values_that_make_sense() {
        let config = read(&[
            (SEEDS, "10..20"),
            (JOBS, "3"),
            (SHARD, "2/4"),
            (BUDGET, "1h30m"),
            (KEEP_GOING, "1"),
            (CHECK, "1"),
            (DIR, "/tmp/x"),
        ])
        .expect("all fine");
        assert_eq!(config.choice, Choice::Range { first: 10, last: 19 });
        assert_eq!(config.jobs, 3);
        assert_eq!(config.shard, Some(Shard { index: 2, of: 4 }));
        assert_eq!(config.budget, Some(Duration::from_secs(5400)));
        assert!(config.keep_going);
        assert_eq!((config.check, Config::default().check), (Some(true), None));
        assert_eq!(config.folder, Some(PathBuf::from("/tmp/x")));
        let choice = |text| read(&[(SEEDS, text)]).map(|config| config.choice);
        assert_eq!(choice("1_000"), Ok(Choice::Count(1000)));
        assert_eq!(choice("5..=5"), Ok(Choice::Range { first: 5, last: 5 }));
        assert!(matches!(choice("random"), Ok(Choice::Random { .. })));
        let shrink = |text| read(&[(SHRINK, text)]).map(|config| config.shrink);
        assert_eq!(shrink("off"), Ok(Shrink::Off));
        assert_eq!(shrink("50"), Ok(Shrink::Runs(50)));
        assert_eq!(shrink("10s"), Ok(Shrink::Time(Duration::from_secs(10))));
        assert_eq!(read(&[(SEED, "0")]).map(|c| c.choice), Ok(Choice::One(0)));
        assert_eq!(read(&[(SEED, "")]).map(|c| c.choice), Ok(Choice::Attribute));
    }

    /// The message names the variable, the value and what it takes.
    #[test]
    fn values_that_do_not() {
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
                error.contains(variable) && error.contains(bad) && error.contains("takes"),
                "{error}"
            );
        }
    }

    /// Read as near as it can be, it would name another folder.
    #[test]
    fn value_that_is_not_utf8_is_refused() {
        let bad = OsString::from_vec(b"/tmp/caf\xe9".to_vec());
        for variable in [DIR, PCAP, REPLAY, SEED, RUST_LOG] {
            let error = environment([(variable.into(), bad.clone())].into_iter());
            let error = error.expect_err(variable).to_string();
            assert!(error.contains(variable) && error.contains("is not UTF-8"), "{error}");
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
    fn what_excludes_each_other() {
        let error = read(&[(SEED, "1"), (SEEDS, "2")]).expect_err("both");
        assert!(error.contains(SEED) && error.contains(SEEDS), "{error}");
        let error = read(&[(SEED, "1"), (SHARD, "1/2")]).expect_err("both");
        assert!(error.contains(SHARD), "{error}");
    }

    #[test]
    fn a_misspelt_name_is_not_passed_over() {
        let error = read(&[("SIMMACH_SEEED", "1")]).expect_err("no such name");
        assert!(error.contains("do you mean SIMMACH_SEED?"), "{error}");
        assert!(read(&[("SIMMACH_SHRUNK", "1")]).is_err());
        assert!(read(&[("SIMMACH_THING_OF_MINE", "1")]).is_ok());
    }

    #[test]
    fn flags_overrule_the_environment() {
        let environment = vars(&[(SEEDS, "10"), (JOBS, "2")]);
        let config = Config::read(&environment, &vars(&[(SEED, "7")])).expect("fine");
        assert_eq!((config.choice, config.jobs), (Choice::One(7), 2));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof![".*", "[0-9.,_/= hmsx-]{0,12}"]) {
            for variable in KNOWN.into_iter().chain([RUST_LOG]) {
                if let Ok(config) = read(&[(variable, &text)]) {
                    prop_assert!(config.jobs >= 1);
                    prop_assert!(config.shard.is_none_or(|s| s.index >= 1 && s.index <= s.of));
                }
            }
        }
    }
}

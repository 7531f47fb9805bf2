//! Parsers for the values of the environment variables. They return `None` for an invalid value.

use std::path::PathBuf;
use std::time::Duration;

use crate::harness::config::{Regressions, SeedSelection, Shard, Shrink};

/// Maximum number of parallel runs.
const MAX_JOBS: usize = 1024;

/// Parses a non-negative integer; underscores are allowed, as in `1_000`.
pub(super) fn parse_seed(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Like [`parse_seed`], but rejects zero.
pub(super) fn parse_count(text: &str) -> Option<u64> {
    parse_seed(text).filter(|count| *count > 0)
}

pub(super) fn parse_selection(text: &str) -> Option<SeedSelection> {
    if text == "random" {
        return Some(SeedSelection::Random { first: random_seed() });
    }
    match text.split_once("..") {
        None => parse_count(text).map(SeedSelection::Count),
        Some((first, end)) => {
            let first = parse_seed(first.trim())?;
            let last = match end.trim().strip_prefix('=') {
                Some(last) => parse_seed(last.trim())?,
                None => parse_seed(end.trim())?.checked_sub(1)?,
            };
            (first <= last).then_some(SeedSelection::Range { first, last })
        }
    }
}

pub(super) fn parse_jobs(text: &str) -> Option<usize> {
    let jobs = usize::try_from(parse_count(text)?).ok()?;
    (jobs <= MAX_JOBS).then_some(jobs)
}

pub(super) fn parse_shard(text: &str) -> Option<Shard> {
    let (index, of) = text.split_once('/')?;
    let (index, of) = (parse_count(index.trim())?, parse_count(of.trim())?);
    // A larger number of shards would overflow the arithmetic of `Seeds`.
    (index <= of && of <= 1 << 32).then_some(Shard { index, of })
}

pub(super) fn parse_switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn parse_log_lines(text: &str) -> Option<usize> {
    match text {
        "all" => Some(usize::MAX),
        _ => usize::try_from(parse_count(text)?).ok(),
    }
}

pub(super) fn parse_shrink(text: &str) -> Option<Shrink> {
    match text {
        "off" => Some(Shrink::Off),
        _ => parse_count(text).map(Shrink::Runs).or_else(|| parse_duration(text).map(Shrink::Time)),
    }
}

/// Parses names that are separated by commas.
pub(super) fn parse_kinds(text: &str) -> Option<Vec<String>> {
    let kinds = text.split(',').map(|kind| kind.trim().to_owned());
    let kinds: Vec<String> = kinds.collect();
    (!kinds.iter().any(String::is_empty)).then_some(kinds)
}

pub(super) fn parse_regressions(text: &str) -> Option<Regressions> {
    match text {
        "off" => Some(Regressions::Off),
        "read" => Some(Regressions::Read),
        "write" => Some(Regressions::Write),
        _ => None,
    }
}

/// Parses a path: any text that is neither empty nor has a NUL.
pub(super) fn parse_path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// Parses a switch, or the folder of disks that are kept; `Some(None)` if they are not.
pub(super) fn parse_keep(text: &str) -> Option<Option<PathBuf>> {
    match parse_switch(text) {
        Some(true) => Some(Some(std::env::temp_dir().join("simmach-disks"))),
        Some(false) => Some(None),
        None => parse_path(text).map(Some),
    }
}

/// Maximum duration, a century: a longer one could overflow an `Instant`.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Parses a duration such as `90s`, `5m`, `1h30m`, `500ms` or `1.5 s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
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
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 24
}

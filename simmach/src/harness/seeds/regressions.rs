//! Regressions files: tokens of earlier failures, which are run before the seeds. The files are
//! beside the user's `Cargo.toml` and are meant to be committed.
//!
//! A line contains a token, its seed and a comment. If the token is stale, its seed is run instead.
//! An unreadable file or an invalid line is an error, because ignoring it would count a known
//! failure as fixed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::harness::config::REGRESSIONS;
use crate::shrink::token::{Token, TokenError};
use crate::spec::SimTest;

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegressionEntry {
    /// Number of the line, from 1.
    pub(crate) line: usize,
    /// The token. An error if it is damaged, or was written by a different version of simmach.
    pub(crate) token: Result<Token, TokenError>,
    pub(crate) seed: u64,
}

/// Why a regressions file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegressionsError {
    /// The file exists but cannot be read.
    #[error(
        "{} cannot be read: {why}; make it readable, remove it, or set {REGRESSIONS}=off to ignore it",
        file.display()
    )]
    Unreadable { file: PathBuf, why: String },
    /// Some lines are invalid. At most [`MAX_SHOWN`] are listed; `more` is the number of the others.
    #[error("{}\nRestore these lines from version control, or remove them.", list(lines, *more))]
    InvalidLines { lines: Vec<LineError>, more: usize },
    /// The file cannot be written. It is unchanged.
    #[error(
        "{} cannot be written: {error}; make it writable, or set {REGRESSIONS}=read to record nothing",
        file.display()
    )]
    NotWritten { file: PathBuf, error: io::Error },
}

/// An invalid line of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {number}: {mistake}", file.display())]
pub(crate) struct LineError {
    pub(crate) file: PathBuf,
    /// Number of the line, from 1.
    pub(crate) number: usize,
    pub(crate) mistake: LineMistake,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineMistake {
    #[error("not valid UTF-8")]
    NotUtf8,
    #[error("{0:?} is not a token: tokens start with `sm2.`")]
    NotAToken(String),
    #[error("{0:?} is not a seed: expected a number after the token")]
    NotASeed(String),
    #[error(transparent)]
    Token(TokenError),
    #[error("{0}, and the line names no seed to run instead")]
    NoSeed(TokenError),
}

fn list(lines: &[LineError], more: usize) -> String {
    let mut listed: Vec<String> = lines.iter().map(ToString::to_string).collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join("\n")
}

const FOLDER: &str = "simmach-regressions";
const HEADER: [&str; 2] = [
    "# Failures found in earlier runs, one per line: token, seed, and a summary.",
    "# simmach runs these tokens before the seeds of the test. Commit this file.",
];
/// Maximum number of invalid lines in an error.
const MAX_SHOWN: usize = 5;
/// Number of attempts, 10 ms apart, to lock a folder.
const LOCK_ATTEMPTS: u32 = 1_000;

/// The file of a test, relative to its `Cargo.toml`.
pub(crate) fn file(test: &SimTest) -> PathBuf {
    let name = test.path().replace("::", "__");
    Path::new(FOLDER).join(test.target).join(format!("{name}.txt"))
}

/// Reads the entries of a test's file. None if there is no file.
///
/// # Errors
///
/// The file exists but cannot be read, or has invalid lines.
pub(crate) fn read(test: &SimTest) -> Result<Vec<RegressionEntry>, RegressionsError> {
    let file = file(test);
    match read_file(test, &file)? {
        Some(bytes) => parse(&file, &bytes),
        None => Ok(Vec::new()),
    }
}

/// Adds a token unless the file already contains it. Returns the file, or `None` if the package's folder does not exist.
///
/// The file is replaced atomically, under a lock on its folder, so that no process ever sees or leaves a partial file.
///
/// # Errors
///
/// The file cannot be read, is invalid or cannot be written. It is then unchanged.
pub(crate) fn add(
    test: &SimTest,
    token: &Token,
    comment: &str,
) -> Result<Option<PathBuf>, RegressionsError> {
    let package = Path::new(test.manifest_dir);
    if !package.join("Cargo.toml").is_file() {
        return Ok(None);
    }
    let file = file(test);
    let path = package.join(&file);
    let folder = path.parent().unwrap_or(package);
    let failed = |error| RegressionsError::NotWritten { file: file.clone(), error };
    fs::create_dir_all(folder).map_err(failed)?;
    let _lock = lock_folder(folder).map_err(failed)?;
    let before = read_file(test, &file)?.unwrap_or_default();
    let entries = parse(&file, &before)?;
    if entries.iter().any(|entry| entry.token.as_ref() == Ok(token)) {
        return Ok(Some(file));
    }
    let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = format!("{token} {} # {}", token.seed, comment.trim());
    replace(&path, &with_line(before, &line)).map_err(failed)?;
    Ok(Some(file))
}

/// Returns the last token of a file (the first word of its line) and the number of its line.
///
/// # Errors
///
/// A line is not UTF-8.
pub(crate) fn last_token<'a>(
    file: &Path,
    bytes: &'a [u8],
) -> Result<Option<(usize, &'a str)>, LineError> {
    let mut last = None;
    for (number, line) in lines(bytes) {
        let line = line.map_err(|mistake| LineError { file: file.to_owned(), number, mistake })?;
        let word = content(line).split_whitespace().next();
        last = word.map(|word| (number, word)).or(last);
    }
    Ok(last)
}

/// Reads the file, if it exists.
fn read_file(test: &SimTest, file: &Path) -> Result<Option<Vec<u8>>, RegressionsError> {
    let package = Path::new(test.manifest_dir);
    let unreadable = |why: String| RegressionsError::Unreadable { file: file.to_owned(), why };
    let read = match fs::metadata(package.join(file)) {
        Ok(about) if !about.is_file() => return Err(unreadable("not a regular file".to_owned())),
        Ok(_) => fs::read(package.join(file)),
        Err(error) => Err(error),
    };
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match broken_link(package, file) {
            Some(link) => Err(unreadable(format!("{} is a broken symbolic link", link.display()))),
            None => Ok(None),
        },
        // The name is too long: no such file can exist.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The first path component that is a broken symbolic link.
fn broken_link<'a>(package: &Path, file: &'a Path) -> Option<&'a Path> {
    let named = file.ancestors().filter(|path| *path != Path::new(""));
    let mut links = named.filter(|path| {
        let path = package.join(path);
        path.is_symlink() && fs::metadata(&path).is_err()
    });
    links.next()
}

/// Parses all entries; an error names the invalid lines.
fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<RegressionEntry>, RegressionsError> {
    let (mut entries, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in lines(bytes) {
        match line.and_then(|line| entry(line, number)) {
            Ok(entry) => entries.extend(entry),
            Err(mistake) => wrong.push(LineError { file: file.to_owned(), number, mistake }),
        }
    }
    if wrong.is_empty() {
        return Ok(entries);
    }
    let more = wrong.len().saturating_sub(MAX_SHOWN);
    wrong.truncate(MAX_SHOWN);
    Err(RegressionsError::InvalidLines { lines: wrong, more })
}

/// Lines with their numbers from 1, with any kind of line ending, without byte-order marks.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, LineMistake>)> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .flat_map(|line| line.split(|byte| *byte == b'\r').enumerate());
    let mut number = 0;
    lines.map(move |(part, line)| {
        number += usize::from(part == 0);
        let line = std::str::from_utf8(line).map_err(|_| LineMistake::NotUtf8);
        (number, line.map(|line| line.trim_start_matches('\u{feff}')))
    })
}

/// A line without its comment.
fn content(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

/// Parses a line; `None` if it is empty or a comment.
fn entry(line: &str, number: usize) -> Result<Option<RegressionEntry>, LineMistake> {
    let mut words = content(line).split_whitespace();
    let Some(word) = words.next() else { return Ok(None) };
    let seed = words
        .next()
        .map(|seed| seed.parse::<u64>().map_err(|_| LineMistake::NotASeed(seed.to_owned())));
    match word.parse::<Token>() {
        Ok(token) => {
            seed.transpose()?;
            Ok(Some(RegressionEntry { line: number, seed: token.seed, token: Ok(token) }))
        }
        Err(TokenError::Prefix) => Err(LineMistake::NotAToken(word.chars().take(40).collect())),
        Err(error) => match seed.transpose()? {
            Some(seed) => Ok(Some(RegressionEntry { line: number, token: Err(error), seed })),
            None => Err(LineMistake::NoSeed(error)),
        },
    }
}

/// Appends a line, with the line ending of the others.
fn with_line(mut text: Vec<u8>, line: &str) -> Vec<u8> {
    let end = if text.windows(2).any(|pair| pair == b"\r\n") { "\r\n" } else { "\n" };
    let is_empty = lines(&text).all(|(_, line)| line.is_ok_and(|line| line.trim().is_empty()));
    if !is_empty && !text.ends_with(b"\n") {
        text.extend(end.as_bytes());
    }
    let head = if is_empty { &HEADER[..] } else { &[] };
    for line in head.iter().chain([&line]) {
        text.extend(line.as_bytes());
        text.extend(end.as_bytes());
    }
    text
}

/// Locks the folder against other writers until the returned file is dropped. `None` without a lock, see below.
#[expect(clippy::disallowed_methods, reason = "another process takes real time")]
fn lock_folder(folder: &Path) -> io::Result<Option<File>> {
    let folder = File::open(folder)?;
    for _ in 0..LOCK_ATTEMPTS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(Duration::from_millis(10)),
            // The file system has no locks; atomic replacement still protects readers.
            Err(_) => return Ok(None),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "another OS process held the lock on the folder for 10 s",
    ))
}

/// Replaces the file, or the target of a link, atomically.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let before = fs::metadata(&path).map(|about| about.permissions()).ok();
    if before.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsStr::new(".new-").to_owned();
    name.push(format!("{}-{nth}", std::process::id()));
    let new = path.with_file_name(name);
    // Truncates what a dead process with the same id may have left.
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        if let Some(permissions) = before {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    written.inspect_err(|_| {
        // The error of the write is more useful.
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests;

//! Runs that failed before are tried first: a file of tokens beside the user's `Cargo.toml`, to be committed.
//!
//! A line holds a token, its seed and a comment. A token that no longer fits is stale; its seed is run instead. A file
//! that exists and can't be read, or that has a line that is none of these, is an error: were it passed over, a known
//! failure would count as fixed.

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

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` if it is damaged or of another version of simmach.
    pub(crate) token: Option<Token>,
    pub(crate) seed: u64,
}

const FOLDER: &str = "simmach-regressions";
const HEAD: [&str; 2] = [
    "# What failed here before, one run a line: its token, its seed, what it shrank to.",
    "# simmach tries these first. Commit this file.",
];
/// More bad lines than this are counted, not shown.
const SHOWN: usize = 5;
/// How often, 10 ms apart, a process tries to get its turn in a folder.
const TURNS: u32 = 1_000;

/// The file of a test, from the folder of its `Cargo.toml`.
pub(crate) fn file(test: &SimTest) -> PathBuf {
    let name = test.path().replace("::", "__");
    Path::new(FOLDER).join(test.target).join(format!("{name}.txt"))
}

/// The entries of a test's file; none if there is no file.
///
/// # Errors
///
/// In words, with the file and what to do: it exists and can't be read, or a line is no entry.
pub(crate) fn read(test: &SimTest) -> Result<Vec<Entry>, String> {
    let file = file(test);
    match bytes(test, &file)? {
        Some(bytes) => parse(&file, &bytes),
        None => Ok(Vec::new()),
    }
}

/// Adds a run, unless it is there. The file that it is in; `None` where the package's folder is gone.
///
/// The file is replaced as a whole, by one process at a time: none ever sees, or leaves, a part of it.
///
/// # Errors
///
/// Why it can't be added, in words. The file is as it was.
pub(crate) fn add(test: &SimTest, token: &Token, comment: &str) -> Result<Option<PathBuf>, String> {
    let package = Path::new(test.manifest_dir);
    if !package.join("Cargo.toml").is_file() {
        return Ok(None);
    }
    let file = file(test);
    let path = package.join(&file);
    let folder = path.parent().unwrap_or(package);
    let failed = |error: io::Error| format!("{}: {error}", file.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let _turn = turn(folder).map_err(failed)?;
    let before = bytes(test, &file)?.unwrap_or_default();
    let entries = parse(&file, &before)?;
    if entries.iter().any(|entry| entry.token.as_ref() == Some(token)) {
        return Ok(Some(file));
    }
    let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = format!("{token} {} # {}", token.seed, comment.trim());
    replace(&path, &with_line(before, &line)).map_err(failed)?;
    Ok(Some(file))
}

/// The first word of the last line that has one: a file's last token.
///
/// # Errors
///
/// The line that is not UTF-8, in words.
pub(crate) fn last_word<'a>(
    file: &Path,
    bytes: &'a [u8],
) -> Result<Option<(usize, &'a str)>, String> {
    let mut last = None;
    for (number, line) in lines(bytes) {
        let line = line.map_err(|()| not_utf8(file, number))?;
        let word = content(line).split_whitespace().next();
        last = word.map(|word| (number, word)).or(last);
    }
    Ok(last)
}

/// What is in the file, if there is one.
fn bytes(test: &SimTest, file: &Path) -> Result<Option<Vec<u8>>, String> {
    let package = Path::new(test.manifest_dir);
    let unread = |why: &str| {
        format!(
            "{} can't be read: {why}; make it a readable file, remove it, or set {REGRESSIONS}=off to run without it",
            file.display()
        )
    };
    let read = match fs::metadata(package.join(file)) {
        Ok(about) if !about.is_file() => return Err(unread("it is not a regular file")),
        Ok(_) => fs::read(package.join(file)),
        Err(error) => Err(error),
    };
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match broken_link(package, file) {
            Some(link) => Err(unread(&format!(
                "{} is a link to something that does not exist",
                link.display()
            ))),
            None => Ok(None),
        },
        // There can be no file of so long a name.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(None),
        Err(error) => Err(unread(&error.to_string())),
    }
}

/// The file, or a folder that it is in, that is a symbolic link to nothing.
fn broken_link<'a>(package: &Path, file: &'a Path) -> Option<&'a Path> {
    let named = file.ancestors().filter(|path| *path != Path::new(""));
    let mut links = named.filter(|path| {
        let path = package.join(path);
        path.is_symlink() && fs::metadata(&path).is_err()
    });
    links.next()
}

/// All entries, or what is wrong with the lines that are none.
fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let (mut entries, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in lines(bytes) {
        match line.map(entry) {
            Ok(Ok(entry)) => entries.extend(entry),
            Ok(Err(why)) => wrong.push(bad_line(file, number, &why)),
            Err(()) => wrong.push(not_utf8(file, number)),
        }
    }
    if wrong.is_empty() {
        return Ok(entries);
    }
    let more = wrong.len().saturating_sub(SHOWN);
    wrong.truncate(SHOWN);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    wrong.push("Restore these lines from version control, or remove them.".to_owned());
    Err(wrong.join("\n"))
}

/// An entry in words that say where it is wrong.
pub(crate) fn bad_line(file: &Path, number: usize, why: &str) -> String {
    format!("{}, line {number}: {why}", file.display())
}

fn not_utf8(file: &Path, number: usize) -> String {
    bad_line(file, number, "it is not UTF-8")
}

/// The lines and their numbers, whatever ends them, without byte-order marks.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, ()>)> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .flat_map(|line| line.split(|byte| *byte == b'\r').enumerate());
    let mut number = 0;
    lines.map(move |(part, line)| {
        number += usize::from(part == 0);
        let line = std::str::from_utf8(line).map_err(drop);
        (number, line.map(|line| line.trim_start_matches('\u{feff}')))
    })
}

/// A line without its comment.
fn content(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

/// The entry of a line, if it has one.
fn entry(line: &str) -> Result<Option<Entry>, String> {
    let mut words = content(line).split_whitespace();
    let Some(word) = words.next() else { return Ok(None) };
    let seed = words.next().map(|seed| {
        seed.parse::<u64>()
            .map_err(|_| format!("{seed:?} is not a seed: behind a token stands a number"))
    });
    match word.parse::<Token>() {
        Ok(token) => {
            seed.transpose()?;
            Ok(Some(Entry { seed: token.seed, token: Some(token) }))
        }
        Err(TokenError::Prefix) => {
            let word: String = word.chars().take(40).collect();
            Err(format!("{word:?} is not a token: one begins with `sm1.`"))
        }
        Err(error) => match seed.transpose()? {
            Some(seed) => Ok(Some(Entry { token: None, seed })),
            None => Err(format!("{error}; and no seed follows that could be run instead")),
        },
    }
}

/// The text with one line more, ended as its other lines are.
fn with_line(mut text: Vec<u8>, line: &str) -> Vec<u8> {
    let end = if text.windows(2).any(|pair| pair == b"\r\n") { "\r\n" } else { "\n" };
    let is_empty = lines(&text).all(|(_, line)| line.is_ok_and(|line| line.trim().is_empty()));
    if !is_empty && !text.ends_with(b"\n") {
        text.extend(end.as_bytes());
    }
    let head = if is_empty { &HEAD[..] } else { &[] };
    for line in head.iter().chain([&line]) {
        text.extend(line.as_bytes());
        text.extend(end.as_bytes());
    }
    text
}

/// Waits until no other process writes in the folder; until the handle that is returned is dropped, none will.
#[expect(clippy::disallowed_methods, reason = "another process takes real time")]
fn turn(folder: &Path) -> io::Result<Option<File>> {
    let folder = File::open(folder)?;
    for _ in 0..TURNS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(Duration::from_millis(10)),
            // A file system without locks: what is left is that a file is replaced as a whole.
            Err(_) => return Ok(None),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not stop writing there"))
}

/// Puts `bytes` in the place of the file, which may be a link, in one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let before = fs::metadata(&path).map(|about| about.permissions()).ok();
    if before.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsStr::new(".new-").to_owned();
    name.push(format!("{}-{nth}", std::process::id()));
    let new = path.with_file_name(name);
    // What a dead process of the same number may have left there is in nobody's way.
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        if let Some(permissions) = before {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    written.inspect_err(|_| {
        // The error of the write says more than one of this.
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests;

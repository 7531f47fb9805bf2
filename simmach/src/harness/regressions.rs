//! What failed before is tried first: a file of tokens beside the user's `Cargo.toml`, to be committed.
//!
//! A line holds a token, its seed and a comment. A token that no longer fits is stale; its seed is run instead. Nothing is
//! said of a folder that can't be written to.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::shrink::token::Token;
use crate::spec::SimTest;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` if there is none that can be read.
    pub(crate) token: Option<Token>,
    pub(crate) seed: u64,
}

const FOLDER: &str = "simmach-regressions";
const HEAD: &str = "\
# What failed here before, one run a line: its token, its seed, what it shrank to.
# simmach tries these first. Commit this file.
";

/// The file of a test, from the folder of its `Cargo.toml`.
pub(crate) fn file(test: &SimTest) -> PathBuf {
    let name = test.path().replace("::", "__");
    Path::new(FOLDER).join(test.target).join(format!("{name}.txt"))
}

/// What the file of a test says; nothing if there is none.
pub(crate) fn read(test: &SimTest) -> Vec<Entry> {
    let text = fs::read_to_string(Path::new(test.manifest_dir).join(file(test)));
    text.unwrap_or_default().lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split('#').next()?.split_whitespace();
    let token = words.next()?.parse().ok();
    let said = words.next().and_then(|seed| seed.parse().ok());
    let seed = said.or(token.as_ref().map(|token: &Token| token.seed))?;
    Some(Entry { token, seed })
}

/// Adds a run; the file that it is in, if it could be written.
pub(crate) fn add(test: &SimTest, token: &Token, comment: &str) -> Option<PathBuf> {
    let file = file(test);
    let path = Path::new(test.manifest_dir).join(&file);
    if !Path::new(test.manifest_dir).join("Cargo.toml").is_file() {
        return None;
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    if before.lines().filter_map(entry).any(|entry| entry.token.as_ref() == Some(token)) {
        return Some(file);
    }
    let head = if before.is_empty() { HEAD } else { "" };
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = format!("{end}{head}{token} {} # {}\n", token.seed, comment.trim());
    fs::create_dir_all(path.parent()?).ok()?;
    let mut opened = fs::OpenOptions::new().create(true).append(true).open(&path).ok()?;
    opened.write_all(line.as_bytes()).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::overlay::Overlay;
    use crate::harness::testing::{Scratch, with};
    use crate::shrink::token::TraceMarks;

    fn token(seed: u64) -> Token {
        let trace = TraceMarks::default();
        let (overlay, walks) = (Overlay::calm(), Vec::new());
        Token { test: 1, shape: 2, walks, seed, overlay, failure: 3, trace }
    }

    fn test(package: &Scratch) -> &'static SimTest {
        let folder: &'static str = Box::leak(package.path().display().to_string().into_boxed_str());
        with("krate::zoo::inner", "a", |test| test.manifest_dir = folder)
    }

    #[test]
    fn what_is_added_is_read_once() {
        let package = Scratch::new("regressions");
        let test = test(&package);
        assert_eq!(add(test, &token(7), "x"), None, "no package is there");
        fs::write(package.path().join("Cargo.toml"), "").expect("there is room");
        assert_eq!(read(test), []);
        let file = add(test, &token(7), "1 fault: boom\nbang").expect("it can be written");
        assert_eq!(file, Path::new("simmach-regressions/some_target/zoo__inner__a.txt"));
        add(test, &token(8), "").expect("it can be written");
        add(test, &token(7), "again").expect("it is there");
        let entries = [7, 8].map(|seed| Entry { token: Some(token(seed)), seed });
        assert_eq!(read(test), entries);
        let text = fs::read_to_string(package.path().join(file)).expect("it is there");
        assert!(text.starts_with("# What failed") && text.contains(" 7 # 1 fault: boom bang\n"));
    }

    #[test]
    fn a_token_that_can_not_be_read_leaves_its_seed() {
        assert_eq!(entry("sm1.00000 417 # what it was"), Some(Entry { token: None, seed: 417 }));
        assert_eq!(entry("sm9.00000 417"), Some(Entry { token: None, seed: 417 }));
        assert_eq!(entry("# 417"), None);
        assert_eq!(entry(""), None);
        assert_eq!(entry("nonsense"), None);
    }
}

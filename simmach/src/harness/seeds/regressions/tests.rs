//! Tests of regressions files: reading, writing, and errors in their lines.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::engine::draws::overlay::Overlay;
use crate::harness::seeds::regressions::*;
use crate::harness::testing::{Scratch, with};
use crate::shrink::token::TraceSummary;

fn token(seed: u64) -> Token {
    let trace = TraceSummary::default();
    let (overlay, sequences) = (Overlay::calm(), Vec::new());
    Token { test: 1, shape: 2, sequences, seed, overlay, failure: 3, trace }
}

/// The tokens in a test's file, all of which must be valid.
fn read_tokens(test: &SimTest) -> Vec<Token> {
    let entries = read(test).expect("all lines are valid");
    entries.into_iter().map(|entry| entry.token.expect("the token is valid")).collect()
}

fn tokens(seeds: &[u64]) -> Vec<Token> {
    seeds.iter().map(|seed| token(*seed)).collect()
}

/// A package with a test, and the path of the test's file.
fn package(name: &str) -> (Scratch, &'static SimTest, PathBuf) {
    let package = Scratch::new(name);
    fs::write(package.path().join("Cargo.toml"), "").expect("the temporary folder is writable");
    let folder: &'static str = Box::leak(package.path().display().to_string().into_boxed_str());
    let test = with("krate::zoo::inner", "a", |test| test.manifest_dir = folder);
    let path = package.path().join(file(test));
    (package, test, path)
}

/// A package whose file has these bytes.
fn written(name: &str, bytes: &[u8]) -> (Scratch, &'static SimTest, PathBuf) {
    let (package, test, path) = package(name);
    fs::create_dir_all(path.parent().expect("the path has a parent"))
        .expect("the temporary folder is writable");
    fs::write(&path, bytes).expect("the temporary folder is writable");
    (package, test, path)
}

fn headers(text: &str) -> usize {
    text.matches(HEADER[0]).count()
}

#[test]
fn regressions_are_added_once() {
    let (package, test, _) = package("regressions");
    fs::remove_file(package.path().join("Cargo.toml")).expect("it was created above");
    assert!(matches!(add(test, &token(7), "x"), Ok(None)), "there is no package");
    fs::write(package.path().join("Cargo.toml"), "").expect("the temporary folder is writable");
    assert_eq!(read_tokens(test), []);
    let added = |seed, comment| {
        add(test, &token(seed), comment).expect("the regressions file can be written")
    };
    let file = added(7, "1 fault: boom\nbang").expect("there is a package");
    assert_eq!(file, Path::new("simmach-regressions/some_target/zoo__inner__a.txt"));
    added(8, "");
    added(7, "repeated");
    assert_eq!(read_tokens(test), tokens(&[7, 8]));
    let text = fs::read_to_string(package.path().join(&file)).expect("the file exists");
    assert!(text.starts_with("# Failures found") && text.contains(" 7 # 1 fault: boom bang\n"));
    let folder = package.path().join(file.parent().expect("the path has a parent"));
    assert_eq!(
        fs::read_dir(folder).expect("the file exists").count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn unreadable_token_keeps_its_seed() {
    let no_token = |error| Ok(Some(RegressionEntry { line: 3, token: Err(error), seed: 417 }));
    assert_eq!(entry("sm2.00000 417 # what it was", 3), no_token(TokenError::Damaged));
    assert_eq!(entry("sm9.00000 417", 3), no_token(TokenError::Version('9')));
    assert_eq!(entry("# 417", 3), Ok(None));
    assert_eq!(entry(" \t", 3), Ok(None));
}

/// With the line endings, byte-order checkpoints and file ends of other editors and systems.
#[test]
fn text_format_of_any_editor_is_read() {
    let [a, b] = [7, 8].map(|seed| token(seed).to_string());
    for text in [
        format!("{a}\n{b}\n"),
        format!("{a} 7\n{b} 8"),
        format!("{a} 7 # x\r\n{b} 8\r\n"),
        format!("{a} 7\r{b} 8\r"),
        format!("\u{feff}{a} 7\n\n  {b}\t8\n"),
        format!("\u{feff}# comment é\r\n{a} 7\r\n\u{feff}{b} 8"),
    ] {
        let (_package, test, _) = written("format", text.as_bytes());
        assert_eq!(read_tokens(test), tokens(&[7, 8]), "{text:?}");
    }
}

/// The error has the file and the line.
#[test]
fn invalid_line_is_named() {
    let good = token(7).to_string();
    let utf16: Vec<u8> =
        format!("\u{feff}{good} 7\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let line = |before: &[u8], bad: &[u8], after: &[u8]| [before, bad, after].concat();
    let good_line = format!("{good} 7 # boom\n").into_bytes();
    for (bytes, number, why) in [
        (line(&good_line, b"# caf\xe9\n", &good_line), 2, "not valid UTF-8"),
        (line(b"", b"\xff", b""), 1, "not valid UTF-8"),
        (utf16, 1, "not valid UTF-8"),
        (line(b"# a\r\n\r\n", b"nonsense", b"\r\n"), 3, "\"nonsense\" is not a token"),
        (line(&good_line, b"<<<<<<< HEAD\n", b""), 2, "\"<<<<<<<\" is not a token"),
        (line(&good_line, b"417\n", b""), 2, "\"417\" is not a token"),
        (line(&good_line, b"sm2.0000 # cut off", b""), 2, "the line names no seed"),
        (line(&good_line, good.as_bytes(), b" 4x7\n"), 2, "\"4x7\" is not a seed"),
    ] {
        let (_package, test, path) = written("bad", &bytes);
        let error = read(test).expect_err(why).to_string();
        let location = format!("some_target/zoo__inner__a.txt, line {number}: ");
        assert!(error.contains(&location) && error.contains(why), "{error}");
        assert!(error.contains("from version control, or remove"), "{error}");
        // The file is unchanged.
        assert!(add(test, &token(9), "").is_err());
        assert_eq!(fs::read(path).expect("the file exists"), bytes);
    }
}

#[test]
fn invalid_lines_beyond_five_are_counted() {
    let (_package, test, _) = written("many", "bad\n".repeat(MAX_SHOWN + 3).as_bytes());
    let error = read(test).expect_err("none is a token").to_string();
    assert!(error.contains("line 5: ") && !error.contains("line 6: "), "{error}");
    assert!(error.contains("and 3 more"), "{error}");
}

/// Only a missing file counts as empty.
#[test]
fn unreadable_file_is_an_error() {
    let expect_error = |test: &SimTest, why: &str| {
        let error = read(test).expect_err(why).to_string();
        for part in ["zoo__inner__a.txt cannot be read: ", why, "SIMMACH_REGRESSIONS=off"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(add(test, &token(7), "").is_err(), "{why}");
    };
    let (_package, test, path) = written("folder", b"");
    fs::remove_file(&path).expect("it was created above");
    fs::create_dir(&path).expect("the temporary folder is writable");
    expect_error(test, "not a regular file");

    for ancestor in 0..3 {
        let (package, test, path) = package("link");
        let link = path.ancestors().nth(ancestor).expect("the path has three ancestors");
        fs::create_dir_all(link.parent().expect("the link has a parent"))
            .expect("the temporary folder is writable");
        symlink("nothing-is-here", link).expect("the temporary folder is writable");
        let name = link
            .strip_prefix(package.path())
            .expect("the link is inside the package")
            .display()
            .to_string();
        let error = read(test).expect_err("the link is broken").to_string();
        assert!(error.contains(&format!("{name} is a broken symbolic link")), "{error}");
        assert!(add(test, &token(7), "").is_err());
        assert!(link.is_symlink());
    }

    let (_package, test, path) = written("not-a-folder", b"");
    let folder = path.parent().expect("the path has a parent");
    fs::remove_dir_all(folder).expect("it was created above");
    fs::write(folder, "a file").expect("the temporary folder is writable");
    expect_error(test, "Not a directory");

    let (_package, test, path) = written("loop", b"");
    fs::remove_file(&path).expect("it was created above");
    symlink(&path, &path).expect("the temporary folder is writable");
    assert!(read(test).is_err() && add(test, &token(7), "").is_err());

    let (_package, test, path) = written("forbidden", b"");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000))
        .expect("the file belongs to this user");
    // Root may read everything.
    if fs::read(&path).is_err() {
        expect_error(test, "Permission denied");
    }
}

#[test]
fn too_long_file_name_is_no_file() {
    let (_package, _, _) = package("long");
    let name: &'static str = Box::leak("a".repeat(300).into_boxed_str());
    let folder: &'static str =
        Box::leak(std::env::temp_dir().display().to_string().into_boxed_str());
    let test = with("krate", name, |test| test.manifest_dir = folder);
    assert_eq!(read_tokens(test), []);
}

/// Existing bytes are unchanged, and there is one header.
#[test]
fn existing_lines_are_kept() {
    let first = format!("{} 7 # mine", token(7));
    for (before, end) in [
        (first.clone(), "\n"),
        (format!("{first}\n"), "\n"),
        (format!("\u{feff}# mine\r\n{first}\r\n"), "\r\n"),
        (format!("\u{feff}# mine\r\n{first}"), "\r\n"),
    ] {
        let (_package, test, path) = written("keeps", before.as_bytes());
        add(test, &token(8), "new").expect("the regressions file can be written");
        let text = fs::read_to_string(&path).expect("the file exists");
        let newline = if before.ends_with('\n') { "" } else { end };
        assert_eq!(text, format!("{before}{newline}{} 8 # new{end}", token(8)));
        assert_eq!(read_tokens(test), tokens(&[7, 8]));
    }
    for empty in ["", "\u{feff}", "\n"] {
        let (_package, test, path) = written("empty", empty.as_bytes());
        add(test, &token(8), "new").expect("the regressions file can be written");
        add(test, &token(9), "new").expect("the regressions file can be written");
        let text = fs::read_to_string(&path).expect("the file exists");
        assert!(text.starts_with(empty), "{text:?}");
        assert_eq!((headers(&text), read_tokens(test)), (1, tokens(&[8, 9])), "{text:?}");
    }
}

#[test]
fn links_and_permissions_are_kept() {
    let (package, test, path) = written("through", format!("{} 7\n", token(7)).as_bytes());
    let target = package.path().join("elsewhere.txt");
    fs::rename(&path, &target).expect("both are in one folder");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640))
        .expect("the file belongs to this user");
    symlink(&target, &path).expect("the temporary folder is writable");
    add(test, &token(8), "").expect("the regressions file can be written");
    assert!(path.is_symlink());
    assert_eq!(fs::metadata(&target).expect("the file exists").permissions().mode() & 0o777, 0o640);
    assert_eq!(read_tokens(test), tokens(&[7, 8]));

    fs::set_permissions(&target, fs::Permissions::from_mode(0o440))
        .expect("the file belongs to this user");
    let error = add(test, &token(9), "").expect_err("it is read-only").to_string();
    assert!(
        error.contains("zoo__inner__a.txt cannot be written: the file is read-only"),
        "{error}"
    );
    assert_eq!(read_tokens(test), tokens(&[7, 8]));
}

/// Threads lock the folder as processes do, since each has its own handle.
#[test]
fn concurrent_additions_are_all_kept() {
    let (_package, test, path) = package("turns");
    thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                for nth in 0..10 {
                    add(test, &token(100 * writer + nth), "x")
                        .expect("the regressions file can be written");
                }
            });
        }
    });
    let text = fs::read_to_string(&path).expect("the file exists");
    assert_eq!(headers(&text), 1, "{text}");
    let mut seeds: Vec<u64> =
        read(test).expect("all lines are valid").iter().map(|entry| entry.seed).collect();
    seeds.sort_unstable();
    let all: Vec<u64> =
        (0..8).flat_map(|writer| (0..10).map(move |nth| 100 * writer + nth)).collect();
    assert_eq!(seeds, all);
}

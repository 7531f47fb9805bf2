//! Tests a separate crate outside the workspace: the README's code and output, and a build for
//! coverage.

#[path = "own_crate/coverage.rs"]
mod coverage;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The README's failing test after the fix, with a durable counter, and a timeout for a machine
/// without power.
const FIXED: &str = r#"
async fn counter() -> Result {
    use simmach::storage::types::U8;

    let visits = simmach::storage::Options::new().open("visits").await?;
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut visitor, _) = listener.accept().await?;
        let count = visits.write(|txn| {
            let table = txn.table::<U8, U8>("visits")?;
            let count = table.get(txn, &0)?.unwrap_or(0) + 1;
            table.put(txn, &0, &count)?;
            Ok(count)
        });
        visitor.write_all(&[count.await?]).await?;
    }
}

async fn visit() -> Result<u8> {
    simmach::time::timeout(1.secs(), ask()).await?
}

async fn ask()"#;

/// A package in a temporary folder.
struct Package {
    name: &'static str,
    folder: PathBuf,
    readme: String,
}

impl Package {
    /// Written as in the README, except for the path of simmach.
    fn new(name: &'static str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let folder = env::temp_dir().join(format!("simmach-{name}-{}", std::process::id()));
        let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
        let package = Self { name, folder, readme };
        let said = package.block("```toml\n# Cargo.toml\n");
        let simmach = format!("simmach = {{ path = {:?} }}", root.join("simmach"));
        let dependencies = said.replace("simmach = \"0.1\"", &simmach);
        assert_ne!(said, dependencies, "the README names the crate");
        // The profile is left out: no assertion depends on it, and an optimised build takes twice as long.
        let profile = "[profile.dev]";
        let (dependencies, _) = dependencies.split_once(profile).expect("the README has a profile");
        let head = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n";
        package.write("Cargo.toml", &format!("{head}{dependencies}"));
        // The same versions as in the other tests.
        fs::copy(root.join("Cargo.lock"), package.folder.join("Cargo.lock")).expect("it is there");
        package.write("src/lib.rs", "");
        package.write("tests/echo.rs", &package.file("// tests/echo.rs\n"));
        package.write("tests/visits.rs", &package.file("// tests/visits.rs\n"));
        package
    }

    fn block(&self, head: &str) -> &str {
        let (_, block) = self.readme.split_once(head).expect(head);
        block.split_once("```").expect("it ends").0
    }

    /// The content of a file in the README.
    fn file(&self, name: &str) -> String {
        format!("{name}{}", self.block(&format!("```rust\n{name}")))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        fs::write(path, text).expect("there is room");
    }

    /// Runs a command line as printed.
    fn shell(&self, line: &str) -> (Option<i32>, String) {
        let mut command = Command::new("sh");
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let is_ours = ["SIMMACH_", "RUST_", "CARGO_", "NEXTEST", "CI"];
            if is_ours.iter().any(|own| name.starts_with(own)) && name != "CARGO_HOME" {
                command.env_remove(&*name);
            }
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.name);
        command.args(["-c", line]).current_dir(&self.folder);
        command.env("CARGO_TARGET_DIR", target);
        let Output { status, stdout, stderr } = command.output().expect("there is a shell");
        let [stdout, stderr] =
            [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (status.code(), format!("{stdout}\n{stderr}"))
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Checks that all shown lines are printed in this order. `…` stands for what is left out.
#[track_caller]
fn assert_shown(shown: &str, printed: &str) {
    let mut lines = printed.lines();
    for line in shown.lines().filter(|line| *line != "…") {
        assert!(
            lines.any(|other| is_shown(line, other)),
            "the README shows {line:?}, which is not printed there:\n{printed}"
        );
    }
}

/// Whether the line of the README shows the printed one.
fn is_shown(shown: &str, printed: &str) -> bool {
    let Some((head, tail)) = shown.split_once('…') else { return shown == printed };
    let Some(rest) = printed.strip_prefix(head) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| is_shown(tail, &rest[at..]))
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// Builds simmach in a folder of its own: `cargo test -p simmach-tests --test own_crate -- --ignored`.
#[test]
#[ignore = "it builds simmach once more"]
fn readme_code_and_output_are_right() {
    let package = Package::new("own-crate");
    let (code, failed) = package.shell("cargo test --no-fail-fast");
    assert_eq!(code, Some(101), "{failed}");
    assert_has(&failed, &["test echo_returns_what_was_sent ... ok"]);
    assert_shown(package.block("```console\n$ cargo test\n"), &failed);

    let file = "simmach-regressions/visits/no_visit_is_forgotten.txt";
    let (_, command) = failed.split_once("Run it again:\n").expect(&failed);
    let command = command.lines().next().expect("a command").trim();
    assert_has(command, &[" cargo test -p shop --test visits -- --exact no_visit_is_forgotten"]);
    let token = command.split(['=', ' ']).nth(1).expect("a token");
    let written = fs::read_to_string(package.path(file)).expect(file);
    assert_has(&written, &[token, " # 1 fault and 2 steps: visit 1 comes after visit 1\n"]);

    let replayed = package.shell(command);
    assert_eq!(replayed.0, Some(101), "{}", replayed.1);
    assert_has(&replayed.1, &["Reproduced exactly.", "visit 1 comes after visit 1"]);
    let again = package.shell("cargo test --test visits");
    assert_eq!(again.0, Some(101), "{}", again.1);
    assert_has(&again.1, &["recorded in ", file]);

    // The fix passes; the bug fails again.
    let wrong = package.file("// tests/visits.rs\n");
    let (head, rest) = wrong.split_once("/// Counts its visitors").expect("the counter");
    let (_, tail) = rest.split_once("\nasync fn visit()").expect("its end");
    package.write("tests/visits.rs", &format!("{head}{FIXED}{tail}"));
    let fixed = package.shell(&format!("{command} --nocapture"));
    assert_eq!(fixed.0, Some(0), "{}", fixed.1);
    assert_has(&fixed.1, &["passes now: the run of the token (seed 0) no longer fails; "]);
    let green = package.shell("cargo test --test visits -- --nocapture");
    assert_eq!(green.0, Some(0), "{}", green.1);
    assert_has(&green.1, &["ran 1 recorded failure before the seeds", "100 seeds passed"]);
    package.write("tests/visits.rs", &wrong);
    let red = package.shell(command);
    assert_eq!(red.0, Some(101), "{}", red.1);
    assert_has(&red.1, &["Reproduced exactly."]);
}

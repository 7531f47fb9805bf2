//! Runs the example as a user does, and checks its options, its output and its exit status.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Output};

/// Cargo puts examples in a folder next to that of the tests, but sets no variable with its path.
fn command(arguments: &[&str]) -> Command {
    let this = std::env::current_exe().expect("a test has a path");
    let profile = this.parent().and_then(|deps| deps.parent()).expect("target/profile/deps/test");
    let mut command = Command::new(profile.join("examples").join("inventory"));
    command.args(arguments);
    command
}

fn inventory(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the example is built with the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// The lines of the output, without the one that shows real time.
fn lines(output: &Output) -> Vec<String> {
    let text = text(&output.stdout);
    text.lines().filter(|line| !line.starts_with("Took ")).map(str::to_owned).collect()
}

#[test]
fn same_seed_prints_the_same() {
    let [one, two] = [(); 2].map(|()| inventory(&["--seed", "28"]));
    assert_eq!(lines(&one), lines(&two));
    assert_ne!(lines(&one), lines(&inventory(&["--seed", "29"])));
}

#[test]
fn exit_status_tells_passed_from_failed() {
    let failed =
        |seed: &u32| inventory(&["--quiet", "--seed", &seed.to_string()]).status.code() != Some(0);
    let seed = (0..200).find(failed).expect("some seed of the buggy version fails").to_string();
    let wrong = inventory(&["--seed", &seed, "--quiet"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong.stdout);
    for part in ["expected finalCount to be 1 but got", "Simulated ", "Took ", "Stats: "] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let fixed = inventory(&["--seed", &seed, "--quiet", "--fixed"]);
    assert_eq!((fixed.status.code(), text(&fixed.stdout).starts_with("passed")), (Some(0), true));
    let stable = inventory(&["--scenario", "stable"]);
    assert_eq!(stable.status.code(), Some(0));
    assert!(lines(&stable).len() > 15, "the log is printed");
    assert!(lines(&inventory(&["--scenario", "stable", "--quiet"])).len() < 5, "and is not");
}

#[test]
fn wrong_options_are_named() {
    for (arguments, named) in [
        (&["--scenario", "5g"][..], "`3g` or `stable`"),
        (&["--seed", "x"], "expected a whole number"),
        (&["--seed"], "--seed"),
        (&["--bogus"], "--bogus"),
        (&["word"], "word"),
        (&["--real", "--seed", "1"], "cannot be combined with --scenario or --seed"),
    ] {
        let output = inventory(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(named), "{}", text(&output.stderr));
    }
    let help = inventory(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("--scenario NAME"));
}

/// Runs the same services as processes, of which one loses its disk and one is killed. They leave no files behind.
#[test]
fn real_cluster_passes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("real-{}", process::id()));
    fs::create_dir(&folder).expect("it is new");
    let mut real = command(&["--real", "--fixed"]);
    let real = real.env("TMPDIR", &folder).output().expect("it is built");
    let (said, complaints) = (text(&real.stdout), text(&real.stderr));
    assert_eq!(real.status.code(), Some(0), "{said}{complaints}");
    for part in ["three processes listen", "api1 is running again", "api2 is running again"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(said.lines().last().expect("lines").starts_with("passed: one item"), "{said}");
    fs::remove_dir(&folder).expect("it is empty again");
}

/// A change that alters the run alters its log: the README must be updated then.
#[test]
fn readme_shows_the_output() {
    const COMMAND: &str = "$ cargo run --release --example inventory -- ";
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let readme = readme.expect("there is a README");
    let (_, block) = readme.split_once(COMMAND).expect("it shows a run");
    let mut block = block.lines();
    let arguments: Vec<&str> = block.next().expect("a line").split_whitespace().collect();
    let shown: Vec<&str> = block
        .take_while(|line| *line != "```")
        .filter(|line| *line != "…" && !line.starts_with("Took "))
        .collect();
    let printed = lines(&inventory(&arguments));
    assert!(shown.len() > 5 && printed.len() >= shown.len(), "{shown:?}");
    assert_eq!(printed[printed.len() - shown.len()..], shown);
}

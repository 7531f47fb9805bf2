//! The cargo command that repeats a run.

use std::fs;
use std::path::Path;

use crate::spec::SimTest;

/// Returns the command that runs the test with this seed.
pub(crate) fn run_seed(test: &SimTest, seed: u64) -> String {
    with(test, &format!("SIMMACH_SEED={seed}"))
}

/// Returns the command that replays a token, or the token in a file (`@file`).
pub(crate) fn replay(test: &SimTest, token: &str) -> String {
    with(test, &format!("SIMMACH_REPLAY={token}"))
}

fn with(test: &SimTest, variable: &str) -> String {
    let target = target(test).map(|target| format!(" {target}")).unwrap_or_default();
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let ignored = if test.ignore.is_some() { " --include-ignored" } else { "" };
    format!(
        "{variable} cargo test{release} -p {}{target} -- --exact {}{ignored}",
        test.package,
        test.path(),
    )
}

/// Returns the cargo option that selects the test's target, from the manifest or else from the file
/// layout. `None` if the target is unknown; cargo then searches all targets of the package.
fn target(test: &SimTest) -> Option<String> {
    let folder = Path::new(test.manifest_dir);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    named_in(&manifest, test.target)
        .or_else(|| found_in(folder, test))
        .or_else(|| (crate_name(test.package) == test.target).then(|| "--lib".to_owned()))
}

/// Looks up the target with this crate name in the sections of a manifest.
fn named_in(manifest: &str, krate: &str) -> Option<String> {
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let name = value.trim().trim_matches(['"', '\'']);
        if key.trim() != "name" || crate_name(name) != krate {
            continue;
        }
        match section {
            "[lib]" => return Some("--lib".to_owned()),
            "[[test]]" => return Some(format!("--test {name}")),
            "[[bin]]" => return Some(format!("--bin {name}")),
            "[[example]]" => return Some(format!("--example {name}")),
            "[[bench]]" => return Some(format!("--bench {name}")),
            _ => {}
        }
    }
    None
}

/// Finds a target that cargo discovers by itself, from the folder of the test's file.
fn found_in(folder: &Path, test: &SimTest) -> Option<String> {
    for (sub, option) in [
        ("tests", "--test"),
        ("src/bin", "--bin"),
        ("examples", "--example"),
        ("benches", "--bench"),
    ] {
        let name =
            fs::read_dir(folder.join(sub)).ok().into_iter().flatten().flatten().find_map(|entry| {
                let path = entry.path();
                let stem = path.file_stem()?.to_str()?.to_owned();
                let is_source = path.extension().is_some_and(|end| end == "rs");
                let is_target = is_source || path.join("main.rs").is_file();
                (is_target && crate_name(&stem) == test.target).then_some(stem)
            });
        if let Some(name) = name {
            return Some(format!("{option} {name}"));
        }
    }
    let is_own = crate_name(test.package) == test.target;
    let src = folder.join("src");
    match (src.join("lib.rs").is_file(), src.join("main.rs").is_file()) {
        (true, false) if is_own => Some("--lib".to_owned()),
        (false, true) if is_own => Some(format!("--bin {}", test.package)),
        // Library and binary share a crate name: cargo searches both.
        _ => None,
    }
}

fn crate_name(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::testing::{Scratch, with};

    #[test]
    fn target_option_of_each_kind_of_target() {
        let package = Scratch::new("command");
        let folder: &'static str = Box::leak(package.path().display().to_string().into_boxed_str());
        let file = |path: &str, text: &str| {
            let path = package.path().join(path);
            fs::create_dir_all(path.parent().expect("the path has a parent"))
                .expect("the temporary folder is writable");
            fs::write(path, text).expect("the temporary folder is writable");
        };
        let manifest =
            "[package]\nname = \"my-shop\"\n[[test]]\nname = \"odd-name\"\npath = \"x.rs\"\n";
        file("Cargo.toml", manifest);
        file("src/lib.rs", "");
        file("tests/with-hyphen.rs", "");
        file("tests/deep/main.rs", "");
        file("examples/show.rs", "");
        let command = |krate: &'static str| {
            let test = with("krate::zoo", "a", |test| {
                test.package = "my-shop";
                test.manifest_dir = folder;
                test.target = krate;
            });
            run_seed(test, 7)
        };
        for (krate, option) in [
            ("odd_name", " --test odd-name"),
            ("with_hyphen", " --test with-hyphen"),
            ("deep", " --test deep"),
            ("show", " --example show"),
            ("my_shop", " --lib"),
            ("unheard_of", ""),
        ] {
            let release = if cfg!(debug_assertions) { "" } else { " --release" };
            assert_eq!(
                command(krate),
                format!("SIMMACH_SEED=7 cargo test{release} -p my-shop{option} -- --exact zoo::a")
            );
        }
    }
}

//! Tests that simmach's sockets have every method of tokio's, except those that the documentation
//! of `simmach::net` lists.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

mod with_simmach;
mod with_tokio;

/// tokio's source files, and the types whose methods they define.
const FILES: [(&str, &[&str]); 6] = [
    ("tcp/listener.rs", &["TcpListener"]),
    ("tcp/stream.rs", &["TcpStream"]),
    ("tcp/socket.rs", &["TcpSocket"]),
    ("tcp/split.rs", &["ReadHalf", "WriteHalf"]),
    ("tcp/split_owned.rs", &["OwnedReadHalf", "OwnedWriteHalf"]),
    ("udp.rs", &["UdpSocket"]),
];

/// Methods that simmach's sockets do not have. The documentation of `simmach::net` says why.
const LEFT_OUT: [&str; 17] = [
    "from_std",
    "from_std_stream",
    "into_std",
    "device",
    "bind_device",
    "tos",
    "set_tos",
    "multicast_loop_v4",
    "set_multicast_loop_v4",
    "multicast_ttl_v4",
    "set_multicast_ttl_v4",
    "multicast_loop_v6",
    "set_multicast_loop_v6",
    "join_multicast_v4",
    "join_multicast_v6",
    "leave_multicast_v4",
    "leave_multicast_v6",
];

#[test]
fn methods_of_tokio_s_sockets_exist_or_are_documented() {
    let folder = tokio_s_folder();
    let signatures = include_str!("signatures.rs");
    let documentation = include_str!("../../../../simmach/src/net.rs");
    let mut missing = Vec::new();
    let mut found = 0;
    for (file, types) in FILES {
        let text = fs::read_to_string(folder.join("src/net").join(file)).expect("tokio's source");
        for (of, name) in methods(&text, types) {
            found += 1;
            let has = contains_word(signatures, &format!("{of}::{name}"));
            if has == LEFT_OUT.contains(&name) {
                missing.push(format!("{of}::{name}"));
            }
        }
    }
    assert!(found > 150, "only {found} methods were found in {}", folder.display());
    assert!(missing.is_empty(), "neither checked nor left out, or both: {missing:?}");
    let unsaid: Vec<_> =
        LEFT_OUT.iter().filter(|name| !is_documented(documentation, name)).collect();
    assert!(
        unsaid.is_empty(),
        "the module's table does not say why these are left out: {unsaid:?}"
    );
}

/// Whether the documentation's table of missing methods has this name, or its family such as `multicast_…`.
fn is_documented(documentation: &str, name: &str) -> bool {
    documentation.contains(&format!("`{name}`")) || name.contains("multicast")
}

/// The public methods in one of tokio's files, with their types.
fn methods<'a>(text: &'a str, types: &[&'static str]) -> Vec<(&'static str, &'a str)> {
    let mut own = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            let starts = |of: &&&str| {
                let after = rest.strip_prefix(**of);
                after.is_some_and(|after| after.starts_with([' ', '<']))
            };
            own = types.iter().find(starts).copied();
        }
        let line = line.trim_start();
        let name = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub async fn "));
        if let (Some(of), Some(name)) = (own, name) {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            found.push((of, &name[..end]));
        }
    }
    found
}

fn contains_word(text: &str, word: &str) -> bool {
    let ends = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(before) && !is_part(after)
    };
    text.match_indices(word).any(|(at, _)| ends(at))
}

/// A build downloads only its own platform's crates: asking for others fails without a network.
#[cfg(not(windows))]
#[test]
fn metadata_names_no_crates_of_other_platforms() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let names: Vec<_> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(names.contains(&"tokio") && names.len() > 20, "{names:?}");
    let is_of_windows = |name: &&&str| name.starts_with("windows") || name.starts_with("winapi");
    let of_windows = names.iter().filter(is_of_windows);
    assert_eq!(of_windows.collect::<Vec<_>>(), Vec::<&&str>::new());
    // The lock file has them, though.
    let lock = include_str!("../../../../Cargo.lock");
    assert!(lock.contains("name = \"windows-sys\""));
}

#[test]
#[should_panic(expected = "does not exist")]
fn failure_of_cargo_is_shown() {
    cargo(&["metadata", "--format-version=1", "--no-deps", "--manifest-path=nowhere/Cargo.toml"]);
}

/// The folder with the source of the tokio version in use.
fn tokio_s_folder() -> PathBuf {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let tokio = packages.iter().find(|package| package["name"] == "tokio");
    let manifest = tokio.expect("tokio is a dependency")["manifest_path"].as_str();
    let mut folder = PathBuf::from(manifest.expect("a package has a manifest"));
    folder.pop();
    folder
}

/// `cargo metadata` of this package and its dependencies.
fn metadata() -> Value {
    // Only crates of this platform: a build downloads no others. Not `--offline`: a build of this package alone downloads
    // less than the workspace has, and cargo gets the rest if its settings allow it.
    let arguments = ["metadata", "--format-version=1", "--locked", "--filter-platform"];
    let metadata = cargo(&[&arguments[..], &[&host()]].concat());
    serde_json::from_str(&metadata).expect("cargo prints JSON")
}

/// The host's target triple.
fn host() -> String {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_else(|| panic!("`cargo -vV` names no host:\n{version}")).to_owned()
}

/// Runs cargo and returns its output.
fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let command = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

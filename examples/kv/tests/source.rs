//! Checks that only the store names simmach, and that only `main` uses what belongs to the process.

use std::fs;
use std::path::{Path, PathBuf};

/// The source files of the program, as pairs of a path relative to `src` and the file's text.
fn sources() -> Vec<(PathBuf, String)> {
    fn add(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                add(&path, root, found);
            } else {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let name = path.strip_prefix(root).expect("it is in the folder");
                found.push((name.to_owned(), text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    add(&root, &root, &mut found);
    assert!(found.len() > 10, "{found:?}");
    found
}

/// The files that contain `text` in a line of code, except those that `may` contain it.
fn offenders(text: &str, may: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, source) in sources() {
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        if !may(&path) && code.clone().any(|line| line.contains(text)) {
            offenders.push(path.display().to_string());
        }
    }
    offenders
}

fn is_store(path: &Path) -> bool {
    path == Path::new("store.rs") || path.starts_with("store")
}

#[test]
fn only_the_store_names_simmach() {
    assert_eq!(offenders("simmach", is_store), [""; 0]);
    assert_ne!(offenders("simmach", |_| false), [""; 0], "the store does");
}

#[test]
fn only_main_touches_what_belongs_to_the_process() {
    for text in ["std::env::", "tracing_subscriber::", "signal::", "process::"] {
        assert_eq!(offenders(text, |path| path == Path::new("main.rs")), [""; 0], "{text}");
    }
    for text in ["prometheus::default", "prometheus::register", "set_global_default"] {
        assert_eq!(offenders(text, |_| false), [""; 0], "{text}");
    }
}

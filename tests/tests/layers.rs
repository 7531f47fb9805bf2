//! Checks that the library's imports go down the list of layers in `CONTRIBUTING.md`, and that all
//! imports have the same style.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The line of each module in the list, counted from the top.
type Layers = BTreeMap<String, usize>;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}

/// Reads the list under a heading. Each item begins with the names of its modules in backticks.
fn layers(contributing: &str, heading: &str) -> Layers {
    let section =
        contributing.split_once(&format!("\n{heading}\n")).expect("no section with this heading").1;
    let section = section.split("\n#").next().expect("its text");
    let mut layers = Layers::new();
    for (line, item) in section.lines().filter_map(|line| line.strip_prefix("- ")).enumerate() {
        let names = item.split(':').next().expect("its names");
        for name in names.split(',') {
            let name = name.trim().trim_matches('`').to_owned();
            assert!(layers.insert(name.clone(), line).is_none(), "`{name}` is listed twice");
        }
    }
    layers
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the library") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns the top-level module that a file belongs to.
fn module_of(file: &Path) -> String {
    let first = file.components().next().expect("a path");
    let first = first.as_os_str().to_str().expect("a name in ASCII");
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The files of the modules that a file declares for tests alone, by `#[cfg(test)] mod name;`.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = file.parent().expect("a folder");
    let own = file.file_stem().and_then(|stem| stem.to_str()).expect("a name in ASCII");
    let below = match own {
        "mod" | "lib" => folder.to_owned(),
        _ => folder.join(own),
    };
    let (mut found, mut attributes) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push_str(line);
            continue;
        }
        let name = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod "));
        let is_test = attributes.contains("cfg(test") || attributes.contains("cfg(all(test");
        if let Some((_, name)) = name.filter(|_| is_test) {
            let path =
                attributes.split_once("#[path = \"").and_then(|(_, rest)| rest.split('"').next());
            match path {
                Some(path) => found.push(folder.join(path)),
                None => found.extend([below.join(format!("{name}.rs")), below.join(name)]),
            }
        }
        attributes.clear();
    }
    found
}

/// The code of a file, without comments and without the module of its unit tests.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let code = lines.collect::<Vec<_>>().join("\n");
    let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(all(test, feature = \"sim\"))]\nmod tests {"];
    let Some(start) = tests.iter().filter_map(|start| code.find(start)).min() else { return code };
    let length = code[start..].find("\n}").map_or(code.len() - start, |end| end + 2);
    [&code[..start], &code[start + length..]].concat()
}

/// The modules that code names after `base`, such as `crate::`; what follows `$crate` is the user's path.
fn imports(code: &str, base: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, path) in code.match_indices(base) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(names_of_group(group)),
            None => found.extend([name_at(rest)]),
        }
    }
    // Types and functions of the crate's root are re-exports: the module is what counts.
    found.retain(|name| name.chars().next().is_some_and(char::is_lowercase));
    found
}

fn name_at(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first name of each part of `{a::b, c::{d, e}}`.
fn names_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name_at(&group[start..at]));
                return names;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name_at(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

/// What is wrong with the imports of one module below `base`.
fn mistakes(module: &str, code: &str, base: &str, layers: &Layers) -> Vec<String> {
    let Some(own) = layers.get(module) else {
        return vec![format!("`{module}` is not in the list of layers")];
    };
    let other = imports(code, base).into_iter().filter(|name| name != module);
    other
        .filter_map(|name| match layers.get(&name) {
            Some(line) if line > own => None,
            Some(line) if line == own => Some(format!("`{name}` stands on the same line")),
            Some(_) => Some(format!("`{name}` is a higher layer")),
            None => None,
        })
        .collect()
}

/// Checks the modules in a folder of the library against the list under a heading of `CONTRIBUTING.md`.
fn check_layers(folder: &str, heading: &str, base: &str, at_least: usize) {
    let contributing = fs::read_to_string(repository().join("CONTRIBUTING.md"))
        .expect("cannot read CONTRIBUTING.md");
    let layers = layers(&contributing, heading);
    let root = repository().join("simmach/src").join(folder);
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > at_least, "{} files", files.len());
    let texts: BTreeMap<PathBuf, String> = files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source file");
            (file.strip_prefix(&root).expect("below the root").to_owned(), text)
        })
        .collect();
    let mut tests: Vec<PathBuf> =
        texts.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    if let Ok(head) = fs::read_to_string(root.with_extension("rs")) {
        tests.extend(test_modules(Path::new("mod.rs"), &head));
    }
    assert!(!tests.is_empty(), "there are unit tests in files of their own");
    let (mut wrong, mut modules) = (Vec::new(), BTreeSet::new());
    for (file, text) in &texts {
        if tests.iter().any(|test| file.starts_with(test)) {
            continue;
        }
        let module = module_of(file);
        let mistakes = mistakes(&module, &code(text), base, &layers);
        wrong.extend(mistakes.iter().map(|mistake| format!("{}: {mistake}", file.display())));
        modules.insert(module);
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
    let listed: BTreeSet<String> = layers.into_keys().collect();
    assert_eq!(listed, modules, "the list has modules that are gone, or lacks some");
}

#[test]
fn imports_go_down() {
    check_layers("", "## Layers", "crate::", 100);
}

#[test]
fn imports_of_the_engine_go_down() {
    check_layers("engine", "### Layers of `engine`", "crate::engine::", 30);
}

#[test]
fn imports_of_the_harness_go_down() {
    check_layers("harness", "### Layers of `harness`", "crate::harness::", 30);
}

#[test]
fn imports_of_the_network_go_down() {
    check_layers("net/simulated", "### Layers of `net/simulated`", "crate::net::simulated::", 30);
}

/// The code spans of a Markdown text that look like paths: `name.rs`, `folder/name`, `folder/`.
fn paths(markdown: &str) -> BTreeSet<&str> {
    let spans =
        markdown.split("\n```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    spans
        .filter(|span| span.ends_with(".rs") || span.contains('/'))
        .filter(|span| {
            span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c))
        })
        .collect()
}

/// Whether the repository has a file or folder whose path ends so.
fn exists(path: &str, files: &[PathBuf]) -> bool {
    let path = Path::new(path);
    files.iter().any(|file| file.ancestors().any(|folder| folder.ends_with(path)))
}

#[test]
fn contributing_names_paths_that_exist() {
    let contributing = fs::read_to_string(repository().join("CONTRIBUTING.md"))
        .expect("cannot read CONTRIBUTING.md");
    let mut files = vec![repository().join(".ci/run")];
    for folder in [
        "simmach",
        "simmach-macros",
        "tests/src",
        "tests/tests",
        "tests/guests",
        "tests/benches",
        "examples",
    ] {
        sources(&repository().join(folder), &mut files);
    }
    let paths = paths(&contributing);
    assert!(paths.len() > 50, "{paths:?}");
    let is_there = |path: &str| exists(path, &files) || repository().join(path).exists();
    let missing: Vec<_> = paths.into_iter().filter(|path| !is_there(path)).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md names paths that do not exist: {missing:#?}");
}

/// The imports of a file that are not in the style: from `crate::`, one module per statement.
fn misspelled_imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("use ") {
        let (before, from) = (rest[..start].lines().last().unwrap_or(""), &rest[start..]);
        rest = &from[4..];
        let is_statement =
            before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
        let Some((import, _)) = from[4..].split_once(';').filter(|_| is_statement) else {
            continue;
        };
        let is_nested = import.matches('{').count() > 1 || import.starts_with('{');
        let is_relative = import.starts_with("self::") || import.starts_with("super::");
        let is_mixed = import.strip_prefix("crate::{").is_some_and(|group| group.contains("::"));
        if is_nested || is_relative || is_mixed {
            found.push(import.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[test]
fn imports_have_one_style() {
    let root = repository().join("simmach/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let name = file.strip_prefix(&root).expect("below the root").display().to_string();
        wrong
            .extend(misspelled_imports(&text).iter().map(|import| format!("{name}: use {import}")));
    }
    assert!(wrong.is_empty(), "write `use crate::module::{{Item, …}};`:\n{}", wrong.join("\n"));
}

#[test]
fn style_check_finds_misspelled_imports() {
    let found = |text: &str| misspelled_imports(text).len();
    assert_eq!(found("use std::io;\nuse crate::a::b::{C, D};\npub use crate::a::E;\n"), 0);
    assert_eq!(found("use crate::{\n    a::B,\n    c::D,\n};\n"), 1);
    assert_eq!(found("use crate::a::{b::{C, D}, e};\n"), 1);
    assert_eq!(found("use super::a;\npub(crate) use self::b::C;\n"), 2);
    assert_eq!(found("mod tests {\n    use super::*;\n}\n// we use {it}; and so on\n"), 0);
}

#[test]
fn layers_check_finds_upward_and_sideways_imports() {
    let layers = layers(
        "# x\n## Layers\n\n- `top`: a\n- `left`, `right`: b\n- `base`: c\n\n## y\n- `z`: d\n",
        "## Layers",
    );
    assert_eq!(layers.len(), 4);
    let check = |module: &str, text: &str| mistakes(module, &code(text), "crate::", &layers);
    assert!(check("top", "use crate::base::{A, b};\nuse crate::{left::C, right};").is_empty());
    assert_eq!(check("base", "use crate::left::A;"), ["`left` is a higher layer"]);
    assert_eq!(
        check("left", "use crate::{base::{a, b::C}, right::D};"),
        ["`right` stands on the same line"]
    );
    assert_eq!(check("left", "fn f() { crate::top::g() }"), ["`top` is a higher layer"]);
    assert_eq!(check("gone", ""), ["`gone` is not in the list of layers"]);
    assert!(
        check("base", "// use crate::top;\nmacro_rules! m { () => { $crate::top::x() } }")
            .is_empty()
    );
    assert!(
        check("base", "use crate::Sim;\n#[cfg(test)]\nmod tests {\n    use crate::top;\n}")
            .is_empty()
    );
}

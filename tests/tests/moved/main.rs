//! Tests the programs of `docs/coming-from-turmoil-and-madsim.md`, in their form after the move.

mod from_madsim;
mod from_turmoil;

use std::fs;
use std::path::Path;

/// A code block of the page that begins with the name of a file in this folder must be in that
/// file.
#[test]
fn page_shows_these_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file can be read");
    let page = read("docs/coming-from-turmoil-and-madsim.md");
    let blocks = page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut shown = 0;
    for block in blocks {
        let Some((file, code)) = block.strip_prefix("// ").and_then(|rest| rest.split_once('\n'))
        else {
            continue;
        };
        if !file.starts_with("tests/tests/moved/") {
            continue;
        }
        let code = code.trim();
        assert!(read(file).contains(code), "{file} does not have this code:\n{code}");
        shown += 1;
    }
    assert_eq!(shown, 2);
}

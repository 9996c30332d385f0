//! The house rules, held by a test: sizes, docs, room edges, homes of third-party crates.
//!
//! `rules.rs` holds one function a rule, `source.rs` reads a file into lines, tokens and syntax,
//! `bites.rs` proves that each rule finds what it forbids. Style itself is rustfmt's and clippy's.

mod bites;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::RULES;
use source::Source;

/// Goal: the repository keeps its own rules. Reads every Rust file of `src`, `tests` and `benches`
/// and reports all violations at once, as `path:line: what`.
#[test]
fn the_repository_keeps_every_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut violations = Vec::new();
    for path in rust_files(root) {
        let text = fs::read_to_string(&path).expect("a listed file is readable");
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        let source = Source::parse(&name, text).expect("a file that compiles parses");
        for (_, rule) in RULES {
            violations.extend(rule(&source));
        }
    }
    assert!(violations.is_empty(), "house rules broken:\n{}", violations.join("\n"));
}

/// Every `.rs` file below the folders that hold our code, sorted.
fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<_> = ["src", "tests", "benches"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 10, "the walk found next to nothing: {files:?}");
    files
}

//! The README is true: its tables are those of the code and of the stored reports.

use std::path::Path;
use std::process::Command;

const READMES: [&str; 2] = ["README.md", "README.ko.md"];

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The field names that the scenario language knows in one of its tables, from its own refusal.
fn fields_of(text: &str) -> Vec<String> {
    let error = cplock::scenario::file::parse(text).unwrap_err().to_string();
    let (_, names) = error.split_once("there are ").unwrap_or_else(|| panic!("{error}"));
    names.split(", ").map(str::to_owned).collect()
}

/// Goal: every field of the scenario language is documented. Method: ask the parser for the names.
#[test]
fn every_scenario_field_is_in_the_readme() {
    let readme = read("README.md");
    let head = "name = \"a\"\nstock = 1\n";
    let load = "[load]\nvus = 1\n";
    for (table, text) in [
        ("", "qqqqqq = 1\n".to_owned()),
        ("server.", format!("{head}{load}[server]\nqqqqqq = 1\n")),
        ("lock.", format!("{head}{load}[lock]\nqqqqqq = 1\n")),
        ("load.", format!("{head}[load]\nqqqqqq = 1\n")),
        ("evidence.", format!("{head}{load}[evidence]\nqqqqqq = 1\n")),
        ("strategy.", format!("{head}{load}[[strategy]]\nqqqqqq = 1\n")),
    ] {
        for field in fields_of(&text) {
            let tables = ["server", "lock", "load", "evidence", "strategy"];
            if table.is_empty() && tables.contains(&field.as_str()) {
                continue;
            }
            let row = format!("| `{table}{field}` |");
            assert!(readme.contains(&row), "README.md has no row for `{table}{field}`");
        }
    }
}

/// Goal: the published comparison is what the stored reports say. Method: draw them again.
#[test]
fn the_published_table_is_drawn_from_the_stored_reports() {
    let folders = ["no-lock", "spin", "fair"].map(|name| format!("reports/published/{name}"));
    for folder in &folders {
        assert!(Path::new(folder).join("report.json").is_file(), "{folder}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_cplock"))
        .arg("report")
        .args(&folders)
        .args(["--format", "markdown"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let drawn = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = drawn.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 10, "{drawn}");
    for readme in READMES {
        let text = read(readme);
        for row in &rows {
            // The README adds a column with the published figures at the right.
            let row = row.trim_end_matches('|').trim_end();
            assert!(text.contains(row), "{readme} lacks `{row}`");
        }
    }
}

/// Goal: both languages tell the same exit codes and checks. Method: their first columns.
#[test]
fn both_readmes_have_the_same_codes_and_checks() {
    let [english, korean] = READMES.map(read);
    for line in english.lines().filter(|line| line.starts_with("| ")) {
        let first = line.split('|').nth(1).unwrap_or_default().trim();
        let id = first.split(' ').next().unwrap_or_default();
        let is_code = !id.is_empty() && id.chars().all(|c| c.is_ascii_digit());
        let is_check = id.starts_with('V') && id[1..].chars().all(|c| c.is_ascii_digit());
        if is_code || is_check {
            assert!(korean.contains(&format!("\n| {id} ")), "README.ko.md lacks `{id}`");
        }
    }
    assert!(!english.contains("<!--") && !korean.contains("<!--"), "a gap was left to fill");
}

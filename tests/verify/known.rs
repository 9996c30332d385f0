//! Known answers: the published runs, as fixtures with their expected findings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Books, audit};
use cplock::coupon::Snapshot;
use cplock::verify::Ruling;

/// One file of `fixtures/books`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Where the numbers were published.
    #[serde(rename = "source")]
    _source: String,
    after: Snapshot,
    before: Option<Snapshot>,
    verdict: Ruling,
    /// Observed number by check.
    observed: BTreeMap<String, i64>,
}

/// Goal: each published run gets exactly its published numbers, from the database alone.
#[test]
fn published_runs_have_their_published_numbers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/books");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable fixture");
        let known: Known = serde_json::from_str(&text).expect("a well-formed fixture");
        let verdict = audit(&Books {
            one_per_user: false,
            before: known.before,
            after: Some(known.after),
            rows: None,
            attempts: None,
            ledger_complete: false,
            ..Books::default()
        });
        assert_eq!(verdict.verdict, known.verdict, "{}", file.display());
        for (id, observed) in known.observed {
            let finding = verdict.finding(&id).expect("a known check");
            assert_eq!(finding.observed, Some(observed), "{id} of {}", file.display());
        }
    }
}

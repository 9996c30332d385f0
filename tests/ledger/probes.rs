//! `probes.ndjson`: what is written is read back, and what is no file of probes is refused.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use cplock::ledger::EvidenceError;
use cplock::ledger::probes::{About, Kind, Own, Probe, Probes, Saw, Writer, read};
use proptest::option;
use proptest::prelude::*;
use tempfile::TempDir;

fn about() -> About {
    About { run: "run \"odd\"\n".into(), coupon: -1, every_us: 100_000 }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probes.ndjson");
    (folder, path)
}

prop_compose! {
    fn own()(
        user: i64,
        request: String,
        row in option::of(any::<i64>()),
        present: bool,
        count: u64,
        rows in option::of(proptest::collection::vec(any::<i64>(), 0..9)),
    ) -> Own {
        Own { user, request, row, present, count, rows }
    }
}

fn saw() -> impl Strategy<Value = Saw> {
    prop_oneof![
        any::<i64>().prop_map(|quantity| Saw::Remaining { quantity }),
        any::<(i64, i64)>().prop_map(|(quantity, issued)| Saw::Snapshot { quantity, issued }),
        own().prop_map(Saw::Own),
        (proptest::sample::select(&Kind::ALL[..]), any::<String>())
            .prop_map(|(kind, error)| Saw::Failed { kind, error }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: any probes whatever come back equal, in their order, with the moment of beginning.
    #[test]
    fn round_trip(given in proptest::collection::vec((any::<[u64; 2]>(), saw()), 0..40)) {
        let (_folder, path) = place();
        let given: Vec<Probe> = given
            .into_iter()
            .map(|([one, two], saw)| Probe { start_us: one.min(two), end_us: one.max(two), saw })
            .collect();
        let writer = Writer::create(&path, &about()).unwrap();
        for probe in &given {
            writer.append(probe);
        }
        writer.began(UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456));
        prop_assert_eq!(writer.finish().unwrap(), given.len() as u64);
        let began_unix_us = Some(1_700_000_000_123_456);
        let expected = Probes { about: about(), began_unix_us, complete: true, probes: given };
        prop_assert_eq!(read(&path).unwrap(), expected);
    }

    /// Goal: no file whatever makes the reader panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole: bool) {
        let (_folder, path) = place();
        let head = if whole { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        std::fs::write(&path, [head, bytes].concat()).unwrap();
        let _ = read(&path);
    }
}

const HEADER: &str = concat!(
    r#"{"schema":"cplock.probes/1","run":"r","coupon":1,"every_us":100000,"#,
    r#""began_unix_us":null                }"#
);
const REMAINING: &str = r#"{"start_us":1,"end_us":2,"kind":"remaining","quantity":5}"#;
const SNAPSHOT: &str = r#"{"start_us":1,"end_us":2,"kind":"snapshot","quantity":5,"issued":1}"#;
const OWN: &str = concat!(
    r#"{"start_us":1,"end_us":2,"kind":"own","user":1,"request":"r","present":true,"count":1,"#,
    r#""rows":[7]}"#
);
const FAILED: &str = r#"{"start_us":1,"end_us":2,"kind":"own","error":"timeout"}"#;
const END: &str = r#"{"end":true,"records":4}"#;

fn read_text(text: &str) -> Result<Probes, EvidenceError> {
    let (_folder, path) = place();
    std::fs::write(&path, text).unwrap();
    read(&path)
}

/// Goal: what a killed run leaves is read as far as it goes, and told to be incomplete.
#[test]
fn cut_short() {
    let whole = format!("{HEADER}\n{REMAINING}\n{SNAPSHOT}\n{OWN}\n{FAILED}\n{END}\n");
    let probes = read_text(&whole).unwrap();
    assert!(probes.complete && probes.probes.len() == 4 && probes.began_unix_us.is_none());
    for cut in HEADER.len() + 1..whole.len() {
        assert!(!read_text(&whole[..cut]).unwrap().complete, "cut at {cut}");
    }
    assert!(read_text("").unwrap_err().to_string().contains("line 1: the header is cut short"));
}

/// Goal: each kind of wrong line is refused, with its number and the reason.
#[test]
fn refused() {
    let error = read_text(&format!("{}\n", HEADER.replace("/1", "/9"))).unwrap_err();
    assert!(matches!(error, EvidenceError::Schema { .. }), "{error}");
    for (line, words) in [
        (REMAINING.replace(":1,", ":3,"), "it ends at 2 µs, before its start"),
        (REMAINING.replace("remaining", "left"), "unknown kind `left`"),
        (REMAINING.replace("quantity", "stock"), "unknown field `stock`"),
        (REMAINING.replace("\"end_us\":2,", ""), "missing field `end_us`"),
        (REMAINING.replace("remaining", "snapshot"), "a field too many or too few"),
        (SNAPSHOT.replace("snapshot", "remaining"), "a field too many or too few"),
        (SNAPSHOT.replace('}', ",\"user\":1}"), "a field too many or too few"),
        (OWN.replace("\"present\":true,", ""), "a field too many or too few"),
        (OWN.replace('}', ",\"quantity\":1}"), "a field too many or too few"),
        (FAILED.replace('}', ",\"count\":1}"), "a field too many or too few"),
        (END.to_owned(), "it ends 4 records, and there are 1"),
        (END.replace('4', "1").replace("true", "false"), "it ends 1 records"),
        (format!("{}\n{SNAPSHOT}", END.replace('4', "1")), "a line after the end"),
    ] {
        let error = read_text(&format!("{HEADER}\n{REMAINING}\n{line}\n")).unwrap_err();
        let EvidenceError::Line { line: at, what } = &error else { panic!("{error}") };
        let expected = 3 + u64::from(words == "a line after the end");
        assert!(*at == expected && what.contains(words), "{words}: {error}");
    }
}

//! `bundle` from outside: folders, documents, rows, books, and what a broken one says.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use cplock::bundle::{self, Bundle, BundleError, RUN_SCHEMA, RunFacts, machine_facts, rows};
use cplock::coupon::{IssuedRow, Snapshot};
use cplock::ledger::attempts::{AttemptRef, Attempts};
use cplock::ledger::file::Writer;
use cplock::ledger::measured::Measured;
use cplock::ledger::{Attempt, Outcome};
use cplock::report::{self, Report};
use cplock::scenario::Expect;
use cplock::verify::{self, Level, Ruling, Verdict, audit};
use proptest::prelude::*;
use tempfile::TempDir;

use super::verify::{attempt, row, sound, stock};

fn facts(measured: Option<Measured>) -> RunFacts {
    RunFacts {
        schema: RUN_SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        name: "quick".to_owned(),
        run: "7f3a".to_owned(),
        scenario: serde_json::json!({"name": "quick", "stock": 10}),
        strategy: Some("fair".to_owned()),
        write: Some("read-modify-write".to_owned()),
        expect: Expect::Pass,
        one_per_user: true,
        fifo: false,
        coupon: 1,
        started: "2026-11-22T20:01:30Z".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        machine: machine_facts(),
        settings: vec![("database".to_owned(), "MariaDB 10.11".to_owned())],
        interrupted: false,
        measured,
    }
}

/// An empty bundle, and the folder that holds it.
fn fresh() -> (TempDir, Bundle) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Bundle::create(folder.path(), "quick", SystemTime::UNIX_EPOCH).unwrap();
    (folder, bundle)
}

fn write_ledger(bundle: &Bundle, attempts: &[Attempt]) {
    let ledger = Writer::create(&bundle.file(bundle::LEDGER), "7f3a").unwrap();
    for attempt in attempts {
        ledger.append(attempt);
    }
    assert_eq!(ledger.finish().unwrap(), attempts.len() as u64);
}

fn write_rows(bundle: &Bundle, rows: &[IssuedRow]) {
    let mut writer = bundle.rows_writer().unwrap();
    // Two pages, as from a database.
    let (first, second) = rows.split_at(rows.len() / 2);
    writer.append(first).unwrap();
    writer.append(second).unwrap();
    assert!(!bundle.file(bundle::ROWS).exists(), "it appears when it is whole");
    writer.finish().unwrap();
}

/// Goal: bundles of the same second get folders of their own, and `latest` leads to the last one.
#[test]
fn bundles_never_share_a_folder_and_latest_is_the_newest() {
    let parent = tempfile::tempdir().unwrap();
    let reports = parent.path().join("deep/reports");
    let make = |_| {
        let bundle = Bundle::create(&reports, "quick-1", SystemTime::UNIX_EPOCH).unwrap();
        bundle.write_json(bundle::RUN, &facts(None)).unwrap();
        bundle
    };
    let made: Vec<_> = (0..3).map(make).collect();
    let names = made.iter().map(|bundle| bundle.path().file_name().unwrap().to_str().unwrap());
    let time = "quick-1-1970-01-01T00-00-00Z";
    let numbered = [time.to_owned(), format!("{time}-2"), format!("{time}-3")];
    assert_eq!(names.collect::<Vec<_>>(), numbered);
    let latest = Bundle::open(&reports.join("latest")).unwrap();
    let same = |dir: &Path| fs::canonicalize(dir).unwrap();
    assert_eq!(same(latest.path()), same(made[2].path()));
    let link = fs::read_link(reports.join("latest")).unwrap();
    assert!(link.is_relative(), "the folder can be moved: {link:?}");
    assert_eq!(fs::read_dir(&reports).unwrap().count(), 4, "three runs, one link");
}

/// Goal: a name is never a path and never a flag.
#[test]
fn names_that_are_no_plain_folder_are_refused() {
    let (parent, bundle) = fresh();
    let before = fs::read_dir(parent.path()).unwrap().count();
    let long = "a".repeat(81);
    for name in ["", "..", "../x", "/etc", "a/b", "a b", "A", "ä", "-rf", "a\0", "a\u{1b}", &long]
    {
        for refused in
            [Bundle::create(parent.path(), name, SystemTime::UNIX_EPOCH), bundle.part(name)]
        {
            assert!(matches!(refused, Err(BundleError::NotABundle { .. })), "{name:?}");
            assert!(!refused.unwrap_err().to_string().contains('\u{1b}'));
        }
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), before, "nothing was made");
    assert_eq!(fs::read_dir(bundle.path()).unwrap().count(), 0, "nothing was made");
}

/// Goal: parts come back in the order of the comparison; what is no run is none of them.
#[test]
fn parts_are_listed_in_the_order_of_the_comparison() {
    let (_parent, whole) = fresh();
    for name in ["02-spin", "01-none", "12-fair", "03-fair"] {
        whole.part(name).unwrap().write_json(bundle::RUN, &facts(None)).unwrap();
    }
    fs::create_dir(whole.file("notes")).unwrap();
    let parts = whole.parts().unwrap();
    let names = parts.iter().map(|part| part.path().file_name().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["01-none", "02-spin", "03-fair", "12-fair"]);
    assert!(whole.part("01-none").is_err(), "a part is never overwritten");
    assert!(matches!(Bundle::open(whole.path()), Err(BundleError::NotABundle { .. })));
    let nowhere = Bundle::open(&whole.file("nowhere")).unwrap_err().to_string();
    assert!(nowhere.ends_with("there is no such folder"), "{nowhere}");
}

/// Goal: what is written is read back as the same books and judged, and the same books give the
/// same bytes. Before its end a run is open, readable, and its ledger incomplete.
#[test]
fn books_are_read_back_as_they_were_written() {
    let (_parent, bundle) = fresh();
    let mut whole = sound(10, 6, 0);
    whole.more.declared.atomic = true; // As every run of our own server.
    let attempts = whole.attempts.clone().unwrap();
    let as_read = whole.of_run("7f3a");
    bundle.write_json(bundle::RUN, &facts(None)).unwrap();
    bundle.write_json(bundle::BEFORE, whole.before.as_ref().unwrap()).unwrap();
    write_ledger(&bundle, &attempts);
    let killed = bundle.read_books().unwrap();
    assert_eq!((killed.after.as_ref(), killed.rows.as_ref()), (None, None));
    assert_eq!(
        (killed.attempts.as_ref(), killed.ledger_complete),
        (as_read.attempts.as_ref(), false)
    );
    assert!(!bundle.closed());
    assert_ne!(audit(&killed).verdict, Ruling::Pass, "a killed run proves nothing");

    write_rows(&bundle, whole.rows.as_ref().unwrap());
    assert!(!bundle.closed(), "closed by after.json alone");
    bundle.write_json(bundle::AFTER, whole.after.as_ref().unwrap()).unwrap();
    bundle.write_json(bundle::RUN, &facts(Some(Measured::default()))).unwrap();
    assert!(bundle.closed());
    let books = bundle.read_books().unwrap();
    assert_eq!(books, as_read);

    let verdict = audit(&books);
    assert_eq!((verdict.evidence.level, verdict.verdict), (Level::E1, Ruling::Pass));
    let stored = || {
        bundle.write_json(bundle::VERDICT, &audit(&bundle.read_books().unwrap())).unwrap();
        fs::read(bundle.file(bundle::VERDICT)).unwrap()
    };
    assert_eq!(stored(), stored());
    assert_eq!(bundle.read_json::<Verdict>(bundle::VERDICT).unwrap(), verdict);
    let left = fs::read_dir(bundle.path()).unwrap().flatten().map(|entry| entry.file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    let expected =
        ["after.json", "before.json", "ledger.ndjson", "rows.csv", "run.json", "verdict.json"];
    assert_eq!(left, expected, "no partial file is left");
}

/// Goal: a document is replaced as a whole or stays as it was.
#[test]
fn a_failed_write_leaves_the_old_document() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = serde::Serializer::serialize_map(to, None)?;
            serde::ser::SerializeMap::serialize_entry(&mut map, "half", "written")?;
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let (_parent, bundle) = fresh();
    bundle.write_json(bundle::AFTER, &stock(10, 4, 6, 6)).unwrap();
    assert!(bundle.write_json(bundle::AFTER, &Broken).is_err());
    // A folder in the way of the partial file: the system refuses.
    fs::create_dir(bundle.file("after.tmp")).unwrap();
    assert!(bundle.write_json(bundle::AFTER, &stock(0, 0, 0, 0)).is_err());
    assert_eq!(bundle.read_json::<Snapshot>(bundle::AFTER).unwrap(), stock(10, 4, 6, 6));
}

/// Goal: a ledger as a kill leaves it is read up to the tear and marked incomplete, though the run
/// says that it ended well.
#[test]
fn a_torn_ledger_is_read_up_to_the_tear() {
    let (_parent, bundle) = fresh();
    bundle.write_json(bundle::RUN, &facts(Some(Measured::default()))).unwrap();
    let attempts: Vec<_> = (1..=3).map(|n| attempt(n, Outcome::Acknowledged)).collect();
    write_ledger(&bundle, &attempts);
    assert!(bundle.read_books().unwrap().ledger_complete);
    let whole = fs::read(bundle.file(bundle::LEDGER)).unwrap();
    fs::write(bundle.file(bundle::LEDGER), &whole[..whole.len() - 7]).unwrap();
    let books = bundle.read_books().unwrap();
    let kept: Vec<_> = books.attempts.unwrap().iter().map(AttemptRef::to_attempt).collect();
    assert_eq!((kept.as_slice(), books.ledger_complete), (&attempts[..2], false));
    for torn_header in [&whole[..5], &[]] {
        fs::write(bundle.file(bundle::LEDGER), torn_header).unwrap();
        let books = bundle.read_books().unwrap();
        assert_eq!((books.attempts, books.ledger_complete), (Some(Attempts::default()), false));
    }
    let text = String::from_utf8(whole).unwrap().replacen("acknowledged", "applauded", 2);
    fs::write(bundle.file(bundle::LEDGER), text).unwrap();
    let told = bundle.read_books().unwrap_err().to_string();
    assert!(told.contains("ledger.ndjson:2: ") && told.contains("`applauded`"), "{told}");
}

/// Goal: each kind of damage in the rows is told with file and line.
#[test]
fn damaged_rows_are_told_with_file_and_line() {
    let (_parent, bundle) = fresh();
    let head = "user_coupon_id,user_id,coupon_id,request_id,created_us\n";
    let begun = |lines: &str| format!("{head}{lines}");
    for (text, end) in [
        ("row,user\n1,2\n".to_owned(), "rows.csv:1: the first line must be `"),
        (String::new(), "rows.csv:1: the first line must be `"),
        (begun("1,2,3,a\n"), "rows.csv:2: 4 fields instead of 5"),
        (begun("1,2,3,a,4,5\n"), "rows.csv:2: 6 fields instead of 5"),
        (begun("1,2,3,\"a\nb\",4\nx,2,3,a,4\n"), "rows.csv:4: `x` in `user_coupon_id` is not a"),
        (begun("1,2,3,a,4\n5,6,7"), "rows.csv:3: the line is cut off"),
        (begun("1,2,3,a,4\n5,6,7,b,8"), "rows.csv:3: the line is cut off"),
        (begun("1,2,3,\"a,4\n"), "rows.csv:2: a quote is never closed"),
        (begun("1,2,3,\"a\"b,4\n"), "rows.csv:2: text after a closing quote"),
        (begun("99999999999999999999,2,3,a,4\n"), "rows.csv:2: `99999999999999999999` in `user_"),
        (begun("7,2,3,a,4\n5,6,7,b,8\n"), "rows.csv:3: row 5 follows row 7"),
        (begun("7,2,3,a,4\n7,6,7,b,8\n"), "rows.csv:3: row 7 follows row 7"),
        (begun("1,2,3,a, 4\n"), "rows.csv:2: ` 4` in `created_us` is not a whole number"),
    ] {
        fs::write(bundle.file(bundle::ROWS), text).unwrap();
        let told = rows::read(&bundle.file(bundle::ROWS), "").unwrap_err().to_string();
        assert!(told.contains(end), "{told}\nshould hold\n{end}");
    }
    fs::write(bundle.file(bundle::ROWS), b"\xff\xfe").unwrap();
    let told = rows::read(&bundle.file(bundle::ROWS), "").unwrap_err();
    assert!(told.to_string().contains("rows.csv:1: "), "{told}");
}

/// Goal: damaged documents are told with file and line; another version's are refused by name.
#[test]
fn damaged_and_foreign_documents_are_refused() {
    let (_parent, bundle) = fresh();
    let text = "{\n\"coupon\": 1,\n\"surprise\": 2}";
    fs::write(bundle.file(bundle::BEFORE), text).unwrap();
    let told = bundle.read_json::<Snapshot>(bundle::BEFORE).unwrap_err().to_string();
    assert!(told.contains("before.json:3: unknown field `surprise`"), "{told}");
    let missing = bundle.read_json::<Snapshot>(bundle::AFTER);
    assert!(matches!(missing, Err(BundleError::Io { action: "read", .. })));

    // Also with fields that this version does not know: the version is the better reason.
    let foreign = |name| {
        let text = r#"{"news": 1, "schema": "cplock.other/9"}"#;
        fs::write(bundle.file(name), text).unwrap();
        let told = match name {
            bundle::RUN => bundle.read_json::<RunFacts>(name).unwrap_err(),
            bundle::VERDICT => bundle.read_json::<Verdict>(name).unwrap_err(),
            _ => bundle.read_json::<Report>(name).unwrap_err(),
        };
        told.to_string()
    };
    for (name, known) in [
        (bundle::RUN, RUN_SCHEMA),
        (bundle::VERDICT, verify::SCHEMA),
        (bundle::REPORT, report::SCHEMA),
    ] {
        let told = foreign(name);
        let what = format!("{name}:1: schema `cplock.other/9`, this version reads `{known}`; use");
        assert!(told.contains(&what), "{told}");
    }
    assert!(bundle.read_books().unwrap_err().to_string().contains("run.json:1: schema"));
}

proptest! {
    /// Goal: whatever stands in a request id, rows are read back as they were written.
    #[test]
    fn rows_are_read_back(requests in prop::collection::vec(any::<String>(), 0..20)) {
        let (_parent, bundle) = fresh();
        let named = |(n, request): (u32, &String)| IssuedRow { request: request.clone(), ..row(n) };
        let written: Vec<_> = (1..).zip(&requests).map(named).collect();
        write_rows(&bundle, &written);
        let read = rows::read(&bundle.file(bundle::ROWS), "").unwrap();
        prop_assert_eq!(read, written.iter().collect());
    }
}

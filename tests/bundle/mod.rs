//! `bundle` from outside: folders, documents, rows, books, and what a broken one says.

use std::fs;
use std::path::Path;

use cplock::bundle::{Bundle, BundleError, File, Host, RUN_SCHEMA, RunFacts, redact_url};
use cplock::coupon::{CouponId, IssuedRow, Snapshot, UserId};
use cplock::verify::{Level, audit};
use proptest::prelude::*;

fn facts() -> RunFacts {
    RunFacts {
        schema: RUN_SCHEMA.to_owned(),
        tool: "0.1.0".to_owned(),
        run: "7f3a".to_owned(),
        scenario: serde_json::json!({"name": "quickstart", "stock": 1000}),
        strategy: Some("fair".to_owned()),
        write: Some("read-modify-write".to_owned()),
        one_per_user: true,
        started: "2026-11-22T20:01:30Z".to_owned(),
        finished: None,
        interrupted: false,
        host: Host::here(),
        target: "http://127.0.0.1:8080".to_owned(),
        facts: vec![("database".to_owned(), "MariaDB 10.11".to_owned())],
    }
}

fn row(n: i64, request: &str) -> IssuedRow {
    let (user, coupon) = (UserId(n), CouponId(1));
    IssuedRow { row: n, user, coupon, request: request.to_owned(), created_us: -n }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Goal: bundles of the same second get folders of their own, and `latest` leads to the last one.
#[test]
fn bundles_never_share_a_folder_and_latest_is_the_newest() {
    let parent = folder();
    let reports = parent.path().join("reports");
    let made: Vec<_> = (0..3).map(|_| Bundle::create(&reports, "quick-1").expect("made")).collect();
    for (n, bundle) in made.iter().enumerate() {
        assert!(made[..n].iter().all(|other| other != bundle), "{made:?}");
        bundle.write_json(File::Run, &facts()).expect("written");
    }
    let latest = Bundle::open(&reports.join("latest")).expect("opened through latest");
    let same = |dir: &Path| fs::canonicalize(dir).expect("exists");
    assert_eq!(same(latest.dir()), same(made[2].dir()));
    let link = fs::read_link(reports.join("latest")).expect("a link");
    assert!(link.is_relative(), "the folder can be moved: {link:?}");
}

/// Goal: `latest` as a plain file, as left where links cannot be made, is followed too.
#[test]
fn latest_as_a_plain_file_is_followed() {
    let parent = folder();
    let bundle = Bundle::create(parent.path(), "quick").expect("made");
    bundle.write_json(File::Run, &facts()).expect("written");
    let latest = parent.path().join("latest");
    fs::remove_file(&latest).expect("a link");
    let name = bundle.dir().file_name().expect("named").to_str().expect("plain");
    fs::write(&latest, name).expect("written");
    assert_eq!(Bundle::open(&latest).expect("followed"), bundle);
    fs::write(&latest, "../elsewhere").expect("written");
    assert!(matches!(Bundle::open(&latest), Err(BundleError::NotABundle(_))));
}

/// Goal: a name is never a path.
#[test]
fn names_that_are_no_plain_folder_are_refused() {
    let parent = folder();
    let long = "a".repeat(101);
    for name in ["", "..", "../x", "/etc", "a/b", "a b", "A", "ä", "-rf", "a\0", &long] {
        let refused = Bundle::create(parent.path(), name);
        assert!(matches!(refused, Err(BundleError::Name(_))), "{name:?}");
    }
    assert_eq!(fs::read_dir(parent.path()).expect("listed").count(), 0, "nothing was made");
}

/// Goal: parts come back in the order of the comparison, also beyond ten.
#[test]
fn parts_are_listed_in_the_order_of_the_comparison() {
    let parent = folder();
    let whole = Bundle::create(parent.path(), "compare").expect("made");
    for (number, name) in [(2, "spin"), (1, "none"), (100, "fair"), (3, "fair")] {
        let part = whole.create_part(number, name).expect("made");
        part.write_json(File::Run, &facts()).expect("written");
    }
    fs::create_dir(whole.dir().join("notes")).expect("made");
    let parts = whole.parts().expect("listed");
    let names = parts.iter().map(|part| part.dir().file_name().expect("named"));
    assert_eq!(names.collect::<Vec<_>>(), ["01-none", "02-spin", "03-fair", "100-fair"]);
    assert!(whole.create_part(1, "none").is_err(), "a part is never overwritten");
    assert!(matches!(Bundle::open(whole.dir()), Err(BundleError::NotABundle(_))));
}

/// Goal: what is written is read back as the same books, and judged.
#[test]
fn books_are_read_back_as_they_were_written() {
    let parent = folder();
    let bundle = Bundle::create(parent.path(), "quick").expect("made");
    bundle.write_json(File::Run, &facts()).expect("written");
    let books = bundle.read_books(None).expect("a killed run is readable");
    assert_eq!((books.after, books.rows, books.ledger_complete), (None, None, false));

    let stock = |remaining, issued| {
        let (coupon, initial) = (CouponId(1), 10);
        Snapshot { coupon, initial, remaining, issued, last_row: issued }
    };
    let rows = vec![row(1, "7f3a-1"), row(2, "a \"b\", c\nd")];
    let mut writer = bundle.rows_writer().expect("begun");
    assert!(!bundle.has(File::Rows), "it appears when it is whole");
    for row in &rows {
        writer.write(row).expect("written");
    }
    writer.finish().expect("finished");
    bundle.write_json(File::Before, &stock(10, 0)).expect("written");
    bundle.write_json(File::After, &stock(8, 2)).expect("written");
    let finished = RunFacts { finished: Some("2026-11-22T20:02:00Z".to_owned()), ..facts() };
    bundle.write_json(File::Run, &finished).expect("written");

    let books = bundle.read_books(Some(Vec::new())).expect("read");
    assert_eq!((books.rows.as_ref(), books.ledger_complete), (Some(&rows), true));
    assert_eq!(bundle.read_json::<RunFacts>(File::Run).expect("read"), finished);
    let verdict = audit(&books);
    assert_eq!(verdict.evidence.level, Level::E1);
    bundle.write_json(File::Verdict, &verdict).expect("written");
    assert_eq!(bundle.read_json::<cplock::verify::Verdict>(File::Verdict).expect("read"), verdict);
    let left: Vec<_> = fs::read_dir(bundle.dir()).expect("listed").flatten().collect();
    assert_eq!(left.len(), 5, "no partial file is left: {left:?}");
}

/// Goal: each kind of damage is told with file and line, and another version is refused.
#[test]
fn damage_is_told_with_file_and_line() {
    let parent = folder();
    let bundle = Bundle::create(parent.path(), "quick").expect("made");
    let head = "row,user,coupon,request,created_us\n";
    for (text, end) in [
        (
            "row,user\n1,2\n",
            "rows.csv:1: the first line must be `row,user,coupon,request,created_us`",
        ),
        (&format!("{head}1,2,3,a\n"), "rows.csv:2: 4 fields instead of 5"),
        (&format!("{head}1,2,3,a,4,5\n"), "rows.csv:2: 6 fields instead of 5"),
        (
            &format!("{head}1,2,3,\"a\nb\",4\nx,2,3,a,4\n"),
            "rows.csv:4: `x` in `row` is not a whole number",
        ),
        (&format!("{head}1,2,3,a,4\n5,6,7"), "rows.csv:3: the line is cut off"),
        (&format!("{head}1,2,3,\"a,4\n"), "rows.csv:2: a quote is never closed"),
        (&format!("{head}1,2,3,\"a\"b,4\n"), "rows.csv:2: text after a closing quote"),
        (
            &format!("{head}99999999999999999999,2,3,a,4\n"),
            "rows.csv:2: `99999999999999999999` in `row` is not a whole number",
        ),
    ] {
        fs::write(bundle.path(File::Rows), text).expect("written");
        let told = bundle.read_rows().expect_err("damaged").to_string();
        assert!(told.ends_with(end), "{told}\nshould end with\n{end}");
    }
    fs::write(bundle.path(File::Before), "{\n\"coupon\": 1,\n\"surprise\": 2}").expect("written");
    let told = bundle.read_json::<Snapshot>(File::Before).expect_err("damaged").to_string();
    assert!(told.contains("before.json:3: unknown field `surprise`"), "{told}");

    let other = RunFacts { schema: "cplock.run/2".to_owned(), ..facts() };
    bundle.write_json(File::Run, &other).expect("written");
    let told = bundle.read_books(None).expect_err("another version").to_string();
    assert!(told.contains("has the schema `cplock.run/2`, this program reads `cplock.run/1`"));
    let missing = bundle.read_json::<Snapshot>(File::After).expect_err("not there");
    assert!(matches!(missing, BundleError::Io { action: "read", .. }));
}

/// Goal: no password survives, whatever else is in the text.
#[test]
fn secrets_do_not_survive_in_urls() {
    for (url, redacted) in [
        ("mysql://root:hunter2@db:3306/coupons", "mysql://root@db:3306/coupons"),
        ("mysql://root:hun@ter:2/@db/x", "mysql://root@db/x"),
        ("mysql://root:hun?ter2@db/x", "mysql://root@db/x"),
        ("redis://:hunter2@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        (
            "postgres://db/x?user=a&password=hunter2&ssl=on",
            "postgres://db/x?user=a&password=***&ssl=on",
        ),
        ("root:hunter2@db", "root@db"),
        ("sqlite://cplock.db", "sqlite://cplock.db"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ] {
        assert_eq!(redact_url(url), redacted);
    }
}

proptest! {
    /// Goal: whatever stands in a request id, rows are read back as they were written.
    #[test]
    fn rows_are_read_back(requests in prop::collection::vec(any::<String>(), 0..20)) {
        let parent = folder();
        let bundle = Bundle::create(parent.path(), "quick").expect("made");
        let rows: Vec<_> = (1..).zip(&requests).map(|(n, request)| row(n, request)).collect();
        let mut writer = bundle.rows_writer().expect("begun");
        for row in &rows {
            writer.write(row).expect("written");
        }
        writer.finish().expect("finished");
        prop_assert_eq!(bundle.read_rows().expect("read"), rows);
    }
}

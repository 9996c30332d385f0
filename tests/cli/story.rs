//! The first ten minutes: serve, load and verify in one folder, with no flags that name each other.

use std::fs;

use super::{Place, attempts, in_table, json};

/// Goal: the three commands work in this order, also when the server is stopped before the books
/// are read; the counts of client, table and server agree; a second look at the run gives the same
/// bytes; the database alone can be judged as well.
#[test]
fn three_commands_in_one_folder() {
    let place = Place::new();
    let server = place.serve(&["--lock", "fair", "--stock", "500"]);
    let load = ["load", "--target", &server.url, "--vus", "20", "--hold", "1s", "--think", "20ms"];
    let end = place.call(&load).code(0);
    assert!(end.err.contains("`cplock verify` judges it"), "{}", end.err);
    let bundle = place.latest("");
    let asked = attempts(&bundle);
    assert!(asked > 20, "{asked} in a second");
    assert_eq!(server.counter("cplock_claim_requests_total"), asked);
    assert_eq!(in_table(&end.out, "requests"), asked);
    assert_eq!(json(&bundle.join("run.json"))["measured"]["attempts"], asked);
    assert!(!bundle.join("after.json").exists(), "the books are open");

    let stopped = server.stop().code(0);
    assert!(stopped.err.contains(&format!("drained; {asked} claims were let in")), "{stopped:?}");

    let first = place.call(&["verify"]).code(0);
    assert!(first.out.starts_with("VERDICT PASS: initial 500 − remaining"), "{}", first.out);
    let verdict = fs::read(bundle.join("verdict.json")).unwrap();
    let report = fs::read(bundle.join("report.json")).unwrap();
    let again = place.call(&["verify"]).code(0);
    assert_eq!((again.out, fs::read(bundle.join("verdict.json")).unwrap()), (first.out, verdict));
    assert_eq!(fs::read(bundle.join("report.json")).unwrap(), report);
    assert!(again.err.contains("with the books stored in it"), "{}", again.err);

    let data = place.call(&["verify", "--format", "json"]).code(0).json();
    assert_eq!((&data["schema"], &data["verdict"]), (&"cplock.verdict/1".into(), &"PASS".into()));
    assert_eq!(data["evidence"]["level"], "E2");
    assert_eq!(data["counts"]["attempts"], asked);
    assert_eq!(data, json(&bundle.join("verdict.json")));

    let alone = place.call(&["verify", "--db-only", "--db", "sqlite://cplock.db"]).code(0);
    assert!(alone.out.contains("E0: database alone"), "{}", alone.out);
    // The closed run is not asked when a database is named.
    let alone = place.call(&["verify", "--db", "sqlite://cplock.db", "--format", "json"]).code(0);
    assert_eq!(alone.json()["evidence"]["level"], "E0");
    let drawn = place.call(&["report", "reports/latest"]).code(0);
    assert_eq!(in_table(&drawn.out, "acknowledged"), asked.min(500));
}

/// Goal: with `--format json` stdout is one document, and talk goes to stderr unless quiet.
#[test]
fn stdout_holds_data_alone() {
    let place = Place::new();
    let server = place.serve(&["--lock", "none", "--stock", "50"]);
    let load = ["load", "--target", &server.url, "--vus", "3", "--iterations", "5", "--think=1ms"];
    let end = place.call(&[&load[..], &["--format", "json"]].concat()).code(0);
    let report = end.json();
    assert_eq!(report["schema"], "cplock.report/1");
    assert_eq!(report["runs"][0]["measured"]["attempts"], 15);
    assert!(!end.err.is_empty());
    let quiet = place.call(&[&load[..], &["--quiet"]].concat()).code(0);
    assert_eq!((in_table(&quiet.out, "requests"), &*quiet.err), (15, ""));
    // A second server goes on with the stock of the first.
    drop(server);
    let server = place.serve(&["--lock", "fair"]);
    let (_, coupon) = server.ask("GET /api/v1/coupons/1?rows=true HTTP/1.1", "");
    assert!(coupon.contains("\"initialQuantity\":50"), "{coupon}");
    let end = server.stop().code(0);
    assert!(end.err.contains("coupon 1 goes on with"), "{}", end.err);
}

/// Goal: a load against a service that lost updates is judged as such: exit code 3. Method: the
/// server without a lock, and more workers than one.
#[test]
fn a_service_that_loses_updates_is_told_with_exit_code_3() {
    let place = Place::new();
    let server = place.serve(&["--lock", "none", "--stock", "100000"]);
    let load = ["load", "--target", &server.url, "--vus", "30", "--hold", "1s", "--think", "1ms"];
    place.call(&load).code(0);
    drop(server);
    let end = place.call(&["verify"]).code(3);
    assert!(end.out.starts_with("VERDICT FAIL"), "{}", end.out);
    let verdict = json(&place.latest("verdict.json"));
    assert!(verdict["counts"]["lost_updates"].as_i64().unwrap() > 0);
}

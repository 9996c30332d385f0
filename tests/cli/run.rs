//! `cplock run`: expectations become exit codes, one bundle holds all, and its counts agree.

use std::fs;

use super::{Place, attempts, in_table, json, scenario};

/// What `run` leaves of each strategy (design: the bundle).
const FILES: [&str; 10] = [
    "after.json",
    "before.json",
    "latency.hlog",
    "ledger.ndjson",
    "probes.ndjson",
    "report.json",
    "rows.csv",
    "run.json",
    "server.log",
    "verdict.json",
];

/// Goal: a control that loses and a lock that holds are what was announced: exit code 0. Ledger,
/// server, documents and table count the same; each strategy's books can be judged again.
#[test]
fn a_control_and_a_lock_side_by_side() {
    let place = Place::new();
    place.write("tiny.toml", &scenario(&[("none", "FAIL"), ("fair", "PASS")]));
    let end = place.call(&["run", "tiny.toml"]).code(0);
    let table = &end.out;
    let heading = table.lines().nth(1).unwrap();
    assert!(heading.contains("none") && heading.contains("fair"), "{table}");
    assert!(table.contains("FAIL (as expected)") && table.contains("PASS"), "{table}");
    assert!(end.err.ends_with(": every strategy ended as announced\n"), "{}", end.err);

    let report = json(&place.latest("report.json"));
    assert_eq!(report["schema"], "cplock.report/1");
    for (index, part) in ["01-none", "02-fair"].into_iter().enumerate() {
        let part = place.latest(part);
        for file in FILES {
            assert!(part.join(file).is_file(), "{file} in {}", part.display());
        }
        let (asked, run) = (attempts(&part), &report["runs"][index]);
        assert_eq!(run["measured"]["attempts"], asked);
        assert_eq!(run["verdict"], json(&part.join("verdict.json")));
        assert_eq!(run["verdict"]["counts"]["attempts"], asked);
        let rows = fs::read_to_string(part.join("rows.csv")).unwrap().lines().count() as u64 - 1;
        assert_eq!(run["verdict"]["counts"]["issued"], rows);
        let log = fs::read_to_string(part.join("server.log")).unwrap();
        assert!(log.contains(&format!("drained; {asked} claims were let in")), "{asked}: {log}");
        // `run` wrote the verdict that `verify` finds, byte for byte.
        let verdict = fs::read(part.join("verdict.json")).unwrap();
        let code = if index == 0 { 3 } else { 0 };
        place.call(&["verify", part.to_str().unwrap()]).code(code);
        assert_eq!(fs::read(part.join("verdict.json")).unwrap(), verdict);
    }
    let told = ["acknowledged", "refused", "unknown"].map(|row| in_table(table, row));
    assert_eq!(told.iter().sum::<u64>(), attempts(&place.latest("01-none")));
    assert!(in_table(table, "lost updates") > 0, "{table}");

    // The whole comparison is judged as `run` judged it: the control failed as announced.
    let whole = place.call(&["verify"]).code(0);
    assert!(whole.out.contains("VERDICT FAIL") && whole.out.contains("VERDICT PASS"));
    assert!(whole.out.contains("01-none") && whole.out.contains("02-fair"), "{whole:?}");
    let drawn = place.call(&["report", "reports/latest", "--format", "json"]).code(0).json();
    assert_eq!(drawn, report);
    assert_eq!(&place.call(&["report", "reports/latest"]).code(0).out, table);
}

/// Goal: without an announcement a loss is a loss: exit code 3. `--lock` picks and orders; the
/// format is of the comparison alone.
#[test]
fn a_loss_that_was_not_announced() {
    let place = Place::new();
    place.write("tiny.toml", &scenario(&[("fair", "PASS"), ("none", "PASS")]));
    let end = place.call(&["run", "tiny.toml", "--lock", "none", "--format", "markdown"]).code(3);
    let mut lines = end.out.lines();
    assert_eq!(lines.next(), Some("### tiny"), "{}", end.out);
    assert!(lines.any(|line| line == "| verdict | FAIL |"), "{}", end.out);
    assert!(end.err.ends_with(": integrity violated\n"), "{}", end.err);
    assert!(place.latest("01-none").exists() && !place.latest("02-none").exists());
    let end = place.call(&["run", "tiny.toml", "--lock", "none,spin"]).code(2);
    assert!(end.one_line().contains("the scenario has no strategy `spin`"), "{end:?}");
}

/// Goal: a control that cannot lose proves nothing: exit code 4.
#[test]
fn a_control_that_cannot_lose() {
    let place = Place::new();
    place.write("tiny.toml", &scenario(&[("fair", "FAIL"), ("none", "FAIL")]));
    let end = place.call(&["run", "tiny.toml", "--lock", "fair", "--format", "json"]).code(4);
    let report = end.json();
    assert_eq!(report["runs"].as_array().unwrap().len(), 1);
    assert_eq!(report["runs"][0]["verdict"]["verdict"], "PASS");
    assert_eq!(report, json(&place.latest("report.json")));
    assert!(end.err.ends_with(": inconclusive\n"), "{}", end.err);
    let drawn = place.call(&["report", "reports/latest"]).code(0).out;
    assert!(drawn.contains("PASS (should have failed)"), "{drawn}");
}

//! `report` from outside: pages with the published runs' numbers, in every look.

use std::collections::BTreeMap;

use super::verify::{attempt, row, sound, stock};
use cplock::bundle::{Bundle, BundleError, File};
use cplock::ledger::Outcome;
use cplock::ledger::measured::{Latency, Measured};
use cplock::report::{
    Align, Heading, Look, Part, Report, Table, assemble, comparison, findings, summary,
};
use cplock::scenario::Expect;
use cplock::verify::{Books, Order, Ruling, Verdict, Waits, audit};

fn latency(count: u64, p50_us: u64, p95_us: u64, max_us: u64) -> Latency {
    let (p90_us, p99_us) = (p95_us - 100, p95_us + 100);
    let mean_us = 1_234.56;
    Latency { count, min_us: 951, mean_us, p50_us, p90_us, p95_us, p99_us, max_us }
}

fn reasons<const N: usize>(reasons: [(&str, u64); N]) -> BTreeMap<String, u64> {
    reasons.map(|(reason, count)| (reason.to_owned(), count)).into()
}

/// The published run without a lock, as the load measured it.
fn no_lock() -> Measured {
    Measured {
        attempts: 30_000,
        acknowledged: 7_836,
        refused: reasons([("deadlock", 22_164)]),
        elapsed_ms: 30_951,
        vus_max: 1_000,
        bytes_sent: 12_345_678,
        bytes_received: 9_876_543,
        connections: 1_000,
        latency: [
            ("all".to_owned(), latency(30_000, 6_400, 17_800, 120_400)),
            ("acknowledged".to_owned(), latency(7_836, 7_200, 19_100, 120_400)),
            ("refused".to_owned(), latency(22_164, 6_100, 16_900, 99_950)),
        ]
        .into(),
        ..Measured::default()
    }
}

/// A published run with a lock, as the load measured it.
fn locked() -> Measured {
    Measured {
        attempts: 29_160,
        acknowledged: 29_125,
        refused: reasons([("lock_timeout", 33)]),
        unknown: reasons([("cut_off", 2)]),
        elapsed_ms: 92_400,
        vus_max: 2_000,
        latency: [("all".to_owned(), latency(29_160, 4_800_000, 5_700_000, 15_800_000))].into(),
        ..Measured::default()
    }
}

fn database(initial: i64, remaining: i64, issued: i64) -> Verdict {
    audit(&Books {
        one_per_user: false,
        before: None,
        after: Some(stock(initial, remaining, issued, issued)),
        rows: None,
        attempts: None,
        ledger_complete: false,
    })
}

fn published(expect_no_lock: Expect) -> Report {
    let lost = database(30_000, 25_931, 7_836);
    let mut kept = database(50_000, 20_874, 29_126);
    (kept.counts.unknown_issued, kept.counts.unknown_not_issued) = (Some(1), Some(1));
    let part = |strategy, expect, measured, verdict| Part {
        strategy,
        write: "read-modify-write",
        expect,
        measured,
        verdict,
        order: Order::default(),
        waits: Waits::default(),
    };
    let heading = Heading {
        tool: "0.1.0".to_owned(),
        name: "published".to_owned(),
        description: "The published experiment.".to_owned(),
        started: "2026-11-22T20:01:30Z".to_owned(),
        facts: vec![("database".to_owned(), "MariaDB 10.11".to_owned())],
    };
    let order = Order { granted: 29_126, overtakes: 1_234_567, overtakers: 20_000 };
    let waits = Waits { wait_p50_us: Some(4_790_000), hold_p50_us: Some(2_940) };
    let (none, spin) = (no_lock(), locked());
    let parts = [
        part("none", expect_no_lock, &none, &lost),
        Part { order, waits, ..part("spin", Expect::Pass, &spin, &kept) },
    ];
    assemble(heading, &parts)
}

/// Goal: the comparison shows integrity first, price second, with units and grouped thousands.
#[test]
fn the_comparison_in_plain_text() {
    insta::assert_snapshot!(comparison(&published(Expect::Fail), Look::Plain));
}

/// Goal: the same table as Markdown, for a README.
#[test]
fn the_comparison_in_markdown() {
    insta::assert_snapshot!(comparison(&published(Expect::Fail), Look::Markdown));
}

/// Goal: a run that is not as it was asked to be is explained in sentences.
#[test]
fn an_unexpected_verdict_is_explained() {
    let report = published(Expect::Pass);
    assert!(!report.runs[0].as_expected);
    let page = comparison(&report, Look::Plain);
    assert!(page.contains("none + read-modify-write: V02 lost updates: 7,836 units were issued"));
    let mut report = published(Expect::Fail);
    (report.runs[0].verdict, report.runs[0].as_expected) = (Ruling::Pass, false);
    let page = comparison(&report, Look::Plain);
    assert!(page.contains("none + read-modify-write was to lose and came out PASS"), "{page}");
}

/// Goal: the document reads back as the same value and draws the same page; the bundle knows its
/// version.
#[test]
fn a_stored_report_is_drawn_again() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let bundle = Bundle::create(parent.path(), "published").expect("made");
    let report = published(Expect::Fail);
    bundle.write_json(File::Report, &report).expect("written");
    let read: Report = bundle.read_json(File::Report).expect("read");
    assert_eq!(read, report);
    let other = Report { schema: "cplock.report/0".to_owned(), ..report };
    bundle.write_json(File::Report, &other).expect("written");
    let refused = bundle.read_json::<Report>(File::Report);
    assert!(matches!(refused, Err(BundleError::Schema { .. })), "{refused:?}");
}

/// Goal: each verdict has the exit code of the contract.
#[test]
fn verdicts_have_their_exit_codes() {
    let report = published(Expect::Fail);
    let codes: Vec<_> = report.runs.iter().map(|run| (run.verdict, run.exit)).collect();
    assert_eq!(codes, [(Ruling::Fail, 3), (Ruling::Pass, 0)]);
    let mut part_verdict = database(10, 10, 0);
    let measured = Measured::default();
    for (ruling, exit) in [(Ruling::Vacuous, 4), (Ruling::Unknown, 4), (Ruling::Warn, 0)] {
        part_verdict.verdict = ruling;
        let part = Part {
            strategy: "none",
            write: "read-modify-write",
            expect: Expect::Pass,
            measured: &measured,
            verdict: &part_verdict,
            order: Order::default(),
            waits: Waits::default(),
        };
        let heading = Heading {
            tool: String::new(),
            name: String::new(),
            description: String::new(),
            started: String::new(),
            facts: Vec::new(),
        };
        let run = assemble(heading, &[part]).runs.remove(0);
        assert_eq!((run.exit, run.as_expected), (exit, ruling == Ruling::Warn), "{ruling:?}");
    }
}

/// Goal: the load's page in the manner of k6.
#[test]
fn the_summary_of_a_load() {
    insta::assert_snapshot!(summary(&no_lock(), Look::Plain));
}

/// Goal: a run of no length and no requests is drawn, without a division by zero.
#[test]
fn the_summary_of_nothing() {
    let nothing = Measured { interrupted: true, vus_lost: 1, ..Measured::default() };
    let page = summary(&nothing, Look::Plain);
    assert!(page.contains("Interrupted") && page.contains("1 VUs broke down"), "{page}");
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

/// Goal: the page of a database alone: verdict, why, and what it cannot know.
#[test]
fn the_findings_of_the_published_run_without_a_lock() {
    insta::assert_snapshot!(findings(&database(30_000, 25_931, 7_836), Look::Plain));
}

/// Goal: the page of a run with witnesses and remarks.
#[test]
fn the_findings_of_a_run_with_witnesses() {
    let mut books = sound(20, 10, 0);
    books.rows.as_mut().expect("sound").truncate(4);
    books.rows.as_mut().expect("sound").push(row(30));
    books.after = Some(stock(20, 15, 5, 30));
    let attempts = books.attempts.as_mut().expect("sound");
    let timeout = Outcome::Refused(cplock::ledger::Refusal::LockTimeout);
    attempts.push(attempt(11, timeout));
    insta::assert_snapshot!(findings(&audit(&books), Look::Plain));
}

/// Goal: columns align under wide characters, on a terminal too narrow for the text as well, and
/// what a service says cannot command the terminal or break the table.
#[test]
fn tables_align_and_carry_no_escape_codes() {
    let mut table = Table::new([("이름", Align::Left), ("값 ms", Align::Right)]);
    table.row(["선착순 쿠폰", "1,234.5"]);
    table.row(["plain\u{1b}[31m\n|", "2.0"]);
    insta::assert_snapshot!(table.draw(Look::Plain));
    insta::assert_snapshot!(table.draw(Look::Terminal(24)));
    insta::assert_snapshot!(table.draw(Look::Markdown));
    for look in [Look::Plain, Look::Terminal(24), Look::Markdown] {
        assert!(!table.draw(look).contains('\u{1b}'));
    }
}

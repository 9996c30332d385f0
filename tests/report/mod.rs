//! `report` from outside: pages with the published runs' numbers, in every look.

mod histories;

use std::collections::BTreeMap;
use std::time::SystemTime;

use cplock::bundle::{self, Bundle};
use cplock::ledger::measured::{Latency, Measured, Probed};
use cplock::ledger::{Attempt, Outcome};
use cplock::report::comparison::comparison;
use cplock::report::findings::{findings, headline};
use cplock::report::summary::summary;
use cplock::report::table::{Canvas, Cell, Side, Table, Tone, markdown};
use cplock::report::{Report, Run, SCHEMA};
use cplock::scenario::Expect;
use cplock::verify::{Order, Ruling, Verdict, Waits};

use super::verify::{Books, attempt, audit, row, sound, stock};

/// A file or a pipe.
const PLAIN: Canvas = Canvas { width: None, color: false };
/// A narrow terminal in colour.
const NARROW: Canvas = Canvas { width: Some(28), color: true };

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
        probes: Some(Probed {
            count: 310,
            failed: 2,
            p50_us: 1_250,
            p95_us: 6_400,
            ..Probed::default()
        }),
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
        ..Books::default()
    })
}

fn published(expect_no_lock: Expect) -> Report {
    let mut kept = database(50_000, 20_874, 29_126);
    (kept.counts.unknown_issued, kept.counts.unknown_not_issued) = (Some(1), Some(1));
    let run = |label: &str, expect, measured, verdict| Run {
        label: label.to_owned(),
        write: "read-modify-write".to_owned(),
        expect,
        measured: Some(measured),
        verdict: Some(verdict),
        order: None,
        waits: None,
        settings: vec![("database".to_owned(), "MariaDB 10.11".to_owned())],
    };
    let spin = Run {
        order: Some(Order { granted: 29_126, overtakes: 1_234_567, overtakers: 20_000 }),
        waits: Some(Waits { wait_p50_us: Some(4_790_000), hold_p50_us: Some(2_940) }),
        ..run("spin", Expect::Pass, locked(), kept)
    };
    Report {
        schema: SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        name: "published".to_owned(),
        description: "The published experiment.".to_owned(),
        started: "2026-11-22T20:01:30Z".to_owned(),
        machine: vec![("cores".to_owned(), "2".to_owned())],
        runs: vec![run("none", expect_no_lock, no_lock(), database(30_000, 25_931, 7_836)), spin],
    }
}

/// Goal: the comparison shows integrity first, price second, with units and grouped thousands.
#[test]
fn the_comparison_in_plain_text() {
    insta::assert_snapshot!(comparison(&published(Expect::Fail)).draw(PLAIN));
}

/// Goal: the same table as Markdown, for a README.
#[test]
fn the_comparison_in_markdown() {
    insta::assert_snapshot!(comparison(&published(Expect::Fail)).markdown());
}

/// Goal: the announced verdict is part of the word, and what is not known is a dash, not a zero.
#[test]
fn verdicts_are_told_against_what_was_announced() {
    let mut report = published(Expect::Fail);
    let words = |report: &Report| report.runs[0].verdict_words();
    assert_eq!(words(&report), "FAIL (as expected)");
    assert_eq!(words(&published(Expect::Pass)), "FAIL");
    report.runs[0].verdict.as_mut().unwrap().verdict = Ruling::Pass;
    assert_eq!(words(&report), "PASS (should have failed)");
    (report.runs[0].verdict, report.runs[0].measured) = (None, None);
    assert_eq!(words(&report), "not verified");
    let table = comparison(&report).draw(PLAIN);
    for what in ["lost updates", "issued rows", "acknowledged", "requests/s", "latency p95 ms"] {
        let line = table.lines().find(|line| line.contains(what)).unwrap();
        assert_eq!(line.split_whitespace().find(|word| *word == "–"), Some("–"), "{line}");
    }
}

/// Goal: the document reads back as the same value and draws the same page.
#[test]
fn a_stored_report_is_drawn_again() {
    let parent = tempfile::tempdir().unwrap();
    let bundle = Bundle::create(parent.path(), "published", SystemTime::UNIX_EPOCH).unwrap();
    let report = published(Expect::Fail);
    bundle.write_json(bundle::REPORT, &report).unwrap();
    let read: Report = bundle.read_json(bundle::REPORT).unwrap();
    assert_eq!(read, report);
    assert_eq!(comparison(&read).draw(PLAIN), comparison(&report).draw(PLAIN));
}

/// Goal: the load's page in the manner of k6.
#[test]
fn the_summary_of_a_load() {
    insta::assert_snapshot!(summary(&no_lock(), PLAIN));
}

/// Goal: a run of no length and no requests is drawn, without a division by zero.
#[test]
fn the_summary_of_nothing() {
    let nothing = Measured { interrupted: true, vus_lost: 1, ..Measured::default() };
    let page = summary(&nothing, PLAIN);
    assert!(page.contains("1 VUs ended by a fault of cplock itself"), "{page}");
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

/// Goal: the page of a database alone: verdict, why, and what it cannot know.
#[test]
fn the_findings_of_the_published_run_without_a_lock() {
    let verdict = database(30_000, 25_931, 7_836);
    let headline = headline(&verdict);
    assert!(headline.starts_with("VERDICT FAIL") && headline.contains("25,931"), "{headline}");
    insta::assert_snapshot!(findings(&verdict, PLAIN));
}

/// Goal: the page of a run with witnesses: the first few of each, and how many more.
#[test]
fn the_findings_of_a_run_with_witnesses() {
    let mut books = sound(20, 10, 0);
    let rows = books.rows.as_mut().unwrap();
    rows.truncate(4);
    rows.push(row(30));
    books.after = Some(stock(20, 15, 5, 30));
    let timeout = Outcome::Refused(cplock::ledger::Refusal::LockTimeout);
    books.attempts.as_mut().unwrap().push(attempt(11, timeout));
    insta::assert_snapshot!(findings(&audit(&books), PLAIN));
}

/// Goal: columns align under wide characters, also on a terminal too narrow for the text.
#[test]
fn tables_align_under_wide_characters() {
    let mut table = Table::new([("이름", Side::Left), ("값 ms", Side::Right)]);
    table.row(["선착순 쿠폰".into(), "1,234.5".into()]);
    table.row([Cell::from("short row")]);
    table.row(["plain".into(), Cell::toned("2.0", Tone::Bad), "surplus".into()]);
    insta::assert_snapshot!(table.draw(PLAIN));
    insta::assert_snapshot!(table.draw(Canvas { color: false, ..NARROW }));
    insta::assert_snapshot!(table.markdown());
}

/// Goal: colour is only where it is allowed.
#[test]
fn colour_needs_permission() {
    let report = published(Expect::Pass);
    let table = comparison(&report);
    assert!(table.draw(NARROW).contains("\u{1b}["), "the wrong verdict is coloured");
    for text in [table.draw(Canvas { color: false, ..NARROW }), table.draw(PLAIN), table.markdown()]
    {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

/// Commands to a terminal, in each way that a text from outside could hold them: clear the screen,
/// a title with BEL, a single-character CSI, a carriage return over the line, a turn of direction.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\rPASS\n|\u{202e}`<b>";

/// Goal: what a service, a file or a database says cannot command the terminal or break a table.
#[test]
fn text_from_outside_cannot_command_the_terminal() {
    let mut report = published(Expect::Pass);
    report.name = HOSTILE.to_owned();
    let run = &mut report.runs[0];
    (run.label, run.write) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    let measured = run.measured.as_mut().unwrap();
    measured.refused = reasons([(HOSTILE, 1)]);
    measured.unknown = reasons([(HOSTILE, 1)]);

    let mut books = sound(20, 10, 0);
    books.rows.as_mut().unwrap()[3].request = format!("{HOSTILE}4");
    let hostile = Attempt { request: HOSTILE.to_owned(), ..attempt(11, Outcome::Acknowledged) };
    books.attempts.as_mut().unwrap().push(hostile);
    let mut verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Fail);
    let page = findings(&verdict, PLAIN);
    assert!(page.contains("\\u{1b}[2J"), "the witness is shown: {page}");
    verdict.evidence.flaw = Some(HOSTILE.to_owned());
    for finding in &mut verdict.findings {
        for text in [&mut finding.id, &mut finding.name, &mut finding.unit, &mut finding.because] {
            HOSTILE.clone_into(text);
        }
        finding.needs = Some(HOSTILE.to_owned());
    }

    let measured = report.runs[0].measured.as_ref().unwrap();
    for text in [
        comparison(&report).draw(PLAIN),
        comparison(&report).markdown(),
        markdown(&report.name),
        summary(measured, PLAIN),
        findings(&verdict, PLAIN),
        headline(&verdict),
    ] {
        let commands = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(commands), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("PASS")), "{text}");
    }
    let lines = comparison(&report).markdown();
    let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(lines.lines().all(|line| pipes(line) == 4), "{lines}");
    assert!(!lines.contains("<b>") || lines.contains("\\<b>"), "{lines}");
}

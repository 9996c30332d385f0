//! What is shown: finished numbers in, tables and documents out.
//!
//! The door holds the [`Report`], the one document that every drawing of a run is made from.
//! `findings.rs`, `summary.rs` and `comparison.rs` draw; `table.rs` holds the table as a value.
//! No database, no ledger line and no clock is known here, and nothing is printed.

mod comparison;
mod findings;
mod number;
mod summary;
mod table;

use std::collections::BTreeMap;

use crate::ledger::measured::{Latency, Measured};
use crate::scenario::Expect;
use crate::verify::{Order, Ruling, Verdict, Waits};

pub use comparison::comparison;
pub use findings::findings;
pub use summary::summary;
pub use table::{Align, Look, Table};

/// Version of the report document.
pub const SCHEMA: &str = "cplock.report/1";

/// The whole comparison; `report.json` is this value.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the program.
    pub tool: String,
    /// The scenario's name.
    pub name: String,
    /// The scenario's sentence for people.
    pub description: String,
    /// When the first strategy began, RFC 3339 in UTC.
    pub started: String,
    /// Facts of the machine, database and Redis as name and value, in reading order.
    pub facts: Vec<(String, String)>,
    /// One run a strategy, in the order of the scenario.
    pub runs: Vec<Run>,
}

/// One strategy's finished numbers. Absent where not known.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Lock strategy.
    pub strategy: String,
    /// Write mode.
    pub write: String,
    /// The verdict that was asked for.
    pub expect: Expect,
    /// The verdict that it has.
    pub verdict: Ruling,
    /// Whether the verdict is the one asked for; PASS with a remark is a PASS.
    pub as_expected: bool,
    /// What the verdict alone would end the program with: 0 holds, 3 violated, 4 inconclusive.
    pub exit: u8,
    /// Whether a signal ended it early.
    pub interrupted: bool,
    /// Units left when it began.
    pub initial: Option<i64>,
    /// Units left at its end.
    pub remaining: Option<i64>,
    /// Rows written.
    pub issued: Option<i64>,
    /// Rows for which the stock never moved.
    pub lost_updates: Option<i64>,
    /// Rows beyond the initial stock.
    pub oversold: Option<i64>,
    /// Attempts made.
    pub attempts: u64,
    /// Told yes.
    pub acknowledged: u64,
    /// Told no, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Not known to the client, by reason.
    pub unknown: BTreeMap<String, u64>,
    /// Of the unknown: issued, as a row shows.
    pub unknown_issued: Option<u64>,
    /// Of the unknown: not issued.
    pub unknown_not_issued: Option<u64>,
    /// Rows written each second, over `elapsed_ms`.
    pub issued_per_s: Option<f64>,
    /// Attempts each second, over `elapsed_ms`.
    pub requests_per_s: f64,
    /// Latency over `all`, and over each outcome class that occurred.
    pub latency: BTreeMap<String, Latency>,
    /// Pairs in which the later arrival was granted first.
    pub overtakes: Option<u64>,
    /// Grants that went past at least one earlier arrival.
    pub overtakers: Option<u64>,
    /// Median wait time in µs: asking to grant.
    pub wait_p50_us: Option<u64>,
    /// Median hold time in µs: grant to release.
    pub hold_p50_us: Option<u64>,
    /// Highest number of VUs at once.
    pub vus_max: u32,
    /// From the first VU's start to the last attempt's end, in ms.
    pub elapsed_ms: u64,
    /// One line a check, in the order of the checks.
    pub findings: Vec<Line>,
}

/// One finding, in short.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `V01` … .
    pub id: String,
    /// What was checked.
    pub name: String,
    /// The result.
    pub verdict: Ruling,
    /// Whether it counts in the whole verdict.
    pub decides: bool,
    /// Violations counted; absent where not known.
    pub observed: Option<i64>,
    /// Why this result.
    pub because: String,
}

/// What a report is about, before any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Version of the program.
    pub tool: String,
    /// The scenario's name.
    pub name: String,
    /// The scenario's sentence for people.
    pub description: String,
    /// RFC 3339 in UTC.
    pub started: String,
    /// Facts of the machine, database and Redis as name and value, in reading order.
    pub facts: Vec<(String, String)>,
}

/// Everything that is known of one strategy's run.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Lock strategy.
    pub strategy: &'a str,
    /// Write mode.
    pub write: &'a str,
    /// The verdict that was asked for.
    pub expect: Expect,
    /// What the load measured.
    pub measured: &'a Measured,
    /// What the audit found.
    pub verdict: &'a Verdict,
    /// Who overtook whom; `order.granted` 0 where the service numbers nothing.
    pub order: Order,
    /// Medians of wait and hold time.
    pub waits: Waits,
}

/// Puts the finished parts together, in the order given.
pub fn assemble(heading: Heading, parts: &[Part<'_>]) -> Report {
    let Heading { tool, name, description, started, facts } = heading;
    let runs = parts.iter().map(Run::of).collect();
    Report { schema: SCHEMA.to_owned(), tool, name, description, started, facts, runs }
}

impl Run {
    fn of(part: &Part<'_>) -> Self {
        let Part { measured, verdict, order, .. } = *part;
        let counts = &verdict.counts;
        let numbered = order.granted > 0;
        Self {
            strategy: part.strategy.to_owned(),
            write: part.write.to_owned(),
            expect: part.expect,
            verdict: verdict.verdict,
            as_expected: matches!(
                (part.expect, verdict.verdict),
                (Expect::Pass, Ruling::Pass | Ruling::Warn) | (Expect::Fail, Ruling::Fail)
            ),
            exit: exit(verdict.verdict),
            interrupted: measured.interrupted,
            initial: counts.initial,
            remaining: counts.remaining,
            issued: counts.issued,
            lost_updates: counts.lost_updates,
            oversold: counts.oversold,
            attempts: measured.attempts,
            acknowledged: measured.acknowledged,
            refused: measured.refused.clone(),
            unknown: measured.unknown.clone(),
            unknown_issued: counts.unknown_issued,
            unknown_not_issued: counts.unknown_not_issued,
            issued_per_s: counts.issued.map(|issued| number::per_second(issued, measured)),
            requests_per_s: number::per_second(measured.attempts, measured),
            latency: measured.latency.clone(),
            overtakes: numbered.then_some(order.overtakes),
            overtakers: numbered.then_some(order.overtakers),
            wait_p50_us: part.waits.wait_p50_us,
            hold_p50_us: part.waits.hold_p50_us,
            vus_max: measured.vus_max,
            elapsed_ms: measured.elapsed_ms,
            findings: lines(verdict),
        }
    }
}

fn lines(verdict: &Verdict) -> Vec<Line> {
    let line = |finding: &crate::verify::Finding| Line {
        id: finding.id.clone(),
        name: finding.name.clone(),
        verdict: finding.verdict,
        decides: finding.decides,
        observed: finding.observed,
        because: finding.because.clone(),
    };
    verdict.findings.iter().map(line).collect()
}

/// The exit code that a verdict asks for when nothing else happened.
fn exit(verdict: Ruling) -> u8 {
    match verdict {
        Ruling::Pass | Ruling::Warn => 0,
        Ruling::Fail => 3,
        Ruling::Unknown | Ruling::Vacuous => 4,
    }
}

/// Paragraphs with one empty line between them; empty ones are left out.
fn page(paragraphs: impl IntoIterator<Item = String>) -> String {
    let mut page = String::new();
    for paragraph in paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty()) {
        if !page.is_empty() {
            page.push('\n');
        }
        page.push_str(paragraph.trim_end_matches('\n'));
        page.push('\n');
    }
    page
}
